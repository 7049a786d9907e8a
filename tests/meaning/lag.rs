//! pg_replication_lag_seconds: how far what a replica shows is behind its upstream, on real replicas. `states.rs` has what those cannot be brought to.

use std::time::Instant;

use crate::support::{Folder, Stop, eventually, majors, sample, together};

use super::{PATIENCE, expect, expect_soon, look, server, until, watch};

const LAG: &[&str] = &["replication"];

/// The commit replayed last is long ago, and WAL keeps coming: the replica keeps up all the same.
#[test]
fn a_bulk_load_on_a_quiet_primary_is_no_lag() {
    together(majors(), |major| {
        let primary = server(major, "");
        let replica = primary.replica();
        primary.sql("postgres", "CREATE TABLE t (i int, filler text)");
        until(&replica, "SELECT clock_timestamp() - pg_last_xact_replay_timestamp() > '5s'");
        let mut loader = primary.session("postgres");
        loader.send("DO $$ BEGIN FOR i IN 1..100000 LOOP INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 100) g; PERFORM pg_sleep(0.002); END LOOP; END $$;");
        until(&primary, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_xid IS NOT NULL");
        let mut in_a_row = 0;
        eventually(PATIENCE, "the replica keeps up", || {
            let page = look(&replica, LAG);
            let value = |name: &str| sample(&page, name, &[]).unwrap_or_else(|| panic!("{major}: {name}"));
            assert!(value("pg_replication_last_replay_seconds") >= 5.0, "{major}: the load has committed");
            in_a_row = if value("pg_replication_lag_seconds") < 1.0 { in_a_row + 1 } else { 0 };
            in_a_row == 4
        });
        expect(&primary, LAG, "pg_replication_lag_seconds absent");
    });
}

/// The last commit is minutes ago, as far as it matters here; what is pending came after the last look.
#[test]
fn a_pause_after_a_quiet_time_is_as_long_as_the_pause() {
    together(majors(), |major| {
        let primary = server(major, "");
        let replica = primary.replica();
        primary.sql("postgres", "CREATE TABLE t (i int)");
        until(&replica, "SELECT clock_timestamp() - pg_last_xact_replay_timestamp() > '45s'");
        let pgvigil = watch(&replica);
        let value = |name: &str| sample(&pgvigil.get("/metrics?collector=replication", &[]).text(), name, &[]);
        eventually(PATIENCE, "it has everything", || value("pg_replication_lag_seconds") == Some(0.0));
        replica.sql("postgres", "SELECT pg_wal_replay_pause()");
        primary.sql("postgres", "INSERT INTO t SELECT generate_series(1, 1000)");
        let began = Instant::now();
        eventually(PATIENCE, "something is pending", || value("pg_replication_lag_seconds") != Some(0.0));
        for _ in 0..5 {
            let lag = value("pg_replication_lag_seconds").unwrap_or_else(|| panic!("{major}"));
            let quiet = value("pg_replication_last_replay_seconds").unwrap_or_default();
            assert!(
                lag > 0.0 && lag < (began.elapsed().as_secs_f64() + 32.0).min(quiet) && quiet > 40.0,
                "{major}: {lag} of {quiet}"
            );
        }
        replica.sql("postgres", "SELECT pg_wal_replay_resume()");
        eventually(PATIENCE, "it has everything again", || value("pg_replication_lag_seconds") == Some(0.0));
    });
}

/// Commits that wait for recovery_min_apply_delay are younger than that, however long ago the last one was replayed.
#[test]
fn a_delayed_replica_lags_by_its_delay_at_most() {
    together(majors(), |major| {
        let primary = server(major, "");
        let replica = primary.replica();
        primary.sql("postgres", "CREATE TABLE t (i int)");
        until(&replica, "SELECT clock_timestamp() - pg_last_xact_replay_timestamp() > '3s'");
        replica.sql("postgres", "ALTER SYSTEM SET recovery_min_apply_delay = '1s'; SELECT pg_reload_conf()");
        until(&replica, "SELECT current_setting('recovery_min_apply_delay') = '1s'");
        expect_soon(&replica, LAG, "pg_replication_lag_seconds = 0");
        replica.sql("postgres", "ALTER SYSTEM SET recovery_min_apply_delay = '2min'; SELECT pg_reload_conf()");
        until(&replica, "SELECT current_setting('recovery_min_apply_delay') = '2min'");
        primary.sql("postgres", "INSERT INTO t VALUES (1)");
        until(
            &replica,
            "SELECT wait_event = 'RecoveryApplyDelay' FROM pg_stat_activity WHERE backend_type = 'startup'",
        );
        expect(&replica, LAG, "pg_replication_lag_seconds >= 3\npg_replication_lag_seconds < 120.1");
        replica.sql("postgres", "ALTER SYSTEM RESET recovery_min_apply_delay; SELECT pg_reload_conf()");
        expect_soon(&replica, LAG, "pg_replication_lag_seconds = 0");
    });
}

/// It is the lag behind the upstream: a replica of a replica that is cut off has all that one has.
#[test]
fn a_cascade_lags_behind_its_upstream() {
    together(majors(), |major| {
        let primary = server(major, "");
        let upstream = primary.replica();
        let replica = upstream.replica();
        primary.sql("postgres", "CREATE TABLE t AS SELECT 1 AS i");
        expect_soon(&replica, LAG, "pg_replication_lag_seconds = 0\npg_replication_last_replay_seconds < 60");
        until(&replica, "SELECT count(*) = 1 FROM pg_class WHERE relname = 't'");
        expect_soon(&upstream, LAG, "pg_replication_streaming_receivers = 1\npg_replication_lag_seconds = 0");
        primary.stop(Stop::Fast);
        expect_soon(&upstream, LAG, "pg_stat_wal_receiver_up = 0\npg_replication_lag_seconds >= 0.000001");
        expect_soon(&replica, LAG, "pg_stat_wal_receiver_up = 1\npg_replication_lag_seconds = 0");
    });
}

/// Fed by restore_command alone, nobody knows what the primary has done since.
#[test]
fn a_replica_that_lives_from_the_archive_counts_from_the_last_commit() {
    together(majors(), |major| {
        let archive = Folder::for_server("archive", "TERM");
        let place = archive.path().display();
        let primary = server(major, &format!("archive_mode = on\narchive_command = 'cp %p {place}/%f'"));
        let replica = primary.replica();
        replica.sql("postgres", &format!("ALTER SYSTEM SET restore_command = 'cp {place}/%f %p'; ALTER SYSTEM SET primary_conninfo = ''; ALTER SYSTEM SET wal_retrieve_retry_interval = '100ms'"));
        replica.restart();
        primary.sql("postgres", "CREATE TABLE t AS SELECT 1 AS i; SELECT pg_switch_wal()");
        until(&replica, "SELECT count(*) = 1 FROM pg_class WHERE relname = 't'");
        let lines = "pg_stat_wal_receiver_up = 0
             pg_replication_lag_seconds >= 0.000001
             pg_replication_lag_seconds < 60
             pg_replication_last_replay_timestamp_seconds recent";
        expect(&replica, LAG, lines);
    });
}
