//! Who receives WAL: what lasts is counted, what comes and goes is not, and no label holds a name that is made anew each time.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
};

use crate::support::{Folder, Postgres, Process, Stop, majors, majors_where, place::client_program};

use super::{expect, expect_soon, look, server, until};

/// A receiver that never replays, as the tools for backups are; it streams until it is dropped.
struct Receiver(UnixStream);

impl Receiver {
    fn start(server: &Postgres, name: &str, commands: &[&str]) -> Receiver {
        let logical = commands.iter().any(|command| command.contains("LOGICAL"));
        let socket = server.socket_dir().join(format!(".s.PGSQL.{}", server.port()));
        let mut receiver = Receiver(UnixStream::connect(socket).expect("the server's socket"));
        let replication = if logical { "database" } else { "true" };
        let words = ["user", "postgres", "database", "postgres", "replication", replication, "application_name", name];
        let words: String = words.iter().map(|word| format!("{word}\0")).collect();
        receiver.send(&[&196_608_u32.to_be_bytes(), words.as_bytes(), b"\0"].concat());
        receiver.wait_for(b'Z');
        let (last, before) = commands.split_last().expect("a command that starts");
        for command in before {
            receiver.ask(command);
            receiver.wait_for(b'Z');
        }
        receiver.ask(last);
        receiver.wait_for(b'W');
        receiver
    }

    fn ask(&mut self, command: &str) {
        self.0.write_all(b"Q").expect("writing to the server");
        self.send(format!("{command}\0").as_bytes());
    }

    fn send(&mut self, body: &[u8]) {
        let length = u32::try_from(body.len() + 4).expect("a short message");
        self.0.write_all(&[&length.to_be_bytes(), body].concat()).expect("writing to the server");
    }

    /// Reads messages up to the first of this kind.
    fn wait_for(&mut self, kind: u8) {
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).expect("an answer");
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let mut body = vec![0; length - 4];
            self.0.read_exact(&mut body).expect("an answer");
            assert!(head[0] != b'E', "{}", String::from_utf8_lossy(&body));
            if head[0] == kind {
                return;
            }
        }
    }
}

