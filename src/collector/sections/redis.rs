//! The sections of a Redis server: those of `INFO`, and what few other commands say. Where no columns stand here, they
//! are the fields that the server's version has.

use crate::collector::sections::row::{Section, SectionRow, section_rows};

/// All there are. What `INFO` lists as one line for each database, command and so on is a section with a row for each.
pub const SECTIONS: &[Section] = &[
    // Sections of INFO: one row, its columns are the fields.
    fields("server"),
    fields("clients"),
    fields("memory"),
    fields("persistence"),
    fields("stats"),
    fields("replication"),
    fields("cpu"),
    fields("cluster"),
    // Fields of several of them that say together what the server is.
    rows("instance", &["redis_version", "valkey_version", "redis_mode", "role", "maxmemory_policy", "os", "tcp_port"]),
    // And where it stands among others.
    rows("place", &["role", "master_host", "master_port", "master_replid", "master_replid2"]),
    // Lists within INFO: a row for each. Replicas have the names that other exporters' labels have.
    rows("keyspace", &["db", "keys", "expires", "avg_ttl"]),
    rows("commandstats", &["cmd", "calls", "usec", "rejected_calls", "failed_calls"]),
    rows("errorstats", &["err", "count"]),
    PercentileRow::SECTION,
    rows("replicas", &["slave_ip", "slave_port", "slave_state", "offset", "lag"]),
    rows("modules", &["name", "ver", "api", "filters", "usedby", "using"]),
    // Other commands.
    rows("config", &["maxclients", "maxmemory", "io_threads", "slowlog_log_slower_than", "latency_monitor_threshold"]),
    rows("slowlog", &["length"]),
    rows("latency", &["event_name", "timestamp", "latest_ms", "max_ms"]),
    fields("cluster_info"),
];

section_rows! {
    "latencystats": PercentileRow { cmd, quantile, usec }
}

const fn fields(name: &'static str) -> Section {
    rows(name, &[])
}

const fn rows(name: &'static str, columns: &'static [&'static str]) -> Section {
    Section { name, columns }
}
