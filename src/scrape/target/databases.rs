//! The databases of a target and their slots: they come and go as the server's databases do.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Semaphore, time::Instant};
use wildmatch::WildMatch;

use crate::{
    collector::Collector,
    exposition::TargetLabels,
    scrape::slot::Slot,
    settings::connection::model::DatabasePatterns,
    source::fetch::{Database, FetchError, Reason},
};

/// Databases beyond this many are not visited.
const MOST_VISITED: usize = 1000;

/// A database that refused a login is left alone for so long: each attempt is a line in the server's log.
const RETRY_REFUSED: Duration = Duration::from_secs(300);

/// Databases beyond this many are not named that we cannot log in to.
const MOST_TOLD: usize = 100;

/// The databases that were there when the server was last asked.
pub struct Databases {
    /// The collectors that are asked in each.
    pub collectors: Vec<Arc<Collector>>,
    labels: TargetLabels,
    choice: DatabasePatterns,
    known: Mutex<KnownDatabases>,
    /// Who has a place is visited, or waits for it. A server whose databases are others each time would have ever more of them wait.
    pub places: Arc<Semaphore>,
}

#[derive(Default)]
struct KnownDatabases {
    open: BTreeMap<String, Arc<DatabaseSlots>>,
    /// Chosen, but we cannot log in to them: by name, with the reason.
    closed: BTreeMap<String, String>,
}

/// One of them.
pub struct DatabaseSlots {
    pub name: String,
    /// The target's labels and `datname`.
    pub labels: TargetLabels,
    pub slots: Vec<Arc<Slot>>,
    refused: Mutex<Option<Instant>>,
}

impl Databases {
    /// None yet. `labels` are the target's.
    pub fn new(collectors: Vec<Arc<Collector>>, labels: TargetLabels, choice: DatabasePatterns) -> Self {
        Databases {
            collectors,
            labels,
            choice,
            known: Mutex::default(),
            places: Arc::new(Semaphore::new(MOST_VISITED)),
        }
    }

    /// These are there now; what was known of others is forgotten.
    pub fn found(&self, there: &[Database]) {
        let mut known = self.known.lock();
        let mut before = std::mem::take(&mut *known);
        for Database { name, closed } in there.iter().filter(|there| is_chosen(&self.choice, &there.name)) {
            match closed.as_deref() {
                Some("template") => (),
                Some(reason) => _ = known.closed.insert(name.clone(), reason.to_owned()),
                None if known.open.len() == MOST_VISITED => (),
                None => {
                    let database = before.open.remove(name).unwrap_or_else(|| self.database(name));
                    known.open.insert(name.clone(), database);
                }
            }
        }
    }

    fn database(&self, name: &str) -> Arc<DatabaseSlots> {
        let labels = self.labels.with("datname", name);
        let slots = self.collectors.iter().map(|collector| Arc::new(Slot::new(collector.clone()))).collect();
        Arc::new(DatabaseSlots { name: name.to_owned(), labels, slots, refused: Mutex::default() })
    }

    pub fn all(&self) -> Vec<Arc<DatabaseSlots>> {
        self.known.lock().open.values().cloned().collect()
    }

    /// Those that are not visited because we cannot log in to them, each with the reason, a word; the first of them, where there are many.
    pub fn closed(&self) -> Vec<(String, String)> {
        let known = self.known.lock();
        let refusing = known.open.values().filter(|database| database.refused.lock().is_some());
        let refusing = refusing.map(|database| (database.name.clone(), "refused".to_owned()));
        let closed = known.closed.iter().map(|(name, reason)| (name.clone(), reason.clone()));
        refusing.chain(closed).take(MOST_TOLD).collect()
    }
}

impl DatabaseSlots {
    /// How its last visit ended.
    pub fn visited(&self, result: &Result<(), FetchError>) {
        let refused = result.as_ref().is_err_and(|error| error.reason == Reason::Closed);
        *self.refused.lock() = refused.then(Instant::now);
    }

    /// It refused a login not long ago.
    pub fn is_refusing(&self) -> bool {
        self.refused.lock().is_some_and(|at| at.elapsed() < RETRY_REFUSED)
    }
}

/// Included, and not excluded.
fn is_chosen(choice: &DatabasePatterns, name: &str) -> bool {
    let fits = |patterns: &[String]| patterns.iter().any(|pattern| WildMatch::new(pattern).matches(name));
    fits(&choice.include) && !fits(&choice.exclude)
}
