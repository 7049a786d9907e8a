//! The contents of a repository: its stanzas and backups, in the same form for every tool.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::collector::sections::backup::{BackupRow, ServerRow, StanzaRow};
use crate::collector::sections::row::{SectionRow, SectionTables};
use crate::source::backup::archive::{Segment, segment};
use crate::source::backup::problem::{BackupProblem, BackupReason};
use crate::table::{Cell, Table};

/// The known contents of one repository.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RepositoryContents {
    pub stanzas: Vec<Stanza>,
    /// Rows of sections that only this tool has.
    pub tool_tables: SectionTables,
    /// Sentences about missing knowledge.
    pub unknown: Vec<String>,
    /// Values that are present but could not be read.
    pub malformed: u64,
}

/// Limits on memory, far above any real need: stanzas, sentences about missing knowledge, kinds of backups in one
/// stanza, and bytes of the rows of a section that only one tool has.
const MOST_STANZAS: usize = 2000;
const MOST_UNKNOWN: usize = 20;
const MOST_KINDS: usize = 20;
const MOST_BYTES: usize = 1 << 20;

/// A clock that is wrong by a time zone is ahead by less than this; later times are errors.
pub const MOST_AHEAD: Duration = Duration::from_secs(86_400);

impl RepositoryContents {
    /// Adds a stanza; one above the limit counts as malformed.
    pub fn push(&mut self, stanza: Stanza) {
        if self.stanzas.len() < MOST_STANZAS {
            self.stanzas.push(stanza);
        } else {
            self.malformed += 1;
            self.push_unknown(format!("there are more than {MOST_STANZAS} stanzas or servers"));
        }
    }

    /// Adds a row of a section that only one tool has; one above the limit counts as malformed.
    pub fn push_row<'a, R: SectionRow<'a>>(&mut self, row: R) {
        if self.tool_tables.by_name.get(R::NAME).map_or(0, Table::bytes) < MOST_BYTES {
            self.tool_tables.push(row);
        } else {
            self.malformed += 1;
        }
    }

    /// Adds a sentence about missing knowledge, up to the limit: the first ones suffice.
    pub fn push_unknown(&mut self, sentence: impl Into<String>) {
        if self.unknown.len() < MOST_UNKNOWN {
            self.unknown.push(sentence.into());
        }
    }

    /// Removes backups that ended in the future: they would stay the newest for ever.
    pub fn leave_out_future(&mut self, now: f64) {
        let latest = now + MOST_AHEAD.as_secs_f64();
        let mut stanzas = std::mem::take(&mut self.stanzas);
        for stanza in &mut stanzas {
            let left_out = stanza.backups.extract_if(.., |backup| backup.end > latest).count();
            stanza.archived = stanza.archived.filter(|archived| *archived <= latest);
            if left_out > 0 {
                stanza.partial = true;
                self.malformed += left_out as u64;
                self.push_unknown(format!("{left_out} backups end more than a day in the future by this clock"));
            }
        }
        self.stanzas = stanzas;
    }
}

/// The backups of one server in one place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stanza {
    /// pgBackRest's stanza, or Barman's server; empty for other tools.
    pub name: String,
    /// The number of pgBackRest's repository.
    pub repo_key: String,
    /// The restorable backups, in any order.
    pub backups: Vec<FinishedBackup>,
    /// Some could not be read, so neither the number of backups nor the oldest is known.
    pub partial: bool,
    /// When the last failed backup ended, if the tool reports failed ones.
    pub failed: Option<f64>,
    /// Segments of WAL missing since the newest backup began.
    pub gaps: Option<u64>,
    /// When the newest WAL without a gap before it was archived.
    pub archived: Option<f64>,
    /// The system identifier of its server, if the tool shows it for the stanza.
    pub system_identifier: Option<String>,
    /// The location of this stanza's WAL, below the folder of the archive.
    pub archive: Option<String>,
}

