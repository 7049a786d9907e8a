//! All integration tests, one binary.

mod bad_input;
mod config;
mod dsn;
mod faults;
mod servers;
mod support;
