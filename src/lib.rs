//! pgvigil: watches the whole data path of an application on PostgreSQL and tells Prometheus the truth about it.
//!
//! Start at ARCHITECTURE.md: the four words (Table, Source, Collector, Slot) and the map of the modules.
#![forbid(unsafe_code)]

pub mod config;
pub mod metric;
pub mod secret;
pub mod source;
pub mod table;
