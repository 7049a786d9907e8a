//! Turns the output of PgBouncer's `SHOW` commands into the tables of sections. Pure.
//!
//! Columns are found by name, because versions differ in them. A column that a version does not have is absent.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::collector::sections::pgbouncer::{DatabaseLimitRow, PoolLimitRow, UserLimitRow};
use crate::collector::sections::row;
use crate::source::fetch::FetchError;
use crate::table::{Cell, Number, Table};

/// The output by the word after `SHOW`, or the error.
pub type ConsoleTables = BTreeMap<String, Result<Arc<Table>, FetchError>>;

/// The console's own database.
const CONSOLE: &str = "pgbouncer";

/// From this version on, a pool of size 0 has no limit. Before, it gives out no connection.
const UNLIMITED_SINCE: (u32, u32) = (1, 24);

/// The commands that a section is made from.
pub fn commands<'a>(section: &'a &'a str) -> &'a [&'a str] {
    match *section {
        "pool_limits" => &["pools", "databases", "users", "version"],
        "database_limits" => &["databases"],
        "user_limits" => &["users"],
        _ => std::slice::from_ref(section),
    }
}

/// Its output is a row for each name, which becomes one row with a column for each.
fn is_on_its_side(command: &str) -> bool {
    ["config", "lists", "state"].contains(&command)
}

/// The widest table of any version has some 30 columns. Each row searches all of them for each name.
const MOST_COLUMNS: usize = 100;

/// How many of a command's columns are read: two, name and value, if the table is transposed.
pub fn width(command: &str) -> usize {
    if is_on_its_side(command) { 2 } else { MOST_COLUMNS }
}

/// Our name of a column, which is its name before 1.24.
pub fn column<'a>(command: &str, name: &'a str) -> &'a str {
    if (command, name) == ("databases", "reserve_pool_size") { "reserve_pool" } else { name }
}

/// The table of a section; `None` if one of its commands was not sent.
///
/// # Errors
/// A command that the section needs was refused.
pub fn section(name: &str, shown: &ConsoleTables) -> Option<Result<Arc<Table>, FetchError>> {
    let parts: Vec<_> = commands(&name).iter().map(|command| shown.get(*command)).collect::<Option<_>>()?;
    let tables: Result<Vec<&Arc<Table>>, &FetchError> = parts.into_iter().map(Result::as_ref).collect();
    Some(tables.map(|tables| made(name, &tables)).map_err(FetchError::clone))
}

fn made(name: &str, tables: &[&Arc<Table>]) -> Arc<Table> {
    let made = match (name, tables) {
        (name, [table]) if is_on_its_side(name) => on_its_side(table),
        ("pools", [pools]) => with_maxwait(pools),
        ("pool_limits", [pools, databases, users, version]) => pool_limits(pools, databases, users, version),
        ("database_limits", [databases]) => row::table(rows(databases).filter_map(ConsoleRow::database_limits)),
        ("user_limits", [users]) => row::table(rows(users).filter_map(ConsoleRow::user_limits)),
        (_, [table]) => return Arc::clone(table),
        _ => Table::default(),
    };
    made.into()
}

/// Transposes rows of a name and a value into one row with a column for each name; `yes` and `no` become 1 and 0.
fn on_its_side(table: &Table) -> Table {
    let mut turned = Table::new((0..table.rows()).map(|row| table.cell(row, 0).text().unwrap_or_default()));
    turned.push_row((0..table.rows()).map(|row| match table.cell(row, 1) {
        Cell::Text("yes") => Cell::Int(1),
        Cell::Text("no") => Cell::Int(0),
        value => value,
    }));
    turned
}

/// Adds `maxwait_seconds`: the whole seconds of one column and the microseconds of another.
fn with_maxwait(pools: &Table) -> Table {
    let mut table = Table::new(pools.columns().chain(["maxwait_seconds"]));
    for pool in rows(pools) {
        let micros = pool.number("maxwait_us").unwrap_or(0.0);
        let seconds = pool.number("maxwait").map(|seconds| seconds + micros / 1e6);
        let cells = (0..pools.columns().len()).map(|column| pools.cell(pool.row, column));
        table.push_row(cells.chain([seconds.into()]));
    }
    table
}