/// A completed backup. Times are in Unix seconds, sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FinishedBackup {
    /// `full`, `diff`, `incr`.
    pub kind: String,
    pub start: Option<f64>,
    pub end: f64,
    /// The size of the backed-up data.
    pub size: Option<f64>,
    /// The size in the repository, if it is known and differs.
    pub stored: Option<f64>,
    /// The backup has errors, if the tool looks for them.
    pub error: Option<bool>,
    /// The first segment of WAL that it needs: 24 hexadecimal digits.
    pub wal: Option<String>,
    /// The system identifier of its server, if the tool shows it for each backup.
    pub system_identifier: Option<String>,
}

impl Stanza {
    /// Records a failed backup.
    pub fn push_failed(&mut self, end: f64) {
        self.failed = Some(self.failed.map_or(end, |known| known.max(end)));
    }

    pub fn newest(&self) -> Option<&FinishedBackup> {
        newest(self.backups.iter())
    }

    /// The newest time known to be restorable: the end of the newest backup, or of the WAL archived after it.
    pub fn restorable(&self) -> Option<f64> {
        let end = self.newest()?.end;
        Some(self.archived.map_or(end, |archived| archived.max(end)))
    }

    fn system_identifier(&self) -> Option<&str> {
        let of_newest = || self.newest()?.system_identifier.as_deref();
        self.system_identifier.as_deref().or_else(of_newest)
    }

    /// Adds its rows to the sections that every tool has.
    pub fn push(&self, tables: &mut SectionTables, repository: &str) {
        let (repository, stanza, repo_key) = (repository.into(), (&self.name).into(), (&self.repo_key).into());
        let oldest = self.backups.iter().map(|backup| backup.end).min_by(f64::total_cmp);
        tables.push(StanzaRow {
            repository,
            stanza,
            repo_key,
            restore_points: self.unless_partial(self.backups.len()),
            oldest: self.unless_partial(oldest),
            restorable: self.restorable().into(),
            archived: self.archived.into(),
            gaps: self.gaps.into(),
            failed: self.failed.into(),
        });
        if let Some(system_identifier) = self.system_identifier() {
            tables.push(ServerRow { repository, stanza, repo_key, system_identifier: system_identifier.into() });
        }
        let mut kinds: BTreeMap<&str, Vec<&FinishedBackup>> = BTreeMap::new();
        for backup in &self.backups {
            kinds.entry(&backup.kind).or_default().push(backup);
        }
        for (kind, backups) in kinds.into_iter().take(MOST_KINDS) {
            let Some(newest) = newest(backups.iter().copied()) else { continue };
            tables.push(BackupRow {
                repository,
                stanza,
                repo_key,
                backup_type: kind.into(),
                kept: self.unless_partial(backups.len()),
                end: newest.end.into(),
                duration: newest.duration().into(),
                size: newest.size.into(),
                stored: newest.stored.into(),
                error: newest.error.into(),
            });
        }
    }

    /// A value that is known only if all backups are.
    fn unless_partial<'a>(&self, value: impl Into<Cell<'a>>) -> Cell<'a> {
        if self.partial { Cell::Absent } else { value.into() }
    }
}

impl FinishedBackup {
    /// The first segment of WAL that the backup needs.
    ///
    /// # Errors
    /// The segment is unknown.
    pub fn wal_begin(&self) -> Result<Segment, BackupProblem> {
        let begin = self.wal.as_deref().and_then(segment);
        begin.ok_or_else(|| BackupReason::Garbage.because("the newest backup does not show where its WAL begins"))
    }

    pub fn duration(&self) -> Option<f64> {
        self.start.map(|start| self.end - start).filter(|duration| *duration >= 0.0)
    }
}

/// The backup that ended last.
pub fn newest<'b>(backups: impl Iterator<Item = &'b FinishedBackup>) -> Option<&'b FinishedBackup> {
    backups.max_by(|one, two| one.end.total_cmp(&two.end))
}
