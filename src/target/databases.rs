//! The databases of a target and their slots: they come and go as the server's databases do.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use wildmatch::WildMatch;

use crate::{
    config::{collector::Collector, settings},
    exposition,
    slot::Slot,
    source,
};

/// Databases beyond this many are not visited.
const MOST_VISITED: usize = 1000;

/// The databases that were there when the server was last asked.
pub struct Databases {
    /// The collectors that are asked in each.
    pub collectors: Vec<Arc<Collector>>,
    labels: Arc<str>,
    choice: settings::Databases,
    known: Mutex<BTreeMap<String, Arc<Database>>>,
}

/// One of them.
pub struct Database {
    pub name: String,
    /// The target's labels and `datname`, as the exposition writes them.
    pub labels: Arc<str>,
    pub slots: Vec<Arc<Slot>>,
}

impl Databases {
    /// None yet. `labels` are the target's.
    pub fn new(collectors: Vec<Arc<Collector>>, labels: Arc<str>, choice: settings::Databases) -> Self {
        Databases { collectors, labels, choice, known: Mutex::default() }
    }

    /// These are there now; what was known of others is forgotten.
    pub fn found(&self, there: &[source::Database]) {
        let mut known = self.known.lock();
        let mut before = std::mem::take(&mut *known);
        let chosen = there.iter().filter(|database| database.open && is_chosen(&self.choice, &database.name));
        for source::Database { name, .. } in chosen.take(MOST_VISITED) {
            let database = before.remove(name).unwrap_or_else(|| self.database(name));
            known.insert(name.clone(), database);
        }
    }

    fn database(&self, name: &str) -> Arc<Database> {
        let labels = format!("{},{}", self.labels, exposition::labels([("datname", name)]));
        let slots = self.collectors.iter().map(|collector| Arc::new(Slot::new(collector.clone()))).collect();
        Arc::new(Database { name: name.to_owned(), labels: labels.into(), slots })
    }

    pub fn all(&self) -> Vec<Arc<Database>> {
        self.known.lock().values().cloned().collect()
    }
}

/// Included, and not excluded.
fn is_chosen(choice: &settings::Databases, name: &str) -> bool {
    let fits = |patterns: &[String]| patterns.iter().any(|pattern| WildMatch::new(pattern).matches(name));
    fits(&choice.include) && !fits(&choice.exclude)
}
