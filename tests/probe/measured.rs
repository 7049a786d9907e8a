//! What is measured is what was: against what a proxy saw, when asked at once, and for as long as it runs.

use std::{thread::sleep, time::Instant};

use super::{
    proxy::{Mode, Proxy},
    *,
};
use crate::support::{Stop, is_long, page::samples};

/// The bounds of the histograms, in seconds.
const BOUNDS: [f64; 17] =
    [5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

fn bucket(seconds: f64) -> usize {
    BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len())
}

#[test]
fn the_histogram_agrees_with_what_a_proxy_saw() {
    let server = Postgres::builder(newest()).start();
    create_role(&server);
    // Times that are the proxy's, not a busy machine's.
    let proxy = Proxy::start(server.port(), Mode::Delay(Duration::from_millis(30)));
    let more = format!("      paths: [{{replica: {{port: {}, sslmode: disable}}}}]\n", proxy.port());
    let (pgvigil, _folder) =
        serve(&settings(&server.url("pgvigil_probe", "postgres"), &more).replace("500ms", "100ms"));
    let at_most = |page: &str, bound: &str| {
        let labels = [("phase", "query"), ("query", "round_trip"), ("le", bound)];
        total(page, "pgvigil_probe_duration_seconds_bucket", &labels)
    };
    let count = |page: &str| at_most(page, "+Inf");
    until(&pgvigil, "quick rounds", |page| count(page) >= 40.0);
    proxy.set(Mode::Delay(Duration::from_millis(150)));
    let page = until(&pgvigil, "slow rounds", |page| count(page) >= 60.0);
    let mut waits = proxy.waits();
    // The login's come first, and one may have passed since the scrape.
    waits.reverse();
    waits.truncate(count(&page) as usize);
    waits.sort_unstable();
    for share in [0.5, 0.95] {
        let seen = waits[(waits.len() as f64 * share) as usize].as_secs_f64();
        let told = BOUNDS
            .iter()
            .position(|bound| at_most(&page, &bound.to_string()) >= count(&page) * share)
            .unwrap_or(BOUNDS.len());
        println!("p{}: the proxy saw {:.3} ms, the histogram says bucket {told}", share * 100.0, seen * 1000.0);
        assert!(told.abs_diff(bucket(seen)) <= 1, "{seen} s is not near bucket {told}: {waits:?}");
    }
}

#[test]
fn a_path_can_be_asked_at_once_but_seldom() {
    let server = Postgres::builder(newest()).start();
    create_role(&server);
    let url = server.url("pgvigil_probe", "postgres");
    let (pgvigil, _folder) = serve(&settings(&url, "      write: true\n      paths: [direct: {}]\n"));
    let ask = |query: &str| pgvigil.get(&format!("/probe?{query}"), &[]);
    let counted = || total(&pgvigil.scrape(), "pgvigil_probe_failures_total", &[("reason", "refused")]);
    for (query, told) in
        [("path=none", "no path \"none\"; `path=` is one of direct\n"), ("target=x&path=direct", "no target \"x\"\n")]
    {
        let answer = ask(query);
        assert_eq!((answer.status, answer.text().as_str()), (400, told));
    }
    assert_eq!(ask("path=write").status, 400, "what writes is nobody's to start");
    let answer = ask("target=way&path=direct&debug=true");
    let body = answer.text();
    for part in [
        "direct (direct) at 127.0.0.1:",
        "as pgvigil_probe\n",
        "round_trip succeeded in",
        "authentication ",
        "last failures, the newest first:\nnone\n",
    ] {
        assert!(answer.status == 200 && body.contains(part), "{part:?} is not in {body}");
    }
    let again = ask("path=direct");
    assert!(again.status == 429 && again.header("retry-after").is_some(), "{}", again.text());
    server.stop(Stop::Fast);
    eventually(Duration::from_secs(30), "a failure", || counted() > 0.0);
    let mut body = String::new();
    eventually(Duration::from_secs(30), "a second answer", || {
        let answer = ask("path=direct&debug=true");
        body = answer.text();
        answer.status == 200
    });
    assert!(body.contains("reason refused: cannot connect"), "{body}");
    assert!(!body.contains("ü"), "no secret: {body}");
}

/// Sessions are ended, the server restarts, the path is cut: in the end everything is as it was at first.
#[test]
fn a_long_run_with_kills_leaks_nothing() {
    let lasts = Duration::from_secs(if is_long() { 600 } else { 20 });
    let server = Postgres::builder(newest()).start();
    create_role(&server);
    let proxy = Proxy::start(server.port(), Mode::Pass);
    let more = format!(
        "      paths:\n        - direct: {{}}\n        - pooled: {{}}\n        - cached: {{}}\n        - {{name: cut, replica: {{port: {}, sslmode: disable}}}}\n",
        proxy.port()
    );
    let (pgvigil, _folder) =
        serve(&settings(&server.url("pgvigil_probe", "postgres"), &more).replace("500ms", "200ms"));
    until(&pgvigil, "it works", |page| total(page, "pgvigil_probe_successes_total", &[]) > 40.0);
    let (began, first) = (Instant::now(), pgvigil.rss_kib());
    let mut highest = 0;
    for step in 0.. {
        let sessions = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'pgvigil_probe'";
        match step % 8 {
            3 => proxy.set(Mode::Cut),
            4 => proxy.set(Mode::Pass),
            7 if step % 24 == 23 => server.restart(),
            _ => _ = server.try_sql("postgres", sessions),
        }
        sleep(Duration::from_millis(500));
        highest = highest.max(pgvigil.rss_kib());
        if began.elapsed() >= lasts {
            break;
        }
    }
    proxy.set(Mode::Pass);
    let page = pgvigil.scrape();
    let ok = |page: &str| total(page, "pgvigil_probe_successes_total", &[]);
    let before = ok(&page);
    // A breaker that is open tries again after half a minute.
    until(&pgvigil, "it recovers", |page| {
        ok(page) > before + 20.0 && samples(page, "pgvigil_probe_circuit_state", &[]).iter().all(|state| *state == 0.0)
    });
    println!("resident: {first} KiB at first, {highest} KiB at most, {} KiB at last", pgvigil.rss_kib());
    assert!(
        pgvigil.rss_kib() < first + 16 * 1024,
        "resident memory rose from {first} KiB to {} KiB",
        pgvigil.rss_kib()
    );
    // A kept connection, a pool of five, one that is just being used; and none that was given up.
    eventually(Duration::from_secs(30), "connections are few", || {
        let sessions = server.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE usename = 'pgvigil_probe'");
        let told = sample(&pgvigil.scrape(), "pgvigil_sessions", &[]).unwrap_or(99.0);
        sessions.parse::<u32>().is_ok_and(|sessions| sessions <= 7) && told <= 7.0
    });
}
