//! The configuration as a whole: good files mean what they say, and arbitrary text never panics.

use std::{fs, time::Duration};

use pgvigil::{
    collector::{Role, Rows, SourceKind, ValueSource, catalogue::Catalogue, metric::MetricKind},
    schema::problem::Problems,
    settings::{
        Endpoint, Settings, Threshold,
        connection::{
            dsn::Dsn,
            model::{Address, Roots, TlsMode},
            postgres::resolve,
        },
        probe::Path,
    },
    table::Cell,
};
use proptest::prelude::*;

use crate::support::is_long;

fn tiny() -> Catalogue {
    let text = fs::read_to_string("tests/good/tiny.yaml").expect("a readable file");
    Catalogue::from_files([("tests/good/tiny.yaml", text.as_str())]).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn a_collector_means_what_it_says() {
    let catalogue = tiny();
    let collector = catalogue.get("tiny").expect("tiny");
    assert_eq!(collector.about, "A tiny collector for tests.\n\nIt has a bit of everything.");
    assert_eq!((collector.source, collector.role, collector.max_rows), (SourceKind::Postgres, Role::Primary, 10));
    assert_eq!((collector.ttl, collector.timeout), (Duration::from_secs(60), Duration::from_secs(3)));
    let query = &collector.queries[0];
    assert_eq!(query.requires.as_ref().map(|e| e.version.clone()), Some(vec![1, 10]));
    assert_eq!(query.variant(15).map(|v| v.since), Some(14));
    assert_eq!(query.variant(17).map(|v| v.since), Some(16));
    assert!(query.variant(18).is_none() && query.variant(13).is_none());
    let kinds: Vec<_> = query.metrics.iter().map(|metric| metric.def.kind).collect();
    assert_eq!(
        kinds,
        [MetricKind::Gauge, MetricKind::Counter, MetricKind::Gauge, MetricKind::Info, MetricKind::Histogram]
    );
    assert_eq!(query.metrics[1].value, ValueSource::Column { column: "wait".into(), scale: 0.001 });
    assert_eq!(query.labels_of(&query.metrics[2]), [] as [&str; 0]);
    let count = query.example.column("count").expect("a column");
    assert_eq!((query.example.cell(0, count), query.example.cell(1, count)), (Cell::Text("3"), Cell::Absent));
}

/// A server tells where in the SQL an error is; that must lead to the same character in the file.
#[test]
fn positions_in_sql_are_positions_in_the_file() {
    let file = fs::read_to_string("tests/good/tiny.yaml").expect("a readable file");
    let catalogue = tiny();
    let Rows::Sql(variants) = &catalogue.collectors[0].queries[0].rows else { panic!("SQL") };
    assert_eq!(variants.len(), 2);
    for variant in variants {
        for (index, character) in variant.text.chars().enumerate().filter(|(_, c)| *c != '\n') {
            let place = variant.place.within(&variant.text, index);
            let line = file.lines().nth(place.line - 1).expect("a line");
            assert_eq!(line.chars().nth(place.column - 1), Some(character), "{place}");
        }
    }
}

#[test]
fn a_folder_adds_to_what_is_shipped() {
    let with = Catalogue::load(Some("tests/good".as_ref())).unwrap_or_else(|problems| panic!("{problems}"));
    let without = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(with.get("tiny").is_some() && without.get("tiny").is_none());
    assert_eq!(with.collectors.len(), without.collectors.len() + 2);
    assert!(with.collectors.is_sorted_by_key(|collector| &collector.name));
    let missing = Catalogue::load(Some("tests/none".as_ref())).expect_err("no folder").to_string();
    assert!(missing.starts_with("tests/none: the folder cannot be read"), "{missing}");
}

#[test]
fn settings_mean_what_they_say() {
    let env = |name: &str| (name == "PASSWORD").then(|| "s3/cret@".to_owned());
    let text = r#"
scrape_timeout: 5s
targets:
  - name: orders
    labels: {shard: "${PASSWORD}", cluster: orders}
    thresholds: {cache_hit_ratio: {warning: 0.5}, own: {warning: 1}}
    postgres:
      url: postgres://u@h:1/db?sslmode=disable
      port: 2
      password: ${PASSWORD}
      sslmode: verify-full
collectors:
  tiny: {max_rows: 7, ttl: 2m}
"#;
    let settings = Settings::parse("f", text, &env).unwrap_or_else(|problems| panic!("{problems}"));
    let target = &settings.targets[0];
    assert_eq!(target.labels, [("cluster".into(), "orders".into()), ("shard".into(), "s3/cret@".into())]);
    let threshold = |name: &str| target.thresholds.iter().find(|t| t.name == name && t.severity == "warning");
    assert_eq!(threshold("cache_hit_ratio").map(|t| t.value), Some(0.5));
    assert_eq!(threshold("own"), Some(&Threshold { name: "own".into(), severity: "warning".into(), value: 1.0 }));
    assert!(threshold("replication_lag_seconds").is_some());
    let Endpoint::Postgres(postgres) = &target.endpoint else { panic!("a server") };
    assert_eq!(postgres.address, Address::Tcp { host: "h".into(), port: 2 });
    assert_eq!(postgres.password.as_ref().map(|p| p.expose()), Some("s3/cret@"));
    assert_eq!((postgres.tls.mode, &postgres.tls.roots), (TlsMode::VerifyFull, &Roots::System));
    assert!(!format!("{postgres:?}").contains("s3"));
    let (_, adjusted) = tiny().adjust((settings, Problems::default())).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((adjusted.collectors[0].max_rows, adjusted.collectors[0].ttl), (7, Duration::from_secs(120)));
}

#[test]
fn a_path_of_a_probe_has_what_it_does_not_say_from_the_primary() {
    let text = r#"
targets:
  - name: way
    probe:
      primary: {url: "postgresql://u:secret@db1:5433/shop?sslmode=require"}
      paths:
        - direct: {}
        - {name: pool, pooled: {size: 2, user: app}}
        - pgbouncer: {host: pooler}
        - {name: r1, replica: {url: "postgresql://db2"}}
        - cached: {}
      write: true
      objectives: {point: 3ms}
      queries: [{name: mine, sql: "SELECT $1::int", parameters: [42], objective: 30ms, paths: [pool]}]
"#;
    let settings = Settings::parse("f", text, &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
    let Endpoint::Probe(probe) = &settings.targets[0].endpoint else { panic!("a probe") };
    let told = |path: &Path| {
        let server = &path.server;
        let Address::Tcp { host, port } = &server.address else { panic!("a port") };
        let password = server.password.as_ref().map_or("", |password| password.expose());
        format!("{} {} {host}:{port} {} {password} {}", path.name, path.kind.into_str(), server.user, server.database)
    };
    let paths: Vec<_> = probe.paths.iter().map(told).collect();
    assert_eq!(
        paths,
        [
            "direct direct db1:5433 u secret shop",
            "pool pooled db1:5433 app secret shop",
            "pgbouncer pgbouncer pooler:6432 u secret shop",
            "pgbouncer-new pgbouncer_new pooler:6432 u secret shop",
            "r1 replica db2:5433 u secret shop",
            "cached cached db1:5433 app secret shop",
            "write write db1:5433 u secret shop",
        ]
    );
    assert!(probe.paths.iter().all(|path| path.server.tls.mode == TlsMode::Require));
    assert_eq!(
        (probe.objectives[1], probe.queries[0].parameters.as_slice()),
        (Duration::from_millis(3), &["42".to_owned()][..])
    );
}

#[test]
fn a_password_file_loses_one_newline() {
    let text = "targets: [{name: a, postgres: {user: u, password_file: tests/good/password, host: /run, port: 6}}]";
    let settings = Settings::parse("f", text, &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
    let Endpoint::Postgres(postgres) = &settings.targets[0].endpoint else { panic!("a server") };
    assert_eq!(postgres.password.as_ref().map(|p| p.expose()), Some("from a file\n"));
    assert_eq!(postgres.address, Address::Unix("/run/.s.PGSQL.6".into()));
}

#[test]
fn without_a_file_the_environment_is_read() {
    for (variables, names) in [
        (&[("PGVIGIL_POSTGRES_URL", "postgres://u@h")] as &[_], "postgres"),
        (
            &[("DATABASE_URL", "postgres://u@h\n"), ("DATABASE_READ_URLS", "host=a user=u, postgres://u@b,")],
            "postgres replica-1 replica-2",
        ),
        (&[("PGVIGIL_POSTGRES_URL", "postgres://u@h"), ("DATABASE_URL", "wrong")], "postgres"),
        (&[("PGVIGIL_REPLICA_URLS", "postgres://u@h")], "replica-1"),
        (&[("PGVIGIL_PROBE_URL", "postgres://u@h")], "probe"),
        (
            &[],
            "settings: no target: give a settings file with `--config`, or set PGVIGIL_POSTGRES_URL to the server's URL",
        ),
        (
            &[("DATABASE_URL", "s3cret")],
            "DATABASE_URL: target `postgres`: neither a URL (`postgresql://user@host/dbname`) nor `keyword=value` pairs",
        ),
        (
            &[("PGVIGIL_REPLICA_URLS", "host=h user=u, host=h port=x")],
            "PGVIGIL_REPLICA_URLS: target `replica-2`: `port` must be a whole number from 1 to 65535\n\
             PGVIGIL_REPLICA_URLS: target `replica-2`: no user is given: add `user` (there is no default)",
        ),
    ] {
        let env = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string());
        let (settings, problems) = Settings::load(None, &env);
        let loaded = match problems.unless_any(settings) {
            Ok(settings) => settings.targets.iter().map(|target| target.name.as_str()).collect::<Vec<_>>().join(" "),
            Err(problems) => problems.to_string(),
        };
        assert_eq!(loaded, names);
    }
}

/// Text made of the words and signs that YAML and connection strings are made of.
fn likely_text() -> impl Strategy<Value = String> {
    let words = [
        "collector: ",
        "queries:",
        "metrics:",
        "example:",
        "sql: ",
        "targets:",
        "postgres: ",
        "url: ",
        "name: ",
        "since: ",
        "text: |",
        "type: histogram",
        "labels: ",
        "x",
        "14",
        "null",
        "\n",
        "\n  ",
        "\n    ",
        "\n- ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        ": ",
        "\"",
        "'",
        "#",
        "&a ",
        "*a",
        "!!str ",
        "|2-",
        ">",
        "? ",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "\t",
        "\r",
        "\\",
        "\u{feff}",
        "é",
        "postgres://",
        "@",
        "/",
        "%",
        "%4",
        "=",
        "$",
        "${",
        "~",
        "\0",
        "\u{85}",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..60).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(if is_long() { 2000 } else { 500 }) })]

    #[test]
    fn no_text_makes_the_loaders_panic(text in prop_oneof![likely_text(), any::<String>()]) {
        let _ = Catalogue::from_files([("x.yaml", text.as_str())]);
        let _ = Settings::parse("x.yaml", &text, &|_| None);
        let _ = Dsn::parse(&text).map(|dsn| resolve(&dsn));
        let _ = Dsn::parse(&format!("postgres://{text}")).map(|dsn| resolve(&dsn));
    }
}
