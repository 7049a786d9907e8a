//! A PostgreSQL server as a source: its lanes, and the one login that may be pending.
//!
//! | lane | carries | server-side limit of a statement |
//! |---|---|---|
//! | quick, one kept session | all quick queries, pipelined: one round trip | 1 s |
//! | slow, one kept session | slow queries, one collector at a time; those of the target's own database too | the collector's `timeout` |
//! | visits, two at once, not kept | another database: connect, everything due in it, disconnect | the same |
//!
//! A session that died, while it was asked or still logging in, is replaced within the visit, twice at most. A lane
//! that does not answer by its own deadline is cancelled and given up as a whole: a cancel names a backend, not a
//! query.

mod batch;
pub mod columns;
mod connect;
pub mod decode;
pub mod error;
mod pending_logins;
mod query;
mod server_info;
mod session;
mod session_settings;
pub mod startup;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex as Guarded;
use tokio::{
    sync::{Mutex, Semaphore},
    time::{Instant, timeout_at},
};

use crate::{
    collector::Collector,
    memory_budget::MemoryBudget,
    settings::connection::model::PostgresSettings,
    source::{
        fetch::{Event, EventSink, FetchError, Reason, SourceStatus},
        net::login_guard::LoginInfo,
        pending_login::LoginOutcome as _,
        postgres::{batch::Batch, pending_logins::PendingLogins, session::Session},
        statements::Histories,
    },
};

/// The limit the server puts on each quick statement.
const QUICK_STATEMENT: Duration = Duration::from_secs(1);

/// Sessions of a lane that a visit may use up: where sessions are ended at random, two in a row are ended now and then.
const ATTEMPTS: usize = 3;

/// Databases visited at a time.
const VISITS: usize = 2;

/// One PostgreSQL server, or the pooler in front of one.
pub struct PostgresServer {
    logins: PendingLogins,
    quick: Mutex<Lane>,
    slow: Mutex<Lane>,
    visits: Semaphore,
    status: Guarded<SourceStatus>,
    /// What readings of statements are compared with. It outlives sessions: what a gap hides, the next reading tells.
    histories: Guarded<Histories>,
}

/// Where queries go one after the other (or pipelined): the database, and the session that is open there.
#[derive(Default)]
struct Lane {
    /// `None`: the target's own.
    database: Option<String>,
    session: Option<Session>,
}

impl PostgresServer {
    /// A server, whose rows have their memory in `room`.
    pub fn new(settings: PostgresSettings, room: MemoryBudget) -> Self {
        PostgresServer {
            logins: PendingLogins::new(settings, room.clone()),
            quick: Mutex::default(),
            slow: Mutex::default(),
            visits: Semaphore::new(VISITS),
            status: Guarded::default(),
            histories: Guarded::new(Histories::new(room)),
        }
    }

    pub fn status(&self) -> SourceStatus {
        let (sessions, login_pending) = (self.logins.sessions.count(), self.logins.is_pending());
        SourceStatus { sessions, login_pending, ..*self.status.lock() }
    }

    /// How the last session was let in.
    pub fn entry(&self) -> Option<LoginInfo> {
        self.logins.sessions.entry()
    }

    pub fn about(&self) -> String {
        let status = self.status();
        let role = if status.replica == Some(true) { "replica" } else { "primary" };
        let protocol = match status.pooled {
            Some(true) => "pooled mode: a transaction pooler stands between",
            _ => "prepared statements",
        };
        format!("PostgreSQL {}, {role}, {protocol}", status.major.unwrap_or_default())
    }

    /// Sees to it that the quick lane has a session; true if it is a new one.
    pub async fn connect(&self, until: Instant) -> Result<bool, FetchError> {
        let mut lane = self.quick.lock().await;
        let kept = lane.session.as_ref().is_some_and(|session| !session.is_closed());
        let mut result = Ok(());
        for _ in 0..ATTEMPTS {
            result = self.open_session(&mut lane, until).await.map(|_| ());
            if !is_lost(&result) {
                break;
            }
        }
        result.map(|()| !kept)
    }

    /// Asks quick collectors all at once, and which databases there are.
    pub async fn ask_quick(
        &self,
        due: &[Arc<Collector>],
        discover: bool,
        until: Instant,
        report: EventSink<'_>,
    ) -> Result<(), FetchError> {
        let mut lane = self.quick.lock().await;
        let report = |event| report(self.compare(due, event));
        self.visit(&mut lane, Batch::new(due, QUICK_STATEMENT, discover, &report), until).await
    }

