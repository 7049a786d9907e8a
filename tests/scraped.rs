//! A real Prometheus scrapes pgvigil in each format: every sample arrives, as the same series, and it has nothing to complain of.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use hyper::{HeaderMap, header::ACCEPT};
use pgvigil::http::negotiate;
use serde_json::Value;

use crate::{
    exposition::{FORMATS, golden},
    support::{Generation, Pgvigil, Postgres, Prometheus, eventually, majors},
};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// Of Prometheus' log; today's writes levels in capitals.
const COMPLAINTS: [&str; 2] = ["level=warn", "level=error"];

/// What stands between a Prometheus and what it scrapes. Threads end with the test's process.
struct Between {
    address: SocketAddr,
    /// The types of the pages that came through.
    types: Arc<Mutex<BTreeSet<String>>>,
}

impl Between {
    /// Forwards scrapes. `accept` takes the place of what they accept: the oldest Prometheus has no setting for it.
    fn start(upstream: SocketAddr, accept: Option<&'static str>) -> Between {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let between = Between { address: listener.local_addr().expect("an address"), types: Arc::default() };
        let types = between.types.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let types = types.clone();
                thread::spawn(move || forward(client, upstream, accept, &types));
            }
        });
        between
    }
}

fn forward(
    mut client: TcpStream,
    upstream: SocketAddr,
    accept: Option<&str>,
    types: &Mutex<BTreeSet<String>>,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(upstream)?;
    let mut head = String::new();
    for line in BufReader::new(client.try_clone()?).lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if name != "connection" && (name != "accept" || accept.is_none()) {
            head.push_str(&line);
            head.push_str("\r\n");
        }
    }
    accept.iter().for_each(|accept| head.push_str(&format!("Accept: {accept}\r\n")));
    write!(server, "{head}Connection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    let headers = String::from_utf8_lossy(&answer);
    let kind =
        headers.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-type: ").map(str::to_owned));
    types.lock().expect("a lock").extend(kind);
    client.write_all(&answer)
}

