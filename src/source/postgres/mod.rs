//! A PostgreSQL server as a source: its lanes, and the one login that may be pending.
//!
//! | lane | carries | server-side limit of a statement |
//! |---|---|---|
//! | quick, one kept session | all quick queries, pipelined: one round trip | 1 s |
//! | slow, one kept session | slow queries, one collector at a time | the collector's `timeout` |
//!
//! A session that died, while it was asked or still logging in, is replaced within the visit, twice at most. A lane
//! that does not answer by its own deadline is cancelled and given up as a whole: a cancel names a backend, not a
//! query.

mod decode;
mod error;
mod facts;
mod login;
mod session;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::{try_join, try_join_all};
use parking_lot::Mutex as Guarded;
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, timeout_at},
};

use self::{login::Login, session::Session};
use super::{Event, FetchError, Reason, Report, Status, sessions::Sessions};
use crate::config::{collector::Collector, settings};

/// The limit the server puts on each quick statement.
const QUICK_STATEMENT: Duration = Duration::from_secs(1);

/// Sessions of a lane that a visit may use up: where sessions are ended at random, two in a row are ended now and then.
const ATTEMPTS: usize = 3;

/// One PostgreSQL server, or the pooler in front of one.
pub struct Server {
    settings: Arc<settings::Postgres>,
    quick: Mutex<Option<Session>>,
    slow: Mutex<Option<Session>>,
    login: Mutex<Option<Login>>,
    sessions: Sessions,
    status: Guarded<Status>,
}

impl Server {
    pub fn new(settings: settings::Postgres) -> Self {
        Server {
            settings: Arc::new(settings),
            quick: Mutex::default(),
            slow: Mutex::default(),
            login: Mutex::default(),
            sessions: Sessions::default(),
            status: Guarded::default(),
        }
    }

    pub fn status(&self) -> Status {
        let sessions = self.sessions.count();
        let login_pending = self.login.try_lock().map_or(true, |login| login.is_some());
        Status { sessions, login_pending, ..*self.status.lock() }
    }

    /// Sees to it that the quick lane has a session; true if it is a new one.
    pub async fn connect(&self, until: Instant) -> Result<bool, FetchError> {
        let mut lane = self.quick.lock().await;
        let kept = lane.as_ref().is_some_and(|session| !session.is_closed());
        let mut result = Ok(());
        for _ in 0..ATTEMPTS {
            result = self.open_session(&mut lane, until).await.map(|_| ());
            if !is_lost(&result) {
                break;
            }
        }
        result.map(|()| !kept)
    }

    /// Asks quick collectors all at once.
    pub async fn ask_quick(
        &self,
        due: &[Arc<Collector>],
        until: Instant,
        report: Report<'_>,
    ) -> Result<(), FetchError> {
        let mut lane = self.quick.lock().await;
        self.visit(&mut lane, due, QUICK_STATEMENT, until, report).await
    }

    /// Asks one slow collector, when the lane is free.
    pub async fn ask_slow(&self, collector: &Arc<Collector>, report: Report<'_>) -> Result<(), FetchError> {
        let mut lane = self.slow.lock().await;
        // The server's own limit comes first, ours is for a server that does not keep it.
        let until = Instant::now() + collector.timeout + Duration::from_secs(1);
        self.visit(&mut lane, std::slice::from_ref(collector), collector.timeout, until, report).await
    }

