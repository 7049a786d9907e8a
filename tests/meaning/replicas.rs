//! The collector replication, from both sides: lags, pauses, conflicts, slots, synchronous standbys, subscriptions, timelines.

use crate::support::{Postgres, Stop, eventually, majors, majors_where};

use super::{PATIENCE, expect, expect_soon, server, until};

const BOTH: &[&str] = &["replication", "connections", "database", "server"];

#[test]
fn lag_is_zero_only_while_all_is_received_and_replayed() {
    for major in majors() {
        let primary = server(
            major,
            "max_standby_streaming_delay = 0\nhot_standby_feedback = on\nsynchronous_standby_names = 'FIRST 2 (*)'\nsynchronous_commit = local",
        );
        let replica = primary.replica();
        let name = format!("replica_{}", replica.port());
        primary.sql("postgres", "CREATE TABLE t AS SELECT 1 AS i");
        until(&replica, "SELECT pg_last_xact_replay_timestamp() IS NOT NULL");
        let primary_lines = format!(
            "pg_replication_is_replica = 0
             pg_replication_lag_seconds absent
             pg_replication_replay_backlog_bytes absent
             pg_stat_wal_receiver_up absent
             pg_replication_upstream_configured absent
             pg_replication_timeline = 1
             pg_replication_streaming_receivers = 1
             pg_synchronous_standbys_wanted = 2
             pg_synchronous_standbys = 1
             pg_stat_replication_info{{application_name={name},state=streaming,slot_name={name},sync_state=sync}} = 1
             pg_stat_replication_connections{{application_name={name},state=streaming}} = 1
             pg_stat_replication_pg_wal_lsn_diff{{application_name={name}}} = 0
             pg_stat_replication_write_lag_bytes{{application_name={name}}} = 0
             pg_stat_replication_flush_lag_bytes{{application_name={name}}} = 0
             pg_stat_replication_write_lag_seconds{{application_name={name}}} < 60
             pg_stat_replication_flush_lag_seconds{{application_name={name}}} < 60
             pg_stat_replication_replay_lag_seconds{{application_name={name}}} < 60
             pg_stat_replication_reply_timestamp_seconds{{application_name={name}}} recent
             pg_replication_slots_active{{slot_name={name}}} = 1
             pg_replication_slots_slot_is_active{{slot_name={name},slot_type=physical}} = 1
             pg_replication_slots_wal_status{{slot_name={name},wal_status=reserved}} = 1
             pg_replication_slots_invalid{{slot_name={name}}} = 0
             17+ pg_replication_slots_inactive_since_timestamp_seconds{{slot_name={name}}} absent"
        );
        expect_soon(&primary, BOTH, &primary_lines);
        let streaming = "pg_replication_is_replica = 1
             pg_replication_lag_seconds = 0
             pg_replication_last_replay_timestamp_seconds recent
             pg_replication_replay_backlog_bytes = 0
             pg_replication_replay_paused = 0
             pg_stat_wal_receiver_up = 1
             pg_replication_upstream_configured = 1
             pg_stat_wal_receiver_received_tli = 1
             pg_stat_wal_receiver_last_msg_receipt_time recent
             pg_synchronous_standbys_wanted absent
             pg_replication_timeline = 1
             pg_stat_database_conflicts_confl_snapshot{datname=postgres} = 0";
        expect_soon(&replica, BOTH, streaming);
        paused(&primary, &replica, &name);
        conflicted(&primary, &replica);
        cut_off(&primary, &replica);
    }
}

fn paused(primary: &Postgres, replica: &Postgres, name: &str) {
    replica.sql("postgres", "SELECT pg_wal_replay_pause()");
    // From 14 on replay stops at the next record.
    primary.sql("postgres", "INSERT INTO t SELECT generate_series(1, 10000)");
    let lines = "pg_replication_replay_paused = 1
         pg_replication_replay_backlog_bytes >= 100000
         pg_replication_lag_seconds >= 0.000001
         pg_stat_wal_receiver_up = 1";
    expect_soon(replica, BOTH, lines);
    // Each lag by itself: what is not replayed was written all the same.
    let lines = format!(
        "pg_stat_replication_pg_wal_lsn_diff{{application_name={name}}} >= 100000
         pg_stat_replication_flush_lag_bytes{{application_name={name}}} = 0
         pg_stat_replication_sent_lag_bytes{{application_name={name}}} = 0"
    );
    expect_soon(primary, BOTH, &lines);
    replica.sql("postgres", "SELECT pg_wal_replay_resume()");
    expect_soon(replica, BOTH, "pg_replication_replay_paused = 0\npg_replication_lag_seconds = 0");
}