/// The jobs, what they accept if it is not what Prometheus asks for by itself, and the type of what they get.
const JOBS: [(&str, Option<&str>, &str); 3] = [
    ("text", Some("text/plain;version=0.0.4"), "text/plain; version=0.0.4; charset=utf-8"),
    (
        "openmetrics",
        Some("application/openmetrics-text;version=1.0.0"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ),
    ("protobuf", None, "application/vnd.google.protobuf; proto=io.prometheus.client.metricfamily; encoding=delimited"),
];

/// A Prometheus that scrapes this in each format at once, as those that want native histograms do.
fn in_each_format(generation: Generation, upstream: SocketAddr) -> (Prometheus, Vec<Between>) {
    let between: Vec<_> = JOBS.iter().map(|(_, accept, _)| Between::start(upstream, *accept)).collect();
    let (flags, own): (&[&str], &str) = match generation {
        Generation::Oldest => (&["--enable-feature=native-histograms"], ""),
        Generation::Newest => (&[], "scrape_native_histograms: true, always_scrape_classic_histograms: true, "),
    };
    let job = |((name, accept, _), between): (&(&str, Option<&str>, _), &Between)| {
        let own = if accept.is_none() { own } else { "" };
        format!("  - {{job_name: {name}, {own}static_configs: [{{targets: [\"{}\"]}}]}}\n", between.address)
    };
    let jobs: String = JOBS.iter().zip(&between).map(job).collect();
    (Prometheus::start_with(generation, flags, &jobs), between)
}

/// Each spoke its format, was up all the time, and nothing was dropped or complained of.
fn expect_all_taken(prometheus: &Prometheus, between: &[Between]) {
    for ((name, _, kind), between) in JOBS.iter().zip(between) {
        let scraped = || prometheus.value(&format!("count_over_time(up{{job=\"{name}\"}}[1m])")).unwrap_or_default();
        eventually(Duration::from_secs(30), "four scrapes", || scraped() >= 4.0);
        let types: Vec<_> = between.types.lock().expect("a lock").iter().cloned().collect();
        assert_eq!(types, [*kind], "{name}");
        let value = |promql: &str| prometheus.value(&promql.replace("$job", &format!("job=\"{name}\"")));
        assert_eq!(value("min_over_time(up{$job}[1m])"), Some(1.0), "{name}");
        let samples = value("scrape_samples_scraped{$job}");
        assert!(samples > Some(60.0), "{name}: {samples:?}");
        assert_eq!(value("scrape_samples_post_metric_relabeling{$job}"), samples, "{name}");
        let stored = value("count({$job, __name__!~\"up|scrape_.*\"})");
        assert_eq!(stored, samples, "{name}: all are stored");
    }
    let log = prometheus.log();
    let complaints: Vec<_> =
        log.lines().filter(|line| COMPLAINTS.iter().any(|level| line.to_lowercase().contains(level))).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// The series of a job by their labels.
#[derive(Default)]
struct Series {
    values: BTreeMap<String, f64>,
    /// Native histograms, which are in protobuf only.
    native: BTreeSet<String>,
}

impl Series {
    fn of(prometheus: &Prometheus, job: &str) -> Series {
        let found = prometheus.query(&format!("{{job=\"{job}\", __name__!~\"up|scrape_.*\"}}"));
        let mut all = Series::default();
        for mut series in found.as_array().cloned().unwrap_or_default() {
            let labels = series["metric"].as_object_mut().expect("labels");
            ["job", "instance"].iter().for_each(|name| _ = labels.remove(*name));
            let labels = series["metric"].to_string();
            match series["value"][1].as_str() {
                Some(value) => _ = all.values.insert(labels, value.parse().expect("a value")),
                None => _ = all.native.insert(labels),
            }
        }
        all
    }

    /// What a Prometheus has of these that keeps no `_bucket`, `_sum` and `_count` of a series that is a native histogram: docs/native.md.
    fn beside(mut self, native: &BTreeSet<String>) -> Series {
        self.values.retain(|labels, _| !is_part_of(labels, native));
        self
    }

    fn names(&self) -> BTreeSet<&str> {
        self.values.keys().map(String::as_str).collect()
    }
}

/// Whether a series is a part of one of these histograms.
fn is_part_of(labels: &str, histograms: &BTreeSet<String>) -> bool {
    let mut labels: Value = serde_json::from_str(labels).expect("labels");
    let name = labels["__name__"].as_str().unwrap_or_default().to_owned();
    let Some(name) = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)) else {
        return false;
    };
    labels["__name__"] = name.into();
    labels.as_object_mut().map(|labels| labels.remove("le"));
    histograms.contains(&labels.to_string())
}

/// Of each job; where the generation chooses between the two for itself, without what it does not keep of native histograms.
fn of_each_job(prometheus: &Prometheus, generation: Generation) -> [Series; 3] {
    let [text, open, protobuf] = JOBS.map(|(job, ..)| Series::of(prometheus, job));
    assert!(text.native.is_empty() && open.native.is_empty());
    match generation {
        Generation::Oldest => [text.beside(&protobuf.native), open.beside(&protobuf.native), protobuf],
        Generation::Newest => [text, open, protobuf],
    }
}

