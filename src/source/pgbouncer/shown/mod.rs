//! What a PgBouncer's console shows, as the tables of its sections. Pure.
//!
//! Columns are found by name, because versions differ in what they have. What one has not is absent.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    source::fetch::FetchError,
    table::{Cell, Number, Table},
};

/// What was shown, by the word after `SHOW`; or why it was not.
pub type ConsoleTables = BTreeMap<String, Result<Arc<Table>, FetchError>>;

/// The console's own database.
const CONSOLE: &str = "pgbouncer";

/// From this version on a pool of size 0 has no limit. Before, nobody gets a connection of it.
const UNLIMITED_SINCE: (u32, u32) = (1, 24);

/// What must be shown for a section.
pub fn commands<'a>(section: &'a &'a str) -> &'a [&'a str] {
    match *section {
        "pool_limits" => &["pools", "databases", "users", "version"],
        "database_limits" => &["databases"],
        "user_limits" => &["users"],
        _ => std::slice::from_ref(section),
    }
}

/// A row for each name, which becomes one row with a column for each.
fn is_on_its_side(command: &str) -> bool {
    ["config", "lists", "state"].contains(&command)
}

/// The widest table of any version has some 30 columns. Each is looked for among all, in each row.
const MOST_COLUMNS: usize = 100;

/// How many of a command's columns are read: a name and a value of those that are put on their side.
pub fn width(command: &str) -> usize {
    if is_on_its_side(command) { 2 } else { MOST_COLUMNS }
}

/// What a column that a command shows is called here: as in the versions before 1.24.
pub fn column<'a>(command: &str, name: &'a str) -> &'a str {
    match (command, name) {
        ("databases", "reserve_pool_size") => "reserve_pool",
        (_, name) => name,
    }
}

/// The table of a section; `None` if something that it is made of was not asked.
///
/// # Errors
/// Why something that it is made of was not shown.
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
        ("database_limits", [databases]) => limits(
            databases,
            "database",
            ["name", "current_connections", "max_connections", "current_client_connections", "max_client_connections"],
        ),
        ("user_limits", [users]) => limits(
            users,
            "user",
            [
                "name",
                "current_connections",
                "max_user_connections",
                "current_client_connections",
                "max_user_client_connections",
            ],
        ),
        (_, [table]) => return Arc::clone(table),
        _ => Table::default(),
    };
    made.into()
}

/// Rows of a name and a value as one row with a column for each name; `yes` and `no` as 1 and 0.
fn on_its_side(table: &Table) -> Table {
    let name = |row| match table.cell(row, 0) {
        Cell::Text(name) => name,
        _ => "",
    };
    let mut turned = Table::new((0..table.rows()).map(name));
    turned.push_row((0..table.rows()).map(|row| match table.cell(row, 1) {
        Cell::Text("yes") => Cell::Int(1),
        Cell::Text("no") => Cell::Int(0),
        value => value,
    }));
    turned
}

/// With `maxwait_seconds`: the whole seconds of one column and the microseconds of another.
fn with_maxwait(pools: &Table) -> Table {
    let columns = pools.columns().chain(["maxwait_seconds"]);
    let mut table = Table::new(columns);
    for row in 0..pools.rows() {
        let seconds = number(pools, row, "maxwait").map(|seconds| {
            let micros = number(pools, row, "maxwait_us").unwrap_or(0.0);
            Cell::Float(seconds + micros / 1e6)
        });
        let cells = (0..pools.columns().len()).map(|column| pools.cell(row, column));
        table.push_row(cells.chain([seconds.unwrap_or(Cell::Absent)]));
    }
    table
}

