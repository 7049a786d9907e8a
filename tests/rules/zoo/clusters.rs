//! Servers that copy one another: standbys of every kind, clones, changes of roles, publishers and subscribers.

use super::part::{BEGIN, END, Part, client, known_to_clients, load, server};
use crate::support::{Folder, Postgres, Process, Stop, eventually, psql::Session};
use std::time::Duration;

/// A table that has no need of autovacuum for a while.
const NOTES: &str = "CREATE TABLE notes (n int) WITH (autovacuum_analyze_threshold = 100000)";

/// What makes commits all the time.
const COMMITS: &str = "INSERT INTO notes VALUES (1);";

/// A primary with standbys of every kind, and a clone beside it.
pub fn production(major: u32) -> Part {
    let archive = Folder::for_server("archive", "TERM");
    let path = archive.path().display().to_string();
    let main = server(
        major,
        &format!("archive_mode = on\narchive_timeout = 10s\narchive_command = 'cp %p {path}/%f'\nmax_wal_senders = 20"),
    );
    main.sql("postgres", NOTES);
    let copies: [Postgres; 6] = main.copies(6).try_into().ok().expect("six");
    let [replica, readers, delayed, cascaded, archived, clone] = copies;
    let commits = load(&main, "postgres", COMMITS, "5");
    for standby in [&replica, &readers, &delayed] {
        standby.follow(&main);
    }
    cascaded.follow(&replica);
    delayed.sql("postgres", "ALTER SYSTEM SET recovery_min_apply_delay = '20s'");
    delayed.sql("postgres", "SELECT pg_reload_conf()");
    archived.start_standby(&format!("restore_command = 'cp {path}/%f %p'"));
    clone.start_standby("archive_command = 'true'");
    clone.promote();

    let mut part = Part::default();
    let all = [
        ("main", &main),
        ("replica", &replica),
        ("readers", &readers),
        ("delayed", &delayed),
        ("cascaded", &cascaded),
        ("archived", &archived),
    ];
    for (name, server) in all {
        part.watch(name, server, "labels: {cluster: production}, ");
    }
    part.watch("clone", &clone, "");
    part.keep(commits);
    part.keep(reader(&readers));
    slots(&mut part, replica);
    part.keep((cascaded, readers, delayed, archived, clone, main, archive));
    part
}

/// A report that takes the afternoon.
fn reader(readers: &Postgres) -> Session {
    readers.sql("postgres", "ALTER SYSTEM SET max_standby_streaming_delay = -1");
    readers.sql("postgres", "ALTER SYSTEM SET hot_standby_feedback = on");
    readers.sql("postgres", "SELECT pg_reload_conf()");
    let mut session = readers.session("postgres");
    session.run("SET application_name = 'report'; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM notes;");
    session.send("SELECT pg_sleep(7200);");
    session
}

/// Slots as orchestrators copy them to each replica, for the day it becomes a primary: nobody uses them, and they are moved along.
fn slots(part: &mut Part, replica: Postgres) {
    for slot in ["_cnpg_cluster_3", "member_2"] {
        replica.sql("postgres", &format!("SELECT pg_create_physical_replication_slot('{slot}', true)"));
    }
    part.act(move |_| {
        let moved = "SELECT pg_replication_slot_advance(slot_name, pg_last_wal_replay_lsn()) FROM pg_replication_slots \
                     WHERE NOT active AND slot_name !~ '^replica' AND restart_lsn < pg_last_wal_replay_lsn()";
        replica.sql("postgres", moved);
    });
}

/// A base backup that streams its WAL for some pages, and is gone then.
pub fn backed_up(major: u32) -> Part {
    let server = server(known_to_clients(major), "");
    let folder = Folder::for_server("base", "TERM");
    let mut part = Part::default();
    part.watch("backed_up", &server, "");
    let mut running: Option<Process> = None;
    part.act(move |page| {
        if page == BEGIN {
            let mut command = client(&folder, "pg_basebackup", &server);
            running = Some(Process::start(command.args(["-D", "copy", "-X", "stream", "-c", "fast", "-r", "3M"])));
        }
        if page == END {
            let status = running.as_mut().and_then(|running| running.wait(Duration::from_secs(60)));
            assert!(status.is_some_and(|status| status.success()), "{}", folder.log());
        }
    });
    part
}

