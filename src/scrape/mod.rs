//! A scrape: targets are refreshed together, their slots are shown, and concurrent scrapes of one page share the work.

pub mod coalescer;
pub mod engine;
pub mod reload;
pub mod self_metrics;
pub mod slot;
pub mod target;
