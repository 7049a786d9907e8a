//! The collector database: transactions, rows, temporary files, deadlocks, sessions, checksums, ages.

use std::{fs::OpenOptions, os::unix::fs::FileExt};

use crate::support::{Folder, Stop, eventually, majors, place::postgres_program, sample};

use super::{Postgres, expect, expect_soon, look, server, until};

const NOBODY: &str = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'app'";

fn value(page: &str, name: &str) -> f64 {
    sample(page, &format!("pg_stat_database_{name}"), &[("datname", "app")]).unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn what_a_database_did_is_counted() {
    for major in majors() {
        let server = server(major, "deadlock_timeout = 20ms");
        server.sql("postgres", "CREATE DATABASE app");
        server.sql("app", "CREATE TABLE t AS SELECT g AS i FROM generate_series(1, 1000) g; CREATE INDEX ON t (i)");
        until(&server, "SELECT tup_inserted >= 1000 FROM pg_stat_database WHERE datname = 'app'");
        let before = look(&server, &["database"]);
        server.sql("app", "BEGIN; UPDATE t SET i = 0 WHERE i <= 30; COMMIT; DELETE FROM t WHERE i BETWEEN 41 AND 45");
        server.sql("app", "BEGIN; INSERT INTO t SELECT 7 FROM generate_series(1, 11); ROLLBACK");
        server.sql("app", "SET work_mem = '64kB'; SELECT g FROM generate_series(1, 100000) g ORDER BY -g OFFSET 99999");
        deadlock(&server);
        until(&server, NOBODY);
        let mut killed = server.session("app");
        killed.run("SELECT 1;");
        server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app'");
        until(&server, NOBODY);
        drop(killed);
        // It sits in a transaction for longer than it may.
        let mut fatal = server.session("app");
        fatal.send("SET idle_in_transaction_session_timeout = '20ms'; BEGIN;");
        until(&server, "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'app' AND state LIKE 'idle in%'");
        until(&server, NOBODY);
        let lines = format!(
            "pg_stat_database_tup_updated{{datname=app}} >= {}
             pg_stat_database_tup_deleted{{datname=app}} = {}
             pg_stat_database_tup_inserted{{datname=app}} = {}
             pg_stat_database_xact_commit{{datname=app}} >= {}
             pg_stat_database_xact_rollback{{datname=app}} >= {}
             pg_stat_database_temp_files{{datname=app}} >= {}
             pg_stat_database_temp_bytes{{datname=app}} >= 100000
             pg_stat_database_deadlocks{{datname=app}} = 1
             pg_stat_database_blks_hit{{datname=app}} >= 10
             pg_stat_database_blks_read{{datname=app}} >= 1
             pg_stat_database_numbackends{{datname=app}} = 0
             pg_stat_database_conflicts_confl_lock absent
             14+ pg_stat_database_sessions_total{{datname=app}} >= {}
             14+ pg_stat_database_session_time_seconds_total{{datname=app}} >= 0.02
             14+ pg_stat_database_sessions_killed_total{{datname=app}} = 1
             14+ pg_stat_database_sessions_fatal_total{{datname=app}} = 1
             14+ pg_stat_database_sessions_abandoned_total{{datname=app}} >= 1
             -14 pg_stat_database_sessions_total absent
             pg_database_wraparound_age_datfrozenxid_seconds{{datname=app}} >= 3
             pg_database_wraparound_age_datminmxid_seconds{{datname=app}} >= 0",
            value(&before, "tup_updated") + 32.0,
            value(&before, "tup_deleted") + 5.0,
            value(&before, "tup_inserted") + 11.0,
            value(&before, "xact_commit") + 3.0,
            value(&before, "xact_rollback") + 2.0,
            value(&before, "temp_files") + 1.0,
            if major >= 14 { value(&before, "sessions_total") + 6.0 } else { 0.0 },
        );
        expect_soon(&server, &["database"], &lines);
    }
}

/// Two sessions, each of which wants what the other has: one of them ends with an error.
fn deadlock(server: &Postgres) {
    let [mut one, mut other] = [0, 1].map(|_| server.session("app"));
    one.run("BEGIN; UPDATE t SET i = -1 WHERE i = 101;");
    other.run("BEGIN; UPDATE t SET i = -1 WHERE i = 102;");
    one.send("UPDATE t SET i = -1 WHERE i = 102;");
    other.send("UPDATE t SET i = -1 WHERE i = 101;");
    until(server, "SELECT deadlocks = 1 FROM pg_stat_database WHERE datname = 'app'");
}

/// Locks in a database that nobody knows any more, as while one is dropped, and locks in none are counted together.
#[test]
fn locks_without_a_database_are_all_counted() {
    for major in majors() {
        let server = server(major, "");
        server.sql("postgres", "CREATE DATABASE gone");
        let [mut there, mut nowhere] = ["gone", "postgres"].map(|database| server.session(database));
        there.run("CREATE TABLE t (); CREATE TABLE u (); BEGIN; LOCK t, u IN SHARE MODE;");
        nowhere.run("BEGIN; LOCK pg_catalog.pg_tablespace IN SHARE MODE;");
        server.sql("postgres", "SET allow_system_table_mods = on; DELETE FROM pg_database WHERE datname = 'gone'");
        let lines = "pg_locks_count{datname=,mode=sharelock} = 3
                     pgvigil_rows_duplicate_total{collector=locks} = 0";
        expect(&server, &["locks"], lines);
    }
}

#[test]
fn a_page_whose_checksum_is_wrong_is_counted() {
    for major in majors() {
        let server = server(major, "");
        server.sql("postgres", "CREATE TABLE t AS SELECT g AS i FROM generate_series(1, 1000) g");
        let file = server.sql("postgres", "SELECT pg_relation_filepath('t')");
        server.stop(Stop::Fast);
        let path = server.data_dir().join(file);
        OpenOptions::new()
            .write(true)
            .open(path)
            .expect("the table's file")
            .write_all_at(b"damaged", 4000)
            .expect("writing");
        server.start();
        expect(&server, &["database"], "pg_stat_database_checksum_failures_total{datname=postgres} = 0");
        eventually(super::PATIENCE, "a damaged page", || server.try_sql("postgres", "SELECT count(*) FROM t").is_err());
        let lines = "pg_stat_database_checksum_failures_total{datname=postgres} >= 1
                     pg_stat_database_checksum_last_failure_timestamp_seconds{datname=postgres} recent
                     pg_settings_data_checksums = 1";
        expect_soon(&server, &["database", "settings"], lines);
    }
}

/// On one version: the other servers come without the program that turns them off.
#[test]
fn without_checksums_there_is_nothing_to_say_of_them() {
    let server = server(15, "");
    server.stop(Stop::Fast);
    let folder = Folder::for_server("checksums", "TERM");
    let mut disable = folder.command(postgres_program(15, "pg_checksums"));
    let done = disable.args(["--disable", "-D"]).arg(server.data_dir()).output().expect("running pg_checksums");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    server.start();
    let lines = "pg_stat_database_checksum_failures_total{datname=postgres} absent
                 pg_stat_database_checksum_last_failure_timestamp_seconds{datname=postgres} absent
                 pg_settings_data_checksums = 0";
    expect(&server, &["database", "settings"], lines);
}
