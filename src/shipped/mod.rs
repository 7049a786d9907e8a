//! What `pgvigil export` writes: the alert rules and dashboards inside the binary.

pub mod alert_rules;
pub mod dashboards;
