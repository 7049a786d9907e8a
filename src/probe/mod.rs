//! The synthetic probe: the same small queries, on one clock, over every path that an application may take.
//!
//! It has its own clock: each path has a task, and at most one query in flight. Scrapes only read the measurements.

pub mod attempt;
mod cache;
mod cached_path;
pub mod check;
mod comparison;
mod connect;
pub mod debug_round;
pub mod histogram;

pub mod path_runner;
mod pool;
mod redis_cache;
mod replication_lag;
mod rounds;
pub mod schema;
pub mod state;
pub mod stats;
mod tables;
mod write_visibility;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, future};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::collector::SourceKind;
use crate::probe::state::ProbeState;
use crate::settings::probe::{PathKind, ProbeSettings};
use crate::source::fetch::{FetchError, Reason, SourceStatus};
use crate::source::net::login_guard::LoginInfo;
use crate::source::net::session_limit::SessionLimit;
use crate::source::sections::{Source, Tables, known};

/// A running probe. Dropping it stops it.
pub struct Probe {
    pub state: Arc<ProbeState>,
    /// The clock of each path.
    rounds: Vec<JoinHandle<()>>,
    /// The tasks that look for tokens.
    watchers: Vec<JoinHandle<()>>,
}

impl Probe {
    /// Starts it. It runs until dropped, or for this many rounds; then it keeps the duration of every success.
    pub fn start(settings: ProbeSettings, rounds: Option<u32>) -> Probe {
        let state = Arc::new(ProbeState::new(settings, rounds.is_some()));
        let mut probe = Probe { state: state.clone(), rounds: Vec::new(), watchers: Vec::new() };
        // Outside a runtime, as in `pgvigil check` without `--connect`, it does not run.
        let Ok(runtime) = Handle::try_current() else { return probe };
        let start = Instant::now();
        for (index, runner) in state.paths.iter().enumerate() {
            probe.rounds.push(runtime.spawn(rounds::run(state.clone(), index, start, rounds)));
            if state.settings.write && matches!(runner.path.kind, PathKind::Replica | PathKind::Cached { .. }) {
                let writes = state.last_write.subscribe();
                probe.watchers.push(runtime.spawn(replication_lag::watch(state.clone(), index, writes)));
            }
        }
        probe
    }

    /// Waits for the end of the rounds, for a probe that was started for some.
    pub async fn ended(&mut self) {
        future::join_all(&mut self.rounds).await;
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.rounds.iter().chain(&self.watchers).for_each(JoinHandle::abort);
    }
}

/// A fetch only reads the measurements.
impl Source for Probe {
    fn answers(&self, kind: SourceKind) -> bool {
        kind == SourceKind::Probe
    }

    fn description(&self) -> String {
        let paths: Vec<_> = self.state.paths.iter().map(|runner| runner.path.name.as_str()).collect();
        format!("probe over {}", paths.join(", "))
    }

    fn tables<'a>(&'a self, _sections: &'a [&'a str], _until: Instant) -> BoxFuture<'a, Result<Tables, FetchError>> {
        future::ready(Ok(known(tables::tables(&self.state)))).boxed()
    }

    /// A task ends only if it panics; its path's measurements are then out of date.
    fn connect(&self, _until: Instant) -> BoxFuture<'_, Result<bool, FetchError>> {
        let is_running = !self.rounds.is_empty() && !self.rounds.iter().any(JoinHandle::is_finished);
        let connected =
            if is_running { Ok(false) } else { Err(FetchError::new(Reason::Lost, "the task of a path has ended")) };
        future::ready(connected).boxed()
    }

    fn status(&self) -> SourceStatus {
        let sessions = self.state.paths.iter().filter_map(|runner| runner.sessions());
        SourceStatus { sessions: sessions.map(SessionLimit::count).sum(), ..SourceStatus::default() }
    }

    fn logins(&self) -> BTreeSet<LoginInfo> {
        let sessions = self.state.paths.iter().filter_map(|runner| runner.sessions());
        sessions.filter_map(SessionLimit::last_login).collect()
    }
}
