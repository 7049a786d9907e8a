//! The collectors vacuum, vacuum_tables and progress: what runs, how far it is, and what is due.

use crate::support::{Postgres, Session, majors, psql};

use super::{expect, expect_soon, server, until};

const SLOW: &str = "SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1;";

#[test]
fn tables_are_due_by_their_own_settings() {
    for major in majors() {
        let server = server(major, "");
        server.sql(
            "postgres",
            "CREATE TABLE strict (i int) WITH (autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0,
                 autovacuum_analyze_threshold = 100000, autovacuum_vacuum_insert_threshold = -1);
             CREATE TABLE lax (i int) WITH (autovacuum_vacuum_threshold = 500, autovacuum_analyze_threshold = 60);
             CREATE TABLE filled (i int) WITH (autovacuum_vacuum_insert_threshold = 10, autovacuum_vacuum_insert_scale_factor = 0);
             CREATE TABLE ignored (i int) WITH (autovacuum_enabled = off, autovacuum_freeze_max_age = 100000);
             INSERT INTO strict SELECT generate_series(1, 100); INSERT INTO lax SELECT generate_series(1, 100);
             INSERT INTO filled SELECT generate_series(1, 100); INSERT INTO ignored SELECT generate_series(1, 100)",
        );
        for table in ["strict", "lax"] {
            server.sql("postgres", &format!("VACUUM ANALYZE {table}"));
        }
        server.sql("postgres", "DELETE FROM strict; DELETE FROM lax; DELETE FROM ignored");
        // Each exception handler takes a transaction ID.
        server.sql("postgres", "CREATE TEMP TABLE x (i int);
             DO 'BEGIN FOR i IN 1..100100 LOOP BEGIN INSERT INTO x VALUES (1); EXCEPTION WHEN others THEN NULL; END; END LOOP; END'");
        let dead = |table: &str| format!("SELECT n_dead_tup = 100 FROM pg_stat_user_tables WHERE relname = '{table}'");
        ["strict", "lax", "ignored"].iter().for_each(|table| until(&server, &dead(table)));
        expect_soon(
            &server,
            &["vacuum_tables", "tables"],
            "pg_vacuum_table_dead_rows_threshold{relname=strict} = 50
             pg_vacuum_table_due_for_vacuum{relname=strict} = 1
             pg_vacuum_table_due_for_analyze{relname=strict} = 0
             pg_vacuum_table_rows{relname=strict} = 100
             pg_vacuum_table_due_last_vacuum_timestamp_seconds{relname=strict} recent
             pg_vacuum_table_due_last_vacuum_timestamp_seconds{relname=lax} absent
             pg_vacuum_table_due_last_analyze_timestamp_seconds{relname=lax} recent
             pg_vacuum_table_inserted_rows_threshold{relname=strict} absent
             pg_vacuum_table_due_for_vacuum{relname=lax} = 0
             pg_vacuum_table_due_for_analyze{relname=lax} = 1
             pg_vacuum_table_due_for_insert_vacuum{relname=filled} = 1
             pg_vacuum_table_inserted_rows_threshold{relname=filled} = 10
             pg_vacuum_table_autovacuum_enabled{relname=ignored} = 0
             pg_vacuum_table_due_for_vacuum{relname=ignored} = 0
             pg_vacuum_table_due_for_freeze{relname=ignored} = 1
             pg_vacuum_table_due_for_freeze{relname=strict} = 0
             pg_vacuum_table_freeze_max_age{relname=ignored} = 100000
             pg_vacuum_table_xid_age{relname=ignored} >= 100100
             pg_vacuum_tables_due_for_freeze = 1
             pg_vacuum_tables_disabled = 1
             pg_stat_user_tables_n_dead_tup{relname=lax} = 100",
        );
    }
}

#[test]
fn autovacuum_and_vacuum_at_work_are_seen() {
    for major in majors() {
        let server = server(
            major,
            "autovacuum_max_workers = 5\nautovacuum_naptime = 1s\nautovacuum_vacuum_cost_delay = 100\nautovacuum_vacuum_cost_limit = 1
             quote_all_identifiers = on",
        );
        server.sql("postgres", "CREATE SCHEMA \"tenant-7\"; CREATE SCHEMA \"shop.example\"; CREATE DATABASE other");
        server.sql("other", "CREATE SCHEMA \"shop.example\"");
        let make = |database: &str, name: &str| {
            let sql = format!(
                "CREATE TABLE {name} AS SELECT g AS i, repeat('x', 1000) AS filler FROM generate_series(1, 20000) g; CREATE INDEX ON {name} (i); DELETE FROM {name} WHERE i % 2 = 0"
            );
            server.sql(database, &sql);
        };
        make("postgres", "\"tenant-7\".by_hand");
        let mut hand = server.session("postgres");
        hand.send(&format!("{SLOW} VACUUM \"tenant-7\".by_hand;"));
        until(&server, "SELECT count(*) = 1 FROM pg_stat_progress_vacuum WHERE heap_blks_scanned > 0");
        expect(
            &server,
            &["vacuum", "settings"],
            "pg_autovacuum_workers = 0
             pg_settings_autovacuum_max_workers = 5
             pg_stat_progress_vacuum_phase{datname=postgres,schemaname=tenant-7,relname=by_hand,phase=scanning heap} = 1
             pg_stat_progress_vacuum_heap_blks{relname=by_hand} >= 1000
             pg_stat_progress_vacuum_heap_blks_scanned{relname=by_hand} >= 1
             -17 pg_stat_progress_vacuum_max_dead_tuples{relname=by_hand} >= 1000
             17+ pg_stat_progress_vacuum_max_dead_tuple_bytes{relname=by_hand} >= 1000
             pg_stat_progress_vacuum_index_vacuums{relname=by_hand} = 0",
        );
        drop(hand);
        make("postgres", "\"shop.example\".by_itself");
        make("other", "\"shop.example\".elsewhere");
        server.sql("postgres", "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf()");
        expect_soon(
            &server,
            &["vacuum"],
            "pg_autovacuum_workers >= 1
             pg_autovacuum_wraparound_workers = 0
             pg_stat_activity_autovacuum_timestamp_seconds{relname=by_itself} recent
             pg_stat_progress_vacuum_phase{schemaname=shop.example,relname=by_itself} = 1
             pg_stat_activity_autovacuum_timestamp_seconds{relname=shop.example.elsewhere} recent",
        );
    }
}

