//! Promise 12: through PgBouncer in transaction mode it works by itself, and says so.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::support::{PgBouncer, Postgres, Session, Stop, eventually, pgbouncer::IGNORE_OPTIONS, process};

use super::{Scrape, figure, newest, server, versions, watch, watch_url};

/// The families that do not depend on who happens to be doing what.
fn families(scrape: &Scrape) -> BTreeSet<&str> {
    let heads = scrape.page.lines().filter(|line| line.starts_with("# TYPE"));
    let momentary = ["_oldest_", "_wait", "_max_tx_duration", "_xmin_age"];
    heads.filter(|line| !momentary.iter().any(|part| line.contains(part))).collect()
}

/// Asks for its own things in transactions of its own, all the time.
fn other_client(pooler: &PgBouncer, over: &AtomicBool) -> usize {
    let mut session = Session::open(&mut pooler.psql("app", "postgres"));
    let mut transactions = 0;
    while !over.load(Ordering::Relaxed) {
        let sql = "BEGIN; SET LOCAL work_mem = '1MB'; SELECT 42; COMMIT; SHOW transaction_read_only; SHOW search_path;";
        assert_eq!(session.run(sql), "42\noff\n\"$user\", public", "settings leaked into another client's session");
        transactions += 1;
    }
    transactions
}

fn expect_scrapes(server: &Postgres, pooler: &PgBouncer, direct: &BTreeSet<&str>, what: &str) {
    let pgvigil = watch_url(&pooler.url("pgvigil", "postgres"), &[]);
    let over = AtomicBool::new(false);
    let (series, transactions) = thread::scope(|scope| {
        let others: Vec<_> = (0..2).map(|_| scope.spawn(|| other_client(pooler, &over))).collect();
        let scrapers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let scrape = Scrape::of(&pgvigil, None).expect_up(true, what);
                        assert_eq!(scrape.value("pgvigil_session_pooled", &[]), Some(1.0));
                    }
                })
            })
            .collect();
        scrapers.into_iter().for_each(|scraper| scraper.join().expect("a scraper"));
        let scrape = Scrape::of(&pgvigil, None);
        over.store(true, Ordering::Relaxed);
        let pooled = families(&scrape);
        assert_eq!(direct.difference(&pooled).collect::<Vec<_>>(), [&""; 0], "{what}:\n{}", pgvigil.stderr());
        (scrape.of_server().len(), others.into_iter().map(|other| other.join().expect("a client")).sum::<usize>())
    });
    figure(12, what, format!("{series} series, beside {transactions} transactions of others"));
    server.stop(Stop::Fast);
    Scrape::in_time(&pgvigil).expect_up(false, "the server behind is stopped");
    server.start();
    // PgBouncer remembers for `server_login_retry` that the server was not there.
    Scrape::of(&pgvigil, None).expect_up(true, "the server behind is back");
}

#[test]
fn p12_through_a_transaction_pooler() {
    for major in versions() {
        let server = server(major);
        server.create_role("app", "");
        let direct = Scrape::of(&watch(&server, &[]), None).expect_up(true, "direct");
        assert_eq!(direct.value("pgvigil_session_pooled", &[]), Some(0.0));
        for (extra, what) in [("", "refuses options"), (IGNORE_OPTIONS, "ignores options")] {
            let pooler = PgBouncer::start(&server, "transaction", &format!("server_login_retry = 1\n{extra}"));
            expect_scrapes(&server, &pooler, &families(&direct), &format!("PostgreSQL {major}, a pooler that {what}"));
        }
    }
}

/// Cancel requests for a server that does not answer have ended poolers.
#[test]
fn p12_a_server_that_hangs_takes_no_pooler_with_it() {
    let server = server(newest());
    let pooler = PgBouncer::start(&server, "transaction", "");
    let pgvigil = watch_url(&pooler.url("pgvigil", "postgres"), &[]);
    Scrape::of(&pgvigil, None).expect_up(true, "before");
    server.pause();
    // A visit gives up after 10 s, whatever its scrape was told.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(12) {
        Scrape::in_time(&pgvigil).expect_up(false, "the server behind hangs");
    }
    server.resume();
    // The pooler does not know at once that its server is back.
    eventually(Duration::from_secs(20), "up again", || Scrape::of(&pgvigil, None).is_up());
    assert!(process::is_alive(pooler.pid()), "{}", pooler.log());
    // So it calls one that asks to cancel.
    assert!(!pooler.log().contains("postgres/(nouser)@"), "{}", pooler.log());
}

#[test]
fn p12_a_pooler_that_hangs() {
    let server = server(newest());
    let pooler = PgBouncer::start(&server, "transaction", "");
    let pgvigil = watch_url(&pooler.url("pgvigil", "postgres"), &[]);
    Scrape::of(&pgvigil, None).expect_up(true, "before");
    pooler.pause();
    Scrape::in_time(&pgvigil).expect_up(false, "the pooler hangs");
    pooler.resume();
    Scrape::of(&pgvigil, None).expect_up(true, "the first scrape after");
}
