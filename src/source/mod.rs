//! Sources: what fetches a Table, and why a fetch can fail.

pub mod backup;
pub mod blocking_pool;
pub mod charset;
pub mod disk;
pub mod fetch;
#[cfg(test)]
pub mod fixture;
pub mod net;
pub mod pending_login;
pub mod pgbouncer;
pub mod postgres;
pub mod redis;
pub mod running;
pub mod sections;
pub mod statements;

use std::{collections::BTreeSet, sync::Arc};

use tokio::time::Instant;

use crate::{
    collector::{Collector, SourceKind},
    memory_budget::MemoryBudget,
    settings::{Endpoint, probe::ProbeSettings},
    source::{
        fetch::{EventSink, FetchError, SourceStatus},
        net::login_guard::LoginInfo,
        sections::SectionSource,
    },
};

/// The kinds of source a target can have.
#[allow(clippy::large_enum_variant, reason = "one for each target, behind an Arc")]
pub enum Source {
    Postgres(postgres::PostgresServer),
    PgBouncer(pgbouncer::PgBouncer),
    Redis(redis::RedisSource),
    Backup(backup::BackupSource),
    Disk(disk::DiskSource),
    Running(running::Running),
    #[cfg(test)]
    Fixture(fixture::Fixture),
}

/// Calls the same method of whichever source it is.
macro_rules! each_source {
    ($self:ident, $source:ident => $call:expr) => {
        match $self {
            Source::Postgres($source) => $call,
            Source::PgBouncer($source) => $call,
            Source::Redis($source) => $call,
            Source::Backup($source) => $call,
            Source::Disk($source) => $call,
            Source::Running($source) => $call,
            #[cfg(test)]
            Source::Fixture($source) => $call,
        }
    };
}

impl Source {
    /// A source for this endpoint; `room` is for the rows of a PostgreSQL server. What runs by itself lives in a room above this one, which starts it.
    pub fn new(
        endpoint: &Endpoint,
        room: MemoryBudget,
        start: impl FnOnce(&ProbeSettings) -> Box<dyn running::Runs>,
    ) -> Self {
        match endpoint {
            Endpoint::Postgres(settings) => Source::Postgres(postgres::PostgresServer::new(settings.clone(), room)),
            Endpoint::PgBouncer(settings) => {
                Source::PgBouncer(SectionSource::new(pgbouncer::Console::new(settings.clone())))
            }
            Endpoint::Redis(settings) => Source::Redis(SectionSource::new(redis::RedisServer::new(settings.clone()))),
            Endpoint::Backup(settings) => Source::Backup(backup::BackupSource::new(settings.clone())),
            Endpoint::Disk(settings) => Source::Disk(disk::DiskSource::new(settings.clone())),
            Endpoint::Probe(settings) => Source::Running(running::Running::new(start(settings))),
        }
    }

    /// Whether collectors of this kind ask this source.
    pub fn answers(&self, kind: SourceKind) -> bool {
        match self {
            Source::Postgres(_) => matches!(kind, SourceKind::Postgres | SourceKind::Statements),
            Source::PgBouncer(_) => kind == SourceKind::PgBouncer,
            Source::Redis(_) => kind == SourceKind::Redis,
            Source::Backup(_) => kind == SourceKind::Backup,
            Source::Disk(_) => kind == SourceKind::Disk,
            Source::Running(_) => kind == SourceKind::Probe,
            #[cfg(test)]
            Source::Fixture(_) => kind == SourceKind::Postgres,
        }
    }

    pub fn status(&self) -> SourceStatus {
        each_source!(self, source => source.status())
    }

    /// How the last sessions were let in, each way once; none where nobody logs in.
    pub fn entries(&self) -> BTreeSet<LoginInfo> {
        match self {
            Source::Postgres(server) => server.entry().into_iter().collect(),
            Source::PgBouncer(console) => console.entry().into_iter().collect(),
            Source::Redis(redis) => redis.entry().into_iter().collect(),
            Source::Running(running) => running.entries(),
            #[cfg(test)]
            Source::Fixture(fixture) => fixture.entry().into_iter().collect(),
            _ => BTreeSet::new(),
        }
    }

    /// Sees to it that quick collectors can be asked. True if that took a new login, false if a session was kept.
    pub async fn connect(&self, until: Instant) -> Result<bool, FetchError> {
        each_source!(self, source => source.connect(until).await)
    }

    /// Asks quick collectors all at once, and (`discover`) which databases there are; ends by `until`.
    ///
    /// # Errors
    /// The connection failed, or nothing at all was answered. Every collector is reported all the same, with what
    /// it got or what became of it.
    pub async fn ask_quick(
        &self,
        due: &[Arc<Collector>],
        discover: bool,
        until: Instant,
        report: EventSink<'_>,
    ) -> Result<(), FetchError> {
        each_source!(self, source => source.ask_quick(due, discover, until, report).await)
    }

    /// Asks one slow collector, when the slow lane is free; errors as above.
    pub async fn ask_slow(&self, collector: &Arc<Collector>, report: EventSink<'_>) -> Result<(), FetchError> {
        each_source!(self, source => source.ask_slow(collector, report).await)
    }

    /// Asks what is due in one database, when its turn comes; errors as above. Only PostgreSQL has any.
    pub async fn ask_database(
        &self,
        database: &str,
        due: &[Arc<Collector>],
        report: EventSink<'_>,
    ) -> Result<(), FetchError> {
        match self {
            Source::Postgres(server) => server.ask_database(database, due, report).await,
            #[cfg(test)]
            Source::Fixture(fixture) => fixture.ask_database(database, due, report).await,
            _ => Ok(()),
        }
    }

    /// Does now what it does by its clock, if it is one that runs by itself.
    pub async fn now(&self, part: &str, debug: bool) -> Option<Result<String, running::DebugRefusal>> {
        match self {
            Source::Running(running) => Some(running.now(part, debug).await),
            _ => None,
        }
    }

    /// What it is, for people: product, version, and what else counts.
    pub fn about(&self) -> String {
        each_source!(self, source => source.about())
    }

    /// What rows tell that it does not know, and what to do about it, for people.
    pub fn complaints(&self) -> Vec<String> {
        match self {
            Source::Backup(backup) => backup.complaints(),
            Source::Disk(disk) => disk.complaints(),
            _ => Vec::new(),
        }
    }
}
