//! What is found out of a repository: restore points, the same for every tool.

use std::time::Duration;

use crate::{
    collector::sections::{
        backup::{BackupRow, ServerRow, StanzaRow},
        row::{SectionRow, SectionTables},
    },
    source::backup::json::Malformed,
    table::{Cell, Table},
};

/// What one repository is known to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RepositoryContents {
    pub stanzas: Vec<Stanza>,
    /// Rows of sections that only this tool has.
    pub more: SectionTables,
    /// What the tool itself could not find out, in its words.
    pub unknown: Vec<String>,
    /// Values that were there and made no sense.
    pub odd: u64,
}

/// More stanzas than that are not told of; nor are more sentences of what is not known, more kinds of backups in one stanza, more bytes of the rows of
/// a section that only one tool has. Who has as many has them to fill our memory.
const MOST_STANZAS: usize = 2000;
const MOST_UNKNOWN: usize = 20;
const MOST_KINDS: usize = 20;
const MOST_BYTES: usize = 1 << 20;

/// No time zone, and hardly a clock, is wrong by more: what is farther in the future is a mistake.
pub const MOST_AHEAD: Duration = Duration::from_secs(86_400);

impl RepositoryContents {
    /// Adds a stanza; what does not fit is counted as odd.
    pub fn push(&mut self, stanza: Stanza, odd: &mut Malformed) {
        match self.stanzas.len() {
            ..MOST_STANZAS => self.stanzas.push(stanza),
            _ => {
                odd.0 += 1;
                self.tell(format!("there are more than {MOST_STANZAS} stanzas or servers"));
            }
        }
    }

    /// Adds a row of a section that only one tool has; what does not fit is counted as odd.
    pub fn push_row<'a, R: SectionRow<'a>>(&mut self, row: R, odd: &mut Malformed) {
        match self.more.by_name.get(R::NAME).map_or(0, Table::bytes) {
            ..MOST_BYTES => self.more.push(row),
            _ => odd.0 += 1,
        }
    }

    /// Says what could not be found out. More than so much is said by what was said before.
    pub fn tell(&mut self, unknown: String) {
        if self.unknown.len() < MOST_UNKNOWN {
            self.unknown.push(unknown);
        }
    }

    /// Leaves out backups that ended in the future, which would stay the newest for ever.
    pub fn leave_out_future(&mut self, now: f64) {
        let until = now + MOST_AHEAD.as_secs_f64();
        let mut told = Vec::new();
        for stanza in &mut self.stanzas {
            let (past, future): (Vec<_>, Vec<_>) = stanza.backups.drain(..).partition(|done| done.end <= until);
            stanza.backups = past;
            stanza.archived = stanza.archived.filter(|archived| *archived <= until);
            if !future.is_empty() {
                stanza.partial = true;
                self.odd += future.len() as u64;
                told.push(future.len());
            }
        }
        let words = |backups| format!("{backups} backups end more than a day in the future by this clock");
        told.into_iter().for_each(|backups| self.tell(words(backups)));
    }
}

/// The backups of one server in one place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stanza {
    /// pgBackRest's stanza, Barman's server; empty where the tool has no such thing.
    pub name: String,
    /// The number of pgBackRest's repository.
    pub repo_key: String,
    /// Those that can be restored, in any order.
    pub backups: Vec<FinishedBackup>,
    /// There are more, of which nothing could be read: how many there are in all, and the oldest, is not known.
    pub partial: bool,
    /// When the last failed backup ended, where failed ones are known.
    pub failed: Option<f64>,
    /// Segments of WAL that are missing since the newest backup began.
    pub gaps: Option<u64>,
    /// When the newest WAL without a gap before it was archived.
    pub archived: Option<f64>,
    /// The system identifier of the server it is of, where the tool tells it of the stanza.
    pub system_identifier: Option<String>,
    /// Where this stanza's WAL is, below the folder of the archive.
    pub archive: Option<String>,
}

/// A backup that was completed. Times in Unix seconds, sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FinishedBackup {
    /// `full`, `diff`, `incr`.
    pub kind: String,
    pub start: Option<f64>,
    pub end: f64,
    /// Of what was backed up.
    pub size: Option<f64>,
    /// Of what is kept for it, where that is known to differ.
    pub stored: Option<f64>,
    /// Completed, but with errors in it, where the tool looks for any.
    pub error: Option<bool>,
    /// The segment of WAL it begins with: 24 hexadecimal digits.
    pub wal: Option<String>,
    /// The system identifier of the server, where the tool tells it of each backup.
    pub system_identifier: Option<String>,
}

impl Stanza {
    pub fn newest(&self) -> Option<&FinishedBackup> {
        newest(self.backups.iter())
    }

    /// The newest time that is known to be restorable: the end of the newest backup, or of the WAL archived after it.
    pub fn restorable(&self) -> Option<f64> {
        let end = self.newest()?.end;
        Some(self.archived.map_or(end, |archived| archived.max(end)))
    }

    /// Its rows, in the sections that every tool has.
    pub fn push(&self, tables: &mut SectionTables, repository: &str) {
        let (repository, stanza, repo_key) = (repository.into(), (&self.name).into(), (&self.repo_key).into());
        let oldest = self.backups.iter().map(|done| done.end).min_by(f64::total_cmp);
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
        let of_newest = || self.newest().and_then(|done| done.system_identifier.as_deref());
        if let Some(system_identifier) = self.system_identifier.as_deref().or_else(of_newest) {
            tables.push(ServerRow { repository, stanza, repo_key, system_identifier: system_identifier.into() });
        }
        let mut kinds: Vec<&str> = self.backups.iter().map(|done| done.kind.as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds.truncate(MOST_KINDS);
        for kind in kinds {
            let of_kind = || self.backups.iter().filter(|done| done.kind == kind);
            let Some(newest) = newest(of_kind()) else { continue };
            tables.push(BackupRow {
                repository,
                stanza,
                repo_key,
                backup_type: kind.into(),
                kept: self.unless_partial(of_kind().count()),
                end: newest.end.into(),
                duration: newest.duration().into(),
                size: newest.size.into(),
                stored: newest.stored.into(),
                error: newest.error.into(),
            });
        }
    }

    /// What is only known where all backups are.
    fn unless_partial<'a>(&self, value: impl Into<Cell<'a>>) -> Cell<'a> {
        if self.partial { Cell::Absent } else { value.into() }
    }
}

impl FinishedBackup {
    pub fn duration(&self) -> Option<f64> {
        self.start.map(|start| self.end - start).filter(|duration| *duration >= 0.0)
    }
}

/// The one that ended last.
pub fn newest<'d>(backups: impl Iterator<Item = &'d FinishedBackup>) -> Option<&'d FinishedBackup> {
    backups.max_by(|one, two| one.end.total_cmp(&two.end))
}