#[test]
fn a_vacuum_against_wraparound_is_told_apart() {
    let server = server(
        *majors().last().expect("a version"),
        "autovacuum_naptime = 1s\nautovacuum_vacuum_cost_delay = 100\nautovacuum_vacuum_cost_limit = 1",
    );
    server.sql(
        "postgres",
        "CREATE TABLE old WITH (autovacuum_freeze_max_age = 100000, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)
             AS SELECT g AS i, repeat('x', 1000) AS filler FROM generate_series(1, 20000) g;
         CREATE TEMP TABLE x (i int);
         DO 'BEGIN FOR i IN 1..100100 LOOP BEGIN INSERT INTO x VALUES (1); EXCEPTION WHEN others THEN NULL; END; END LOOP; END';
         ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf()",
    );
    expect_soon(
        &server,
        &["vacuum"],
        "pg_autovacuum_wraparound_workers = 1\npg_stat_activity_autovacuum_timestamp_seconds{relname=old} recent",
    );
}

#[test]
fn long_commands_show_how_far_they_are() {
    for major in majors() {
        let server = server(major, "");
        server.sql(
            "postgres",
            "CREATE SCHEMA \"tenant-7\"; CREATE TABLE \"tenant-7\".copied (i int); CREATE TABLE analyzed AS SELECT g AS i, repeat('x', 1000) AS filler FROM generate_series(1, 20000) g;
             CREATE TABLE clustered AS SELECT 1 AS i;
             CREATE FUNCTION public.nap(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql
                 AS 'BEGIN PERFORM pg_catalog.pg_sleep(coalesce(nullif(pg_catalog.current_setting(''app.nap'', true), ''''), ''0'')::float8); RETURN i; END';
             CREATE INDEX ON clustered (public.nap(i))",
        );
        let mut sessions: Vec<_> = (0..3).map(|_| server.session("postgres")).collect();
        sessions[0].send("COPY \"tenant-7\".copied FROM PROGRAM 'seq 1 100000; exec sleep 600';");
        sessions[1].send(&format!("{SLOW} ANALYZE analyzed;"));
        sessions[2].send("SET app.nap = '600'; VACUUM FULL clustered;");
        let _backup = base_backup(&server);
        let lines =
            "14+ pg_stat_progress_commands{command=COPY FROM,relname=copied,datname=postgres,schemaname=tenant-7} = 1
             14+ pg_stat_progress_rows_done{command=COPY FROM,relname=copied} >= 1000
             14+ pg_stat_progress_done_bytes{command=COPY FROM,relname=copied} >= 1000
             pg_stat_progress_commands{command=ANALYZE,relname=analyzed,phase=acquiring sample rows} = 1
             pg_stat_progress_blocks{command=ANALYZE,relname=analyzed} >= 1000
             pg_stat_progress_commands{command=VACUUM FULL,relname=clustered,phase=rebuilding index} = 1
             pg_stat_progress_commands{command=BASE BACKUP,phase=streaming database files} = 1
             pg_stat_progress_size_bytes{command=BASE BACKUP} >= 1000000
             pg_stat_progress_done_bytes{command=BASE BACKUP} >= 1";
        expect_soon(&server, &["progress"], lines);
        // COPY waits in a read that only the end of its program ends.
        server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'");
    }
}

/// One that takes longer than the test: nobody reads what it sends.
fn base_backup(server: &Postgres) -> Session {
    let mut psql = psql::psql(server.socket_dir(), server.port(), "postgres", "dbname=postgres replication=true");
    let mut session = Session::open(&mut psql);
    session.send(match server.major() {
        15.. => "BASE_BACKUP (MAX_RATE 32, CHECKPOINT 'fast', PROGRESS);",
        _ => "BASE_BACKUP PROGRESS FAST MAX_RATE 32;",
    });
    session
}
