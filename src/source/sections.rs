//! Servers whose rows come in named sections, over one kept session: what PgBouncer and Redis have in common.
//!
//! A session that died is replaced within the visit, as a PostgreSQL server's is. Without an answer by its deadline it
//! is given up.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, timeout_at},
};

use crate::{
    collector::{Collector, Query, Rows},
    source::{
        fetch::{Answer, Answers, Event, EventSink, FetchError, Reason, SourceStatus},
        net::{login_guard::LoginInfo, session_limit::SessionLimit},
        pending_login::{LoginOutcome, LoginTask, PendingLogin},
    },
    table::Table,
};

/// Sessions that a visit may use up.
const ATTEMPTS: usize = 3;

/// The tables of some sections. What one of them has not, the others may have.
pub type Tables = BTreeMap<String, Result<Arc<Table>, FetchError>>;

/// A kind of server.
pub trait SectionServer: Send + Sync + 'static {
    type Session: LoginOutcome;

    /// Begins a login; the session is counted in `sessions`.
    fn log_in(&self, sessions: &SessionLimit) -> LoginTask<Self::Session>;

    /// What it is, for people: product and version.
    fn about(&self) -> String;

    /// Asks for these sections, each once.
    ///
    /// # Errors
    /// The connection failed.
    fn ask(session: &mut Self::Session, sections: &[&str]) -> impl Future<Output = Result<Tables, FetchError>> + Send;
}

/// A server and the session that is kept on it.
pub struct SectionSource<S: SectionServer> {
    server: S,
    sessions: SessionLimit,
    pending: PendingLogin<S::Session>,
    session: Mutex<Option<S::Session>>,
}

impl<S: SectionServer> SectionSource<S> {
    pub fn new(server: S) -> Self {
        SectionSource {
            server,
            sessions: SessionLimit::default(),
            pending: PendingLogin::default(),
            session: Mutex::default(),
        }
    }

    pub fn status(&self) -> SourceStatus {
        // Pending, or being waited for.
        let login_pending = self.pending.is_pending();
        SourceStatus { sessions: self.sessions.count(), login_pending, ..SourceStatus::default() }
    }

    /// How the last session was let in.
    pub fn entry(&self) -> Option<LoginInfo> {
        self.sessions.entry()
    }

    /// Sees to it that there is a session; true if it is a new one.
    pub async fn connect(&self, until: Instant) -> Result<bool, FetchError> {
        let mut session = self.turn(until).await?;
        let kept = session.as_ref().is_some_and(|session| !session.is_closed());
        self.open(&mut session, until).await.map(|_| !kept)
    }

    pub fn about(&self) -> String {
        self.server.about()
    }

    /// Asks what these collectors read, all at once. There are no databases to discover.
    pub async fn ask_quick(
        &self,
        due: &[Arc<Collector>],
        _discover: bool,
        until: Instant,
        report: EventSink<'_>,
    ) -> Result<(), FetchError> {
        self.ask(due, until, report).await
    }

    pub async fn ask_slow(&self, collector: &Arc<Collector>, report: EventSink<'_>) -> Result<(), FetchError> {
        self.ask(std::slice::from_ref(collector), Instant::now() + collector.timeout, report).await
    }

    async fn ask(&self, due: &[Arc<Collector>], until: Instant, report: EventSink<'_>) -> Result<(), FetchError> {
        let result = self.tables(&wanted(due), until).await;
        if result.is_ok() {
            report(Event::Answered);
        }
        for (index, collector) in due.iter().enumerate() {
            report(Event::Collected(index, answers(collector, &result)));
        }
        result.map(|_| ())
    }

    async fn tables(&self, sections: &[&str], until: Instant) -> Result<Tables, FetchError> {
        let mut kept = self.turn(until).await?;
        let mut result = Ok(Tables::new());
        for _ in 0..ATTEMPTS {
            let session = self.open(&mut kept, until).await?;
            let late = |_| Err(FetchError::new(Reason::Timeout, "no answer before the deadline of the visit"));
            result = timeout_at(until, S::ask(session, sections)).await.unwrap_or_else(late);
            if result.is_ok() {
                break;
            }
            *kept = None;
            if result.as_ref().is_err_and(|error| error.reason != Reason::Lost) {
                break;
            }
        }
        result
    }

    /// The session, once nobody else asks on it.
    async fn turn(&self, until: Instant) -> Result<MutexGuard<'_, Option<S::Session>>, FetchError> {
        let late = |_| FetchError::new(Reason::Timeout, "another question was not answered before the deadline");
        timeout_at(until, self.session.lock()).await.map_err(late)
    }

    async fn open<'a>(
        &self,
        kept: &'a mut Option<S::Session>,
        until: Instant,
    ) -> Result<&'a mut S::Session, FetchError> {
        let open = kept.take().filter(|session| !session.is_closed());
        let session = match open {
            Some(session) => session,
            None => self.pending.join_or_start(|| self.server.log_in(&self.sessions), until).await?,
        };
        Ok(kept.insert(session))
    }
}

/// The sections that these collectors read, each once.
pub fn wanted(due: &[Arc<Collector>]) -> Vec<&str> {
    let mut names: Vec<_> =
        due.iter().flat_map(|collector| &collector.queries).filter_map(|q| section(&q.rows)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn section(rows: &Rows) -> Option<&str> {
    match rows {
        Rows::Section(name) => Some(name),
        Rows::Sql(_) => None,
    }
}

/// A collector's answers from the tables of its sections.
pub fn answers(collector: &Collector, tables: &Result<Tables, FetchError>) -> Answers {
    let answer = |query: &Query| {
        let tables = tables.as_ref().map_err(|error| error.clone().of(&query.name))?;
        match section(&query.rows).and_then(|name| tables.get(name)) {
            Some(Ok(table)) => Ok(cut(table, collector.max_rows)),
            Some(Err(error)) => Err(error.clone().of(&query.name)),
            None => Err(FetchError::new(Reason::Undefined, "there is no such section").of(&query.name)),
        }
    };
    collector.queries.iter().map(answer).collect()
}

/// The first rows of a table; the rest is counted.
fn cut(table: &Arc<Table>, max_rows: usize) -> Answer {
    let mut table = table.clone();
    let cut = table.rows().saturating_sub(max_rows);
    if cut > 0 {
        Arc::make_mut(&mut table).truncate(max_rows);
    }
    Answer { table, cut: cut as u64 }
}
