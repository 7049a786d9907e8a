//! Promise 9: behind locks few wait, whatever is locked and however long.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use crate::support::{Postgres, Session, majors, together};

use super::{Scrape, figure, is_long, server, watch};

/// What somebody may hold, with what makes it first.
const LOCKED: [(&str, &str); 8] = [
    ("CREATE TABLE mine (id int PRIMARY KEY)", "mine"),
    ("", "pg_stat_statements"),
    ("", "pg_catalog.pg_class"),
    ("", "pg_catalog.pg_index"),
    ("", "pg_catalog.pg_statistic"),
    ("", "pg_catalog.pg_database"),
    ("", "pg_catalog.pg_authid"),
    ("", "pg_catalog.pg_db_role_setting"),
];

/// The most sessions that wait for a lock at once while `run` runs, seen by the one who holds it.
fn most_waiting(holder: &mut Session, run: impl FnOnce() + Send) -> u32 {
    let (alive, over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            run();
            drop(alive);
        });
        let mut most = 0;
        while over.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
            let waiting = holder.run("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted;");
            most = most.max(waiting.parse().expect("a number"));
        }
        most
    })
}

fn hold(server: &Postgres, make: &str, table: &str) -> Session {
    server.sql("postgres", make);
    let mut holder = server.session("postgres");
    // The names it will need are in its memory before.
    holder.run("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted;");
    holder.run(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;"));
    holder
}

#[test]
fn p09_few_wait_for_locks() {
    let versions = majors();
    // One version is enough where all of them would take long.
    for &major in if is_long() { &versions[..] } else { &versions[versions.len() - 1..] } {
        // Two servers, each with a half of what may be held: all wait most of the time.
        together(LOCKED.chunks(4), |locked| expect_few_waiting(major, locked));
    }
}

fn expect_few_waiting(major: u32, locked: &[(&str, &str)]) {
    let server = server(major);
    (0..6).for_each(|n| _ = server.sql("postgres", &format!("CREATE DATABASE other_{n}")));
    for (make, table) in locked {
        let kept = watch(&server, &[]);
        Scrape::of(&kept, None).expect_up(true, &format!("before {table}"));
        let mut holder = hold(&server, make, table);
        let scrapes = if is_long() { 30 } else { 3 };
        // One that knows the server, and one that has everything to ask.
        let fresh = watch(&server, &[]);
        let most = [&kept, &fresh]
            .map(|pgvigil| most_waiting(&mut holder, || (0..scrapes).for_each(|_| _ = Scrape::in_time(pgvigil))));
        figure(9, &format!("PostgreSQL {major}, sessions waiting behind {table}"), format!("{most:?}"));
        assert!(most.iter().all(|most| *most <= 3), "{most:?} wait behind {table}");
        holder.run("COMMIT;");
        [&kept, &fresh].iter().for_each(|pgvigil| _ = Scrape::first_after(&server, pgvigil, table));
    }
}
