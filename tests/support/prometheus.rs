//! Prometheus, which says whether what we expose is what it wants; promtool beside it.

use std::{
    io::Write,
    net::SocketAddr,
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::{
    Folder, eventually, http,
    place::{Generation, free_port},
    postgres::encode,
    process::Process,
};

pub struct Prometheus {
    address: SocketAddr,
    folder: Folder,
    process: Process,
}

impl Prometheus {
    /// `scrape_configs`: the list's items as YAML (`- job_name: ...`), scraped every second unless they say otherwise;
    /// other top-level keys may follow. Returns when it answers queries; the first scrape comes about 5 s later.
    pub fn start(scrape_configs: &str) -> Prometheus {
        Prometheus::start_with(Generation::Oldest, &[], scrape_configs)
    }

    /// The same of either generation, with more flags: `--query.lookback-delta=5s`.
    pub fn start_with(generation: Generation, flags: &[&str], scrape_configs: &str) -> Prometheus {
        Prometheus::start_in(generation, Folder::new("prometheus", "TERM"), flags, scrape_configs)
    }

    /// The same in a folder that may have its past, as blocks in `data`.
    pub fn start_in(generation: Generation, folder: Folder, flags: &[&str], scrape_configs: &str) -> Prometheus {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let global = "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}";
        folder.write("prometheus.yml", &format!("{global}\nscrape_configs:\n{scrape_configs}\n"));
        let mut command = folder.logged_command(generation.program("prometheus"));
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]).args(flags);
        let process = Process::start(command.arg(format!("--web.listen-address={address}")));
        let mut prometheus = Prometheus { address, folder, process };
        prometheus.wait_ready();
        prometheus
    }

    fn wait_ready(&mut self) {
        eventually(Duration::from_secs(30), "Prometheus is ready", || {
            assert!(self.process.ended().is_none(), "Prometheus did not start:\n{}", self.log());
            http::get(self.address, "/-/ready", &[]).is_ok_and(|answer| answer.status == 200)
        });
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its folder, for files that the configuration names (rules).
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    pub fn log(&self) -> String {
        self.folder.log()
    }

    /// An instant query's result: for a vector `[{"metric": {..}, "value": [time, "1"]}, ..]`.
    pub fn query(&self, promql: &str) -> Value {
        self.result(promql, &format!("/api/v1/query?query={}", encode(promql)))
    }

    /// The same from time to time: `[{"metric": {..}, "values": [[time, "1"], ..]}, ..]`. All in seconds.
    pub fn query_range(&self, promql: &str, (start, end): (u64, u64), step: u64) -> Value {
        let query = encode(promql);
        self.result(promql, &format!("/api/v1/query_range?query={query}&start={start}&end={end}&step={step}"))
    }

    fn result(&self, promql: &str, path: &str) -> Value {
        let mut answer = self.get(path);
        assert_eq!(answer["status"], "success", "{promql}: {answer}");
        answer["data"]["result"].take()
    }

    /// The value of a query that gives one sample at most.
    pub fn value(&self, promql: &str) -> Option<f64> {
        let result = self.query(promql);
        assert!(result.as_array().is_some_and(|all| all.len() < 2), "{promql} gives several samples: {result}");
        result[0]["value"][1].as_str().map(|value| value.parse().expect("a sample's value"))
    }

    /// Any page of its API, as JSON: `/api/v1/targets`.
    pub fn get(&self, path: &str) -> Value {
        let answer = http::get(self.address, path, &[]).expect("Prometheus answers");
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {}", answer.text()))
    }
}

/// promtool's opinion of a page in the text format: success, and complaints on its error output.
pub fn promtool_check_metrics(page: &str) -> Output {
    promtool(Generation::Oldest, &["check", "metrics"], page)
}

/// Runs promtool with `input` on its standard input.
pub fn promtool(generation: Generation, args: &[&str], input: &str) -> Output {
    let mut command = std::process::Command::new(generation.program("promtool"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = command.spawn().expect("starting promtool");
    let mut stdin = promtool.stdin.take().expect("a pipe");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = promtool.wait_with_output().expect("waiting for promtool");
    let _ = writer.join();
    output
}
