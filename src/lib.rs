//! pgvigil: watches the whole data path of an application on PostgreSQL and tells Prometheus the truth about it.
//!
//! Start at ARCHITECTURE.md: the four words (Table, Source, Collector, Slot) and the map of the modules.

pub mod access;
pub mod certificate;
pub mod circuit_breaker;
pub mod cli;
pub mod collector;
pub mod docs;
pub mod exposition;
pub mod http;
pub mod import;
pub mod log_limit;
pub mod map;
mod memory_budget;
pub mod probe;
pub mod schema;
pub mod scrape;
pub mod secret;
pub mod settings;
pub mod shipped;
pub mod source;
pub mod table;
mod truncate;
