//! Native histograms at a real Prometheus: however it is set, boards and rules find what they read, and quantiles are nearer to the truth.

// It waits for real processes.
#![allow(clippy::disallowed_methods)]

use std::{collections::BTreeSet, thread::sleep, time::Duration};

use promql_parser::parser::{self, Expr};
use serde_json::Value;

use crate::{
    boards::files as boards,
    rules::files as rules,
    support::{Folder, Generation, Pgvigil, Postgres, Prometheus, eventually, majors, page},
};

const PROBE: &str = "pgvigil_probe_duration_seconds";
const STATEMENTS: &str = "pg_stat_statements_duration_seconds";

/// How long the probe's own query takes, or a little longer: far from the bounds of classic buckets, which are at 200 and 500 ms.
const NAP: f64 = 0.26;

/// How a Prometheus takes histograms.
struct Way {
    name: &'static str,
    generation: Generation,
    flags: &'static [&'static str],
    scrape: &'static str,
    has_classic: bool,
}

const WAYS: [Way; 5] = [
    Way { name: "classic", generation: Generation::Oldest, flags: &[], scrape: "", has_classic: true },
    Way {
        name: "native",
        generation: Generation::Oldest,
        flags: &["--enable-feature=native-histograms"],
        scrape: "",
        has_classic: false,
    },
    Way { name: "classic", generation: Generation::Newest, flags: &[], scrape: "", has_classic: true },
    Way {
        name: "native",
        generation: Generation::Newest,
        flags: &[],
        scrape: "scrape_native_histograms: true, ",
        has_classic: false,
    },
    Way {
        name: "both",
        generation: Generation::Newest,
        flags: &[],
        scrape: "scrape_native_histograms: true, always_scrape_classic_histograms: true, ",
        has_classic: true,
    },
];

/// A probe of three paths and a server with statements.
fn watched() -> (Postgres, Pgvigil, Folder) {
    let newest = *majors().last().expect("at least one version");
    let server = Postgres::builder(newest).config("shared_preload_libraries = 'pg_stat_statements'").start();
    server.create_monitor_role();
    server.sql("postgres", "CREATE EXTENSION pg_stat_statements");
    let folder = Folder::new("native", "TERM");
    let (probe, own) = (server.url("pgvigil_probe", "postgres"), server.url("pgvigil", "postgres"));
    let settings = format!(
        "targets:\n  - name: way\n    probe:\n      interval: 500ms\n      primary: {{url: \"{probe}\"}}\n      \
         paths: [{{direct: {{}}}}, {{pooled: {{}}}}, {{cached: {{}}}}]\n      \
         queries: [{{name: nap, sql: \"SELECT pg_sleep({NAP})\", objective: 1s}}]\n  \
         - {{name: server, thresholds: {{statement_p95_seconds: {{warning: 0.001, critical: 0.002}}}}, postgres: {{url: \"{own}\"}}}}\n\
         collectors: {{statement_histogram: {{ttl: 500ms}}}}\n"
    );
    let file = folder.write("pgvigil.yaml", &settings);
    let pgvigil = Pgvigil::start(env!("CARGO_BIN_EXE_pgvigil"), &["--config", &file.display().to_string()], &[]);
    (server, pgvigil, folder)
}

fn prometheus(way: &Way, pgvigil: &Pgvigil) -> Prometheus {
    let (scrape, address) = (way.scrape, pgvigil.address());
    let job = format!("  - {{job_name: pgvigil, {scrape}static_configs: [{{targets: [\"{address}\"]}}]}}");
    Prometheus::start_with(way.generation, way.flags, &job)
}

/// What boards ask of the two histograms, and what rules compare of them.
fn expressions() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for dashboard in boards::dashboards() {
        all.extend(dashboard.expressions().iter().map(|(_, expr)| boards::chosen(&dashboard, expr)));
    }
    for rule in rules::rules() {
        compared(&parser::parse(&rule.expr).expect("an expression"), &mut all);
    }
    all.retain(|expr| [PROBE, STATEMENTS].iter().any(|name| expr.contains(name)) && !expr.contains("offset"));
    all
}

/// The left sides of comparisons: what they come to need not be there, as no threshold is exceeded.
fn compared(expr: &Expr, all: &mut BTreeSet<String>) {
    match expr {
        Expr::Binary(binary) if binary.op.to_string() == ">" => _ = all.insert(binary.lhs.to_string()),
        Expr::Binary(binary) => [&binary.lhs, &binary.rhs].into_iter().for_each(|side| compared(side, all)),
        Expr::Paren(paren) => compared(&paren.expr, all),
        _ => (),
    }
}

/// The series of an answer, without what differs between the kinds of buckets.
fn series(prometheus: &Prometheus, expr: &str) -> BTreeSet<String> {
    let labels = |sample: &Value| {
        let mut labels = sample["metric"].clone();
        labels.as_object_mut().map(|labels| labels.remove("le"));
        labels.to_string()
    };
    boards::items(&prometheus.query(expr)).iter().map(labels).collect()
}

