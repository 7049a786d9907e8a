//! The sections of the program's own state (`source: self`).

use crate::collector::sections::Section;

/// All there are.
pub const SECTIONS: &[Section] = &[
    Section {
        name: "target",
        of_target: true,
        columns: &[
            "up_postgres",
            "up_pgbouncer",
            "up_redis",
            "up_probe",
            "last_answer_timestamp",
            "circuit_state",
            "circuit_trips",
            "sessions",
            "pooled",
            "login_pending",
        ],
    },
    Section { name: "login", of_target: true, columns: &["method", "tls", "peer"] },
    Section { name: "down", of_target: true, columns: &["reason", "down"] },
    Section {
        name: "collectors",
        of_target: true,
        columns: &[
            "collector",
            "success",
            "duration_seconds",
            "last_success_timestamp",
            "age_seconds",
            "rows",
            "cut",
            "duplicates",
            "invalid",
        ],
    },
    Section { name: "cut", of_target: true, columns: &["collector", "texts", "samples"] },
    Section { name: "skipped", of_target: true, columns: &["collector", "reason", "queries"] },
    Section { name: "databases", of_target: true, columns: &["datname", "reason", "skipped"] },
    Section { name: "failures", of_target: true, columns: &["collector", "reason", "count"] },
    Section { name: "thresholds", of_target: true, columns: &["name", "severity", "value"] },
    Section { name: "build", of_target: false, columns: &["version"] },
    Section {
        name: "process",
        of_target: false,
        columns: &["start_timestamp", "resident_bytes", "cpu_seconds", "open_fds", "max_fds"],
    },
    Section {
        name: "exporter",
        of_target: false,
        columns: &["scrapes", "scrape_duration_seconds", "reload_success", "reload_timestamp"],
    },
];
