//! Promise 16: however often sessions are killed, every scrape is answered and nothing grows.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::Duration,
};

use crate::support::{Pgvigil, Postgres, eventually, process};

use super::{Scrape, backends, crowd::kill_at_random, figure, is_long, newest, server, watch};

/// Sessions kept, as promised.
const KEPT: usize = 3;

/// What the program holds between scrapes.
#[derive(Debug)]
struct Held {
    rss_kib: u64,
    descriptors: usize,
}

impl Held {
    fn by(pgvigil: &Pgvigil, server: &Postgres) -> Held {
        Scrape::of(pgvigil, None).expect_up(true, "in peace");
        // What was given up meanwhile ends.
        eventually(Duration::from_secs(20), "few sessions are kept", || backends(server) <= KEPT);
        Held { rss_kib: pgvigil.rss_kib(), descriptors: process::descriptors(pgvigil.pid()) }
    }
}

#[test]
fn p16_nothing_grows_while_sessions_are_killed() {
    let server = server(newest());
    let pgvigil = watch(&server, &[]);
    let scrapes = if is_long() { 2000 } else { 100 };
    let (over, nth) = (AtomicBool::new(false), AtomicU32::new(0));
    let scrape = || {
        nth.fetch_add(1, Ordering::Relaxed);
        // Panics unless it is answered 200.
        Scrape::of(&pgvigil, None);
    };
    let (before, killed) = thread::scope(|scope| {
        let killer = scope.spawn(|| kill_at_random(&server, &nth, &over));
        // As much memory as it will want is taken by the first.
        (0..scrapes / 4).for_each(|_| scrape());
        let before = pgvigil.rss_kib();
        (0..scrapes).for_each(|_| scrape());
        over.store(true, Ordering::Relaxed);
        (before, killer.join().expect("the killer"))
    });
    let after = Held::by(&pgvigil, &server);
    // Its sessions are not those of the fresh one.
    assert!(pgvigil.stop().success());
    let calm = Held::by(&watch(&server, &[]), &server);
    figure(
        16,
        &format!("{scrapes} scrapes, {killed} sessions killed"),
        format!("{before} KiB, then {after:?}, afresh {calm:?}"),
    );
    assert!(killed > scrapes / 20, "only {killed} sessions were killed");
    assert!(after.rss_kib <= before + before / 10, "{before} KiB, then {after:?}");
    assert!(after.descriptors <= calm.descriptors + 2, "{after:?}, and afresh {calm:?}");
    assert!(!pgvigil.stderr().contains("panicked"), "{}", pgvigil.stderr());
}