/// For each pool: its server connections in every state, as PgBouncer counts them against the size; and its sizes, the
/// user's own (from 1.23 on) before the database's, which the console shows with the default filled in.
fn pool_limits<'t>(pools: &'t Table, databases: &Table, users: &Table, version: &Table) -> Table {
    let is_closed = version_of(version).map(|version| version < UNLIMITED_SINCE);
    let by_name: BTreeMap<&str, ConsoleRow<'_>> =
        rows(databases).filter_map(|database| Some((database.text("name")?, database))).collect();
    let (sizes, reserves) = (own_sizes(users, "pool_size"), own_sizes(users, "reserve_pool_size"));
    let limits = |pool: ConsoleRow<'t>| {
        let (database, user) = pool.text("database").zip(pool.text("user"))?;
        let of_database = |column| by_name.get(database).and_then(|database| database.number(column));
        let size = sizes.get(user).copied().unwrap_or_else(|| of_database("pool_size"));
        let reserve = reserves.get(user).copied().unwrap_or_else(|| of_database("reserve_pool"));
        (database != CONSOLE).then(|| PoolLimitRow {
            database: database.into(),
            user: user.into(),
            servers: pool.servers().into(),
            size: size.filter(|size| *size > 0.0).into(),
            size_is_zero: size.and_then(|size| if size == 0.0 { is_closed } else { Some(false) }).into(),
            reserve: reserve.into(),
        })
    };
    row::table(rows(pools).filter_map(limits))
}

/// `PgBouncer 1.25.2` as 1 and 25; `None` for other programs, and for versions before 1.12.
fn version_of(shown: &Table) -> Option<(u32, u32)> {
    let text = shown.cell(0, 0).text()?;
    let mut numbers = text.strip_prefix("PgBouncer ")?.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The values that users have set themselves; `None` if uncertain. For a user without a setting, PgBouncer repeats the
/// previous user's value, so a repeated value may be either.
fn own_sizes<'t>(users: &'t Table, column: &str) -> BTreeMap<&'t str, Option<f64>> {
    let mut own = BTreeMap::new();
    let mut before = None;
    for user in rows(users) {
        let size = user.number(column);
        if let (Some(name), Some(_)) = (user.text("name"), size) {
            own.insert(name, size.filter(|_| size != before));
        }
        before = size;
    }
    own
}

/// A row of the console's output.
#[derive(Clone, Copy)]
struct ConsoleRow<'t> {
    table: &'t Table,
    row: usize,
}

fn rows(table: &Table) -> impl Iterator<Item = ConsoleRow<'_>> {
    (0..table.rows()).map(move |row| ConsoleRow { table, row })
}

impl<'t> ConsoleRow<'t> {
    /// A database's server and client connections, and their limits.
    fn database_limits(self) -> Option<DatabaseLimitRow<'t>> {
        Some(DatabaseLimitRow {
            database: self.name()?,
            connections: self.number("current_connections").into(),
            connections_limit: self.limit("max_connections").into(),
            client_connections: self.number("current_client_connections").into(),
            client_connections_limit: self.limit("max_client_connections").into(),
        })
    }

    /// The same for a user.
    fn user_limits(self) -> Option<UserLimitRow<'t>> {
        Some(UserLimitRow {
            user: self.name()?,
            connections: self.number("current_connections").into(),
            connections_limit: self.limit("max_user_connections").into(),
            client_connections: self.number("current_client_connections").into(),
            client_connections_limit: self.limit("max_user_client_connections").into(),
        })
    }

    /// Its name; `None` for the console itself.
    fn name(self) -> Option<Cell<'t>> {
        self.text("name").filter(|name| *name != CONSOLE).map(Cell::Text)
    }

    /// 0 means no limit.
    fn limit(self, column: &str) -> Option<f64> {
        self.number(column).filter(|limit| *limit > 0.0)
    }

    /// The server connections of a pool in all states; unknown if one of the columns is.
    fn servers(self) -> Option<f64> {
        let mut states = self.table.columns().filter(|name| name.starts_with("sv_")).peekable();
        states.peek()?;
        states.map(|state| self.number(state)).sum()
    }

    fn text(self, column: &str) -> Option<&'t str> {
        self.table.cell(self.row, self.table.column(column)?).text()
    }

    /// Users' sizes are padded with blanks.
    fn number(self, column: &str) -> Option<f64> {
        let number = match self.table.cell(self.row, self.table.column(column)?) {
            Cell::Text(text) => Cell::Text(text.trim()).number(),
            cell => cell.number(),
        };
        number.ok()?.map(Number::as_f64)
    }
}
