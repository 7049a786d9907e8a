//! All integration tests, one binary.

mod bad_input;
mod config;
mod dsn;
mod examples;
mod servers;
mod support;
