//! All integration tests, one binary.

mod architecture;
mod backup;
mod bad_input;
mod config;
mod databases;
mod disk;
mod documents;
mod dsn;
mod examples;
mod exposition;
mod faults;
mod http;
mod live;
mod meaning;
mod pool;
mod redis;
mod rights;
mod rules;
mod scale;
mod schema;
mod scraped;
mod servers;
mod statements;
mod support;
mod tables;
mod tls;