/// A query on the replica holds back the primary's vacuum, through its slot, until it may not; then it is in replay's way.
fn conflicted(primary: &Postgres, replica: &Postgres) {
    let mut reader = replica.session("postgres");
    reader.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t;");
    primary.sql("postgres", "DELETE FROM t WHERE i > 5; SELECT txid_current()");
    expect_soon(primary, BOTH, "pg_xmin_horizon_age_transactions{holder=slot} >= 1");
    replica.sql("postgres", "ALTER SYSTEM SET hot_standby_feedback = off; SELECT pg_reload_conf()");
    until(primary, "SELECT bool_and(xmin IS NULL) FROM pg_replication_slots");
    primary.sql("postgres", "VACUUM t");
    expect_soon(
        replica,
        BOTH,
        "pg_stat_database_conflicts_confl_snapshot{datname=postgres} >= 1\npg_stat_database_conflicts{datname=postgres} >= 1",
    );
}

/// All it received is replayed, and yet it lags: nobody knows how far.
fn cut_off(primary: &Postgres, replica: &Postgres) {
    expect_soon(replica, BOTH, "pg_replication_lag_seconds = 0");
    primary.stop(Stop::Fast);
    expect_soon(
        replica,
        BOTH,
        "pg_stat_wal_receiver_up = 0\npg_replication_lag_seconds >= 0.000001\npg_replication_replay_backlog_bytes = 0",
    );
    replica.promote();
    let promoted = "pg_replication_is_replica = 0\npg_replication_timeline = 2\npg_replication_lag_seconds absent";
    expect_soon(replica, BOTH, promoted);
}

