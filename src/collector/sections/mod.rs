//! Named sections: the tables of the sources that do not speak SQL. Each section declares its columns.

pub mod backup;
pub mod disk;
pub mod pgbouncer;
pub mod probe;
pub mod redis;
pub mod row;
pub mod self_metrics;

use crate::collector::SourceKind;
use crate::collector::sections::row::Section;

/// The columns of the table that `source: statements` makes from the rows of its query.
pub const STATEMENTS: Section = Section {
    name: "statements",
    columns: &["datname", "le", "bucket", "sum", "count", "native", "seconds", "slower"],
};

/// All sections of a source.
pub fn of(source: SourceKind) -> &'static [Section] {
    match source {
        SourceKind::SelfMetrics => self_metrics::SECTIONS,
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
