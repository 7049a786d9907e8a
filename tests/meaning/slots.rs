//! Slots that are lost for other reasons than WAL that was removed, and slots that follow others.

use std::process::{Command, Stdio};

use crate::support::{Postgres, Process, Stop, eventually, majors_where, place::client_program};

use super::{PATIENCE, expect, expect_soon, server};

/// Until the replica has a logical slot, which waits for the primary to say what runs there.
fn logical_slot(primary: &Postgres, replica: &Postgres) {
    let mut creator = replica.session("postgres");
    creator.send("SELECT pg_create_logical_replication_slot('fragile', 'test_decoding');");
    let is_there = "SELECT count(*) = 1 FROM pg_replication_slots WHERE confirmed_flush_lsn IS NOT NULL";
    eventually(PATIENCE, "the slot is there", || {
        primary.sql("postgres", "SELECT pg_log_standby_snapshot()");
        replica.sql("postgres", is_there) == "t"
    });
}

#[test]
fn a_slot_that_is_idle_for_too_long() {
    for major in majors_where(|major| major >= 18) {
        let server = server(major, "idle_replication_slot_timeout = 1s");
        server.sql("postgres", "SELECT pg_create_physical_replication_slot('idle', true)");
        expect(&server, &["replication"], "pg_replication_slots_invalid{slot_name=idle} = 0");
        eventually(PATIENCE, "the slot is given up", || {
            server.sql("postgres", "SELECT txid_current(); CHECKPOINT");
            server.sql("postgres", "SELECT wal_status FROM pg_replication_slots") == "lost"
        });
        let line = "pg_replication_slots_invalid{slot_name=idle,reason=idle_timeout} = 1";
        expect(&server, &["replication"], line);
    }
}

/// The primary may stop writing what a logical slot of its replica needs.
#[test]
fn a_logical_slot_without_logical_wal() {
    for major in majors_where(|major| major >= 16) {
        let primary = server(major, "wal_level = logical");
        let replica = primary.replica();
        logical_slot(&primary, &replica);
        primary.sql("postgres", "ALTER SYSTEM SET wal_level = replica");
        primary.restart();
        let lines = "-17 pg_replication_slots_invalid{slot_name=fragile,reason=conflict} = 1
             17+ pg_replication_slots_invalid{slot_name=fragile,reason=wal_level_insufficient} = 1";
        expect_soon(&replica, &["replication"], lines);
    }
}

/// While somebody reads from the slot, its loss is a conflict with recovery too.
#[test]
fn a_logical_slot_that_is_read_is_lost_in_a_conflict() {
    for major in majors_where(|major| major >= 16) {
        let primary = server(major, "wal_level = logical\nmax_standby_streaming_delay = 0");
        let replica = primary.replica();
        logical_slot(&primary, &replica);
        let mut receive = Command::new(client_program("pg_recvlogical"));
        receive.args(["-U", "postgres", "-d", "postgres", "-S", "fragile", "--start", "-n", "-f", "/dev/null", "-p"]);
        receive.stderr(Stdio::null());
        let _receiver = Process::start(receive.arg(replica.port().to_string()).arg("-h").arg(replica.socket_dir()));
        expect_soon(&replica, &["replication"], "pg_replication_slots_active{slot_name=fragile} = 1");
        primary.sql("postgres", "CREATE TABLE gone (i int); DROP TABLE gone; VACUUM pg_class");
        let line = "pg_stat_database_conflicts_confl_active_logicalslot_total{datname=postgres} >= 1";
        expect_soon(&replica, &["database"], line);
    }
}

#[test]
fn a_slot_of_a_replica_that_follows_the_primarys() {
    for major in majors_where(|major| major >= 17) {
        let primary = server(major, "wal_level = logical\nhot_standby_feedback = on");
        let replica = primary.replica();
        primary.sql("postgres", "SELECT pg_create_logical_replication_slot('followed', 'pgoutput', failover => true)");
        let (slot, socket) = (format!("replica_{}", replica.port()), primary.socket_dir().display().to_string());
        let conninfo =
            format!("host={socket} port={} user=postgres dbname=postgres application_name={slot}", primary.port());
        replica.sql("postgres", &format!("ALTER SYSTEM SET primary_conninfo = '{conninfo}'"));
        replica.sql("postgres", "SELECT pg_create_physical_replication_slot('own')");
        replica.restart();
        eventually(PATIENCE, "the slot is copied", || {
            primary.sql("postgres", "SELECT pg_log_standby_snapshot()");
            _ = replica.try_sql("postgres", "SELECT pg_sync_replication_slots()");
            replica.sql("postgres", "SELECT count(*) FROM pg_replication_slots WHERE synced AND NOT temporary") == "1"
        });
        let lines = "pg_replication_slots_synced{slot_name=followed} = 1
             pg_replication_slots_synced{slot_name=own} = 0
             pg_replication_slots_active{slot_name=followed} = 0";
        expect_soon(&replica, &["replication"], lines);
        replica.stop(Stop::Fast);
    }
}
