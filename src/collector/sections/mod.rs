//! Named sections: what a source that is not asked in SQL has to say, each a table of its own.

mod backup;
mod disk;
mod pgbouncer;
mod probe;
mod redis;
mod self_metrics;

use crate::collector::SourceKind;

/// One section.
#[derive(Debug, PartialEq)]
pub struct Section {
    pub name: &'static str,
    /// Of the program's own state: its rows are there once for each target, whose labels are added to them.
    pub of_target: bool,
    /// Its columns; none where they are what the server says, by names of its own.
    pub columns: &'static [&'static str],
}

/// What the rows of `source: statements` are made into; its columns, as a section has them.
pub const STATEMENTS: Section = Section {
    name: "statements",
    of_target: true,
    columns: &["datname", "le", "bucket", "sum", "count", "native", "seconds", "slower"],
};

/// What the SQL of `source: statements` must return, times in seconds. A row with a `datname` says that this database is
/// there; the others are statements, and all other columns say which. So a name is not sent with each statement.
pub const READING: [&str; 8] = ["datname", "server", "dbid", "calls", "total", "stddev", "least", "most"];

/// All sections of a source.
pub fn of(source: SourceKind) -> &'static [Section] {
    match source {
        SourceKind::Own => self_metrics::SECTIONS,
        SourceKind::PgBouncer => pgbouncer::SECTIONS,
        SourceKind::Redis => redis::SECTIONS,
        SourceKind::Backup => backup::SECTIONS,
        SourceKind::Disk => disk::SECTIONS,
        SourceKind::Probe => probe::SECTIONS,
        SourceKind::Postgres | SourceKind::Statements => &[],
    }
}

/// The section of this name.
pub fn section(source: SourceKind, name: &str) -> Option<&'static Section> {
    of(source).iter().find(|section| section.name == name)
}
