//! Sources: each fetches tables from one kind of server, tool or machine.

pub mod backup;
pub mod blocking_pool;
pub mod charset;
pub mod disk;
pub mod fetch;
#[cfg(test)]
pub mod fixture;
pub mod kept_session;
pub mod net;
pub mod pending_login;
pub mod pgbouncer;
pub mod postgres;
pub mod redis;
pub mod remedy;
pub mod sections;
pub mod statements;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use crate::collector::{Collector, SourceKind};
use crate::memory_budget::MemoryBudget;
use crate::settings::Endpoint;
use crate::settings::probe::ProbeSettings;
use crate::source::backup::BackupSource;
use crate::source::disk::DiskSource;
use crate::source::fetch::{EventSink, FetchError, SourceStatus};
use crate::source::kept_session::KeptSession;
use crate::source::net::login_guard::LoginInfo;
use crate::source::pgbouncer::Console;
use crate::source::postgres::PostgresServer;
use crate::source::redis::RedisServer;
use crate::source::sections::{SectionSource, SourceProblem};

/// The source of a target.
#[allow(clippy::large_enum_variant, reason = "one for each target, behind an Arc")]
pub enum Source {
    Postgres(PostgresServer),
    Sections(Box<dyn SectionSource>),
    #[cfg(test)]
    Fixture(fixture::Fixture),
}

impl Source {
    /// A source for this endpoint. The rows of a PostgreSQL server take their memory from `budget`; the layer above,
    /// which has the probes, passes `start_probe`.
    pub fn new(
        endpoint: &Endpoint,
        budget: MemoryBudget,
        start_probe: impl FnOnce(&ProbeSettings) -> Box<dyn SectionSource>,
    ) -> Self {
        Source::Sections(match endpoint.clone() {
            Endpoint::Postgres(settings) => return Source::Postgres(PostgresServer::new(settings, budget)),
            Endpoint::PgBouncer(settings) => Box::new(KeptSession::new(Console::new(settings))),
            Endpoint::Redis(settings) => Box::new(KeptSession::new(RedisServer::new(settings))),
            Endpoint::Backup(settings) => Box::new(BackupSource::new(settings)),
            Endpoint::Disk(settings) => Box::new(DiskSource::new(settings)),
            Endpoint::Probe(settings) => start_probe(&settings),
        })
    }

    /// Returns whether it answers collectors of this kind.
    pub fn answers(&self, kind: SourceKind) -> bool {
        match self {
            Source::Postgres(_) => matches!(kind, SourceKind::Postgres | SourceKind::Statements),
            Source::Sections(source) => kind == source.kind(),
            #[cfg(test)]
            Source::Fixture(_) => kind == SourceKind::Postgres,
        }
    }

    pub fn status(&self) -> SourceStatus {
        match self {
            Source::Postgres(server) => server.status(),
            Source::Sections(source) => source.status(),
            #[cfg(test)]
            Source::Fixture(fixture) => fixture.status(),
        }
    }

    /// The methods of the last logins, each once.
    pub fn logins(&self) -> BTreeSet<LoginInfo> {
        match self {
            Source::Postgres(server) => server.entry().into_iter().collect(),
            Source::Sections(source) => source.logins(),
            #[cfg(test)]
            Source::Fixture(fixture) => fixture.login().into_iter().collect(),
        }
    }

    /// Connects, so that quick collectors can be fetched. Returns true after a new login, false if a session was kept.
    pub async fn connect(&self, until: Instant) -> Result<bool, FetchError> {
        match self {
            Source::Postgres(server) => server.connect(until).await,
            Source::Sections(source) => source.connect(until).await,
            #[cfg(test)]
            Source::Fixture(fixture) => fixture.connect(until).await,
        }
    }

    /// Fetches quick collectors, all at once, and (`discover`) the list of databases; ends by `until`.
    ///
    /// # Errors
    /// The connection failed, or nothing was answered. Every collector is still reported, with its answers or its
    /// errors.
    pub async fn fetch_quick(
        &self,
        due: &[Arc<Collector>],
        discover: bool,
        until: Instant,
        sink: EventSink<'_>,
    ) -> Result<(), FetchError> {
        match self {
            Source::Postgres(server) => server.fetch_quick(due, discover, until, sink).await,
            Source::Sections(source) => source.fetch(due, until, sink).await,
            #[cfg(test)]
            Source::Fixture(fixture) => fixture.fetch_quick(due, discover, until, sink).await,
        }
    }

    /// Fetches one slow collector, when the slow lane is free; errors as above.
    pub async fn fetch_slow(&self, collector: &Arc<Collector>, sink: EventSink<'_>) -> Result<(), FetchError> {
        match self {
            Source::Postgres(server) => server.fetch_slow(collector, sink).await,
            Source::Sections(source) => {
                source.fetch(std::slice::from_ref(collector), Instant::now() + collector.timeout, sink).await
            }
            #[cfg(test)]
            Source::Fixture(fixture) => fixture.fetch_slow(collector, sink).await,
        }
    }

    /// Fetches the collectors that are due in one of this many `databases`, which share `max_rows`, when its turn
    /// comes; errors as above. Only PostgreSQL has databases.
    pub async fn fetch_database(
        &self,
        database: &str,
        databases: usize,
        due: &[Arc<Collector>],
        sink: EventSink<'_>,
    ) -> Result<(), FetchError> {
        match self {
            Source::Postgres(server) => server.fetch_database(database, databases, due, sink).await,
            Source::Sections(_) => Ok(()),
            #[cfg(test)]
            Source::Fixture(fixture) => fixture.fetch_database(database, databases, due, sink).await,
        }
    }

    /// The product, its version, and other important facts, for people.
    pub fn description(&self) -> String {
        match self {
            Source::Postgres(server) => server.about(),
            Source::Sections(source) => source.description(),
            #[cfg(test)]
            Source::Fixture(_) => "a fixture".to_owned(),
        }
    }

    /// The problems that its rows report.
    pub fn problems(&self) -> Vec<SourceProblem> {
        match self {
            Source::Sections(source) => source.problems(),
            _ => Vec::new(),
        }
    }
}
