//! A scripted source for tests of slots, fetches and the circuit breaker, on the test's clock.
//!
//! It keeps the guarantees of [`crate::source::Source`]: a login starts once and is kept until it ends, every due
//! collector is reported, and the slow lane asks one collector at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::collector::{Collector, SourceKind};
use crate::settings::connection::login::LoginMethod;
use crate::source::fetch::{Answer, Answers, Database, Event, EventSink, FetchError, Reason, SourceStatus};
use crate::source::net::login_guard::{Encryption, LoginInfo, TransportSecurity};
use crate::source::sections::{Source, cut};
use crate::table::Table;

/// How often a hanging call checks whether it still has to hang.
const TICK: Duration = Duration::from_millis(10);

/// One server, shared by its target and its test.
#[derive(Clone, Default)]
pub struct Fixture {
    behavior: Arc<Mutex<Behavior>>,
    seen: Arc<Mutex<Seen>>,
    slow_lane: Arc<tokio::sync::Mutex<()>>,
}

/// The server's behaviour from now on.
#[derive(Clone, Default)]
pub struct Behavior {
    pub login: Login,
    /// No query is answered, and no login ends.
    pub silent: bool,
    /// Every query loses its connection for this reason, also on a new session.
    pub lost: Option<Reason>,
    pub replica: bool,
    /// A pooler is in between.
    pub pooled: Option<bool>,
    pub databases: Vec<&'static str>,
    /// Other databases, known to refuse all logins; and those of the above that refuse a login.
    pub closed: Vec<&'static str>,
    pub refusing: Vec<&'static str>,
    /// The delay of a collector's answer.
    pub delays: HashMap<&'static str, Duration>,
    /// A collector's answers; by default its one query returns one row, whose `n` counts the requests.
    pub answers: HashMap<&'static str, Answers>,
}

/// The result of a login.
#[derive(Clone)]
pub enum Login {
    Takes(Duration),
    Fails(Reason),
    Hangs,
}

impl Default for Login {
    fn default() -> Self {
        Login::Takes(Duration::ZERO)
    }
}

/// The server's counts.
#[derive(Clone)]
pub struct Seen {
    /// When the test began.
    pub began: Instant,
    pub logins: u64,
    /// Fetches of quick collectors.
    pub fetches: u64,
    /// How often each collector was asked.
    pub asked: BTreeMap<String, u64>,
    /// Logins to databases that were refused.
    pub refused: u64,
    /// The time since when a login is pending.
    pub pending: Option<Instant>,
    session: bool,
    replica: Option<bool>,
}

impl Default for Seen {
    fn default() -> Self {
        Seen {
            began: Instant::now(),
            logins: 0,
            fetches: 0,
            asked: BTreeMap::new(),
            refused: 0,
            pending: None,
            session: false,
            replica: None,
        }
    }
}

impl Fixture {
    pub fn change(&self, change: impl FnOnce(&mut Behavior)) {
        change(&mut self.behavior.lock());
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }

    pub fn asked(&self, collector: &str) -> u64 {
        self.seen().asked.get(collector).copied().unwrap_or_default()
    }

    /// Ends the kept session; the next fetch needs a login.
    pub fn end_session(&self) {
        self.seen.lock().session = false;
    }

    /// Starts the login or continues the pending one; `None` while it is not answered.
    fn try_login(&self) -> Option<Result<(), FetchError>> {
        let Behavior { login, silent, .. } = self.behavior();
        let mut seen = self.seen.lock();
        let begun = match seen.pending {
            Some(begun) => begun,
            None => {
                seen.logins += 1;
                *seen.pending.insert(Instant::now())
            }
        };
        let result = match login {
            Login::Takes(time) if !silent && begun + time <= Instant::now() => Ok(()),
            Login::Fails(reason) => Err(error(reason)),
            Login::Takes(_) | Login::Hangs => return None,
        };
        seen.pending = None;
        seen.session = result.is_ok();
        Some(result)
    }

