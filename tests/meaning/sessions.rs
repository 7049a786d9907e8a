//! The collectors connections and locks: who is there, who waits for whom, what holds back vacuum.

use crate::support::{Session, majors, page, psql};

use super::{Postgres, expect, expect_soon, look, server, until};

fn named(server: &Postgres, name: &str, sql: &str) -> Session {
    let mut session = server.session("postgres");
    session.run(&format!("SET application_name = '{name}'; {sql}"));
    session
}

#[test]
fn sessions_locks_and_horizons_are_those_of_the_server() {
    for major in majors() {
        let reserved = if major >= 16 { "reserved_connections = 3" } else { "" };
        let config = "max_connections = 40\nsuperuser_reserved_connections = 4\nmax_prepared_transactions = 3\n\
                      max_locks_per_transaction = 80\n";
        let server = server(major, &format!("{config}{reserved}"));
        server.sql("postgres", "CREATE TABLE t (i int); CREATE DATABASE limited CONNECTION LIMIT 9");
        server.sql("postgres", "BEGIN; SELECT txid_current(); PREPARE TRANSACTION 'left'");
        let holder = named(&server, "holder", "BEGIN; LOCK t;");
        let mut waiter = named(&server, "waiter", "");
        waiter.send("SELECT FROM t;");
        let mut sleeper = named(&server, "sleeper", "");
        sleeper.send("SELECT pg_sleep(600);");
        let _idle = named(&server, "idler", "");
        until(
            &server,
            "SELECT count(*) = 2 FROM pg_stat_activity WHERE state = 'active' AND clock_timestamp() - query_start > '1.1 s'",
        );
        for _ in 0..3 {
            server.sql("postgres", "SELECT txid_current()");
        }
        let time = |column: &str, name: &str| {
            server.sql(
                "postgres",
                &format!("SELECT extract(epoch FROM {column})::float8 FROM pg_stat_activity WHERE application_name = '{name}'"),
            )
        };
        let (transaction, query, idle) =
            (time("xact_start", "holder"), time("query_start", "waiter"), time("state_change", "holder"));
        let lines = format!(
            "pg_stat_activity_count{{application_name=holder,usename=postgres,datname=postgres,state=idle in transaction}} = 1
             pg_stat_activity_count{{application_name=waiter,state=active,backend_type=client backend}} = 1
             pg_stat_activity_count{{application_name=idler,state=idle}} = 1
             pg_stat_activity_session_age_seconds{{application_name=sleeper}} >= 1.1
             pg_stat_activity_max_tx_duration{{application_name=sleeper}} >= 1.1
             pg_stat_activity_blocked = 1
             pg_stat_activity_blockers = 1
             pg_stat_activity_blocking{{application_name=holder}} = 1
             pg_stat_activity_blocking{{application_name=waiter}} absent
             pg_stat_activity_wait_events{{wait_event_type=Lock,wait_event=relation}} = 1
             pg_stat_activity_wait_events{{wait_event_type=Timeout,wait_event=PgSleep}} = 1
             pg_stat_activity_oldest_transaction_timestamp_seconds = {transaction}
             pg_stat_activity_oldest_query_timestamp_seconds = {query}
             pg_stat_activity_oldest_idle_in_transaction_timestamp_seconds = {idle}
             pg_connections_used >= 5
             pg_connections_used < 8
             pg_settings_max_connections = 40
             pg_settings_superuser_reserved_connections = 4
             16+ pg_settings_reserved_connections = 3
             -16 pg_settings_reserved_connections absent
             pg_prepared_xacts = 1
             pg_prepared_xacts_oldest_timestamp_seconds recent
             pg_xmin_horizon_age_transactions{{holder=prepared_transaction}} >= 4
             pg_xmin_horizon_age_transactions{{holder=session}} >= 3
             pg_stat_activity_xmin_age_transactions{{application_name=sleeper}} >= 3
             pg_stat_activity_xmin_age_transactions{{application_name=idler}} absent
             pg_xmin_horizon_age_transactions{{holder=slot}} = 0
             pg_xmin_horizon_age_transactions{{holder=replica}} = 0
             pg_database_connection_limit{{datname=limited}} = 9
             pg_locks_count{{datname=postgres,mode=accessexclusivelock}} = 1
             pg_locks_waiting{{datname=postgres,mode=accesssharelock}} = 1
             pg_locks_waiting{{datname=postgres,mode=accessexclusivelock}} = 0
             14+ pg_locks_waiting_since_timestamp_seconds{{datname=postgres,mode=accesssharelock}} recent
             14+ pg_locks_waiting_since_timestamp_seconds{{mode=accessexclusivelock}} absent
             pg_locks_table_capacity_entries = {}
             pg_locks_table_entries >= 2
             pg_stat_activity_running_queries{{seconds=0.05}} = 2
             pg_stat_activity_running_queries{{seconds=1}} = 2
             pg_stat_activity_running_queries{{seconds=60}} = 0",
            80 * 43
        );
        expect(&server, &["connections", "locks", "database", "slow_queries"], &lines);
        drop(holder);
        expect_soon(&server, &["connections", "locks"], "pg_stat_activity_blocked = 0\npg_stat_activity_blockers = 0");
    }
}

