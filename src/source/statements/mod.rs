//! Turns successive readings of a server's statistics by statement into a histogram for each database. Pure.
//!
//! The server keeps calls, total time, standard deviation, minimum and maximum of each statement since it was first
//! seen. Two readings give the same numbers for the calls between them (`totals`). These calls are spread over the
//! buckets by the distribution that fits them (`distribution`: `normal`, `logit_normal`), and added up (`histogram`,
//! `apportionment`).
//!
//! Guarantees: the output consists of counters. Bucket counts are integers and never fall, neither from reading to
//! reading nor from bucket to bucket; the last one counts every call between two readings exactly once. The native
//! buckets together do so too, and none of them falls.

#[cfg(test)]
mod accuracy;
mod apportionment;
mod distribution;
mod histogram;
mod logit_normal;
mod normal;
#[cfg(test)]
mod tests;
mod totals;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::collector::sections::STATEMENTS;
use crate::collector::{Collector, READING, SourceKind};
use crate::memory_budget::MemoryBudget;
use crate::source::fetch::{Answer, Answers, FetchError, Reason};
use crate::source::statements::histogram::StatementHistogram;
use crate::source::statements::totals::{IntervalCalls, StatementTotals};
use crate::table::{Cell, Table};

/// The maximum of databases with a histogram: each has 21 rows.
const MOST_DATABASES: usize = 2000;

/// The histories of a target's queries, by collector and the query's position in it.
pub struct Histories {
    all: HashMap<(String, usize), History>,
    /// The budget for the histograms' tables.
    memory: MemoryBudget,
}

impl Histories {
    pub fn new(memory: MemoryBudget) -> Self {
        Histories { all: HashMap::new(), memory }
    }

    /// Replaces a collector's readings with histograms; answers of other collectors stay as they are.
    pub fn apply(&mut self, collector: &Collector, answers: Answers) -> Answers {
        if collector.source != SourceKind::Statements {
            return answers;
        }
        answers.into_iter().enumerate().map(|(index, answer)| self.histograms(collector, index, answer?)).collect()
    }

    fn histograms(&mut self, collector: &Collector, query: usize, reading: Answer) -> Result<Answer, FetchError> {
        let history = self.all.entry((collector.name.clone(), query)).or_default();
        let table = history.update(&reading.table, reading.cut == 0, &self.memory)?;
        Ok(Answer { table: table.into(), cut: reading.cut + history.dropped_databases })
    }
}

/// One query's last reading, and what has been counted since the first.
#[derive(Default)]
pub struct History {
    last: Option<Snapshot>,
    /// By oid.
    databases: BTreeMap<i64, DatabaseStatements>,
    /// Databases of the last reading beyond the maximum.
    dropped_databases: u64,
}

/// All statements of one reading.
struct Snapshot {
    /// The server's run. The next run, or another server behind the same address, has statistics of its own: a
    /// difference between two runs would mean nothing.
    server: u64,
    /// No row was cut: a statement that is missing did not exist.
    complete: bool,
    statements: HashMap<u64, StatementTotals>,
}

/// The calls counted in one database.
#[derive(Default)]
struct DatabaseStatements {
    name: String,
    histogram: StatementHistogram,
}

/// The positions of a reading's columns.
struct StatementColumns {
    /// In the order of `READING`.
    known: [usize; READING.len()],
    /// The database, and all other columns: together they identify the statement.
    identity: Vec<usize>,
}

