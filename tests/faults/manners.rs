//! Promise 9: few sessions, none in the way of others, and at most one login pending.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use crate::support::{Postgres, eventually, together};

use super::{Scrape, backends, collector, collectors, figure, is_long, millis, newest, server, versions, watch};

/// The most backends of clients over TCP, pgvigil being the only one, while `run` runs.
fn most_backends(server: &Postgres, run: impl FnOnce() + Send) -> usize {
    let most = AtomicUsize::new(0);
    thread::scope(|scope| {
        let running = scope.spawn(run);
        while !running.is_finished() {
            most.fetch_max(backends(server), Ordering::Relaxed);
            millis(10);
        }
        running.join().expect("what was run");
    });
    most.into_inner()
}

/// Slow collectors, so that both lanes are in use.
fn slow_ones() -> Vec<(&'static str, String)> {
    let slow =
        |name| (name, collector(name, "ttl: 1s\ntimeout: 1s", "SELECT 'a' AS kind, 1 AS value FROM pg_sleep(0.1)"));
    ["slow_a", "slow_b", "slow_c"].map(slow).to_vec()
}

#[test]
fn p09_few_sessions_and_databases_come_and_go() {
    let folder = collectors(&slow_ones());
    for major in versions() {
        let server = server(major);
        let pgvigil = watch(&server, &["--collectors", &folder.path().display().to_string()]);
        (0..60).for_each(|n| _ = server.sql("postgres", &format!("CREATE DATABASE many_{n}")));
        let most = most_backends(&server, || {
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        (0..if is_long() { 200 } else { 20 })
                            .for_each(|_| _ = Scrape::of(&pgvigil, None).expect_up(true, "always"))
                    });
                }
                for _ in 0..3 {
                    server.sql("postgres", "CREATE DATABASE passing");
                    server.sql("postgres", "DROP DATABASE passing");
                }
            });
        });
        // Between two visits there may be none for a moment.
        let (mut kept, mut calm) = (0, 0);
        eventually(Duration::from_secs(60), "visits end, and three sessions at most are kept", || {
            let elsewhere = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'pgvigil' AND datname <> 'postgres'";
            kept = backends(&server);
            calm = if kept <= 3 && server.sql("postgres", elsewhere) == "0" { calm + 1 } else { 0 };
            calm == 10
        });
        figure(9, &format!("PostgreSQL {major}, 60 databases, sessions at most and kept"), format!("{most}, {kept}"));
        assert!(most <= 10, "{most}, {kept}");
        expect_idle(&server);
    }
}

/// Kept sessions hold nothing.
fn expect_idle(server: &Postgres) {
    let sessions = "SELECT state, backend_xmin IS NULL AND backend_xid IS NULL AND xact_start IS NULL, application_name, datname \
                    FROM pg_stat_activity WHERE usename = 'pgvigil'";
    for session in server.sql("postgres", sessions).lines() {
        assert_eq!(session, "idle|t|pgvigil|postgres");
    }
    let locks = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE usename = 'pgvigil'";
    assert_eq!(server.sql("postgres", locks), "0");
}

#[test]
fn p10_sessions_only_read() {
    let sql =
        "SELECT name AS kind, (setting = 'on')::int AS value FROM pg_settings WHERE name LIKE '%transaction_read_only'";
    let folder = collectors(&[("settings", collector("settings", "", sql))]);
    let server = server(newest());
    let pgvigil = watch(&server, &["--collectors", &folder.path().display().to_string()]);
    let scrape = Scrape::of(&pgvigil, None);
    for name in ["transaction_read_only", "default_transaction_read_only"] {
        assert_eq!(scrape.value("pg_test_settings", &[("kind", name)]), Some(1.0), "{}", pgvigil.stderr());
    }
}

#[test]
fn p09_at_most_one_login_is_pending() {
    together(["pg_catalog.pg_database", "pg_catalog.pg_authid"], |catalogue| {
        let server = server(newest());
        let mut lock = server.session("postgres");
        lock.run(&format!("BEGIN; LOCK TABLE {catalogue} IN ACCESS EXCLUSIVE MODE;"));
        let pgvigil = watch(&server, &[]);
        let most = most_backends(&server, || {
            for _ in 0..if is_long() { 40 } else { 8 } {
                let scrape = Scrape::in_time(&pgvigil).expect_up(false, catalogue);
                assert_eq!(scrape.reason().as_deref(), Some("login_pending"));
            }
        });
        figure(9, &format!("logins pending behind {catalogue}"), most);
        assert_eq!(most, 1, "{catalogue}");
        lock.run("COMMIT;");
        Scrape::first_after(&server, &pgvigil, catalogue);
        // The one that waited is the one that is kept.
        assert!(backends(&server) <= 2);
    });
}
