//! A probe that is scraped: its loop is the target's, its counters outlive reloads, its breaker and clock show.

use std::{io::Write, net::TcpStream, thread::sleep};

use super::{
    proxy::{Mode, Proxy},
    *,
};

const LATE: Duration = Duration::from_millis(400);

fn direct(port: u16) -> String {
    format!("      paths:\n        - {{name: direct, direct: {{port: {port}, sslmode: disable}}}}\n")
}

#[test]
fn a_probe_outlives_reloads_and_says_where_the_time_goes() {
    let server = Postgres::builder(newest()).start();
    create_role(&server);
    let proxy = Proxy::start(server.port(), Mode::Pass);
    let more = direct(proxy.port());
    let url = server.url("pgvigil_probe", "postgres");
    let (pgvigil, folder) = serve(&settings(&url, &more));
    let attempts =
        |page: &str| total(page, "pgvigil_probe_attempts_total", &[("path", "direct"), ("query", "round_trip")]);
    let phase = |page: &str, phase: &str, what: &str| {
        total(page, &format!("pgvigil_probe_duration_seconds_{what}"), &[("path", "direct"), ("phase", phase)])
    };
    let page = until(&pgvigil, "some rounds", |page| attempts(page) >= 4.0);
    assert_eq!(sample(&page, "pgvigil_probe_up", &[]), Some(1.0));
    assert_eq!(sample(&page, "pgvigil_probe_schema_installed", &[]), Some(0.0));
    assert_eq!(sample(&page, "pgvigil_probe_path_info", &[("kind", "direct"), ("role", "pgvigil_probe")]), Some(1.0));
    // Each query opens a connection.
    for (query, objective) in [("round_trip", 0.05), ("point", 0.05), ("aggregate", 0.1)] {
        let objectives = samples(&page, "pgvigil_probe_objective_seconds", &[("path", "direct"), ("query", query)]);
        assert_eq!(objectives, [objective], "{query}");
    }
    assert_eq!(total(&page, "pgvigil_probe_failures_total", &[]), 0.0, "{page}");
    // A reload that changes something else leaves the probe as it is; so does one that is broken.
    folder.write("pgvigil.yaml", &format!("scrape_timeout: 9s\n{}", settings(&url, &more)));
    pgvigil.signal("HUP");
    until(&pgvigil, "a reload", |_| pgvigil.stderr().contains("configuration loaded again"));
    assert!(attempts(&pgvigil.scrape()) >= attempts(&page));
    // A delay of what the server says: the login has several turns, the query one, the connection none.
    let before = pgvigil.scrape();
    proxy.set(Mode::Delay(LATE));
    let page = until(&pgvigil, "delayed rounds", |page| {
        phase(page, "query", "count") >= phase(&before, "query", "count") + 3.0
    });
    let mean = |name: &str| {
        let rise = |what| phase(&page, name, what) - phase(&before, name, what);
        rise("sum") / rise("count")
    };
    for (name, least, most) in
        [("resolve", 0.0, 0.4), ("connect", 0.0, 0.4), ("authentication", 0.8, 9.0), ("query", 0.25, 9.0)]
    {
        assert!((least..most).contains(&mean(name)), "{name}: {}", mean(name));
    }
    // A path that hangs is tried five times, and then left alone.
    proxy.set(Mode::Swallow);
    let page =
        until(&pgvigil, "the breaker opens", |page| sample(page, "pgvigil_probe_circuit_state", &[]) == Some(2.0));
    assert_eq!(sample(&page, "pgvigil_probe_circuit_trips_total", &[]), Some(1.0));
    assert!(
        total(&page, "pgvigil_probe_late_total", &[]) > 0.0 && total(&page, "pgvigil_probe_missed_total", &[]) > 0.0
    );
    let page = until(&pgvigil, "no more tries", |page| {
        total(page, "pgvigil_probe_failures_total", &[("reason", "circuit_open")]) > 2.0
    });
    let failed = total(&page, "pgvigil_probe_failures_total", &[("reason", "timeout")]);
    assert_eq!(failed, 5.0, "{page}");
    assert_eq!(sample(&page, "pgvigil_probe_up", &[]), Some(1.0));
    // Without the target, nothing is asked any more.
    proxy.set(Mode::Pass);
    folder.write("pgvigil.yaml", &format!("targets: [{{name: other, postgres: {{url: '{url}'}}}}]"));
    pgvigil.signal("HUP");
    until(&pgvigil, "the probe ends", |page| sample(page, "pgvigil_probe_up", &[]).is_none());
    eventually(Duration::from_secs(20), "its connections end", || proxy.open() == 0);
}

/// Whoever asks for a round and hangs up costs the path nothing: its kept connection is not given up in the middle of a question.
#[test]
fn a_round_that_nobody_waits_for_costs_no_connection() {
    let server = Postgres::builder(newest()).start();
    create_role(&server);
    let proxy = Proxy::start(server.port(), Mode::Pass);
    let more =
        format!("      paths:\n        - {{name: pooled, pooled: {{port: {}, sslmode: disable}}}}\n", proxy.port());
    let (pgvigil, _folder) = serve(&settings(&server.url("pgvigil_probe", "postgres"), &more));
    let attempts = |page: &str| total(page, "pgvigil_probe_attempts_total", &[]);
    let page = until(&pgvigil, "some rounds", |page| attempts(page) >= 4.0);
    let sql = "SELECT string_agg(pid::text, ',' ORDER BY pid) FROM pg_stat_activity WHERE usename = 'pgvigil_probe'";
    let sessions = server.sql("postgres", sql);
    proxy.set(Mode::Delay(LATE));
    let mut stream = TcpStream::connect(pgvigil.address()).expect("a connection");
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an end without a word");
    stream.write_all(b"GET /probe?path=pooled HTTP/1.1\r\nHost: a\r\n\r\n").expect("asking");
    sleep(LATE / 2);
    drop(stream);
    sleep(2 * LATE);
    proxy.set(Mode::Pass);
    let page = until(&pgvigil, "more rounds", |later| attempts(later) >= attempts(&page) + 8.0);
    assert_eq!(total(&page, "pgvigil_probe_failures_total", &[]), 0.0, "{page}");
    assert_eq!(server.sql("postgres", sql), sessions);
}
