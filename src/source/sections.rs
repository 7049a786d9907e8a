//! What a source is, and how its rows reach collectors where they come in named sections.

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

/// After this long, the tables known by then are reported, and the rest later: a hanging tool delays nothing else.
const PATIENCE: Duration = Duration::from_secs(2);

/// The tables of some sections, or their errors.
pub type Tables = BTreeMap<String, Result<Arc<Table>, FetchError>>;

/// A server, a tool, or a part of this machine, from which collectors are fetched. Most sources have sections; one that
/// is asked in SQL has its own ways to fetch.
pub trait Source: Send + Sync {
    /// Returns whether it answers collectors of this kind.
    fn answers(&self, kind: SourceKind) -> bool;

    /// The product, its version, and other important facts, for people.
    fn description(&self) -> String;

    /// The source is part of this machine or this program: it always answers.
    fn is_local(&self) -> bool {
        true
    }

    fn status(&self) -> SourceStatus {
        SourceStatus::default()
    }

    /// The methods of the last logins, each once.
    fn logins(&self) -> BTreeSet<LoginInfo> {
        BTreeSet::new()
    }

    /// The problems that its rows report.
    fn problems(&self) -> Vec<SourceProblem> {
        Vec::new()
    }

    /// Connects, so that quick collectors can be fetched. Returns true after a new login, false if a session was kept.
    fn connect(&self, _until: Instant) -> BoxFuture<'_, Result<bool, FetchError>> {
        future::ready(Ok(false)).boxed()
    }

    /// Fetches these sections, each once, by `until`.
    ///
    /// # Errors
    /// The connection failed.
    fn tables<'a>(&'a self, _sections: &'a [&'a str], _until: Instant) -> BoxFuture<'a, Result<Tables, FetchError>> {
        future::ready(Ok(Tables::new())).boxed()
    }

    /// All sections as known before a fetch has ended, if the source has them.
    fn known_tables(&self) -> Option<Tables> {
        None
    }

    /// Fetches quick collectors, all at once, and if it is to discover them the databases; ends by `until`.
    ///
    /// # Errors
    /// The connection failed, or nothing was answered. Every collector is still reported, with its answers or its
    /// errors.
    fn fetch_quick<'a>(
        &'a self,
        due: &'a [Arc<Collector>],
        _discover: bool,
        until: Instant,
        sink: EventSink<'a>,
    ) -> BoxFuture<'a, Result<(), FetchError>> {
        fetch_sections(self, due, until, sink).boxed()
    }

    /// Fetches one slow collector, when the slow lane is free; errors as above.
    fn fetch_slow<'a>(
        &'a self,
        collector: &'a Arc<Collector>,
        sink: EventSink<'a>,
    ) -> BoxFuture<'a, Result<(), FetchError>> {
        fetch_sections(self, std::slice::from_ref(collector), Instant::now() + collector.timeout, sink).boxed()
    }

    /// Fetches the collectors that are due in one of this many `databases`, which share `max_rows`, when its turn
    /// comes; errors as above. Only PostgreSQL has databases.
    fn fetch_database<'a>(
        &'a self,
        _database: &'a str,
        _databases: usize,
        _due: &'a [Arc<Collector>],
        _sink: EventSink<'a>,
    ) -> BoxFuture<'a, Result<(), FetchError>> {
        future::ready(Ok(())).boxed()
    }
}

/// A part that a source could not find out, while the rest is available.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceProblem {
    pub message: String,
    pub remedy: Option<Remedy>,
}

/// Fetches the sections of these collectors at once, and reports to each its own.
async fn fetch_sections<S: Source + ?Sized>(
    source: &S,
    due: &[Arc<Collector>],
    until: Instant,
    sink: EventSink<'_>,
) -> Result<(), FetchError> {
    if source.is_local() {
        sink(Event::Answered);
        if due.is_empty() {
            return Ok(());
        }
    }
    let sections = sections_of(due);
    let mut fetch = source.tables(&sections, until);
    let result = match timeout(PATIENCE, &mut fetch).await {
        Ok(result) => result,
        Err(_) => {
            if let Some(known) = source.known_tables() {
                report(due, &Ok(known), sink);
            }
            fetch.await
        }
    };
    report(due, &result, sink);
    result.map(|_| ())
}

/// Wraps tables that are all known.
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
        let tables = tables.as_ref().map_err(|error| match error.reason.is_connection() {
            // The target's, not a query's.
            true => error.clone(),
            false => error.clone().in_query(&query.name),
        })?;
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
