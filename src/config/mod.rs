//! Configuration: what was written (YAML with positions) and what it means (validated settings and collectors).

pub mod collector;
pub mod settings;
