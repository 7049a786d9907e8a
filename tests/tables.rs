//! The collectors of each database, against what was done to its tables: verdicts, bloat, sequences, partitions, functions of strangers.

use crate::support::{Folder, GRANTS, Pgvigil, Postgres, majors, page, sample};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

fn scrape(server: &Postgres) -> String {
    let folder = Folder::new("tables", "TERM");
    let url = server.url("pgvigil", "postgres");
    let file = folder.write("pgvigil.yaml", &format!("targets:\n  - {{name: db, postgres: {{url: \"{url}\"}}}}\n"));
    Pgvigil::start(BINARY, &["--config", &file.display().to_string()], &[]).scrape()
}

fn server(major: u32, sql: &str) -> Postgres {
    let server = Postgres::builder(major).config("autovacuum = off").start();
    server.create_monitor_role();
    server.sql("postgres", sql);
    server
}

/// The named series' value, of whatever index, table or sequence `named` says.
fn value(page: &str, metric: &str, label: &str, named: &str) -> Option<f64> {
    sample(page, metric, &[("target", "db"), ("datname", "postgres"), (label, named)])
}

#[test]
fn verdicts_name_what_can_go_and_what_is_missing() {
    let sql = "CREATE TABLE parent (id int PRIMARY KEY, a int, b int, c text, d int);
        CREATE INDEX plain ON parent (id); CREATE INDEX a ON parent (a); CREATE INDEX a_b ON parent (a, b);
        CREATE INDEX lower ON parent (lower(c)); CREATE INDEX again ON   parent (lower(c));
        CREATE INDEX a_desc ON parent (a DESC);
        CREATE TABLE child (parent int REFERENCES parent, other int REFERENCES parent, third int REFERENCES parent);
        CREATE INDEX supports ON child (parent); CREATE INDEX not_null ON child (third) WHERE third IS NOT NULL;
        CREATE TABLE events (at timestamptz) PARTITION BY RANGE (at);
        CREATE TABLE october PARTITION OF events FOR VALUES FROM ('2026-10-01 00:00+00') TO ('2026-11-01 00:00+00');
        CREATE TABLE rest PARTITION OF events DEFAULT;
        CREATE INDEX events_at ON events (at);
        INSERT INTO events VALUES ('2026-10-02'), ('2030-01-01'), ('2031-01-01');
        CREATE TABLE hyper (at int); CREATE TABLE chunk () INHERITS (hyper);
        CREATE TABLE narrow (id int); CREATE SEQUENCE wide OWNED BY narrow.id; SELECT setval('wide', 1073741824);
        CREATE TABLE scanned AS SELECT g AS id FROM generate_series(1, 2000) g;
        DO 'BEGIN FOR i IN 1..120 LOOP PERFORM count(*) FROM scanned; END LOOP; END'";
    for major in majors() {
        let server = server(major, sql);
        let scans = "SELECT pg_stat_get_numscans('scanned'::regclass) >= 120";
        server.until("postgres", scans, "t");
        let page = scrape(&server);
        let named = |metric, label, name| value(&page, metric, label, name).is_some();
        for (metric, yes, no) in [
            ("pg_index_redundant_bytes", vec!["plain", "a"], vec!["a_b", "a_desc", "lower", "again", "parent_pkey"]),
            ("pg_index_duplicate_bytes", vec!["again"], vec!["lower", "plain", "a_desc"]),
            (
                "pg_index_unused_bytes",
                vec!["a", "a_desc", "events_at"],
                vec!["parent_pkey", "lower", "supports", "not_null", "october_at_idx"],
            ),
        ] {
            for (index, wanted) in yes.iter().map(|name| (name, true)).chain(no.iter().map(|name| (name, false))) {
                assert_eq!(named(metric, "indexrelname", index), wanted, "{major} {metric} {index}");
            }
        }
        assert!(named("pg_foreign_key_without_index_rows", "constraint", "child_other_fkey"), "{major}");
        assert_eq!(value(&page, "pg_foreign_keys_without_index", "target", "db"), Some(1.0), "{major}");
        assert!(named("pg_table_without_primary_key_rows", "relname", "events"), "{major}");
        assert!(!named("pg_table_without_primary_key_rows", "relname", "october"), "{major}");
        assert!(named("pg_table_without_primary_key_rows", "relname", "hyper"), "{major}");
        assert!(!named("pg_table_without_primary_key_rows", "relname", "chunk"), "{major}");
        let read = value(&page, "pg_table_mostly_scanned_rows", "relname", "scanned");
        assert_eq!(read, Some(240_000.0), "{major}");
        assert_eq!(value(&page, "pg_tables_mostly_scanned", "target", "db"), Some(1.0), "{major}");
        let partitions = |metric| value(&page, &format!("pg_partitioned_table_{metric}"), "relname", "events");
        assert_eq!(partitions("newest_end_timestamp_seconds"), Some(1_793_491_200.0), "{major}");
        assert_eq!(partitions("oldest_start_timestamp_seconds"), Some(1_790_812_800.0), "{major}");
        assert_eq!(partitions("default_rows"), Some(2.0), "{major}");
        let used = value(&page, "pg_sequence_used_ratio", "sequencename", "wide").expect("the sequence");
        assert!((used - 0.5).abs() < 1e-6, "{major}: a bigint sequence in an integer column is {used} full");
    }
}