/// A former primary that is a replica now and has not forgotten that it once could not archive.
pub fn demoted(major: u32) -> Part {
    let old = server(major, "archive_mode = on\narchive_command = 'false'");
    old.sql("postgres", NOTES);
    let new = old.replica();
    old.sql("postgres", "INSERT INTO notes VALUES (1); SELECT pg_switch_wal()");
    let failed = "SELECT count(*) FROM pg_stat_archiver WHERE failed_count > 0";
    eventually(Duration::from_secs(30), "an attempt to archive", || old.sql("postgres", failed) == "1");
    for each in [&old, &new] {
        // Of a replica only the file's setting can be changed.
        each.sql("postgres", "ALTER SYSTEM SET archive_command = 'true'");
        each.sql("postgres", "SELECT pg_reload_conf()");
    }
    change_roles(&old, &new);
    let commits = load(&new, "postgres", COMMITS, "2");
    new.sql("postgres", "INSERT INTO notes VALUES (1); SELECT pg_switch_wal()");
    let archived =
        "SELECT count(*) FROM pg_stat_archiver WHERE last_archived_time > coalesce(last_failed_time, '-infinity')";
    eventually(Duration::from_secs(90), "WAL archived", || new.sql("postgres", archived) == "1");
    let mut part = Part::default();
    part.watch("demoted", &old, "labels: {cluster: demoted}, ");
    part.watch("promoted", &new, "labels: {cluster: demoted}, ");
    part.keep((commits, old, new));
    part
}

/// Two servers that change their roles between two pages.
pub fn switchover(major: u32) -> Part {
    let first = server(major, "");
    first.sql("postgres", NOTES);
    let second = first.replica();
    let mut part = Part::default();
    part.watch("first", &first, "labels: {cluster: switchover}, ");
    part.watch("second", &second, "labels: {cluster: switchover}, ");
    part.act(move |page| {
        if page == BEGIN {
            change_roles(&first, &second);
        }
    });
    part
}

/// As it is planned: the primary ends when its replica has everything.
fn change_roles(primary: &Postgres, replica: &Postgres) {
    primary.stop(Stop::Fast);
    replica.promote();
    primary.follow(replica);
}

/// A publisher, its subscriber, and a replica of that one.
pub fn logical(major: u32) -> Part {
    let publisher = server(major, "wal_level = logical");
    let subscriber = server(major, "");
    for each in [&publisher, &subscriber] {
        each.sql("postgres", NOTES);
    }
    let copy = subscriber.replica();
    publisher.sql("postgres", "CREATE PUBLICATION notes FOR TABLE notes");
    let source = format!("host={} port={} user=postgres", publisher.socket_dir().display(), publisher.port());
    subscriber.sql("postgres", &format!("CREATE SUBSCRIPTION notes CONNECTION '{source}' PUBLICATION notes"));
    let commits = load(&publisher, "postgres", COMMITS, "5");
    let mut part = Part::default();
    part.watch("publisher", &publisher, "");
    part.watch("subscriber", &subscriber, "labels: {cluster: subscribers}, ");
    part.watch("subscriber_replica", &copy, "labels: {cluster: subscribers}, ");
    part.keep((commits, copy, subscriber, publisher));
    part
}

/// An index that takes hours to build; on the replica it is there, invalid, and nobody seems to build it.
pub fn indexing(major: u32) -> Part {
    let primary = server(major, "");
    primary.sql(
        "postgres",
        "CREATE FUNCTION slow(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN n; END'; \
         CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders SELECT generate_series(1, 30000)",
    );
    primary.sql("postgres", "VACUUM ANALYZE orders");
    let replica = primary.replica();
    let mut session = primary.session("postgres");
    session.send("CREATE INDEX CONCURRENTLY orders_slow ON orders (slow(id));");
    let invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    eventually(Duration::from_secs(30), "an index being built", || replica.sql("postgres", invalid) == "1");
    let mut part = Part::default();
    part.watch("indexing", &primary, "labels: {cluster: indexing}, ");
    part.watch("indexing_replica", &replica, "labels: {cluster: indexing}, ");
    part.keep((session, replica, primary));
    part
}