#[test]
fn boards_and_rules_read_what_there_is_however_prometheus_takes_histograms() {
    let (server, pgvigil, _folder) = watched();
    let ways: Vec<_> = WAYS.iter().filter(|way| Generation::tested().contains(&way.generation)).collect();
    let all: Vec<_> = ways.iter().map(|way| prometheus(way, &pgvigil)).collect();
    let (exprs, mut wrong) = (expressions(), Vec::new());
    assert!(exprs.len() > 25, "{}", exprs.len());
    eventually(Duration::from_secs(120), "every expression gives something", || {
        server.sql("postgres", &"SELECT pg_sleep(0.003);\n".repeat(5));
        wrong.clear();
        for expr in &exprs {
            let found: Vec<_> = all.iter().map(|prometheus| series(prometheus, expr)).collect();
            if found[0].is_empty() || found.iter().any(|found_there| *found_there != found[0]) {
                wrong.push(format!("{expr}: {:?}", found.iter().map(BTreeSet::len).collect::<Vec<_>>()));
            }
        }
        if !wrong.is_empty() {
            println!("{} of {} expressions wait", wrong.len(), exprs.len());
            sleep(Duration::from_secs(3));
        }
        wrong.is_empty()
    });
    for (way, prometheus) in ways.iter().zip(&all) {
        let what = format!("{} of {:?}", way.name, way.generation);
        for name in [PROBE, STATEMENTS] {
            let classic = series(prometheus, &format!("{{__name__=~\"{name}_(bucket|sum|count)\"}}"));
            assert_eq!(!classic.is_empty(), way.has_classic, "{what}: {name}");
            let native = series(prometheus, &format!("histogram_count({name})"));
            assert_eq!(native.is_empty(), way.name == "classic", "{what}: {name}");
        }
    }
    nearer(&ways, &all);
}

/// The naps are all about as long; a classic bucket only says that they are within 200 and 500 ms.
fn nearer(ways: &[&Way], all: &[Prometheus]) {
    let of = "{path=\"direct\", query=\"nap\", phase=\"query\"}[1m]";
    let value = |prometheus: &Prometheus, expr: String| prometheus.value(&expr).expect("a value");
    for (way, prometheus) in ways.iter().zip(all).filter(|(way, _)| way.name != "classic") {
        for q in [0.5, 0.95] {
            let native = value(prometheus, format!("histogram_quantile({q}, sum(rate({PROBE}{of})))"));
            let classic = value(&all[0], format!("histogram_quantile({q}, sum by (le) (rate({PROBE}_bucket{of})))"));
            println!("{} of {:?}, {q}: native {native}, classic {classic}", way.name, way.generation);
            assert!((native - NAP).abs() < (classic - NAP).abs(), "{native} or {classic}");
        }
    }
}

/// More buckets than fit into a label's text.
#[test]
fn a_collector_of_ones_own_may_have_many_native_buckets() {
    const WIDE: &str = "
collector: wide
source: postgres
queries:
  - name: only
    sql:
      - since: 13
        text: |
          SELECT 1 AS le, 300 AS bucket, 300 AS total, 303 AS n, 'zero:3 ' || string_agg(i || ':1', ' ' ORDER BY i) AS fine
            FROM generate_series(-149, 150) i
    metrics:
      - {name: pg_test_wide_seconds, type: histogram, le: le, value: bucket, sum: total, count: n, native: {schema: 3, buckets: fine}, help: Wide.}
    example: [{le: 1, bucket: 1, total: 1, n: 1, fine: '0:1'}]
";
    let server = Postgres::builder(*majors().last().expect("at least one version")).start();
    server.create_monitor_role();
    let folder = Folder::new("native", "TERM");
    folder.write("wide.yaml", WIDE);
    let url = server.url("pgvigil", "postgres");
    let args = ["--collectors", &folder.path().display().to_string()];
    let pgvigil = Pgvigil::start(env!("CARGO_BIN_EXE_pgvigil"), &args, &[("PGVIGIL_POSTGRES_URL", &url)]);
    let invalid = page::sample(&pgvigil.scrape(), "pgvigil_values_invalid_total", &[("collector", "wide")]);
    assert_eq!(invalid.unwrap_or_default(), 0.0);
    let prometheus = prometheus(&WAYS[1], &pgvigil);
    let value = |promql: &str| prometheus.value(promql);
    eventually(Duration::from_secs(30), "it is a native histogram", || {
        value("histogram_count(pg_test_wide_seconds)") == Some(303.0)
    });
    // Half of those above 0 are up to 1.
    let below = value("histogram_fraction(0, 1, pg_test_wide_seconds)").expect("a share");
    assert!((below - 153.0 / 303.0).abs() < 0.01, "{below}");
}