/// Rows at random places are deleted and vacuumed away: a new table, or index, would be smaller by their share.
#[test]
fn bloat_is_estimated_within_a_few_points() {
    for major in majors() {
        let server = server(major, "SELECT");
        for percent in [0, 30, 60, 90] {
            let name = format!("t{percent}");
            server.sql(
                "postgres",
                &format!(
                    "CREATE TABLE {name} AS SELECT g AS id, g % 100 AS few, CASE WHEN g % 3 = 0 THEN g::bigint END AS maybe,
                            now() AS at, repeat('x', g % 60) AS note FROM generate_series(1, 100000) g;
                     CREATE UNIQUE INDEX {name}_id ON {name} (id); CREATE INDEX {name}_note ON {name} (note, id)"
                ),
            );
            server.sql("postgres", &format!("DELETE FROM {name} WHERE hashint4(id) & 1023 < {percent} * 10.24"));
            // Counts arrive a while after the session that made them: a vacuum before would not know of the dead rows.
            let dead = format!("SELECT sign(pg_stat_get_dead_tuples('{name}'::regclass))");
            let shows = |wanted| server.until("postgres", &dead, wanted);
            shows(if percent == 0 { "0" } else { "1" });
            server.sql("postgres", &format!("VACUUM {name}"));
            server.sql("postgres", &format!("ANALYZE {name}"));
            shows("0");
        }
        let page = scrape(&server);
        for percent in [0, 30, 60, 90] {
            let truth = f64::from(percent) / 100.0;
            let table = value(&page, "pg_bloat_table_ratio", "relname", &format!("t{percent}")).expect("an estimate");
            assert!((table - truth).abs() < 0.05, "{major} table: {table} for {truth}");
            for index in ["id", "note"] {
                let name = format!("t{percent}_{index}");
                let ratio = value(&page, "pg_bloat_index_ratio", "indexrelname", &name).expect("an estimate");
                assert!((ratio - truth).abs() < 0.05, "{major} index {index}: {ratio} for {truth}");
            }
        }
    }
}

/// Whoever owns a database can make a schema in it. What is in there must never run as the monitoring role.
#[test]
fn functions_of_strangers_are_not_run() {
    for major in majors() {
        let server = Postgres::builder(major).start();
        server.create_monitor_role();
        server.sql(
            "postgres",
            "DROP SCHEMA pgvigil CASCADE; CREATE ROLE stranger; CREATE SCHEMA pgvigil AUTHORIZATION stranger; SET ROLE stranger;
             GRANT USAGE ON SCHEMA pgvigil TO PUBLIC;
             CREATE FUNCTION pgvigil.sequence_values() RETURNS TABLE (relid oid, last_value bigint) IMMUTABLE LANGUAGE plpgsql
             AS 'BEGIN RAISE EXCEPTION ''run by %'', current_user; END'",
        );
        let page = scrape(&server);
        let labels = [("target", "db"), ("collector", "sequences"), ("reason", "extension")];
        assert_eq!(sample(&page, "pgvigil_collector_skipped", &labels), Some(1.0), "{major}");
        assert_eq!(page::samples(&page, "pg_sequence_used_ratio", &[]), [0.0; 0], "{major}");
        assert!(!server.log().contains("run by"), "{major}: {}", server.log());
        assert!(server.try_sql("postgres", GRANTS).is_err(), "{major}: the grants trust a stranger's schema");
    }
}