/// Of each pool: its server connections in every state, as PgBouncer counts them against the size; and its sizes, the
/// user's own (from 1.23 on) before the database's, which the console shows with the default filled in.
fn pool_limits(pools: &Table, databases: &Table, users: &Table, version: &Table) -> Table {
    let is_closed = version_of(version).map(|version| version < UNLIMITED_SINCE);
    let by_name: BTreeMap<&str, usize> =
        (0..databases.rows()).filter_map(|row| Some((text(databases, row, "name")?, row))).collect();
    let (sizes, reserves) = (own_sizes(users, "pool_size"), own_sizes(users, "reserve_pool_size"));
    let mut table = Table::new(["database", "user", "servers", "size", "size_is_zero", "reserve"]);
    for row in 0..pools.rows() {
        let names = text(pools, row, "database").zip(text(pools, row, "user"));
        let Some((database, user)) = names.filter(|(database, _)| *database != CONSOLE) else { continue };
        let of_database = |column| by_name.get(database).and_then(|row| number(databases, *row, column));
        let size = sizes.get(user).copied().unwrap_or_else(|| of_database("pool_size"));
        let reserve = reserves.get(user).copied().unwrap_or_else(|| of_database("reserve_pool"));
        table.push_row([
            Cell::Text(database),
            Cell::Text(user),
            cell(servers(pools, row)),
            cell(size.filter(|size| *size > 0.0)),
            cell(
                size.and_then(|size| if size == 0.0 { is_closed } else { Some(false) })
                    .map(|zero| f64::from(u8::from(zero))),
            ),
            cell(reserve),
        ]);
    }
    table
}

fn servers(pools: &Table, row: usize) -> Option<f64> {
    let mut states = pools.columns().filter(|name| name.starts_with("sv_")).peekable();
    states.peek()?;
    states.map(|state| number(pools, row, state)).sum()
}

/// `PgBouncer 1.25.2` as 1 and 25; `None` of other programs, and of those before 1.12, which show it elsewhere.
fn version_of(shown: &Table) -> Option<(u32, u32)> {
    let Cell::Text(text) = shown.cell(0, 0) else { return None };
    let mut numbers = text.strip_prefix("PgBouncer ")?.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// What users have set for themselves; `None`: perhaps. Of a user who has set nothing, PgBouncer shows what it has shown
/// of the user before, so that a value which repeats may be either.
fn own_sizes<'t>(users: &'t Table, column: &str) -> BTreeMap<&'t str, Option<f64>> {
    let mut own = BTreeMap::new();
    let mut before = None;
    for row in 0..users.rows() {
        let size = number(users, row, column);
        if let (Some(user), Some(_)) = (text(users, row, "name"), size) {
            own.insert(user, size.filter(|_| size != before));
        }
        before = size;
    }
    own
}

/// How many connections there are and may be, of servers and of clients, each under its name. 0 is no limit.
fn limits(shown: &Table, kind: &str, [name, servers, most_servers, clients, most_clients]: [&str; 5]) -> Table {
    let mut table =
        Table::new([kind, "connections", "connections_limit", "client_connections", "client_connections_limit"]);
    for row in 0..shown.rows() {
        let Some(name) = text(shown, row, name).filter(|name| *name != CONSOLE) else { continue };
        let count = |column| cell(number(shown, row, column));
        let limit = |column| cell(number(shown, row, column).filter(|limit| *limit > 0.0));
        table.push_row([Cell::Text(name), count(servers), limit(most_servers), count(clients), limit(most_clients)]);
    }
    table
}

fn text<'t>(table: &'t Table, row: usize, column: &str) -> Option<&'t str> {
    match table.cell(row, table.column(column)?) {
        Cell::Text(text) => Some(text),
        _ => None,
    }
}

/// Sizes of users are padded with blanks.
fn number(table: &Table, row: usize, column: &str) -> Option<f64> {
    match table.cell(row, table.column(column)?) {
        Cell::Text(text) => Cell::Text(text.trim()).number(),
        cell => cell.number(),
    }
    .ok()?
    .map(Number::as_f64)
}

fn cell(number: Option<f64>) -> Cell<'static> {
    number.map_or(Cell::Absent, Cell::Float)
}
