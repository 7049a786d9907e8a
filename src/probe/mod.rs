//! The synthetic probe: the same small queries, on one clock, over every path that an application may take.
//!
//! It runs by itself: each path has a task, and at most one query in flight. Scrapes only read what has been counted.

pub mod attempt;
mod cache;
mod cached_path;
pub mod check;
mod compare;
mod connect;
pub mod debug_round;
pub mod histogram;
pub mod install;
pub mod path_runner;
mod pool;
mod remote;
mod replication_lag;
mod rounds;
pub mod stats;
mod tables;
mod write_visibility;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::{FutureExt, future, future::BoxFuture};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::watch, task::JoinHandle, time::Instant};

use crate::{
    collector::SourceKind,
    probe::{
        check::ProbeCheck, compare::AnswerHistory, path_runner::PathRunner, rounds::Rounds, stats::PathStats,
        write_visibility::WriteToken,
    },
    settings::{probe as settings, probe::PathKind},
    source::{
        fetch::{FetchError, Reason, SourceStatus},
        net::login_guard::LoginInfo,
        sections::{SectionSource, Tables, known},
    },
};

/// What the paths of a probe have in common.
pub struct ProbeState {
    pub settings: settings::ProbeSettings,
    pub questions: Vec<ProbeCheck>,
    pub routes: Vec<PathRunner>,
    /// By question: what has been answered.
    answers: Mutex<Vec<AnswerHistory>>,
    /// The path whose answers the others' are compared with: the plainest to the primary.
    reference: Option<usize>,
    /// The token that was written last.
    written: watch::Sender<Option<WriteToken>>,
}

/// A probe that runs. Dropped, it ends.
pub struct Probe {
    pub course: Arc<ProbeState>,
    /// One for each path.
    tasks: Vec<JoinHandle<()>>,
    /// Those that look for tokens.
    looks: Vec<JoinHandle<()>>,
}

impl Probe {
    /// Starts it. It goes on until it is dropped, or for this many rounds.
    pub fn start(settings: settings::ProbeSettings, rounds: Option<u64>) -> Probe {
        let course = Arc::new(ProbeState::new(settings));
        if rounds.is_some() {
            course.routes.iter().for_each(|route| route.board.lock().totals = Some(BTreeMap::new()));
        }
        // Outside a runtime nothing can run, and nothing does.
        let runtime = Handle::try_current().ok();
        let run = |runtime: &Handle| Rounds::all(&course, rounds).map(|path| runtime.spawn(path.run())).collect();
        let look = |runtime: &Handle| course.looks().map(|look| runtime.spawn(look)).collect();
        let (tasks, looks) = runtime.as_ref().map(|runtime| (run(runtime), look(runtime))).unwrap_or_default();
        Probe { course, tasks, looks }
    }

    /// Some path is still to be asked.
    pub fn is_running(&self) -> bool {
        self.tasks.iter().any(|task| !task.is_finished())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.tasks.iter().chain(&self.looks).for_each(JoinHandle::abort);
    }
}

impl ProbeState {
    fn new(settings: settings::ProbeSettings) -> Self {
        let questions = check::questions(&settings);
        let bounds = histogram::bounds(questions.iter().map(|question| question.objective));
        let pools: Vec<_> = settings.paths.iter().filter_map(PathRunner::pool_of).collect();
        let interval = settings.interval;
        let route =
            |path: &settings::Path| PathRunner::new(path.clone(), PathStats::new(bounds.clone()), interval, &pools);
        let routes = settings.paths.iter().map(route).collect();
        let is_a = |kind: &str| settings.paths.iter().position(|path| path.kind.word() == kind);
        let reference = ["direct", "pooled", "pgbouncer"].into_iter().find_map(is_a);
        let answers = Mutex::new(questions.iter().map(|_| AnswerHistory::default()).collect());
        ProbeState { settings, questions, routes, answers, reference, written: watch::Sender::default() }
    }

    /// Where tokens are looked for, if they are written.
    fn looks(self: &Arc<Self>) -> impl Iterator<Item = impl Future<Output = ()> + Send + 'static> {
        let shows = |(_, route): &(usize, &PathRunner)| {
            matches!(route.path.kind, PathKind::Replica(_) | PathKind::Cached { .. })
        };
        let routes = self.routes.iter().enumerate().filter(|_| self.settings.write).filter(shows);
        routes.map(|(index, _)| replication_lag::look(self.clone(), index, self.written.subscribe()))
    }

    /// Compares an answer with the primary's, and counts what comes of it, on whichever path.
    fn compare(&self, route: usize, query: usize, answer: &[u8]) {
        let now = Instant::now();
        let verdicts = {
            let mut answers = self.answers.lock();
            let Some(answers) = answers.get_mut(query) else { return };
            match self.reference {
                None => return,
                Some(reference) if reference == route => answers.primary(answer, now),
                Some(_) => {
                    let verdict = answers.other(route, answer, self.routes[route].keeps(), now);
                    verdict.into_iter().map(|verdict| (route, verdict)).collect()
                }
            }
        };
        for (route, verdict) in verdicts {
            self.routes[route].board.lock().judge(query, verdict);
        }
    }
}

/// Only read by a fetch: it measures by its own clock.
impl SectionSource for Arc<Probe> {
    fn kind(&self) -> SourceKind {
        SourceKind::Probe
    }

    fn description(&self) -> String {
        let paths: Vec<_> = self.course.routes.iter().map(|route| route.path.name.as_str()).collect();
        format!("probe over {}", paths.join(", "))
    }

    fn tables<'a>(&'a self, _sections: &'a [&'a str], _until: Instant) -> BoxFuture<'a, Result<Tables, FetchError>> {
        future::ready(Ok(known(tables::tables(&self.course)))).boxed()
    }

    /// A task ends only if it fails; then what its path says is true no more.
    fn connect(&self, _until: Instant) -> BoxFuture<'_, Result<bool, FetchError>> {
        let is_running = !self.tasks.is_empty() && !self.tasks.iter().any(JoinHandle::is_finished);
        let connected = if is_running { Ok(false) } else { Err(FetchError::new(Reason::Lost, "its loop has ended")) };
        future::ready(connected).boxed()
    }

    fn status(&self) -> SourceStatus {
        SourceStatus { sessions: self.course.routes.iter().map(PathRunner::sessions).sum(), ..SourceStatus::default() }
    }

    fn logins(&self) -> BTreeSet<LoginInfo> {
        self.course.routes.iter().flat_map(PathRunner::entries).collect()
    }
}