impl History {
    /// Adds the calls since the last reading and returns the histograms of its databases. The first reading of each run
    /// of the server only starts the count.
    ///
    /// # Errors
    /// A column is missing, or the histograms exceed the memory budget.
    pub fn update(&mut self, table: &Table, complete: bool, memory: &MemoryBudget) -> Result<Table, FetchError> {
        let mut histograms = Table::new(STATEMENTS.columns.iter().copied()).with_budget(memory);
        let before = self.last.take();
        if table.rows() == 0 {
            // The statistics cannot be read, but there may be statements.
            return Ok(histograms);
        }
        let columns = StatementColumns::of(table)?;
        let server = self.update_databases(table, &columns);
        let before = before.filter(|before| before.server == server);
        let mut reading = Snapshot { server, complete, statements: HashMap::with_capacity(table.rows()) };
        let [_, _, dbid, numbers @ ..] = columns.known;
        for row in 0..table.rows() {
            let Cell::Int(dbid) = table.cell(row, dbid) else { continue };
            let Some(database) = self.databases.get_mut(&dbid) else { continue };
            let Some(now) = totals(numbers.map(|column| table.cell(row, column))) else { continue };
            // A hash of 64 bits: among 50,000 statements two collide once in 10^10 servers.
            let statement = hash(columns.identity.iter().map(|column| table.cell(row, *column)));
            // A second row of the same statement is not counted.
            if reading.statements.insert(statement, now).is_none()
                && let Some(calls) = before.as_ref().and_then(|before| before.calls_until(statement, now))
            {
                database.histogram.add(calls);
            }
        }
        self.last = Some(reading);
        for database in self.databases.values_mut() {
            database.histogram.push_rows(&database.name, &mut histograms);
            if !histograms.reserve() {
                return Err(FetchError::too_large(memory));
            }
        }
        Ok(histograms)
    }

    /// Keeps the histograms of the databases in this reading, and returns the server's run.
    fn update_databases(&mut self, table: &Table, columns: &StatementColumns) -> u64 {
        let (mut before, mut server) = (std::mem::take(&mut self.databases), Cell::Absent);
        self.dropped_databases = 0;
        let [name, run, dbid, ..] = columns.known;
        for row in 0..table.rows() {
            if let (Cell::Text(name), Cell::Int(dbid)) = (table.cell(row, name), table.cell(row, dbid)) {
                server = table.cell(row, run);
                if self.databases.len() >= MOST_DATABASES && !self.databases.contains_key(&dbid) {
                    self.dropped_databases += 1;
                    continue;
                }
                let histogram = before.remove(&dbid).unwrap_or_default().histogram;
                self.databases.insert(dbid, DatabaseStatements { name: name.to_owned(), histogram });
            }
        }
        hash([server])
    }
}

impl StatementColumns {
    fn of(table: &Table) -> Result<StatementColumns, FetchError> {
        let mut known = [0; READING.len()];
        for (column, name) in known.iter_mut().zip(READING) {
            let missing = || FetchError::new(Reason::Columns, format!("there is no column \"{name}\""));
            *column = table.column(name).ok_or_else(missing)?;
        }
        let is_identity = |name: &str| name == "dbid" || !READING.contains(&name);
        let identity = table.columns().enumerate().filter(|(_, name)| is_identity(name)).map(|(at, _)| at).collect();
        Ok(StatementColumns { known, identity })
    }
}

/// `None` if the row has no statement, or inconsistent numbers.
fn totals([calls, total, stddev, least, most]: [Cell<'_>; 5]) -> Option<StatementTotals> {
    let number = |cell: Cell<'_>| cell.number().ok().flatten().map(|number| number.as_f64());
    let (calls, seconds, stddev) = (number(calls)?, number(total)?, number(stddev)?);
    let makes_sense = |number: f64| number.is_finite() && number >= 0.0;
    let squared_deviations = calls * stddev * stddev;
    let (least, most) = (number(least)?, number(most)?);
    let all = [calls, seconds, squared_deviations, least, most].into_iter().all(makes_sense);
    // Both are 0 after a reset without a call since.
    let least = if most > 0.0 { least } else { StatementTotals::NONE.least };
    all.then_some(StatementTotals { calls: calls as u64, seconds, squared_deviations, least, most })
}

fn hash<'a>(cells: impl IntoIterator<Item = Cell<'a>>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for cell in cells {
        match cell {
            Cell::Absent | Cell::Buckets(_) => 0_u8.hash(&mut hasher),
            Cell::Int(value) => (1_u8, value).hash(&mut hasher),
            Cell::Float(value) => (2_u8, value.to_bits()).hash(&mut hasher),
            Cell::Text(text) => (3_u8, text).hash(&mut hasher),
        }
    }
    hasher.finish()
}

impl Snapshot {
    /// The calls of a statement between this reading and its totals now.
    fn calls_until(&self, statement: u64, now: StatementTotals) -> Option<IntervalCalls> {
        // Unless the reading is complete, it may have existed and been cut: its count starts now.
        let before = self.statements.get(&statement).copied().or(self.complete.then_some(StatementTotals::NONE))?;
        Some(now.since(before))
    }
}