/// Who waits behind a prepared transaction is blocked by nobody who has a session.
#[test]
fn a_prepared_transaction_blocks() {
    let server = server(*majors().last().expect("a version"), "max_prepared_transactions = 1");
    server.sql("postgres", "CREATE TABLE t (i int)");
    server.sql("postgres", "BEGIN; LOCK t; PREPARE TRANSACTION 'left'");
    let mut waiter = server.session("postgres");
    waiter.send("SELECT FROM t;");
    until(&server, "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
    expect(&server, &["connections"], "pg_stat_activity_blocked = 1\npg_stat_activity_blockers = 1");
}

#[test]
fn more_kinds_of_sessions_than_series_lose_none() {
    let server = server(*majors().last().expect("a version"), "max_connections = 450");
    server.sql("postgres", "CREATE EXTENSION dblink");
    let roles: String = (0..20).map(|nth| format!("CREATE ROLE r{nth} LOGIN;")).collect();
    server.sql("postgres", &roles);
    // Each of two sessions opens 200 more: one alone may not have so many files.
    let [mut one, mut other] = [0, 1].map(|_| server.session("postgres"));
    for (opener, roles) in [(&mut one, "0..9"), (&mut other, "10..19")] {
        opener.run(&format!(
            "DO 'BEGIN FOR r IN {roles} LOOP FOR a IN 0..19 LOOP PERFORM dblink_connect(format(''c%s_%s'', r, a),
                 format(''host={} port={} dbname=postgres user=r%s application_name=a%s'', r, a)); END LOOP; END LOOP; END';",
            server.socket_dir().display(),
            server.port()
        ));
    }
    let text = look(&server, &["connections"]);
    let counts = page::samples(&text, "pg_stat_activity_count", &[]);
    assert!(counts.iter().sum::<f64>() >= 401.0 && counts.len() <= 330, "{} series", counts.len());
    let rest = page::samples(&text, "pg_stat_activity_count", &[("datname", "(other)"), ("usename", "(other)")]);
    assert!(rest.iter().sum::<f64>() >= 100.0, "{rest:?}");
    assert_eq!(page::samples(&text, "pgvigil_rows_dropped_total", &[("collector", "connections")]), [0.0]);
}

/// What pgvigil asks beside the quick queries takes a while; its sessions, and those of a second pgvigil, are not what an application does.
#[test]
fn our_own_sessions_are_not_the_oldest() {
    for major in majors() {
        let server = server(major, "");
        let open = |name: &str| {
            let mut session = Session::open(
                psql::psql(server.socket_dir(), server.port(), "pgvigil", "postgres").env("PGAPPNAME", name),
            );
            session.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class;");
            session
        };
        let _ours = open("pgvigil");
        server.sql("postgres", "SELECT txid_current()");
        let lines = "pg_long_running_transactions = 0
             pg_long_running_transactions_oldest_timestamp_seconds absent
             pg_stat_activity_oldest_transaction_timestamp_seconds absent
             pg_stat_activity_oldest_idle_in_transaction_timestamp_seconds absent
             pg_xmin_horizon_age_transactions{holder=session} = 0
             pg_stat_activity_count{application_name=pgvigil,state=idle in transaction} = 1";
        expect_soon(&server, &["connections"], lines);
        // Somebody who borrows the role is somebody else.
        let _theirs = open("psql");
        let lines = "pg_long_running_transactions = 1\npg_stat_activity_oldest_transaction_timestamp_seconds there";
        expect_soon(&server, &["connections"], lines);
    }
}