#[test]
fn prometheus_takes_every_sample_in_each_format() {
    let major = *majors().last().expect("at least one version");
    let server = Postgres::builder(major).start();
    server.create_monitor_role();
    server.sql("postgres", "CREATE EXTENSION pg_stat_statements");
    let pgvigil = Pgvigil::start(BINARY, &[], &[("PGVIGIL_POSTGRES_URL", &server.url("pgvigil", "postgres"))]);
    for generation in Generation::tested() {
        let (prometheus, between) = in_each_format(*generation, pgvigil.address());
        expect_all_taken(&prometheus, &between);
        // Scrapes are of different moments: a session may be seen by one only.
        eventually(Duration::from_secs(30), "the same series in each format", || {
            let all = of_each_job(&prometheus, *generation);
            let [text, open, protobuf] = all.each_ref().map(Series::names);
            text.len() > 300 && text == open && text == protobuf
        });
        for (job, ..) in JOBS {
            assert_eq!(prometheus.value(&format!("pg_up{{job=\"{job}\"}}")), Some(1.0));
        }
        let types = JOBS.map(|(job, ..)| {
            let metric = "pg_stat_database_xact_commit";
            let path = "/api/v1/targets/metadata?metric=";
            let metadata = prometheus.get(&format!("{path}{metric}&match_target=%7Bjob%3D%22{job}%22%7D"));
            metadata["data"][0]["type"].as_str().unwrap_or_default().to_owned()
        });
        // OpenMetrics has no counters that do not end in _total.
        assert_eq!(types, ["counter", "unknown", "counter"]);
    }
}

/// Pages that do not change: all shipped collectors, and what is odd (bounds, histograms without a sum, large numbers, escapes).
#[test]
fn prometheus_reads_the_same_in_each_format() {
    let pages = FORMATS.map(golden::everything);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || listener.incoming().flatten().try_for_each(|client| serve(client, &pages)));
    for generation in Generation::tested() {
        let (prometheus, between) = in_each_format(*generation, address);
        expect_all_taken(&prometheus, &between);
        let all = of_each_job(&prometheus, *generation);
        assert!(!all[2].native.is_empty(), "there are native histograms");
        let [text, open, protobuf] = all.map(|series| series.values);
        assert!(text.len() > 1000, "{}", text.len());
        for (other, found) in [("OpenMetrics", open), ("protobuf", protobuf)] {
            let differs = |one: &BTreeMap<String, f64>, other: &BTreeMap<String, f64>| -> Vec<String> {
                let differing = one.iter().filter(|(series, value)| other.get(*series) != Some(value));
                differing.map(|(series, value)| format!("{series} {value}")).collect()
            };
            let (lost, new) = (differs(&text, &found), differs(&found, &text));
            assert!(lost.is_empty() && new.is_empty(), "{generation:?}, {other}: {lost:#?} are {new:#?}");
        }
    }
}

/// Answers one scrape in the format that pgvigil would.
fn serve(mut client: TcpStream, pages: &[Vec<u8>; 3]) -> std::io::Result<()> {
    let mut headers = HeaderMap::new();
    for line in BufReader::new(client.try_clone()?).lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some(accept) = line.strip_prefix("Accept: ").and_then(|accept| accept.parse().ok()) {
            headers.insert(ACCEPT, accept);
        }
    }
    let format = negotiate::format(&headers);
    let page = FORMATS.iter().zip(pages).find(|(offered, _)| **offered == format).expect("a page").1;
    let (kind, length) = (format.content_type(), page.len());
    write!(client, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    client.write_all(page)
}

#[test]
fn prometheus_finds_each_target_as_a_scrape_of_its_own() {
    let server = Postgres::builder(15).start();
    server.create_monitor_role();
    let url = server.url("pgvigil", "postgres");
    let env = [("PGVIGIL_POSTGRES_URL", url.as_str()), ("PGVIGIL_REPLICA_URLS", url.as_str())];
    let pgvigil = Pgvigil::start(BINARY, &[], &env);
    let job = format!("  - {{job_name: pg, http_sd_configs: [{{url: \"http://{}/sd\"}}]}}\n", pgvigil.address());
    let prometheus = Prometheus::start(&job);
    for target in ["postgres", "replica-1"] {
        let up = || prometheus.value(&format!("pg_up{{job=\"pg\", instance=\"{target}\", target=\"{target}\"}}"));
        eventually(Duration::from_secs(30), "each target is scraped", || up() == Some(1.0));
    }
    assert_eq!(
        prometheus.value("count(count by (instance, target) (pg_up))"),
        Some(2.0),
        "each by its own scrape only"
    );
}
