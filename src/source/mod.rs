//! Sources: what fetches a Table, and why a fetch can fail.

pub mod aside;
pub mod backup;
pub mod charset;
pub mod dial;
pub mod disk;
#[cfg(test)]
pub mod fixture;
pub mod guard;
pub mod kept;
pub mod login;
pub mod pgbouncer;
pub mod postgres;
mod reason;
pub mod redis;
pub mod running;
pub mod secret;
pub mod sessions;
pub mod socket;
pub mod statements;
mod status;
pub mod stream;
pub mod tls;
pub mod web;

use std::{collections::BTreeSet, fmt, sync::Arc};

use tokio::time::Instant;

use self::{guard::Entry, kept::Kept};
pub use self::{reason::Reason, status::Status};

use crate::{
    config::{
        collector::{Collector, Place, SourceKind},
        probe::Probe,
        settings::Endpoint,
    },
    cut,
    room::Room,
    table::Table,
};

/// What one query gave: the rows that were kept, and how many were cut by `max_rows`.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub table: Arc<Table>,
    pub cut: u64,
}

/// One collector's answers, in the order of its queries.
pub type Answers = Vec<Result<Answer, FetchError>>;

/// Why there are no rows.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchError {
    pub reason: Reason,
    /// For people: what happened, in the server's words where it has any; one line, cut to what anybody reads. Shared, because one
    /// error may stand for every collector of a hundred databases.
    pub message: Arc<str>,
    /// The query that failed, if it was one.
    pub query: Option<String>,
    /// Where in a collector file, if the server pointed into its SQL.
    pub place: Option<Place>,
}

impl FetchError {
    pub fn new(reason: Reason, message: impl AsRef<str>) -> Self {
        FetchError { reason, message: cut::message(message.as_ref()), query: None, place: None }
    }

    /// The rows of a target need more memory than it has.
    pub fn too_large(room: &Room) -> Self {
        let most = room.bytes() >> 20;
        let message =
            format!("all rows of the target together take more than {most} MiB: fewer `max_rows`, or more `max_bytes`");
        FetchError::new(Reason::TooLarge, message)
    }

    /// The same, of this query.
    pub fn of(self, query: &str) -> Self {
        FetchError { query: Some(query.to_owned()), ..self }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if let Some(query) = &self.query {
            write!(f, "query {query}: ")?;
        }
        write!(f, "{} ({})", self.message, self.reason.word())
    }
}

impl std::error::Error for FetchError {}

/// A database of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    pub name: String,
    /// Why we know that we cannot log in to it (`template`, `invalid`, `not_allowed`, `privilege`, `connection_limit`, `encoding`); `None` where it may.
    pub closed: Option<String>,
}

/// What a visit says while it goes on.
pub enum Event {
    /// The server has answered something.
    Answered,
    /// The databases there are.
    Databases(Vec<Database>),
    /// It is the turn of the next slow collector.
    Begun,
    /// All answers of the visited collector with this index.
    Collected(usize, Answers),
}

/// Where a visit reports to.
pub type Report<'a> = &'a (dyn Fn(Event) + Send + Sync);

/// The kinds of source a target can have.
#[allow(clippy::large_enum_variant, reason = "one for each target, behind an Arc")]
pub enum Source {
    Postgres(postgres::Server),
    PgBouncer(pgbouncer::PgBouncer),
    Redis(redis::Redis),
    Backup(backup::Backup),
    Disk(disk::Disk),
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
    pub fn new(endpoint: &Endpoint, room: Room, start: impl FnOnce(&Probe) -> Box<dyn running::Runs>) -> Self {
        match endpoint {
            Endpoint::Postgres(settings) => Source::Postgres(postgres::Server::new(settings.clone(), room)),
            Endpoint::PgBouncer(settings) => Source::PgBouncer(Kept::new(pgbouncer::Console::new(settings.clone()))),
            Endpoint::Redis(settings) => Source::Redis(Kept::new(redis::Access::new(settings.clone()))),
            Endpoint::Backup(settings) => Source::Backup(backup::Backup::new(settings.clone())),
            Endpoint::Disk(settings) => Source::Disk(disk::Disk::new(settings.clone())),
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

    pub fn status(&self) -> Status {
        each_source!(self, source => source.status())
    }

    /// How the last sessions were let in, each way once; none where nobody logs in.
    pub fn entries(&self) -> BTreeSet<Entry> {
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
        report: Report<'_>,
    ) -> Result<(), FetchError> {
        each_source!(self, source => source.ask_quick(due, discover, until, report).await)
    }

    /// Asks one slow collector, when the slow lane is free; errors as above.
    pub async fn ask_slow(&self, collector: &Arc<Collector>, report: Report<'_>) -> Result<(), FetchError> {
        each_source!(self, source => source.ask_slow(collector, report).await)
    }

    /// Asks what is due in one database, when its turn comes; errors as above. Only PostgreSQL has any.
    pub async fn ask_database(
        &self,
        database: &str,
        due: &[Arc<Collector>],
        report: Report<'_>,
    ) -> Result<(), FetchError> {
        match self {
            Source::Postgres(server) => server.ask_database(database, due, report).await,
            #[cfg(test)]
            Source::Fixture(fixture) => fixture.ask_database(database, due, report).await,
            _ => Ok(()),
        }
    }

    /// Does now what it does by its clock, if it is one that runs by itself.
    pub async fn now(&self, part: &str, debug: bool) -> Option<Result<String, running::Refusal>> {
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