    /// Asks one slow collector, when the lane is free.
    pub async fn ask_slow(&self, collector: &Arc<Collector>, report: EventSink<'_>) -> Result<(), FetchError> {
        let mut lane = self.slow.lock().await;
        report(Event::Begun);
        let report = |event| report(self.compare(std::slice::from_ref(collector), event));
        self.ask_one(&mut lane, collector, &report).await
    }

    /// Asks what is due in one database, collector by collector: in the target's own on the slow lane, whose session has planned
    /// these queries before; in another on a session of its own, or several one after the other.
    pub async fn ask_database(
        &self,
        database: &str,
        due: &[Arc<Collector>],
        report: EventSink<'_>,
    ) -> Result<(), FetchError> {
        let other = Mutex::new(Lane { database: Some(database.to_owned()), session: None });
        let (lane, _turn) = match self.logins.is_own(database) {
            true => (&self.slow, None),
            // It is never closed.
            false => (&other, Some(self.visits.acquire().await)),
        };
        let mut result: Result<(), FetchError> = Ok(());
        for (index, collector) in due.iter().enumerate() {
            // For one at a time, so that what waits for the slow lane gets its turn.
            let mut lane = lane.lock().await;
            report(Event::Begun);
            let report = |event| match event {
                Event::Collected(_, answers) => report(Event::Collected(index, answers)),
                event => report(event),
            };
            result = match result {
                // A database that cannot be reached is not tried again for each of its collectors.
                Err(error) if error.reason.is_connection() || error.reason == Reason::Closed => {
                    Err(fail(collector, error, &report))
                }
                _ => self.ask_one(&mut lane, collector, &report).await,
            };
        }
        result
    }

    /// A reading of statements is compared with the one before; everything else is reported as it comes.
    fn compare(&self, due: &[Arc<Collector>], event: Event) -> Event {
        match event {
            Event::Collected(index, answers) => {
                Event::Collected(index, self.histories.lock().take(&due[index], answers))
            }
            event => event,
        }
    }

    async fn ask_one(
        &self,
        lane: &mut Lane,
        collector: &Arc<Collector>,
        report: EventSink<'_>,
    ) -> Result<(), FetchError> {
        // The server's own limit comes first, ours is for a server that does not keep it.
        let until = Instant::now() + collector.timeout + Duration::from_secs(1);
        let due = std::slice::from_ref(collector);
        self.visit(lane, Batch::new(due, collector.timeout, false, report), until).await
    }

    async fn visit(&self, lane: &mut Lane, visit: Batch<'_>, until: Instant) -> Result<(), FetchError> {
        let mut result = Ok(());
        for _ in 0..ATTEMPTS {
            result = self.try_visit(lane, &visit, until).await;
            if !is_lost(&result) {
                break;
            }
        }
        if let Err(error) = &result {
            visit.fail(|_| error.clone());
        }
        result
    }

    async fn try_visit(&self, lane: &mut Lane, visit: &Batch<'_>, until: Instant) -> Result<(), FetchError> {
        let session = self.open_session(lane, until).await?;
        let Ok(result) = timeout_at(until, visit.run(session)).await else {
            session.cancel().await;
            lane.session = None;
            let late = FetchError::new(Reason::Timeout, "no answer before the deadline of the visit");
            if !visit.is_answered() {
                return Err(late);
            }
            visit.fail(|query| late.clone().of(query));
            return Ok(());
        };
        self.learn(session);
        if result.is_err() || visit.is_of_database() && session.facts.is_large {
            lane.session = None;
        }
        result
    }

    async fn open_session<'a>(&self, lane: &'a mut Lane, until: Instant) -> Result<&'a mut Session, FetchError> {
        if lane.session.as_ref().is_none_or(Session::is_closed) {
            lane.session = None;
            let session = match &lane.database {
                None => self.logins.log_in(until).await?,
                Some(database) => self.logins.log_in_to(database, until).await?,
            };
            self.learn(&session);
            lane.session = Some(session);
        }
        lane.session.as_mut().ok_or_else(|| FetchError::new(Reason::Lost, "no session"))
    }

    fn learn(&self, session: &Session) {
        let mut status = self.status.lock();
        status.replica = Some(session.facts.replica);
        status.pooled = Some(session.facts.pooled);
        status.monitor = Some(session.facts.monitor);
        status.major = Some(session.facts.major);
    }
}

fn is_lost(result: &Result<(), FetchError>) -> bool {
    result.as_ref().is_err_and(|error| error.reason == Reason::Lost)
}

/// Reports this error for every query of a collector, and gives it back.
fn fail(collector: &Arc<Collector>, error: FetchError, report: EventSink<'_>) -> FetchError {
    let visit = Batch::new(std::slice::from_ref(collector), Duration::ZERO, false, report);
    visit.fail(|_| error.clone());
    error
}
