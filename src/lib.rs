//! pgvigil: watches the whole data path of an application on PostgreSQL and tells Prometheus the truth about it.
//!
//! Start at ARCHITECTURE.md: the four words (Table, Source, Collector, Slot) and the map of the modules.

pub mod breaker;
pub mod certificate;
pub mod cli;
pub mod config;
mod cut;
pub mod docs;
pub mod engine;
pub mod exposition;
pub mod http;
pub mod live;
pub mod map;
pub mod metric;
pub mod native;
pub mod own;
pub mod page;
pub mod probe;
mod room;
pub mod secret;
pub mod slot;
pub mod source;
pub mod table;
pub mod target;
pub mod told;
pub mod web;