    async fn ask_quick(
        &self,
        due: &[Arc<Collector>],
        discover: bool,
        until: Instant,
        sink: EventSink<'_>,
    ) -> Result<(), FetchError> {
        self.seen.lock().fetches += 1;
        if !self.behavior().silent && self.behavior().lost.is_none() {
            self.learn();
            sink(Event::Answered);
            if discover {
                let database = |closed: Option<&'static str>| {
                    move |name: &'static str| Database { name: name.to_owned(), closed: closed.map(str::to_owned) }
                };
                let Behavior { databases, closed, .. } = self.behavior();
                let open = databases.into_iter().map(database(None));
                sink(Event::Databases(open.chain(closed.into_iter().map(database(Some("invalid")))).collect()));
            }
        }
        let ask = async |(index, collector): (usize, &Arc<Collector>)| {
            sink(Event::Collected(index, self.ask(collector, until).await));
        };
        join_all(due.iter().enumerate().map(ask)).await;
        self.outcome(until).await
    }

    async fn ask_slow(&self, collector: &Arc<Collector>, sink: EventSink<'_>) -> Result<(), FetchError> {
        let _lane = self.slow_lane.lock().await;
        let until = Instant::now() + collector.timeout + Duration::from_secs(1);
        sink(Event::Collected(0, self.ask(collector, until).await));
        self.outcome(until).await
    }

    async fn ask_database(
        &self,
        database: &str,
        databases: usize,
        due: &[Arc<Collector>],
        sink: EventSink<'_>,
    ) -> Result<(), FetchError> {
        if self.behavior().refusing.contains(&database) {
            self.seen.lock().refused += 1;
            (0..due.len()).for_each(|index| sink(Event::Collected(index, fails(Reason::Closed))));
            return Err(error(Reason::Closed));
        }
        for (index, collector) in due.iter().enumerate() {
            let until = Instant::now() + collector.timeout + Duration::from_secs(1);
            sink(Event::TurnBegan);
            let max_rows = collector.max_rows.div_ceil(databases);
            let answers = self.ask(collector, until).await.into_iter();
            sink(Event::Collected(index, answers.map(|answer| Ok(cut(&answer?.table, max_rows))).collect()));
        }
        Ok(())
    }

    /// The result of a fetch as a whole.
    async fn outcome(&self, until: Instant) -> Result<(), FetchError> {
        if self.behavior().silent {
            sleep_until(until).await;
            self.end_session();
            return Err(error(Reason::Timeout));
        }
        self.behavior().lost.map_or(Ok(()), |reason| {
            self.end_session();
            Err(error(reason))
        })
    }

    async fn ask(&self, collector: &Collector, until: Instant) -> Answers {
        let times = {
            let mut seen = self.seen.lock();
            let times = seen.asked.entry(collector.name.clone()).or_default();
            *times += 1;
            *times
        };
        let answer = async {
            let behavior = self.behavior();
            if let Some(reason) = behavior.lost {
                return fails(reason);
            }
            sleep(behavior.delays.get(collector.name.as_str()).copied().unwrap_or_default()).await;
            while self.behavior().silent {
                sleep(TICK).await;
            }
            behavior.answers.get(collector.name.as_str()).cloned().unwrap_or_else(|| rows(["n"], [[times.to_string()]]))
        };
        timeout_at(until, answer).await.unwrap_or_else(|_| fails(Reason::Timeout))
    }

    fn behavior(&self) -> Behavior {
        self.behavior.lock().clone()
    }

    fn learn(&self) {
        self.seen.lock().replica = Some(self.behavior().replica);
    }
}

impl Source for Fixture {
    fn answers(&self, kind: SourceKind) -> bool {
        kind == SourceKind::Postgres
    }

    fn description(&self) -> String {
        "a fixture".to_owned()
    }

    fn status(&self) -> SourceStatus {
        let seen = self.seen.lock();
        let (sessions, login_pending) = (usize::from(seen.session), seen.pending.is_some());
        let pooled = self.behavior().pooled;
        SourceStatus { replica: seen.replica, pooled, sessions, login_pending, ..SourceStatus::default() }
    }

    /// The server never asks for a password.
    fn logins(&self) -> BTreeSet<LoginInfo> {
        let security = TransportSecurity { is_local: true, encryption: Encryption::None };
        let login = LoginInfo { method: LoginMethod::None, security, fallback: None };
        self.seen.lock().session.then_some(login).into_iter().collect()
    }

    fn connect(&self, until: Instant) -> BoxFuture<'_, Result<bool, FetchError>> {
        let connect = async move {
            if self.seen.lock().session {
                return Ok(false);
            }
            loop {
                match self.try_login() {
                    Some(result) => return result.map(|()| true),
                    None if Instant::now() >= until => return Err(error(Reason::LoginPending)),
                    None => sleep_until(until.min(Instant::now() + TICK)).await,
                }
            }
        };
        connect.boxed()
    }

    fn fetch_quick<'a>(
        &'a self,
        due: &'a [Arc<Collector>],
        discover: bool,
        until: Instant,
        sink: EventSink<'a>,
    ) -> BoxFuture<'a, Result<(), FetchError>> {
        self.ask_quick(due, discover, until, sink).boxed()
    }

    fn fetch_slow<'a>(
        &'a self,
        collector: &'a Arc<Collector>,
        sink: EventSink<'a>,
    ) -> BoxFuture<'a, Result<(), FetchError>> {
        self.ask_slow(collector, sink).boxed()
    }

    fn fetch_database<'a>(
        &'a self,
        database: &'a str,
        databases: usize,
        due: &'a [Arc<Collector>],
        sink: EventSink<'a>,
    ) -> BoxFuture<'a, Result<(), FetchError>> {
        self.ask_database(database, databases, due, sink).boxed()
    }
}

/// The answers of a collector with one query: these rows.
pub fn rows<const N: usize>(columns: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> Answers {
    let mut table = Table::new(columns);
    rows.into_iter().for_each(|row| table.push_row(row.iter().map(|cell| crate::table::Cell::Text(cell))));
    vec![Ok(Answer { table: table.into(), cut: 0 })]
}

/// The answers of a collector with one query that fails.
pub fn fails(reason: Reason) -> Answers {
    vec![Err(error(reason))]
}

/// An error with this reason.
pub fn error(reason: Reason) -> FetchError {
    FetchError::new(reason, "as the test wants it")
}
