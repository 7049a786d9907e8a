//! Lists the databases of a server, and why a login to one of them would be refused.

use crate::source::fetch::Database;
use crate::table::{Cell, Table};

/// Further databases are ignored.
pub const MAX_DATABASES: usize = 100_000;

/// Connection limits do not apply to superusers.
pub const SQL: &str = "SELECT datname, CASE WHEN datistemplate THEN 'template' WHEN datconnlimit = -2 THEN 'invalid' \
         WHEN NOT datallowconn THEN 'not_allowed' WHEN NOT pg_catalog.has_database_privilege(oid, 'CONNECT') THEN 'privilege' \
         WHEN datconnlimit = 0 AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN 'connection_limit' \
         ELSE '' END AS closed, pg_catalog.octet_length(datname::pg_catalog.text) AS bytes \
    FROM pg_catalog.pg_database ORDER BY 2, 1";

/// The databases in the rows of [`SQL`].
pub fn from_table(table: &Table) -> Vec<Database> {
    let mut databases = Vec::with_capacity(table.rows());
    for row in 0..table.rows() {
        let (Cell::Text(name), Cell::Text(closed)) = (table.cell(row, 0), table.cell(row, 1)) else { continue };
        // A login sends the name in UTF-8: in another encoding the same bytes would name another database.
        let is_utf8 = table.cell(row, 2) == Cell::Int(name.len() as i64);
        let closed = if closed.is_empty() && !is_utf8 { "encoding" } else { closed };
        let closed = (!closed.is_empty()).then(|| closed.to_owned());
        databases.push(Database { name: name.to_owned(), closed });
    }
    databases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_closed_for_a_reason() {
        let mut table = Table::new(["datname", "closed", "bytes"]);
        let int = Cell::Int;
        table.push_row([Cell::Text("app"), Cell::Text(""), int(3)]);
        table.push_row([Cell::Text("größe"), Cell::Text(""), int(5)]);
        table.push_row([Cell::Text("größe"), Cell::Text("template"), int(5)]);
        table.push_row([Cell::Absent, Cell::Text(""), int(0)]);
        let closed = |name: &str, closed: &str| Database { name: name.to_owned(), closed: Some(closed.to_owned()) };
        let app = Database { name: "app".to_owned(), closed: None };
        assert_eq!(from_table(&table), [app, closed("größe", "encoding"), closed("größe", "template")]);
    }
}
