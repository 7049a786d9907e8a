//! Statements: successive readings of a server's statistics by statement become a histogram for each database. Pure.
//!
//! The server keeps calls, total time, standard deviation, minimum and maximum of each statement since it was first seen. From two
//! readings the same follows for the calls between them; those are spread over the buckets (`spread`) and added up.
//!
//! Promises: what comes out are counters. Bucket counts are integers and never fall, neither from reading to reading
//! nor from bucket to bucket before; the last one counts every call that two readings prove, no more and no less. So do native
//! buckets together, of which none falls by itself either.

mod histogram;
mod spread;
#[cfg(test)]
mod tests;
mod totals;
#[cfg(test)]
mod truth;
mod whole;
mod within;

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher},
};

use crate::{
    collector::{
        Collector, SourceKind,
        sections::{READING, STATEMENTS},
    },
    memory_budget::MemoryBudget,
    source::{
        fetch::{Answer, Answers, FetchError, Reason},
        statements::{histogram::StatementHistogram, spread::Calls, totals::Totals},
    },
    table::{Cell, Table},
};

/// More databases than that have no histogram: each is 21 rows.
const MOST_DATABASES: usize = 2000;

/// The histories of a target's queries, by collector and place in it.
pub struct Histories {
    all: HashMap<(String, usize), History>,
    /// Where what is shown has its memory.
    room: MemoryBudget,
}

impl Histories {
    pub fn new(room: MemoryBudget) -> Self {
        Histories { all: HashMap::new(), room }
    }

    /// What a collector's readings make of its histories; answers of other collectors are left as they are.
    pub fn take(&mut self, collector: &Collector, answers: Answers) -> Answers {
        if collector.source != SourceKind::Statements {
            return answers;
        }
        let take = |(index, answer): (usize, Result<Answer, FetchError>)| {
            let Answer { table, cut } = answer?;
            let history = self.all.entry((collector.name.clone(), index)).or_default();
            let shown = history.take(&table, cut == 0, Some(&self.room))?;
            Ok(Answer { table: shown.into(), cut: cut + history.left_out })
        };
        answers.into_iter().enumerate().map(take).collect()
    }
}

/// One query's last reading, and what has been counted since the first.
#[derive(Default)]
pub struct History {
    last: Option<Snapshot>,
    /// By oid.
    databases: BTreeMap<i64, DatabaseStatements>,
    /// Databases of the last reading that were too many.
    left_out: u64,
}

/// What is known of the statements at one time.
struct Snapshot {
    /// Which run of which server it is of. The next run, or another server behind the same address, has statistics
    /// of its own: a difference between the two would mean nothing.
    server: u64,
    /// No row was cut: what is not in it did not exist.
    complete: bool,
    statements: HashMap<u64, Totals, BuildHasherDefault<Hashed>>,
}

/// What has been counted in one database.
#[derive(Default)]
struct DatabaseStatements {
    name: String,
    histogram: StatementHistogram,
}

/// Where a reading's columns are.
struct StatementColumns {
    datname: usize,
    server: usize,
    dbid: usize,
    calls: usize,
    total: usize,
    stddev: usize,
    least: usize,
    most: usize,
    /// Those that say which statement it is.
    identity: Vec<usize>,
}

