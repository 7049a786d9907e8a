//! A real Prometheus scrapes pgvigil in both formats: every sample arrives, and it has nothing to complain of.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use crate::support::{Generation, Pgvigil, Postgres, Prometheus, eventually, majors};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// Of Prometheus' log; today's writes levels in capitals.
const COMPLAINTS: [&str; 2] = ["level=warn", "level=error"];

/// Forwards scrapes and takes out what they accept: Prometheus 2.42 has no setting for it, and asks for OpenMetrics.
/// Threads end with the test's process.
fn plain_text_proxy(upstream: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || forward(client, upstream));
        }
    });
    address
}

fn forward(mut client: TcpStream, upstream: SocketAddr) -> std::io::Result<()> {
    let mut server = TcpStream::connect(upstream)?;
    let mut head = String::new();
    for line in BufReader::new(client.try_clone()?).lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if !["accept", "connection"].contains(&name.as_str()) {
            head.push_str(&line);
            head.push_str("\r\n");
        }
    }
    write!(server, "{head}Connection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    client.write_all(&answer)
}

#[test]
fn prometheus_takes_every_sample_in_both_formats() {
    let major = *majors().last().expect("at least one version");
    let server = Postgres::builder(major).start();
    server.create_monitor_role();
    server.sql("postgres", "CREATE EXTENSION pg_stat_statements");
    let pgvigil = Pgvigil::start(BINARY, &[], &[("PGVIGIL_POSTGRES_URL", &server.url("pgvigil", "postgres"))]);
    let job = |name: &str, address: SocketAddr| {
        format!("  - {{job_name: {name}, static_configs: [{{targets: [\"{address}\"]}}]}}\n")
    };
    let jobs = job("openmetrics", pgvigil.address()) + &job("text", plain_text_proxy(pgvigil.address()));
    for generation in Generation::that_serve() {
        let prometheus = Prometheus::start_with(*generation, &[], &jobs);
        expect_every_sample(&prometheus);
    }
}

/// Of both jobs.
fn expect_every_sample(prometheus: &Prometheus) {
    for name in ["openmetrics", "text"] {
        let scraped = || prometheus.value(&format!("count_over_time(up{{job=\"{name}\"}}[1m])")).unwrap_or_default();
        eventually(Duration::from_secs(30), "four scrapes", || scraped() >= 4.0);
        let value = |promql: &str| prometheus.value(&promql.replace("$job", &format!("job=\"{name}\"")));
        assert_eq!(value("min_over_time(up{$job}[1m])"), Some(1.0), "{name}");
        let samples = value("scrape_samples_scraped{$job}");
        assert!(samples > Some(300.0), "{name}: {samples:?}");
        let kept = value("scrape_samples_post_metric_relabeling{$job}");
        assert_eq!(
            value("count({$job, target!=\"\"}) + count({$job, __name__=~\"pgvigil_.*|process_.*\", target=\"\"})"),
            samples,
            "{name}: all are stored"
        );
        assert_eq!(kept, samples, "{name}");
        assert_eq!(value("pg_up{$job}"), Some(1.0));
    }
    let format_of = |job: &str| {
        let metadata = prometheus.get(&format!(
            "/api/v1/targets/metadata?metric=pg_stat_database_xact_commit&match_target=%7Bjob%3D%22{job}%22%7D"
        ));
        metadata["data"][0]["type"].as_str().unwrap_or_default().to_owned()
    };
    // The same metric is of another type in each format, so both were really spoken.
    assert_eq!((format_of("openmetrics"), format_of("text")), ("unknown".into(), "counter".into()));
    let log = prometheus.log();
    let complaints: Vec<_> =
        log.lines().filter(|line| COMPLAINTS.iter().any(|level| line.to_lowercase().contains(level))).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
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
