//! A source that runs by itself and is asked nothing: its tables are read as they are. It is up as long as it runs.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::{
    collector::Collector,
    source::{
        fetch::{Event, EventSink, FetchError, Reason, SourceStatus},
        net::login_guard::LoginInfo,
        sections::{Tables, answers, wanted},
    },
};

/// What runs. Dropped, it ends.
pub trait Runs: Send + Sync {
    /// The tables of these sections.
    fn tables(&self, sections: &[&str]) -> Tables;

    /// Whether it still does.
    fn is_running(&self) -> bool;

    /// Its connections.
    fn sessions(&self) -> usize;

    /// How the last sessions to its servers were let in, each way once.
    fn entries(&self) -> BTreeSet<LoginInfo>;

    /// What it is, for people.
    fn about(&self) -> String;

    /// Does now what it does by its clock, in a part of itself: what came of it, for people; `debug`: step by step, with
    /// what it remembers.
    fn now<'a>(&'a self, part: &'a str, debug: bool) -> BoxFuture<'a, Result<String, DebugRefusal>>;
}

/// Why it does nothing now.
#[derive(Clone, Debug, PartialEq)]
pub enum DebugRefusal {
    /// There is no such part; what there is.
    Unknown(String),
    /// It was asked to a short while ago; how long to wait.
    TooSoon(Duration),
}

/// The source.
pub struct Running(Box<dyn Runs>);

impl Running {
    pub fn new(runs: Box<dyn Runs>) -> Self {
        Running(runs)
    }

    pub fn status(&self) -> SourceStatus {
        SourceStatus { sessions: self.0.sessions(), ..SourceStatus::default() }
    }

    /// See [`Runs::entries`].
    pub fn entries(&self) -> BTreeSet<LoginInfo> {
        self.0.entries()
    }

    pub fn about(&self) -> String {
        self.0.about()
    }

    /// See [`Runs::now`].
    pub async fn now(&self, part: &str, debug: bool) -> Result<String, DebugRefusal> {
        self.0.now(part, debug).await
    }

    /// There is nothing to connect to.
    pub async fn connect(&self, _until: Instant) -> Result<bool, FetchError> {
        match self.0.is_running() {
            true => Ok(false),
            false => Err(FetchError::new(Reason::Lost, "its loop has ended")),
        }
    }

    pub async fn ask_quick(
        &self,
        due: &[Arc<Collector>],
        _discover: bool,
        _until: Instant,
        report: EventSink<'_>,
    ) -> Result<(), FetchError> {
        let tables = Ok(self.0.tables(&wanted(due)));
        report(Event::Answered);
        for (index, collector) in due.iter().enumerate() {
            report(Event::Collected(index, answers(collector, &tables)));
        }
        Ok(())
    }

    pub async fn ask_slow(&self, collector: &Arc<Collector>, report: EventSink<'_>) -> Result<(), FetchError> {
        self.ask_quick(std::slice::from_ref(collector), false, Instant::now(), report).await
    }
}
