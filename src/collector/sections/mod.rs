//! Named sections: what a source that is not asked in SQL has to say, each a table of its own.

pub mod backup;
pub mod disk;
pub mod pgbouncer;
pub mod probe;
pub mod redis;
pub mod row;
pub mod self_metrics;

use crate::collector::SourceKind;
use crate::collector::sections::row::Section;

/// What the rows of `source: statements` are made into; its columns, as a section has them.
pub const STATEMENTS: Section = Section {
    name: "statements",
    columns: &["datname", "le", "bucket", "sum", "count", "native", "seconds", "slower"],
};

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
