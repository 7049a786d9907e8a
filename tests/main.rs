//! All integration tests, one binary.

mod bad_input;
mod config;
mod dsn;
mod servers;
mod support;
