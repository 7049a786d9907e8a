//! The databases of a target and their slots, which follow the server's list of databases.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use wildmatch::WildMatch;

use crate::collector::{Collector, DATABASE_LABEL};
use crate::exposition::TargetLabels;
use crate::scrape::slot::Slot;
use crate::settings::connection::model::DatabasePatterns;
use crate::source::fetch::{Database, FetchError, Reason};

/// Databases beyond this many are not fetched.
const MAX_OPEN: usize = 1000;

/// How long a database that refused a login is skipped: each attempt is a line in the server's log.
const RETRY_REFUSED: Duration = Duration::from_secs(300);

/// The maximum of databases that are named among those that refuse our login.
const MAX_NAMED: usize = 100;

/// The databases that existed in the server's last list.
pub struct Databases {
    /// The collectors that are fetched in each database.
    pub collectors: Vec<Arc<Collector>>,
    labels: TargetLabels,
    choice: DatabasePatterns,
    known: Mutex<KnownDatabases>,
    /// Limits the fetches that run or wait for their turn: a server that names other databases each time would
    /// otherwise pile them up.
    pub places: Arc<Semaphore>,
}

#[derive(Default)]
struct KnownDatabases {
    open: BTreeMap<String, Arc<DatabaseSlots>>,
    /// Selected databases that refuse our login: by name, with the reason.
    closed: BTreeMap<String, String>,
}

/// One database.
pub struct DatabaseSlots {
    pub name: String,
    /// The target's labels and `datname`.
    pub labels: TargetLabels,
    /// One for each of [`Databases::collectors`], in their order.
    pub slots: Vec<Arc<Slot>>,
    refused: Mutex<Option<Instant>>,
}

impl Databases {
    /// Starts without databases. `labels` are the target's.
    pub fn new(collectors: Vec<Arc<Collector>>, labels: TargetLabels, choice: DatabasePatterns) -> Self {
        Databases { collectors, labels, choice, known: Mutex::default(), places: Arc::new(Semaphore::new(MAX_OPEN)) }
    }

    /// Takes over the list of databases that exist now, and forgets all others.
    pub fn replace(&self, existing: &[Database]) {
        let mut known = self.known.lock();
        let mut before = std::mem::take(&mut *known);
        for Database { name, closed } in existing.iter().filter(|database| is_chosen(&self.choice, &database.name)) {
            match closed.as_deref() {
                Some("template") => (),
                Some(reason) => _ = known.closed.insert(name.clone(), reason.to_owned()),
                None if known.open.len() == MAX_OPEN => (),
                None => {
                    let database = before.open.remove(name).unwrap_or_else(|| self.database(name));
                    known.open.insert(name.clone(), database);
                }
            }
        }
    }

    fn database(&self, name: &str) -> Arc<DatabaseSlots> {
        let labels = self.labels.with(DATABASE_LABEL, name);
        let slots = self.collectors.iter().map(|collector| Arc::new(Slot::new(collector.clone()))).collect();
        Arc::new(DatabaseSlots { name: name.to_owned(), labels, slots, refused: Mutex::default() })
    }

    pub fn all(&self) -> Vec<Arc<DatabaseSlots>> {
        self.known.lock().open.values().cloned().collect()
    }

    /// The databases that refuse our login, each with the word of the reason, up to the maximum.
    pub fn closed(&self) -> Vec<(String, String)> {
        let known = self.known.lock();
        let refusing = known.open.values().filter(|database| database.refused.lock().is_some());
        let refusing = refusing.map(|database| (database.name.clone(), "refused".to_owned()));
        let closed = known.closed.iter().map(|(name, reason)| (name.clone(), reason.clone()));
        refusing.chain(closed).take(MAX_NAMED).collect()
    }
}

impl DatabaseSlots {
    /// Records the result of its last fetch.
    pub fn note_result(&self, result: &Result<(), FetchError>) {
        let refused = result.as_ref().is_err_and(|error| error.reason == Reason::Closed);
        *self.refused.lock() = refused.then(Instant::now);
    }

    /// It refused a login recently.
    pub fn is_refusing(&self) -> bool {
        self.refused.lock().is_some_and(|at| at.elapsed() < RETRY_REFUSED)
    }
}

/// The name is included, and not excluded.
fn is_chosen(choice: &DatabasePatterns, name: &str) -> bool {
    let fits = |patterns: &[String]| patterns.iter().any(|pattern| WildMatch::new(pattern).matches(name));
    fits(&choice.include) && !fits(&choice.exclude)
}
