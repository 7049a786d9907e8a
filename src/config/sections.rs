//! The sections of the program's own state (`source: self`): their names and columns.
//!
//! A section about targets has its rows once for each target, whose labels are added to them; the others have
//! them once.

/// One section.
#[derive(Debug, PartialEq)]
pub struct Section {
    pub name: &'static str,
    pub of_target: bool,
    pub columns: &'static [&'static str],
}

/// All there are.
pub const SECTIONS: [Section; 9] = [
    Section {
        name: "target",
        of_target: true,
        columns: &[
            "postgres_up",
            "last_answer_timestamp",
            "circuit_state",
            "circuit_trips",
            "sessions",
            "pooled",
            "login_pending",
        ],
    },
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
    Section { name: "skipped", of_target: true, columns: &["collector", "reason", "queries"] },
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

/// What the rows of `source: statements` are made into; its columns, as a section has them.
pub const STATEMENTS: Section = Section {
    name: "statements",
    of_target: true,
    columns: &["datname", "le", "bucket", "sum", "count", "seconds", "slower"],
};

/// What the SQL of `source: statements` must return, times in seconds. A row with a `datname` says that this database is
/// there; the others are statements, and all other columns say which. So a name is not sent with each statement.
pub const READING: [&str; 7] = ["datname", "server", "dbid", "calls", "total", "stddev", "least"];

/// The section with this name.
pub fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}
