//! Backups: what tools, files and buckets say of repositories. The target itself always answers; what is known of each
//! repository, and what is not, are rows.

mod archive;
pub mod barman;
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
pub mod tool_tables;
pub mod walg;

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::{
    collector::{Collector, SourceKind, sections},
    settings,
    settings::Tool,
    source::{
        backup::{
            problem::{BackupProblem, BackupReason},
            repository::{Repository, RepositoryState},
            tool_tables::{append, count, float},
        },
        fetch::{Event, EventSink, FetchError, SourceStatus},
        sections::{Tables, answers},
    },
    table::{Cell, Table},
};

/// After this, what is known by then is reported, and the rest when it comes: a tool that hangs keeps nobody waiting.
const PATIENCE: Duration = Duration::from_secs(2);

/// The repositories of a target.
pub struct BackupSource {
    repositories: Vec<Repository>,
}

impl BackupSource {
    pub fn new(settings: settings::BackupSettings) -> Self {
        BackupSource { repositories: settings.repositories.into_iter().map(Repository::new).collect() }
    }

    pub fn status(&self) -> SourceStatus {
        SourceStatus::default()
    }

    /// There is nothing to connect to.
    pub async fn connect(&self, _until: Instant) -> Result<bool, FetchError> {
        Ok(false)
    }

    pub fn about(&self) -> String {
        let repositories = self.repositories.iter().map(|repository| {
            let settings = &repository.settings;
            format!("{} ({})", settings.name, settings.tool.word())
        });
        format!("backups: {}", repositories.collect::<Vec<_>>().join(", "))
    }

    /// What is not known, and what to do about it.
    pub fn complaints(&self) -> Vec<String> {
        let of = |repository: &Repository| {
            let state = repository.state();
            let told = state.problems.iter().map(|(part, problem)| {
                let remedy = remedy(problem, &repository.settings.tool);
                format!("repository {}: {}: {problem}{remedy}", repository.settings.name, part.word())
            });
            told.collect::<Vec<_>>()
        };
        self.repositories.iter().flat_map(of).collect()
    }

    pub async fn ask_quick(
        &self,
        due: &[Arc<Collector>],
        _discover: bool,
        until: Instant,
        report: EventSink<'_>,
    ) -> Result<(), FetchError> {
        report(Event::Answered);
        if !due.is_empty() {
            self.ask(due, until, report).await;
        }
        Ok(())
    }

    pub async fn ask_slow(&self, collector: &Arc<Collector>, report: EventSink<'_>) -> Result<(), FetchError> {
        self.ask(std::slice::from_ref(collector), Instant::now() + collector.timeout, report).await;
        Ok(())
    }

    async fn ask(&self, due: &[Arc<Collector>], until: Instant, report: EventSink<'_>) {
        let tell = || {
            let tables = Ok(self.tables());
            for (index, collector) in due.iter().enumerate() {
                report(Event::Collected(index, answers(collector, &tables)));
            }
        };
        let all = join_all(self.repositories.iter().map(|repository| repository.refresh(until)));
        tokio::pin!(all);
        tokio::select! {
            _ = &mut all => (),
            () = sleep(PATIENCE) => {
                tell();
                all.await;
            }
        }
        tell();
    }

    /// All sections, from what is known now.
    fn tables(&self) -> Tables {
        let sections = sections::of(SourceKind::Backup).iter();
        let mut tables: std::collections::BTreeMap<&str, Table> =
            sections.map(|section| (section.name, tool_tables::table(SourceKind::Backup, section.name))).collect();
        for repository in &self.repositories {
            let (name, state) = (&repository.settings.name, repository.state());
            let mut with = |section, push: &dyn Fn(&mut Table)| {
                if let Some(table) = tables.get_mut(section) {
                    push(table);
                }
            };
            with("repositories", &|table| push_repository(table, &repository.settings, &state));
            with("problems", &|table| push_problems(table, name, &state));
            let Some(known) = &state.known else { continue };
            for stanza in &known.found.stanzas {
                with("stanzas", &|table| stanza.push(table, name));
                with("servers", &|table| stanza.push_server(table, name));
                with("backups", &|table| stanza.push_backups(table, name));
            }
            known.found.more.iter().for_each(|(section, rows)| with(section, &|table| append(table, rows)));
        }
        tables.into_iter().map(|(name, table)| (name.to_owned(), Ok(table.into()))).collect()
    }
}

fn push_repository(table: &mut Table, settings: &settings::RepositorySettings, state: &RepositoryState) {
    let seconds = |time: std::time::SystemTime| Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs_f64());
    table.push_row([
        Cell::Text(&settings.name),
        Cell::Text(settings.tool.word()),
        Cell::Int((!state.problems.contains_key(&settings::DocumentPart::Information)).into()),
        float(state.known.as_ref().and_then(|known| seconds(known.at))),
        float(state.took.map(|took| took.as_secs_f64())),
        count(usize::try_from(state.odd).unwrap_or(usize::MAX)),
        float(state.verified.and_then(seconds)),
    ]);
}

fn push_problems(table: &mut Table, repository: &str, state: &RepositoryState) {
    for (part, problem) in &state.problems {
        table.push_row([Cell::Text(repository), Cell::Text(part.word()), Cell::Text(problem.why.word()), Cell::Int(1)]);
    }
}

/// What to do, where that is known.
fn remedy(problem: &BackupProblem, tool: &Tool) -> &'static str {
    match (problem.why, tool) {
        // From 2.59 on.
        (BackupReason::Failed, Tool::PgBackRest { .. }) if problem.message.contains("as the root user") => {
            "; run pgvigil as the user that the repository belongs to, or the tool: exec: [setpriv, --reuid=postgres, \
             --regid=postgres, --init-groups, pgbackrest, info, --output=json]"
        }
        (BackupReason::Missing, Tool::PgBackRest { .. } | Tool::Barman { .. } | Tool::WalG) => {
            "; name it in `binary`, or let a job beside the tool write what it says to a file and name that in `from_file`"
        }
        (BackupReason::Failed, Tool::PgBackRest { .. } | Tool::Barman { .. } | Tool::WalG) => {
            "; run it as the user that pgvigil runs as, with `config`, `env` or rights that it lacks"
        }
        (BackupReason::Timeout, _) => "; a longer `timeout` of the collector `backup` may help",
        _ => "",
    }
}
