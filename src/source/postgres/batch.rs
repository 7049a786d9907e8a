//! A batch: the collectors that are asked together on one session, and which of them are still unanswered. It survives the session.
//!
//! ```text
//!                    all queries answered, and the server's role is still the believed one
//!   unanswered ──────────────────────────────────────────────────────────────────────────► answered
//!     │  ▲ │       (reported with the answers; a query that failed is an answer as well)
//!     │  │ │
//!     │  └─┴─ the session is lost: asked again on the next one, with what else is unanswered
//!     │       the role has changed: asked again on the same session, under the new role
//!     │
//!     └─► failed: the deadline has passed, or no attempt is left (reported with that error for each query)
//! ```
//!
//! A batch ends with each collector reported exactly once. Collectors that were answered before a session was lost, or before the
//! deadline, keep their answers. The role is checked because which collectors are skipped depends on it: a replica that was promoted
//! since the last batch would otherwise be reported with a replica's answers.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

use crate::{
    collector::{Collector, Query, Scope},
    source::{
        fetch::{Answers, Database, Event, EventSink, FetchError},
        statements::Histories,
    },
};

pub struct Batch<'a> {
    collectors: &'a [Arc<Collector>],
    /// The index of the first of them where the caller counts.
    first_index: usize,
    pub statement_timeout: Duration,
    /// Also ask which databases there are.
    pub lists_databases: bool,
    sink: EventSink<'a>,
    histories: &'a Mutex<Histories>,
    unanswered: Mutex<BTreeSet<usize>>,
    server_answered: AtomicBool,
}

impl<'a> Batch<'a> {
    pub fn new(
        collectors: &'a [Arc<Collector>],
        statement_timeout: Duration,
        sink: EventSink<'a>,
        histories: &'a Mutex<Histories>,
    ) -> Self {
        Batch {
            collectors,
            first_index: 0,
            statement_timeout,
            lists_databases: false,
            sink,
            histories,
            unanswered: Mutex::new((0..collectors.len()).collect()),
            server_answered: AtomicBool::new(false),
        }
    }

    /// Of one collector, which is this one of the caller's.
    pub fn of_one(
        collector: &'a Arc<Collector>,
        first_index: usize,
        sink: EventSink<'a>,
        histories: &'a Mutex<Histories>,
    ) -> Self {
        let batch = Batch::new(std::slice::from_ref(collector), collector.timeout, sink, histories);
        Batch { first_index, ..batch }
    }

    /// The collectors that are to be asked, with their indexes.
    pub fn unanswered(&self) -> Vec<(usize, &'a Collector)> {
        self.unanswered.lock().iter().map(|index| (*index, &*self.collectors[*index])).collect()
    }

    /// It looks at all relations of a database.
    pub fn reads_whole_database(&self) -> bool {
        self.collectors.iter().any(|collector| collector.scope == Scope::Database)
    }

    pub fn calls_extensions(&self) -> bool {
        self.collectors.iter().flat_map(|collector| &collector.queries).any(|query| query.requires.is_some())
    }

    /// The server has answered something.
    pub fn is_server_answering(&self) -> bool {
        self.server_answered.load(Ordering::Relaxed)
    }

    pub fn report_answering(&self) {
        self.server_answered.store(true, Ordering::Relaxed);
        (self.sink)(Event::Answered);
    }

    pub fn report_databases(&self, databases: Vec<Database>) {
        (self.sink)(Event::Databases(databases));
    }

    /// Reports the answers of a collector.
    pub fn finish(&self, index: usize, answers: Answers) {
        self.unanswered.lock().remove(&index);
        let answers = self.histories.lock().apply(&self.collectors[index], answers);
        (self.sink)(Event::Collected(self.first_index + index, answers));
    }

    /// Reports an error for each query that is unanswered.
    pub fn fail(&self, error: impl Fn(&Query) -> FetchError) {
        for (index, collector) in self.unanswered() {
            self.finish(index, collector.queries.iter().map(|query| Err(error(query))).collect());
        }
    }
}
