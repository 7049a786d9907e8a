//! A replica is not its primary: what it has only as a copy, or from a time when it was one, is no state of its own.

use std::fs;

use crate::support::{Stop, majors};

use super::{expect, expect_soon, server};

const COLLECTORS: &[&str] = &["replication", "wal", "wal_files"];

/// Workers of a subscription run on the primary. That its replica has none says nothing.
#[test]
fn a_subscription_is_the_primarys() {
    for major in majors() {
        let subscriber = server(major, "wal_level = logical");
        subscriber
            .sql("postgres", "CREATE SUBSCRIPTION s CONNECTION 'dbname=none' PUBLICATION p WITH (connect = false)");
        let replica = subscriber.replica();
        expect(
            &subscriber,
            COLLECTORS,
            "pg_stat_subscription_enabled{subname=s} = 0\npg_stat_subscription_workers{subname=s,worker=apply} = 0",
        );
        let lines = "pg_replication_is_replica = 1
             pg_stat_subscription_enabled absent
             pg_stat_subscription_workers absent
             pg_stat_subscription_apply_errors_total absent";
        expect(&replica, &[COLLECTORS, &["server"]].concat(), lines);
        replica.promote();
        expect_soon(&replica, COLLECTORS, "pg_stat_subscription_enabled{subname=s} = 0");
    }
}

/// A primary that becomes a replica no longer archives, unless archive_mode is always.
#[test]
fn archiving_is_shown_where_it_is_done() {
    for major in majors() {
        let server = server(major, "archive_mode = on\narchive_command = 'false'\nwal_keep_size = 1GB");
        server.sql("postgres", "CREATE TABLE t (i int); SELECT pg_switch_wal()");
        let failing = "pg_stat_archiver_failed_count >= 1
             pg_stat_archiver_last_failed_timestamp_seconds recent
             pg_archive_waiting_files >= 1
             pg_archive_waiting_oldest_timestamp_seconds recent";
        expect_soon(&server, COLLECTORS, failing);
        server.stop(Stop::Fast);
        fs::write(server.data_dir().join("standby.signal"), "").expect("making a standby");
        server.start();
        let absent = "pg_stat_archiver_archived_count absent
             pg_stat_archiver_failed_count absent
             pg_stat_archiver_last_failed_timestamp_seconds absent
             pg_stat_archiver_stats_reset_timestamp_seconds absent
             pg_archive_waiting_files absent
             pg_archive_waiting_oldest_timestamp_seconds absent
             pg_wal_segments >= 1
             pg_wal_position_bytes_total >= 1";
        expect(&server, COLLECTORS, absent);
        server.sql("postgres", "ALTER SYSTEM SET archive_mode = always");
        server.restart();
        let lines = "pg_stat_archiver_archived_count = 0\npg_archive_waiting_files >= 1\npg_archive_waiting_oldest_timestamp_seconds recent";
        expect_soon(&server, COLLECTORS, lines);
    }
}
