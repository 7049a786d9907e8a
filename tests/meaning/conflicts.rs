//! Queries on a replica that are in replay's way, each kind of conflict by itself.

use crate::support::{Postgres, Session, majors};

use super::{expect_soon, server, until};

/// Replay waits for nobody; or for so long that only a deadlock ends it.
fn pair(major: u32, delay: &str) -> (Postgres, Postgres) {
    let config = "max_prepared_transactions = 3\ndeadlock_timeout = 20ms\nallow_in_place_tablespaces = on";
    let primary = server(major, &format!("{config}\nmax_standby_streaming_delay = {delay}"));
    primary.sql("postgres", "CREATE TABLE t AS SELECT generate_series(1, 100) AS i; CREATE TABLE other (i int)");
    primary.sql("postgres", "CREATE TABLESPACE there LOCATION ''");
    let replica = primary.replica();
    until(&replica, "SELECT count(*) = 1 FROM pg_tablespace WHERE spcname = 'there'");
    (primary, replica)
}

/// Rows that were never there for anybody: to remove them, replay needs the page for itself, and no query's snapshot.
fn leave_dead_rows(primary: &Postgres) {
    primary.sql("postgres", "BEGIN; INSERT INTO t SELECT generate_series(1, 10); ROLLBACK");
}

fn reader(replica: &Postgres, sql: &str) -> Session {
    // What was done on the primary has been replayed.
    until(replica, "SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()");
    let mut session = replica.session("postgres");
    session.run(sql);
    session
}

fn expect_one(replica: &Postgres, kind: &str) {
    let line = format!("pg_stat_database_conflicts_confl_{kind}{{datname=postgres}} >= 1");
    expect_soon(replica, &["database"], &line);
}

#[test]
fn each_kind_of_conflict_is_counted_by_itself() {
    for major in majors() {
        let (primary, replica) = pair(major, "0");
        let _reader = reader(&replica, "BEGIN; SELECT count(*) FROM t;");
        primary.sql("postgres", "BEGIN; LOCK t IN ACCESS EXCLUSIVE MODE; SELECT txid_current(); COMMIT");
        expect_one(&replica, "lock");
        leave_dead_rows(&primary);
        let _reader = reader(&replica, "BEGIN; DECLARE c CURSOR FOR SELECT * FROM t; FETCH 1 FROM c;");
        primary.sql("postgres", "VACUUM (FREEZE) t");
        expect_one(&replica, "bufferpin");
        let _reader = reader(
            &replica,
            "BEGIN; SET work_mem = '64kB'; SET temp_tablespaces = there;
             DECLARE c CURSOR FOR SELECT g FROM generate_series(1, 20000) g ORDER BY -g; FETCH 1 FROM c;",
        );
        primary.sql("postgres", "DROP TABLESPACE there");
        expect_one(&replica, "tablespace");
        let lines = "pg_stat_database_conflicts_confl_snapshot{datname=postgres} = 0
             pg_stat_database_conflicts_confl_deadlock{datname=postgres} = 0
             16+ pg_stat_database_conflicts_confl_active_logicalslot_total{datname=postgres} = 0
             -16 pg_stat_database_conflicts_confl_active_logicalslot_total absent";
        expect_soon(&replica, &["database"], lines);
    }
}

/// Replay wants the page that a query holds, and the query wants the table that replay holds locked.
#[test]
fn a_deadlock_with_replay_is_counted() {
    for major in majors() {
        let (primary, replica) = pair(major, "1h");
        leave_dead_rows(&primary);
        primary.sql(
            "postgres",
            "BEGIN; LOCK other IN ACCESS EXCLUSIVE MODE; SELECT txid_current(); PREPARE TRANSACTION 'locks'",
        );
        let mut both = reader(&replica, "BEGIN; DECLARE c CURSOR FOR SELECT * FROM t; FETCH 1 FROM c;");
        both.send("SELECT * FROM other;");
        until(&replica, "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted");
        primary.sql("postgres", "VACUUM (FREEZE) t");
        expect_one(&replica, "deadlock");
        primary.sql("postgres", "ROLLBACK PREPARED 'locks'");
    }
}