/// Its name, the slot it makes, whether that is temporary, how it starts, whether it counts, and its labels.
type Case = (&'static str, &'static str, &'static str, &'static str, u8, &'static str);

const PHYSICAL: &str = "START_REPLICATION SLOT SLOT_NAME END";
const LOGICAL: &str = "START_REPLICATION SLOT SLOT_NAME LOGICAL 0/0";

/// Who does not replay: a backup, an archiver, a reader of changes.
const CASES: &[Case] = &[
    (
        "pg_basebackup",
        "pg_basebackup_123",
        "TEMPORARY PHYSICAL",
        PHYSICAL,
        0,
        "application_name=pg_basebackup,slot_name=",
    ),
    ("app1-2-join", "pg_basebackup_124", "TEMPORARY PHYSICAL", PHYSICAL, 0, "application_name=app1-2-join,slot_name="),
    ("pg_basebackup", "replica_2", "PHYSICAL", PHYSICAL, 0, "application_name=pg_basebackup,slot_name=replica_2"),
    ("pg_receivewal", "", "", "START_REPLICATION END", 0, "application_name=pg_receivewal,slot_name="),
    ("pg_receivewal", "archive", "PHYSICAL", PHYSICAL, 1, "application_name=pg_receivewal,slot_name=archive"),
    ("barman_receive_wal", "barman", "PHYSICAL", PHYSICAL, 1, "application_name=barman_receive_wal,slot_name=barman"),
    ("reader", "read", "LOGICAL test_decoding", LOGICAL, 1, "application_name=reader,slot_name=read"),
    ("snapshot", "reader_77", "TEMPORARY LOGICAL test_decoding", LOGICAL, 0, "application_name=snapshot,slot_name="),
    (
        "pg_16390_sync_16384_7300000000000000001",
        "pg_16390_sync_16384_7300000000000000001",
        "LOGICAL test_decoding",
        LOGICAL,
        0,
        "application_name=pg_*_sync_*,slot_name=pg_*_sync_*",
    ),
    (
        "s_16390_sync_16384",
        "s_16390_sync_16384",
        "TEMPORARY LOGICAL test_decoding",
        LOGICAL,
        0,
        "application_name=pg_*_sync_*,slot_name=",
    ),
];

#[test]
fn what_comes_and_goes_is_not_counted() {
    for major in majors() {
        let server = server(major, "wal_level = logical");
        let end = server.sql("postgres", "SELECT pg_current_wal_flush_lsn()");
        for (name, slot, kind, start, counts, labels) in CASES {
            let create = format!("CREATE_REPLICATION_SLOT {slot} {kind}");
            let start = start.replace("SLOT_NAME", slot).replace("END", &end);
            let commands: Vec<_> = [create.as_str()].into_iter().filter(|_| !slot.is_empty()).collect();
            let receiver = Receiver::start(&server, name, &[commands, vec![&start]].concat());
            let lines = format!(
                "pg_replication_streaming_receivers = {counts}
                 pg_stat_replication_connections{{{labels},state=streaming}} = 1"
            );
            expect_soon(&server, &["replication"], &lines);
            generated_names_are_nowhere(&look(&server, &["replication"]));
            drop(receiver);
            until(&server, "SELECT count(*) = 0 FROM pg_stat_replication");
            server.sql("postgres", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots");
        }
    }
}

fn generated_names_are_nowhere(page: &str) {
    for part in ["pg_basebackup_", "pg_walreceiver_", "reader_77", "_sync_1"] {
        assert!(!page.contains(part), "{part}\n{page}");
    }
}

/// The tools themselves, where they are for servers of this version.
#[test]
fn tools_that_receive_are_no_replicas() {
    for major in majors_where(|major| major <= 15) {
        // A base backup begins a new segment. The one before must not be gone before it is received.
        let server = server(major, "wal_keep_size = 1GB");
        let replica = server.replica();
        server.sql("postgres", "CREATE TABLE large AS SELECT repeat('x', 1000) FROM generate_series(1, 20000)");
        let folder = Folder::for_server("receivers", "TERM");
        let tool = |name: &str, args: &[&str]| {
            let mut command = folder.logged_command(client_program(name));
            command.arg("-h").arg(server.socket_dir()).args(["-U", "postgres", "-p", &server.port().to_string()]);
            Process::start(command.args(args))
        };
        let place = |name: &str| folder.path().join(name).display().to_string();
        let tools = [
            tool("pg_receivewal", &["-D", &folder.path().display().to_string()]),
            tool("pg_basebackup", &["-D", &place("streamed"), "-c", "fast", "-X", "stream", "-r", "100"]),
            tool("pg_basebackup", &["-D", &place("fetched"), "-c", "fast", "-X", "fetch", "-r", "100"]),
        ];
        let lines = "pg_replication_streaming_receivers = 1
             pg_stat_replication_connections{application_name=pg_basebackup,state=backup} = 2
             pg_stat_replication_connections{application_name=pg_basebackup,state=streaming,slot_name=} = 1
             pg_stat_replication_connections{application_name=pg_receivewal,state=streaming,slot_name=} = 1";
        expect_soon(&server, &["replication"], lines);
        generated_names_are_nowhere(&look(&server, &["replication"]));
        drop(tools);
        replica.stop(Stop::Fast);
    }
}

/// A replica may have a temporary slot, or none: it lasts all the same.
#[test]
fn a_replica_counts_whatever_its_slot() {
    for major in majors() {
        let primary = server(major, "");
        let replica = primary.replica();
        let name = format!("replica_{}", replica.port());
        for temporary in ["on", "off"] {
            replica.sql(
                "postgres",
                &format!("ALTER SYSTEM SET primary_slot_name = ''; ALTER SYSTEM SET wal_receiver_create_temp_slot = {temporary}; SELECT pg_reload_conf()"),
            );
            let slots = if temporary == "on" { "bool_or(temporary)" } else { "NOT bool_or(active)" };
            until(&primary, &format!("SELECT {slots} FROM pg_replication_slots"));
            let lines = format!(
                "pg_replication_streaming_receivers = 1
                 pg_stat_replication_info{{application_name={name},state=streaming,slot_name=}} = 1"
            );
            expect_soon(&primary, &["replication"], &lines);
            expect_soon(
                &replica,
                &["replication"],
                "pg_stat_wal_receiver_received_tli{slot_name=,status=streaming} = 1",
            );
            for server in [&primary, &replica] {
                generated_names_are_nowhere(&look(server, &["replication"]));
            }
        }
    }
}

/// While a subscription copies a table, its worker has a slot named after the table, which waits. Once the worker is gone, nobody uses it.
#[test]
fn slots_that_copy_tables_have_one_name() {
    for major in majors() {
        let config = "wal_level = logical\nwal_retrieve_retry_interval = 100ms";
        let (publisher, subscriber) = (server(major, config), server(major, config));
        [&publisher, &subscriber].iter().for_each(|server| {
            server.sql("postgres", "CREATE TABLE t (i int PRIMARY KEY)");
        });
        publisher.sql("postgres", "CREATE PUBLICATION p FOR TABLE t; INSERT INTO t VALUES (1)");
        // The copy waits for a lock.
        let wait = "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN new; END $$";
        let trigger = "CREATE TRIGGER w BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION wait(); ALTER TABLE t ENABLE ALWAYS TRIGGER w";
        subscriber.sql("postgres", &format!("{wait}; {trigger}"));
        let mut holder = subscriber.session("postgres");
        holder.run("SELECT pg_advisory_lock(1);");
        let (host, port) = (publisher.socket_dir().display().to_string(), publisher.port());
        let connection = format!("host={host} port={port} user=postgres dbname=postgres");
        subscriber.sql("postgres", &format!("CREATE SUBSCRIPTION s CONNECTION '{connection}' PUBLICATION p"));
        until(
            &publisher,
            "SELECT count(*) = 1 FROM pg_replication_slots WHERE slot_name ~ '_sync_[0-9]+' AND restart_lsn IS NOT NULL",
        );
        until(&subscriber, "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
        let lines = "pg_replication_streaming_receivers = 1
             pg_stat_replication_connections{application_name=s} = 1
             pg_stat_replication_connections{application_name=pg_*_sync_*} = 1
             14+ pg_replication_slots_slot_is_active{slot_name=pg_*_sync_*,slot_type=logical} = 1
             14+ pg_replication_slots_pg_wal_lsn_diff{slot_name=pg_*_sync_*,database=postgres} >= 0
             -14 pg_replication_slots_slot_is_active{slot_name=pg_*_sync_*} absent
             14+ pg_stat_replication_slots_decoded_bytes_total{slot_name=pg_*_sync_*} absent
             14+ pg_stat_replication_slots_decoded_bytes_total{slot_name=s} there";
        expect_soon(&publisher, &["replication"], lines);
        generated_names_are_nowhere(&look(&publisher, &["replication"]));
        subscriber.stop(Stop::Immediate);
        drop(holder);
        until(&publisher, "SELECT count(*) = 0 FROM pg_stat_replication");
        let lines = "14+ pg_replication_slots_slot_is_active{slot_name=pg_*_sync_*} = 0
             14+ pg_replication_slots_pg_wal_lsn_diff{slot_name=pg_*_sync_*} >= 1
             -14 pg_replication_slots_slot_is_active{slot_name=pg_*_sync_*} absent";
        expect(&publisher, &["replication"], lines);
    }
}
