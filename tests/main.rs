//! All integration tests, one binary.

mod bad_input;
mod config;
mod dsn;
mod exposition;
mod servers;
mod support;
