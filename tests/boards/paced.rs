//! Rates over what a slow collector brings, with the collectors as they are shipped: they do not fall to 0 between two readings.

// Rows are changed once a second.
#![allow(clippy::disallowed_methods)]

use std::{
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::files::{self, items, text};
use crate::support::{Pgvigil, Postgres, Prometheus};

/// As long as it takes to see some readings of a collector that is asked once in a minute.
const WATCHED: Duration = Duration::from_secs(540);

/// Rows that are changed in a second.
const PER_SECOND: f64 = 30.0;

#[test]
#[ignore = "long: make test-all"]
fn rates_of_slow_collectors_do_not_fall_to_nothing() {
    let server = Postgres::builder(15).start();
    server.create_monitor_role();
    server.sql(
        "postgres",
        "CREATE TABLE busy (id int PRIMARY KEY, n int); INSERT INTO busy SELECT i, 0 FROM generate_series(1, 30) i",
    );
    let url = server.url("pgvigil", "postgres");
    let pgvigil = Pgvigil::start(env!("CARGO_BIN_EXE_pgvigil"), &[], &[("PGVIGIL_POSTGRES_URL", &url)]);
    let prometheus = Prometheus::start(&format!(
        "  - {{job_name: pgvigil, scrape_interval: 15s, scrape_timeout: 10s, static_configs: [{{targets: [\"{}\"]}}]}}",
        pgvigil.address()
    ));
    let begun = Instant::now();
    while begun.elapsed() < WATCHED {
        server.sql("postgres", "UPDATE busy SET n = n + 1");
        sleep(Duration::from_secs(1));
    }
    let end = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let written = "sum(rate(pg_stat_user_tables_n_tup_upd{job=~\".+\", relname=\"busy\"}[$__rate_interval]))";
    let (by_default, with_step) = (least(&prometheus, written, 15, end), least(&prometheus, written, step(), end));
    println!("least rate: {by_default} with a step of 15 s, {with_step} with that of the board");
    assert!(by_default < 1.0, "the collector is not slow: this test shows nothing");
    assert!(with_step > PER_SECOND / 2.0, "{with_step} a second, and it was {PER_SECOND}");
}

/// The least value in the last three minutes, as Grafana asks it: over four steps.
fn least(prometheus: &Prometheus, expr: &str, step: u64, end: u64) -> f64 {
    let expr = expr.replace("$__rate_interval", &format!("{}s", 4 * step));
    let answer = prometheus.query_range(&expr, (end - 180, end), 15);
    let values = items(&answer[0]["values"]).iter().map(|point| text(&point[1]).parse::<f64>().expect("a value"));
    values.fold(f64::INFINITY, f64::min)
}

/// That of the board's own query.
fn step() -> u64 {
    let board = files::dashboards().into_iter().find(|board| board.uid() == "pgvigil-tables").expect("the board");
    let panel = board.panels().find(|panel| panel["title"] == "Which tables are changed").expect("the panel").clone();
    text(&panel["targets"][0]["interval"]).trim_end_matches('s').parse().expect("a step")
}
