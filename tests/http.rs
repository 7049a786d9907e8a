//! The pages as a scraper asks for them: formats, compression, filters, methods, limits.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use pgvigil::exposition::Format;

use crate::{
    exposition::check,
    support::{
        Pgvigil, Postgres, expect_ended,
        http::{self, Response},
        page,
    },
};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

fn watched() -> (Postgres, Pgvigil) {
    let server = Postgres::builder(15).start();
    server.create_monitor_role();
    let folder = crate::support::Folder::new("settings", "TERM");
    let target = |name| format!("  - {{name: {name}, postgres: {{url: \"{}\"}}}}\n", server.url("pgvigil", "postgres"));
    let file = folder.write("pgvigil.yaml", &format!("targets:\n{}{}", target("one"), target("two")));
    let pgvigil = Pgvigil::start(BINARY, &["--config", &file.display().to_string()], &[]);
    (server, pgvigil)
}

/// The names of the metrics on a page, and of the targets.
fn names(page: &str) -> (Vec<&str>, Vec<&str>) {
    let samples = || page.lines().filter(|line| !line.starts_with('#'));
    let mut metrics: Vec<_> = samples().filter_map(|line| line.split(['{', ' ']).next()).collect();
    let mut targets: Vec<_> = samples().filter_map(|l| l.split_once("target=\"")?.1.split('"').next()).collect();
    metrics.dedup();
    targets.sort_unstable();
    targets.dedup();
    (metrics, targets)
}

fn gunzip(answer: &Response) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(&answer.body[..]).read_to_string(&mut text).expect("gzip of UTF-8");
    text
}

/// What asks for it gets it, compressed or not; what asks for another protobuf gets text.
fn expect_protobuf(pgvigil: &Pgvigil) {
    const ACCEPT: &str =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,*/*;q=0.2";
    let kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    for encoding in [None, Some("gzip")] {
        let encoding_header = encoding.map(|encoding| ("Accept-Encoding", encoding));
        let headers: Vec<_> = encoding_header.into_iter().chain([("Accept", ACCEPT)]).collect();
        for method in ["GET", "HEAD"] {
            let answer = http::ask(pgvigil.address(), method, "/metrics", &headers).expect("an answer");
            let header = |name| answer.header(name);
            assert_eq!(
                (answer.status, header("content-type"), header("content-encoding")),
                (200, Some(kind), encoding)
            );
            assert_eq!(header("vary"), Some("Accept, Accept-Encoding"));
            if method == "HEAD" {
                assert!(answer.body.is_empty());
                continue;
            }
            let mut page = answer.body.clone();
            if encoding.is_some() {
                page.clear();
                flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut page).expect("gzip");
            }
            let values = check::check(&page, Format::Protobuf).unwrap_or_else(|wrong| panic!("{wrong}"));
            let up: Vec<_> = values.iter().filter(|((name, _), _)| name == "pg_up").collect();
            assert_eq!(up.len(), 2, "{up:?}");
        }
    }
    for other in [
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
        "application/vnd.google.protobuf",
    ] {
        let answer = pgvigil.get("/metrics", &[("Accept", other)]);
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"), "{other}");
    }
}

#[test]
fn formats_compression_and_filters() {
    let (_server, pgvigil) = watched();
    let plain = pgvigil.get("/metrics", &[]);
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(plain.header("content-encoding"), None);
    let open = pgvigil.get("/metrics", &[("Accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")]);
    assert_eq!(open.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(open.text().ends_with("\n# EOF\n"));
    expect_protobuf(&pgvigil);
    let small = pgvigil.get("/metrics", &[("Accept-Encoding", "gzip")]);
    assert_eq!(small.header("content-encoding"), Some("gzip"));
    assert_eq!(names(&gunzip(&small)).1, ["one", "two"]);
    assert!(small.body.len() * 5 < plain.body.len(), "{} of {}", small.body.len(), plain.body.len());

    let (all, targets) = (plain.text(), ["one", "two"]);
    assert_eq!(names(&all).1, targets);
    let server = pgvigil.get("/metrics?target=two&collector=server&collector=locks", &[]).text();
    assert_eq!(names(&server).1, ["two"]);
    let prefixes = [
        "pg_static",
        "pg_monitor_granted",
        "pg_settings",
        "pg_postmaster",
        "pg_checkpointer_start",
        "pg_config",
        "pg_replication_is_replica",
        "pg_locks",
    ];
    for metric in names(&server).0 {
        assert!(prefixes.iter().any(|prefix| metric.starts_with(prefix)), "{metric} is of another collector");
    }
    assert!(page::count(&server) > 10);
    let encoded = pgvigil.get("/metrics?target=%74wo&unknown=x&collector=exporter", &[]);
    assert_eq!((encoded.status, names(&encoded.text()).1), (200, vec!["two"]));
}

#[test]
fn what_is_no_scrape_gets_its_status() {
    let (_server, pgvigil) = watched();
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(pgvigil.address()).expect("connecting");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        stream.write_all(request.as_bytes()).expect("asking");
        let mut answer = String::new();
        // Cut in the middle of a request that is too long, the connection may be reset.
        _ = stream.read_to_string(&mut answer);
        answer
    };
    let long = "x".repeat(1_000_000);
    for (request, status) in [
        ("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(), "200"),
        ("HEAD /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(), "200"),
        ("GET /metrics HTTP/1.0\r\n\r\n".to_owned(), "200"),
        ("POST /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned(), "405"),
        ("GET /-/reload HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(), "405"),
        ("POST /-/reload HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned(), "403"),
        ("GET /metrics?target=nobody HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(), "400"),
        ("GET /metrics?collector=nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(), "400"),
        ("nonsense\r\n\r\n".to_owned(), "400"),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), "4"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), "431"),
    ] {
        let answer = ask(&request);
        let shown: String = request.chars().take(60).collect();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")) || answer.starts_with(&format!("HTTP/1.0 {status}")),
            "{shown:?}: {answer:?}"
        );
    }
    // Whoever says nothing, or half of it, keeps nobody else waiting.
    let idle: Vec<_> = (0..100).map(|_| TcpStream::connect(pgvigil.address()).expect("connecting")).collect();
    for mut half in idle.iter().step_by(2) {
        half.write_all(b"GET /metrics HTTP/1.1\r\nHost:").expect("half a request");
    }
    let begun = Instant::now();
    assert_eq!(pgvigil.get("/metrics", &[]).status, 200);
    println!("a scrape beside 100 idle and half-open connections: {:?}", begun.elapsed());
    expect_ended("a scrape", begun, Duration::ZERO);
}
