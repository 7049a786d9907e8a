//! Promises 5 and 6: many scrapes at once share one visit; sessions that die are replaced inside the scrape.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Instant,
};

use crate::support::{Pgvigil, Postgres, together};

use super::{Scrape, figure, is_long, millis, newest, server, versions, watch};

const OPEN_METRICS: [(&str, &str); 1] = [("Accept", "application/openmetrics-text;version=1.0.0")];

fn statements(server: &Postgres) -> u64 {
    let sql = "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE userid = 'pgvigil'::regrole";
    server.sql("postgres", sql).parse().expect("a number")
}

/// The statements that `run` costs.
fn cost(server: &Postgres, run: impl FnOnce()) -> u64 {
    let before = statements(server);
    run();
    statements(server) - before
}

/// So many scrapes at once, every second one in the other format if `mixed`.
fn crowd(pgvigil: &Pgvigil, scrapes: usize, mixed: bool) {
    pgvigil.rest();
    thread::scope(|scope| {
        for n in 0..scrapes {
            scope.spawn(move || {
                let headers: &[_] = if mixed && n % 2 == 1 { &OPEN_METRICS } else { &[] };
                let answer = pgvigil.get_at_once("/metrics", headers);
                assert_eq!(answer.status, 200);
                assert!(answer.text().contains("pg_up{target=\"postgres\"} 1"), "{}", answer.text());
            });
        }
    });
}

#[test]
fn p05_scrapes_at_once_share_one_visit() {
    for major in versions() {
        let server = server(major);
        let pgvigil = watch(&server, &[]);
        // What is asked rarely has been asked then.
        crowd(&pgvigil, 1, false);
        let twenty = cost(&server, || (0..20).for_each(|_| _ = pgvigil.scrape()));
        for mixed in [false, true] {
            let began = Instant::now();
            let hundred = cost(&server, || crowd(&pgvigil, 100, mixed));
            let took = began.elapsed();
            figure(
                5,
                &format!("PostgreSQL {major}, 100 at once, two formats {mixed}"),
                format!("{hundred} statements, {took:?}"),
            );
            assert!(hundred <= twenty, "100 scrapes at once: {hundred} statements; 20 one by one: {twenty}");
        }
        figure(5, &format!("PostgreSQL {major}, 20 one by one"), format!("{twenty} statements"));
    }
}

/// Two that scrape by the same clock, each in its own way, as a pair of Prometheus servers does.
#[test]
fn p05_a_pair_is_always_answered() {
    let server = server(newest());
    let pgvigil = watch(&server, &[]);
    let ways: [&[_]; 2] = [
        &[OPEN_METRICS[0], (super::TIMEOUT_HEADER, "5")],
        &[("Accept-Encoding", "gzip"), (super::TIMEOUT_HEADER, "8")],
    ];
    let rounds = if is_long() { 300 } else { 30 };
    thread::scope(|scope| {
        for headers in ways {
            let pgvigil = &pgvigil;
            scope.spawn(move || {
                for _ in 0..rounds {
                    let answer = pgvigil.get_at_once("/metrics", headers);
                    assert!(answer.status == 200 && answer.body.len() > 1000, "{}", answer.status);
                }
            });
        }
    });
    Scrape::of(&pgvigil, None).expect_up(true, "after them");
    figure(5, "a pair of scrapers, answered", 2 * rounds);
}

#[test]
fn p06_sessions_that_die_are_replaced_inside_the_scrape() {
    // Four servers at the same time, each with a pgvigil of its own: they wait most of the time.
    let scrapes = if is_long() { 2000 } else { 200 };
    let (all_killed, all_down) = (AtomicU32::new(0), AtomicU32::new(0));
    let began = Instant::now();
    together(0..4, |_| {
        let (killed, down) = scrapes_while_killed(scrapes / 4);
        all_killed.fetch_add(killed, Ordering::Relaxed);
        all_down.fetch_add(down, Ordering::Relaxed);
    });
    let (killed, down) = (all_killed.into_inner(), all_down.into_inner());
    figure(6, &format!("{scrapes} scrapes in {:?}, sessions killed", began.elapsed()), killed);
    assert!(killed > scrapes / 20, "only {killed} sessions were killed");
    assert!(down <= scrapes / 100, "{down} of {scrapes} scrapes say down");
}

/// How many sessions were ended during so many scrapes, and how many of these say down.
fn scrapes_while_killed(scrapes: u32) -> (u32, u32) {
    let server = server(newest());
    let pgvigil = watch(&server, &[]);
    let (over, nth, mut down) = (AtomicBool::new(false), AtomicU32::new(0), 0);
    let killed = thread::scope(|scope| {
        let killer = scope.spawn(|| kill_at_random(&server, &nth, &over));
        for _ in 0..scrapes {
            nth.fetch_add(1, Ordering::Relaxed);
            let scrape = Scrape::of(&pgvigil, None);
            if !scrape.is_up() {
                down += 1;
                figure(6, "falsely down", format!("{:?}", scrape.reason()));
            }
        }
        over.store(true, Ordering::Relaxed);
        killer.join().expect("the killer")
    });
    (killed, down)
}

/// Ends pgvigil's sessions every now and then, and says how many. At most once in a scrape, or twice where one kill comes late: on a
/// machine so slow that a scrape outlasts several pauses, all the sessions it may use up would be ended, one after the other.
pub fn kill_at_random(server: &Postgres, nth: &AtomicU32, over: &AtomicBool) -> u32 {
    let mut session = server.session("postgres");
    let (mut killed, mut seed, mut last) = (0, 1u64, 0);
    while !over.load(Ordering::Relaxed) {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'pgvigil';";
        let now = nth.load(Ordering::Relaxed);
        if now != last {
            killed += session.run(sql).parse::<u32>().expect("a number");
            last = now;
        }
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        millis(5 + (seed >> 33) % 100);
    }
    killed
}