impl History {
    /// Takes in a reading; returns the histograms of the databases in it. The first reading, and the first of each
    /// run of the server, only says from where to count.
    ///
    /// # Errors
    /// A column is missing, or what is shown does not fit into the room.
    pub fn take(&mut self, table: &Table, complete: bool, room: Option<&MemoryBudget>) -> Result<Table, FetchError> {
        let shown = Table::new(STATEMENTS.columns.iter().copied());
        let mut shown = if let Some(room) = room { shown.with_budget(room) } else { shown };
        let before = self.last.take();
        if table.rows() == 0 {
            // Nothing can be seen, which is not to say that there is nothing.
            return Ok(shown);
        }
        let columns = StatementColumns::of(table)?;
        let server = self.find_databases(table, &columns);
        let before = before.filter(|before| before.server == server);
        let mut reading = Snapshot {
            server,
            complete,
            statements: HashMap::with_capacity_and_hasher(table.rows(), Default::default()),
        };
        for row in 0..table.rows() {
            let Some(now) = columns.totals(table, row) else { continue };
            let Some(database) = columns.dbid(table, row).and_then(|dbid| self.databases.get_mut(&dbid)) else {
                continue;
            };
            let statement = columns.statement(table, row);
            // Two rows of one statement would be each other's past.
            if reading.statements.insert(statement, now).is_none()
                && let Some(calls) = before.as_ref().and_then(|before| before.calls_until(statement, now))
            {
                database.histogram.add(calls);
            }
        }
        self.last = Some(reading);
        for database in self.databases.values_mut() {
            database.histogram.show(&database.name, &mut shown);
            if let Some(room) = room
                && !shown.reserve()
            {
                return Err(FetchError::too_large(room));
            }
        }
        Ok(shown)
    }

    /// Keeps the databases that are there, and returns which run of which server says so.
    fn find_databases(&mut self, table: &Table, columns: &StatementColumns) -> u64 {
        let (mut before, mut server) = (std::mem::take(&mut self.databases), Cell::Absent);
        self.left_out = 0;
        for row in 0..table.rows() {
            let (name, dbid) = (table.cell(row, columns.datname), columns.dbid(table, row));
            if let (Cell::Text(name), Some(dbid)) = (name, dbid) {
                server = table.cell(row, columns.server);
                if self.databases.len() >= MOST_DATABASES && !self.databases.contains_key(&dbid) {
                    self.left_out += 1;
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
        let column = |name| {
            let missing = || FetchError::new(Reason::Columns, format!("there is no column \"{name}\""));
            table.column(name).ok_or_else(missing)
        };
        let [datname, server, dbid, calls, total, stddev, least, most] = READING;
        let known = |name: &str| READING.contains(&name) && name != dbid;
        Ok(StatementColumns {
            datname: column(datname)?,
            server: column(server)?,
            dbid: column(dbid)?,
            calls: column(calls)?,
            total: column(total)?,
            stddev: column(stddev)?,
            least: column(least)?,
            most: column(most)?,
            identity: table.columns().enumerate().filter(|(_, name)| !known(name)).map(|(at, _)| at).collect(),
        })
    }

    fn dbid(&self, table: &Table, row: usize) -> Option<i64> {
        match table.cell(row, self.dbid) {
            Cell::Int(dbid) => Some(dbid),
            _ => None,
        }
    }

    /// `None` where there is no statement, or no sense in its numbers.
    fn totals(&self, table: &Table, row: usize) -> Option<Totals> {
        let number = |column| table.cell(row, column).number().ok().flatten().map(|number| number.as_f64());
        let (calls, seconds, stddev) = (number(self.calls)?, number(self.total)?, number(self.stddev)?);
        let makes_sense = |number: f64| number.is_finite() && number >= 0.0;
        let squares = calls * stddev * stddev;
        let (least, most) = (number(self.least)?, number(self.most)?);
        let all = [calls, seconds, squares, least, most].into_iter().all(makes_sense);
        // Both 0: they were reset, and no call has come since.
        let least = if most > 0.0 { least } else { Totals::NONE.least };
        all.then_some(Totals { calls: calls as u64, seconds, squares, least, most })
    }

    /// 64 bits for each statement: among 50,000 of them two are taken for one once in 10^10 servers.
    fn statement(&self, table: &Table, row: usize) -> u64 {
        hash(self.identity.iter().map(|column| table.cell(row, *column)))
    }
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

/// Takes a statement's hash for the hash of itself.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Snapshot {
    /// The calls of a statement between this reading and what is said of it now.
    fn calls_until(&self, statement: u64, now: Totals) -> Option<Calls> {
        match self.statements.get(&statement) {
            Some(before) => Some(now.since(*before)),
            None if self.complete => Some(now.since(Totals::NONE)),
            // It may have been there, and cut: from here on it is counted.
            None => None,
        }
    }
}
