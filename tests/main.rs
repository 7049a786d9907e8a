//! All integration tests, one binary.

mod servers;
mod support;
