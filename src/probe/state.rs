//! The shared state of a probe's paths: its settings, checks, answers and last write.

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::probe::check::ProbeCheck;
use crate::probe::comparison::AnswerHistory;
use crate::probe::path_runner::PathRunner;
use crate::probe::stats::PathStats;
use crate::probe::write_visibility::WriteToken;
use crate::probe::{check, histogram, path_runner};
use crate::settings::probe::ProbeSettings;

/// The kinds of path to the primary, the simplest first.
const REFERENCE_KINDS: [&str; 3] = ["direct", "pooled", "pgbouncer"];

pub struct ProbeState {
    pub settings: ProbeSettings,
    pub checks: Vec<ProbeCheck>,
    pub paths: Vec<PathRunner>,
    /// By check.
    answers: Vec<Mutex<AnswerHistory>>,
    /// The path that gives the primary's answers.
    reference: Option<usize>,
    pub last_write: watch::Sender<Option<WriteToken>>,
}

impl ProbeState {
    /// The state before the first attempt; `keeps_totals` keeps the duration of every success.
    pub fn new(settings: ProbeSettings, keeps_totals: bool) -> Self {
        let checks = check::checks(&settings);
        let objectives = checks.iter().map(|check| check.objective);
        let bounds = histogram::bounds(objectives.chain([settings.new_connection]));
        let pools = path_runner::pools(&settings.paths);
        let mut paths = Vec::new();
        for path in &settings.paths {
            let stats = PathStats::new(bounds.clone(), keeps_totals);
            paths.push(PathRunner::new(path, &settings, stats, &pools));
        }
        let first = |kind: &str| settings.paths.iter().position(|path| path.kind.into_str() == kind);
        let reference = REFERENCE_KINDS.into_iter().find_map(first);
        let answers = checks.iter().map(|_| Mutex::default()).collect();
        ProbeState { settings, checks, paths, answers, reference, last_write: watch::Sender::default() }
    }

    /// Compares an answer with the primary's, and counts the results of all paths that can be judged now.
    pub fn compare(&self, path: usize, query: usize, answer: &[u8]) {
        let Some(reference) = self.reference else { return };
        let (mut answers, now) = (self.answers[query].lock(), Instant::now());
        if path == reference {
            for (waiting, comparison) in answers.add_primary(answer, now) {
                self.paths[waiting].stats.lock().count_comparison(query, comparison);
            }
        } else if let Some(comparison) = answers.compare(path, answer, self.paths[path].max_answer_age(), now) {
            self.paths[path].stats.lock().count_comparison(query, comparison);
        }
    }
}
