//! A batch: the collectors that one session asks together, and which are still unanswered. It outlives the session.
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

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::collector::{Collector, Query, Scope};
use crate::source::fetch::{Answers, Database, Event, EventSink, FetchError};
use crate::source::statements::Histories;

pub struct Batch<'a> {
    collectors: &'a [Arc<Collector>],
    /// The caller's index of the first collector.
    first_index: usize,
    pub statement_timeout: Duration,
    /// The batch also asks for the list of databases.
    pub lists_databases: bool,
    /// Databases among which each collector's `max_rows` is shared out.
    pub databases: usize,
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
            databases: 1,
            sink,
            histories,
            unanswered: Mutex::new((0..collectors.len()).collect()),
            server_answered: AtomicBool::new(false),
        }
    }

    /// A batch of one collector, with the caller's index of it.
    pub fn of_one(
        collector: &'a Arc<Collector>,
        first_index: usize,
        sink: EventSink<'a>,
        histories: &'a Mutex<Histories>,
    ) -> Self {
        let batch = Batch::new(std::slice::from_ref(collector), collector.timeout, sink, histories);
        Batch { first_index, ..batch }
    }

    /// The collectors that are still to be asked, with their indexes.
    pub fn unanswered(&self) -> Vec<(usize, &'a Collector)> {
        self.unanswered.lock().iter().map(|index| (*index, &*self.collectors[*index])).collect()
    }

    /// Rows kept of each query of a collector: `max_rows` is for the whole target.
    pub fn max_rows(&self, collector: &Collector) -> usize {
        collector.max_rows.div_ceil(self.databases.max(1))
    }

    /// A collector in it reads all relations of a database.
    pub fn reads_whole_database(&self) -> bool {
        self.collectors.iter().any(|collector| collector.scope == Scope::Database)
    }

    pub fn calls_extensions(&self) -> bool {
        self.collectors.iter().flat_map(|collector| &collector.queries).any(|query| query.requires.is_some())
    }

    /// The server has answered a query.
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

    /// Reports an error for each unanswered query.
    pub fn fail(&self, error: impl Fn(&Query) -> FetchError) {
        for (index, collector) in self.unanswered() {
            self.finish(index, collector.queries.iter().map(|query| Err(error(query))).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_budget::MemoryBudget;
    use crate::source::fetch::{Answer, Reason};
    use crate::source::postgres::fake_server::collector;

    const SQL: &str = "sql: [{since: 13, text: SELECT 1 AS n}], ";

    /// The reports of a batch as texts.
    fn reported(act: impl FnOnce(EventSink<'_>, &Mutex<Histories>)) -> Vec<String> {
        let events = Mutex::new(Vec::new());
        let sink = |event: Event| {
            events.lock().push(match event {
                Event::Answered => "answered".to_owned(),
                Event::TurnBegan => "begun".to_owned(),
                Event::Databases(databases) => format!("{} databases", databases.len()),
                Event::Collected(index, answers) => match &answers[0] {
                    Ok(_) => format!("{index} collected"),
                    Err(error) => format!("{index} failed: {error}"),
                },
            });
        };
        act(&sink, &Mutex::new(Histories::new(MemoryBudget::of(1 << 20))));
        events.into_inner()
    }

    #[test]
    fn each_collector_is_reported_once() {
        let collectors = [collector("", SQL), collector("", SQL), collector("", SQL)];
        let found = reported(|sink, histories| {
            let batch = Batch::new(&collectors, Duration::ZERO, sink, histories);
            assert!(!batch.is_server_answering() && batch.unanswered().len() == 3);
            batch.report_answering();
            assert!(batch.is_server_answering());
            batch.report_databases(Vec::new());
            batch.finish(1, vec![Ok(Answer { table: Arc::default(), cut: 0 })]);
            assert_eq!(batch.unanswered().iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 2]);
            for _ in 0..2 {
                batch.fail(|query| FetchError::new(Reason::Timeout, "late").in_query(&query.name));
            }
            assert!(batch.unanswered().is_empty());
        });
        let late = "failed: query q: late (timeout)";
        assert_eq!(found, ["answered", "0 databases", "1 collected", &format!("0 {late}"), &format!("2 {late}")]);
    }

    #[test]
    fn one_collector_has_the_index_that_the_caller_gives_it() {
        let collector = collector("timeout: 3s\nttl: 1m\n", SQL);
        let found = reported(|sink, histories| {
            let batch = Batch::of_one(&collector, 2, sink, histories);
            assert_eq!(batch.statement_timeout, Duration::from_secs(3));
            batch.fail(|_| FetchError::new(Reason::Lost, "gone"));
        });
        assert_eq!(found, ["2 failed: gone (lost)"]);
    }

    #[test]
    fn a_batch_needs_what_one_of_its_collectors_needs() {
        let plain = || collector("", SQL);
        let extension = collector("", &format!("requires: {{extension: e}}, {SQL}"));
        let database = collector("scope: database\nttl: 60s\n", SQL);
        for (collectors, extensions, whole) in [
            ([plain(), plain()], false, false),
            ([plain(), extension], true, false),
            ([plain(), database], false, true),
        ] {
            reported(|sink, histories| {
                let batch = Batch::new(&collectors, Duration::ZERO, sink, histories);
                assert_eq!((batch.calls_extensions(), batch.reads_whole_database()), (extensions, whole));
            });
        }
    }
}