#[test]
fn slots_retain_until_they_are_lost() {
    for major in majors() {
        let server = server(
            major,
            "wal_level = logical\nmax_slot_wal_keep_size = 20MB\nmin_wal_size = 32MB\nmax_wal_size = 32MB\nlogical_decoding_work_mem = 64kB",
        );
        server.sql("postgres", "SELECT pg_create_physical_replication_slot('idle', true)");
        server.sql("postgres", "SELECT pg_create_physical_replication_slot('fresh')");
        server.sql("postgres", "SELECT pg_create_logical_replication_slot('decoded', 'test_decoding')");
        server.sql("postgres", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS i");
        let lines = "pg_replication_slots_active{slot_name=idle} = 0
             pg_replication_slots_pg_wal_lsn_diff{slot_name=idle} >= 60000
             pg_replication_slots_safe_wal_size_bytes{slot_name=idle} >= 1
             pg_replication_slots_safe_wal_size_bytes{slot_name=fresh} absent
             pg_replication_slots_wal_status{slot_name=idle,wal_status=reserved} = 1
             pg_replication_slots_invalid{slot_name=idle} = 0
             pg_replication_slots_unconfirmed_bytes{slot_name=idle} absent
             pg_replication_slots_active{slot_name=decoded,database=postgres} = 0
             pg_replication_slots_unconfirmed_bytes{slot_name=decoded} >= 60000
             pg_replication_slots_catalog_xmin_age_transactions{slot_name=decoded} >= 1
             17+ pg_replication_slots_inactive_since_timestamp_seconds{slot_name=idle} recent
             pg_xmin_horizon_age_transactions{holder=slot} >= 1";
        expect(&server, &["replication", "connections"], lines);
        let decode = "SELECT count(*) > 1 FROM pg_logical_slot_get_changes('decoded', NULL, NULL)";
        assert_eq!(server.sql("postgres", decode), "t");
        expect_soon(
            &server,
            &["replication"],
            "14+ pg_stat_replication_slots_decoded_transactions_total{slot_name=decoded} >= 1
             14+ pg_stat_replication_slots_spilled_transactions_total{slot_name=decoded} >= 1
             14+ pg_stat_replication_slots_spilled_bytes_total{slot_name=decoded} >= 64000",
        );
        for _ in 0..6 {
            server.sql("postgres", "INSERT INTO t SELECT 1; SELECT pg_switch_wal(); CHECKPOINT");
        }
        let lines = "pg_replication_slots_wal_status{slot_name=idle,wal_status=lost} = 1
             pg_replication_slots_wal_status{slot_name=idle,wal_status=reserved} absent
             pg_replication_slots_invalid{slot_name=idle,reason=wal_removed} = 1
             pg_replication_slots_invalid{slot_name=decoded,reason=wal_removed} = 1
             pg_replication_slots_pg_wal_lsn_diff absent
             pg_replication_slots_unconfirmed_bytes absent
             pg_replication_slots_safe_wal_size_bytes absent
             pg_replication_slots_catalog_xmin_age_transactions absent
             pg_xmin_horizon_age_transactions{holder=slot} = 0";
        expect_soon(&server, &["replication", "connections"], lines);
    }
}

#[test]
fn subscriptions_their_workers_and_errors() {
    for major in majors() {
        let config = "wal_level = logical\nwal_retrieve_retry_interval = 100ms";
        let (publisher, subscriber) = (server(major, config), server(major, config));
        [&publisher, &subscriber].iter().for_each(|server| {
            server.sql("postgres", "CREATE TABLE t (i int PRIMARY KEY)");
        });
        publisher.sql("postgres", "CREATE PUBLICATION p FOR TABLE t");
        let (host, port) = (publisher.socket_dir().display().to_string(), publisher.port());
        let connection = format!("host={host} port={port} user=postgres dbname=postgres");
        subscriber.sql("postgres", &format!("CREATE SUBSCRIPTION s CONNECTION '{connection}' PUBLICATION p"));
        publisher.sql("postgres", "INSERT INTO t VALUES (1)");
        until(&subscriber, "SELECT count(*) = 1 FROM t");
        let lines = "pg_stat_subscription_enabled{datname=postgres,subname=s} = 1
             pg_stat_subscription_workers{subname=s,worker=apply} = 1
             pg_stat_subscription_workers{subname=s,worker=table_sync} = 0
             16+ pg_stat_subscription_workers{subname=s,worker=parallel_apply} = 0
             pg_stat_subscription_last_message_receipt_timestamp_seconds{subname=s} recent
             15+ pg_stat_subscription_apply_errors_total{subname=s} = 0
             -15 pg_stat_subscription_apply_errors_total absent";
        expect_soon(&subscriber, &["replication"], lines);
        expect_soon(
            &publisher,
            &["replication"],
            "pg_replication_slots_active{slot_name=s,database=postgres} = 1\npg_replication_streaming_receivers = 1",
        );
        subscriber.sql("postgres", "INSERT INTO t VALUES (2)");
        publisher.sql("postgres", "INSERT INTO t VALUES (2)");
        let lines = "15+ pg_stat_subscription_apply_errors_total{subname=s} >= 1
             18+ pg_stat_subscription_conflicts_total{subname=s,conflict=insert_exists} >= 1
             -18 pg_stat_subscription_conflicts_total absent";
        expect_soon(&subscriber, &["replication"], lines);
    }
}

/// On a replica the primary may vacuum away what a logical slot needs: the slot is lost, and says why.
#[test]
fn a_logical_slot_of_a_replica_is_lost_to_vacuum() {
    for major in majors_where(|major| major >= 16) {
        let primary = server(major, "wal_level = logical\nmax_standby_streaming_delay = 0");
        let replica = primary.replica();
        let mut creator = replica.session("postgres");
        creator.send("SELECT pg_create_logical_replication_slot('fragile', 'test_decoding');");
        let is_there = "SELECT count(*) = 1 FROM pg_replication_slots WHERE confirmed_flush_lsn IS NOT NULL";
        eventually(PATIENCE, "the slot is there", || {
            primary.sql("postgres", "SELECT pg_log_standby_snapshot()");
            replica.sql("postgres", is_there) == "t"
        });
        let lines = "pg_replication_slots_invalid{slot_name=fragile,slot_type=logical} = 0
             pg_replication_slots_active{slot_name=fragile,database=postgres} = 0";
        expect(&replica, &["replication"], lines);
        primary.sql("postgres", "CREATE TABLE gone (i int); DROP TABLE gone; VACUUM pg_class");
        let lines = "-17 pg_replication_slots_invalid{slot_name=fragile,reason=conflict} = 1
             17+ pg_replication_slots_invalid{slot_name=fragile,reason=rows_removed} = 1
             pg_replication_slots_slot_is_active{slot_name=fragile} = 0
             pg_replication_slots_pg_wal_lsn_diff{slot_name=fragile} absent
             pg_replication_slots_unconfirmed_bytes{slot_name=fragile} absent
             pg_replication_slots_catalog_xmin_age_transactions{slot_name=fragile} absent
             pg_xmin_horizon_age_transactions{holder=slot} = 0";
        expect_soon(&replica, &["replication", "connections"], lines);
    }
}

/// Without a slot it is the sender that holds back vacuum for its receiver.
#[test]
fn a_replica_without_a_slot_holds_back_vacuum_by_its_name() {
    let primary =
        server(*majors().last().expect("a version"), "hot_standby_feedback = on\nwal_receiver_status_interval = 1s");
    let replica = primary.replica();
    let name = format!("replica_{}", replica.port());
    replica.sql("postgres", "ALTER SYSTEM SET primary_slot_name = ''; SELECT pg_reload_conf()");
    let mut reader = replica.session("postgres");
    reader.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class;");
    until(&primary, "SELECT count(*) = 1 FROM pg_stat_replication WHERE backend_xmin IS NOT NULL");
    (0..3).for_each(|_| drop(primary.sql("postgres", "SELECT txid_current()")));
    let lines = format!(
        "pg_xmin_horizon_age_transactions{{holder=replica}} >= 3
         pg_stat_replication_xmin_age_transactions{{application_name={name}}} >= 3
         pg_stat_replication_info{{application_name={name},slot_name=}} = 1"
    );
    expect_soon(&primary, BOTH, &lines);
}