    async fn visit(
        &self,
        lane: &mut Option<Session>,
        due: &[Arc<Collector>],
        statement_timeout: Duration,
        until: Instant,
        report: Report<'_>,
    ) -> Result<(), FetchError> {
        let visit = Visit { due, statement_timeout, report, left: Guarded::new((0..due.len()).collect()) };
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

    async fn try_visit(&self, lane: &mut Option<Session>, visit: &Visit<'_>, until: Instant) -> Result<(), FetchError> {
        let session = self.open_session(lane, until).await?;
        let answered = AtomicBool::new(false);
        let result = match timeout_at(until, visit.run(session, &answered)).await {
            Ok(result) => result,
            Err(_) => {
                session.cancel().await;
                *lane = None;
                let late = FetchError::new(Reason::Timeout, "no answer before the deadline of the visit");
                if !answered.load(Ordering::Relaxed) {
                    return Err(late);
                }
                visit.fail(|query| late.clone().of(query));
                return Ok(());
            }
        };
        self.learn(session);
        if result.is_err() {
            *lane = None;
        }
        result
    }

    async fn open_session<'a>(
        &self,
        lane: &'a mut Option<Session>,
        until: Instant,
    ) -> Result<&'a mut Session, FetchError> {
        if lane.as_ref().is_some_and(Session::is_closed) {
            *lane = None;
        }
        if lane.is_none() {
            let session = self.log_in(until).await?;
            self.learn(&session);
            *lane = Some(session);
        }
        lane.as_mut().ok_or_else(|| FetchError::new(Reason::Lost, "no session"))
    }

    fn learn(&self, session: &Session) {
        let mut status = self.status.lock();
        status.replica = Some(session.facts.replica);
        status.pooled = Some(session.facts.pooled);
        status.monitor = Some(session.facts.monitor);
        status.major = Some(session.facts.major);
    }

    /// At most one login is pending: it is kept, and the next who needs a session waits for the same. One that
    /// was begun earlier and failed since says nothing of now, so it is followed by a fresh one.
    async fn log_in(&self, until: Instant) -> Result<Session, FetchError> {
        let late = || FetchError::new(Reason::LoginPending, "the login is not answered yet");
        let mut pending = timeout_at(until, self.login.lock()).await.map_err(|_| late())?;
        let mut inherited = pending.is_some();
        loop {
            let login = pending.get_or_insert_with(|| Login::start(self.settings.clone(), self.sessions.clone()));
            let ended = timeout_at(until, &mut login.task).await.map_err(|_| late())?;
            *pending = None;
            match ended.unwrap_or_else(|error| Err(FetchError::new(Reason::Lost, format!("login ended: {error}")))) {
                Ok(session) if !(inherited && session.is_closed()) => return Ok(session),
                Err(error) if !inherited => return Err(error),
                _ => inherited = false,
            }
        }
    }
}

fn is_lost(result: &Result<(), FetchError>) -> bool {
    result.as_ref().is_err_and(|error| error.reason == Reason::Lost)
}

/// One visit: what is asked, and what is still without an answer.
struct Visit<'a> {
    due: &'a [Arc<Collector>],
    statement_timeout: Duration,
    report: Report<'a>,
    left: Guarded<Vec<usize>>,
}

impl Visit<'_> {
    /// Asks what is left on this session. The server's role is asked along; if it is not what was believed, what
    /// was collected under the old role is asked again.
    async fn run(&self, session: &mut Session, answered: &AtomicBool) -> Result<(), FetchError> {
        session.refresh().await?;
        loop {
            let (tell_role, role) = watch::channel(None);
            let left = self.left.lock().clone();
            let shared: &Session = session;
            let collectors = left.into_iter().map(|index| self.collect(shared, index, role.clone()));
            let ask_role = async {
                let found = self.role(shared).await?;
                answered.store(true, Ordering::Relaxed);
                (self.report)(Event::Answered);
                tell_role.send_replace(Some(found));
                Ok(found)
            };
            let (found, _) = try_join(ask_role, try_join_all(collectors)).await?;
            if found == session.facts.replica {
                return Ok(());
            }
            session.facts.replica = found;
        }
    }

    async fn role(&self, session: &Session) -> Result<bool, FetchError> {
        match session.is_replica().await {
            Err(error) if error.reason.is_connection() => Err(error),
            found => Ok(found.unwrap_or(session.facts.replica)),
        }
    }

    async fn collect(
        &self,
        session: &Session,
        index: usize,
        mut role: watch::Receiver<Option<bool>>,
    ) -> Result<(), FetchError> {
        let answers = session.collect(&self.due[index], self.statement_timeout).await;
        if let Some(error) = answers.iter().find_map(|a| a.as_ref().err().filter(|e| e.reason.is_connection())) {
            return Err(error.clone());
        }
        let role = role.wait_for(Option::is_some).await.map_or(None, |role| *role);
        if role == Some(session.facts.replica) {
            self.left.lock().retain(|left| *left != index);
            (self.report)(Event::Collected(index, answers));
        }
        Ok(())
    }

    /// Reports an error for every query that is left.
    fn fail(&self, error: impl Fn(&str) -> FetchError) {
        for index in std::mem::take(&mut *self.left.lock()) {
            let answers = self.due[index].queries.iter().map(|query| Err(error(&query.name))).collect();
            (self.report)(Event::Collected(index, answers));
        }
    }
}
