//! Servers of a size: many tables with their indexes, many databases of that kind, many statements in pg_stat_statements.

use super::Postgres;

/// Tables of one transaction: each takes a lock, and so does each of its indexes.
const AT_ONCE: usize = 500;

/// Places in a statement that are one operator or another: 32,768 different statements.
const PLACES: usize = 15;

/// So many tables `t1`, `t2`, ... with this many indexes each, a few rows, a few dead ones, and TOAST tables.
pub fn fill_tables(server: &Postgres, db: &str, tables: usize, indexes: usize) {
    let columns: Vec<String> = (1..indexes).map(|n| format!("c{n} int DEFAULT {n}")).collect();
    let columns = [vec!["id int PRIMARY KEY".to_owned()], columns, vec!["body text".to_owned()]].concat().join(", ");
    let more = (1..indexes).map(|n| format!("EXECUTE format('CREATE INDEX t%s_c{n} ON t%s (c{n})', i, i);\n"));
    let more: String = more.collect();
    for first in (1..=tables).step_by(AT_ONCE) {
        let last = tables.min(first + AT_ONCE - 1);
        let fill = format!(
            "DO $$ BEGIN FOR i IN {first}..{last} LOOP
               EXECUTE format('CREATE TABLE t%s ({columns})', i);
               {more}
               EXECUTE format('INSERT INTO t%s SELECT generate_series(1, 10)', i);
               EXECUTE format('DELETE FROM t%s WHERE id < 3', i);
             END LOOP; END $$"
        );
        server.sql(db, &fill);
    }
    server.sql(db, "ANALYZE");
}

/// So many databases `d1`, `d2`, ..., each a copy of the first.
pub fn fill_databases(server: &Postgres, databases: usize, tables: usize, indexes: usize) {
    server.sql("postgres", "CREATE DATABASE d1");
    fill_tables(server, "d1", tables, indexes);
    // Copied as files where that has to be asked for: log records of each page would take longer.
    let how = if server.major() >= 15 { "STRATEGY file_copy" } else { "" };
    let create = |n| format!("CREATE DATABASE d{n} TEMPLATE d1 {how};\n");
    server.sql("postgres", &(2..=databases).map(create).collect::<String>());
}

/// So many different statements, each run once, with texts as long as applications' are. The extension is there already.
pub fn fill_statements(server: &Postgres, db: &str, statements: usize) {
    assert!(statements < 1 << PLACES, "at most {} different statements", 1 << PLACES);
    server.sql(
        db,
        &format!(
            "\\o /dev/null
             SELECT 'SELECT /* service:orders, controller:checkout, action:create, request:0123456789abcdef */ 1'
                    || (SELECT string_agg(CASE WHEN n >> place & 1 = 1 THEN ' + ' ELSE ' - ' END || place, '')
                          FROM generate_series(1, {PLACES}) place) || ' AS a_column_with_a_longer_name'
               FROM generate_series(2, 2 * {statements}, 2) n \\gexec\n"
        ),
    );
}
