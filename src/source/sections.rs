//! Sources whose rows come in named sections, and how each collector gets its part of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, future};
use tokio::time::{Instant, timeout};

use crate::collector::sections::row::SectionTables;
use crate::collector::{Collector, Query, Rows, SourceKind};
use crate::source::fetch::{Answer, Answers, Event, EventSink, FetchError, Reason, SourceStatus};
use crate::source::net::login_guard::LoginInfo;
use crate::source::remedy::Remedy;
use crate::table::Table;

/// After this long, what is known by then is reported, and the rest when it comes: a tool that hangs keeps nobody waiting.
const PATIENCE: Duration = Duration::from_secs(2);

/// The tables of some sections, or why there is none.
pub type Tables = BTreeMap<String, Result<Arc<Table>, FetchError>>;

/// A source whose rows come in named sections.
pub trait SectionSource: Send + Sync {
    /// The collectors that read it.
    fn kind(&self) -> SourceKind;

    /// For people: the product and its version, or what else names it.
    fn description(&self) -> String;

    /// Fetches these sections, each once, by `until`.
    ///
    /// # Errors
    /// The connection failed.
    fn tables<'a>(&'a self, sections: &'a [&'a str], until: Instant) -> BoxFuture<'a, Result<Tables, FetchError>>;

    /// All sections as they are known before a fetch has ended, where that is of use.
    fn known_tables(&self) -> Option<Tables> {
        None
    }

    /// It is a part of this machine or this program: it always answers, whatever it knows.
    fn is_local(&self) -> bool {
        true
    }

    /// Makes sure that it can be asked; true if that took a new login.
    fn connect(&self, _until: Instant) -> BoxFuture<'_, Result<bool, FetchError>> {
        future::ready(Ok(false)).boxed()
    }

    fn status(&self) -> SourceStatus {
        SourceStatus::default()
    }

    /// How the last sessions were let in, each way once.
    fn logins(&self) -> BTreeSet<LoginInfo> {
        BTreeSet::new()
    }

    /// What its rows report as not known.
    fn problems(&self) -> Vec<SourceProblem> {
        Vec::new()
    }
}

/// Something that a source could not find out, while the rest of it is well.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceProblem {
    pub message: String,
    pub remedy: Option<Remedy>,
}

impl dyn SectionSource {
    /// Fetches what these collectors read, all at once, and reports to each what is its own.
    pub async fn fetch(&self, due: &[Arc<Collector>], until: Instant, sink: EventSink<'_>) -> Result<(), FetchError> {
        if self.is_local() {
            sink(Event::Answered);
        }
        let sections = sections_of(due);
        let mut fetch = self.tables(&sections, until);
        let result = match timeout(PATIENCE, &mut fetch).await {
            Ok(result) => result,
            Err(_) => {
                if let Some(known) = self.known_tables() {
                    report(due, &Ok(known), sink);
                }
                fetch.await
            }
        };
        report(due, &result, sink);
        result.map(|_| ())
    }
}

/// Tables that are all known.
pub fn known(tables: SectionTables) -> Tables {
    tables.by_name.into_iter().map(|(section, table)| (section.to_owned(), Ok(table.into()))).collect()
}

/// A time as a timestamp in a table.
pub fn unix_seconds(time: SystemTime) -> Option<f64> {
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
}

fn report(due: &[Arc<Collector>], result: &Result<Tables, FetchError>, sink: EventSink<'_>) {
    if result.is_ok() {
        sink(Event::Answered);
    }
    for (index, collector) in due.iter().enumerate() {
        sink(Event::Collected(index, answers(collector, result)));
    }
}

/// The sections that these collectors read, each once.
fn sections_of(due: &[Arc<Collector>]) -> Vec<&str> {
    let queries = due.iter().flat_map(|collector| &collector.queries);
    let names: BTreeSet<_> = queries.filter_map(|query| section(&query.rows)).collect();
    names.into_iter().collect()
}

fn section(rows: &Rows) -> Option<&str> {
    match rows {
        Rows::Section(name) => Some(name),
        Rows::Sql(_) => None,
    }
}

/// A collector's answers from the tables of its sections.
fn answers(collector: &Collector, tables: &Result<Tables, FetchError>) -> Answers {
    let answer = |query: &Query| {
        let tables = tables.as_ref().map_err(|error| error.clone().in_query(&query.name))?;
        match section(&query.rows).and_then(|name| tables.get(name)) {
            Some(Ok(table)) => Ok(cut(table, collector.max_rows)),
            Some(Err(error)) => Err(error.clone().in_query(&query.name)),
            None => Err(FetchError::new(Reason::Undefined, "there is no such section").in_query(&query.name)),
        }
    };
    collector.queries.iter().map(answer).collect()
}

/// The first rows of a table; the rest is counted.
pub fn cut(table: &Arc<Table>, max_rows: usize) -> Answer {
    let mut table = table.clone();
    let cut = table.rows().saturating_sub(max_rows);
    if cut > 0 {
        Arc::make_mut(&mut table).truncate(max_rows);
    }
    Answer { table, cut: cut as u64 }
}
