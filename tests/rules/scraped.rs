//! Every scrape config that we show: while pgvigil answers it brings neither PgvigilMissing nor PgvigilDown, whatever its job is called and however many
//! Prometheus share the targets; and once it is gone it brings PgvigilDown.

// It waits for real processes.
#![allow(clippy::disallowed_methods)]

use std::{fs, net::SocketAddr, thread::sleep, time::Duration};

use super::files;
use crate::support::{Pgvigil, Prometheus, eventually};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// Where we show some, and how many.
const SHOWN: [(&str, usize); 8] = [
    ("README.md", 1),
    ("docs/start.md", 1),
    ("docs/operations.md", 2),
    ("docs/prometheus.md", 2),
    ("docs/web.md", 1),
    ("helm/pgvigil/README.md", 1),
    ("helm/pgvigil/templates/NOTES.txt", 1),
    ("deploy/compose/prometheus/prometheus.yml", 1),
];

/// What stands there for pgvigil's address.
const ADDRESSES: [&str; 5] = [
    "{{ $name }}.{{ $namespace }}:{{ .Values.service.port }}",
    "pgvigil.monitoring:9878",
    "pgvigil:9878",
    "pgvigil-a:9878",
    "pgvigil-b:9878",
];

/// How it is asked where it is closed: here it is open.
const CLOSED: [&str; 3] = ["scheme:", "basic_auth:", "tls_config:"];

#[test]
fn no_example_brings_alerts_that_pgvigil_is_gone() {
    // Nobody has to answer there.
    let url = "postgresql://pgvigil@127.0.0.1:1/postgres";
    let pgvigil = Pgvigil::start(BINARY, &[], &[("PGVIGIL_POSTGRES_URL", url), ("PGVIGIL_REPLICA_URLS", url)]);
    let mut all: Vec<(String, Prometheus)> = Vec::new();
    for (file, count) in SHOWN {
        let examples = examples(&fs::read_to_string(file).expect(file), pgvigil.address());
        assert_eq!(examples.len(), count, "{file}");
        for jobs in examples.iter().flat_map(|jobs| shards(jobs)) {
            let prometheus = Prometheus::start(&jobs);
            all.push((format!("{file}:\n{jobs}"), prometheus));
        }
    }
    let pages = |prometheus: &Prometheus| prometheus.value("count(pgvigil_build_info)").unwrap_or_default();
    let [down, missing] = ["PgvigilDown", "PgvigilMissing"].map(expression);
    let fires =
        |prometheus: &Prometheus, expr: &str| prometheus.query(expr).as_array().is_some_and(|all| !all.is_empty());
    // The shards of one example have two targets, of which they may get none.
    let is_scraped = |(what, prometheus): &(String, Prometheus)| what.contains("hashmod") || pages(prometheus) > 0.0;
    eventually(Duration::from_secs(60), "every Prometheus has pages", || all.iter().all(is_scraped));
    eventually(Duration::from_secs(60), "shards have all targets together", || {
        all.iter().filter(|(what, _)| what.contains("hashmod")).map(|(_, prometheus)| pages(prometheus)).sum::<f64>()
            == 2.0
    });
    sleep(Duration::from_secs(3));
    for (what, prometheus) in &all {
        assert!(!fires(prometheus, &missing), "PgvigilMissing by {what}");
        assert!(!fires(prometheus, &down), "PgvigilDown by {what}");
    }
    all.retain(|(_, prometheus)| pages(prometheus) > 0.0);
    drop(pgvigil);
    eventually(Duration::from_secs(60), "each tells that it is down", || all.iter().all(|(_, p)| fires(p, &down)));
    for (what, prometheus) in &all {
        assert!(!fires(prometheus, &missing), "PgvigilMissing too, by {what}");
    }
}

/// Of an alert, with a pace that fits a Prometheus that has just begun.
fn expression(alert: &str) -> String {
    let rules = files::rules();
    let rule = rules.iter().find(|rule| rule.alert.as_deref() == Some(alert)).expect("the alert");
    rule.expr.replace("[1d:5m]", "[10m:1s]")
}

/// The items under each `scrape_configs:` of a text, at pgvigil's address.
fn examples(text: &str, address: SocketAddr) -> Vec<String> {
    let mut all = Vec::new();
    let lines: Vec<_> = text.lines().collect();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.trim() == "scrape_configs:") {
        let depth = line.len() - line.trim_start().len();
        let is_inside = |line: &&&str| line.trim().is_empty() || line.starts_with(&" ".repeat(depth + 2));
        let inside = lines[at + 1..].iter().take_while(is_inside).map(|line| line.get(depth..).unwrap_or_default());
        let open = inside.filter(|line| !CLOSED.iter().any(|key| line.trim_start().starts_with(key)));
        let jobs = open.collect::<Vec<_>>().join("\n");
        all.push(ADDRESSES.iter().fold(jobs, |jobs, shown| jobs.replace(*shown, &address.to_string())));
    }
    all
}

/// What each shard of a Prometheus gets: the example is the first of three.
fn shards(jobs: &str) -> Vec<String> {
    let first = "regex: \"0\"";
    match jobs.contains(first) {
        true => (0..3).map(|shard| jobs.replace(first, &format!("regex: \"{shard}\""))).collect(),
        false => vec![jobs.to_owned()],
    }
}
