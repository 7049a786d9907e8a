//! Backups in tools, files and buckets as a source. The target is always up; what is known about each repository, and
//! its problems, are rows.

mod archive;
pub mod barman;
pub mod contents;
mod files;
pub mod json;
pub mod pgbackrest;
pub mod problem;
mod repository;
mod run;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(test)]
mod tests;
mod time;
pub mod walg;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::time::Instant;

use crate::collector::SourceKind;
use crate::collector::sections::backup::{BackupProblemRow, RepositoryRow, SECTIONS};
use crate::collector::sections::row::SectionTables;
use crate::settings;
use crate::settings::{DocumentPart, Tool};
use crate::source::backup::problem::{BackupProblem, BackupReason};
use crate::source::backup::repository::Repository;
use crate::source::fetch::FetchError;
use crate::source::remedy::Remedy;
use crate::source::sections::{Source, SourceProblem, Tables, known, unix_seconds};
use crate::table::Cell;

/// The repositories of a target.
pub struct BackupSource {
    repositories: Vec<Repository>,
}

impl BackupSource {
    pub fn new(settings: settings::BackupSettings) -> Self {
        BackupSource { repositories: settings.repositories.into_iter().map(Repository::new).collect() }
    }

    /// All sections from current knowledge.
    fn all_tables(&self) -> SectionTables {
        let mut tables = SectionTables::new(SECTIONS);
        for repository in &self.repositories {
            push_repository(&mut tables, repository);
        }
        tables
    }
}

impl Source for BackupSource {
    fn answers(&self, kind: SourceKind) -> bool {
        kind == SourceKind::Backup
    }

    fn description(&self) -> String {
        let repositories = self.repositories.iter().map(|repository| {
            let settings = &repository.settings;
            format!("{} ({})", settings.name, settings.tool.into_str())
        });
        format!("backups: {}", repositories.collect::<Vec<_>>().join(", "))
    }

    fn tables<'a>(&'a self, _sections: &'a [&'a str], until: Instant) -> BoxFuture<'a, Result<Tables, FetchError>> {
        let fetch = async move {
            join_all(self.repositories.iter().map(|repository| repository.refresh(until))).await;
            Ok(known(self.all_tables()))
        };
        fetch.boxed()
    }

    fn known_tables(&self) -> Option<Tables> {
        Some(known(self.all_tables()))
    }

    fn problems(&self) -> Vec<SourceProblem> {
        let mut problems = Vec::new();
        for repository in &self.repositories {
            for (part, problem) in &repository.state().problems {
                let message = format!("repository {}: {}: {problem}", repository.settings.name, part.into_str());
                problems.push(SourceProblem { message, remedy: remedy(problem, &repository.settings.tool) });
            }
        }
        problems
    }
}

fn push_repository(tables: &mut SectionTables, repository: &Repository) {
    let (settings, state) = (&repository.settings, repository.state());
    tables.push(RepositoryRow {
        repository: (&settings.name).into(),
        tool: settings.tool.into_str().into(),
        up: (!state.problems.contains_key(&DocumentPart::Information)).into(),
        information: state.known.as_ref().and_then(|known| unix_seconds(known.at)).into(),
        seconds: state.took.into(),
        skipped: state.malformed.into(),
        verified: state.verified.and_then(unix_seconds).into(),
    });
    for (part, problem) in &state.problems {
        tables.push(BackupProblemRow {
            repository: (&settings.name).into(),
            part: part.into_str().into(),
            reason: problem.reason.into_str().into(),
            present: Cell::Int(1),
        });
    }
    if let Some(known) = &state.known {
        for stanza in &known.contents.stanzas {
            stanza.push(tables, &settings.name);
        }
        tables.append(&known.contents.tool_tables);
    }
}

/// The known remedy for a problem.
fn remedy(problem: &BackupProblem, tool: &Tool) -> Option<Remedy> {
    let advice = match (problem.reason, tool) {
        // From 2.59 on.
        (BackupReason::Failed, Tool::PgBackRest { .. }) if problem.message.contains("as the root user") => {
            "run pgvigil as the user that the repository belongs to, or the tool: exec: [setpriv, --reuid=postgres, \
             --regid=postgres, --init-groups, pgbackrest, info, --output=json]"
        }
        (BackupReason::Missing, Tool::PgBackRest { .. } | Tool::Barman { .. } | Tool::WalG { .. }) => {
            "name it in `binary`, or let a job next to the tool write its output to a file and name that in `from_file`"
        }
        (BackupReason::Failed, Tool::PgBackRest { .. } | Tool::Barman { .. } | Tool::WalG { .. }) => {
            "run it as the user that pgvigil runs as, with `config`, `env` or rights that it lacks"
        }
        (BackupReason::Timeout, _) => "a longer `timeout` of the collector `backup` may help",
        _ => return None,
    };
    Some(Remedy::Advice(advice.into()))
}
