//! The promises, tried on the real program and real servers that are broken on purpose: a test for each, by its number.
//!
//! Each prints what it measured. `PGVIGIL_TEST_LONG=1` makes them longer.

// They wait for real processes, on threads of their own.
#![allow(clippy::disallowed_methods)]

mod answers;
mod broken;
mod collectors;
mod crowd;
mod deaf;
mod endurance;
mod floods;
mod hostile;
mod idle;
pub mod liar;
mod liars;
mod life;
mod manners;
mod memory;
mod names;
mod planted;
mod pooler;
mod promises;
mod recovery;
mod reload;
mod secrets;
mod stale;
mod strangers;
mod waits;

use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::support::{BUSY, Folder, Pgvigil, Postgres, is_long, majors, page, process, sample};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// The announced timeout of most scrapes.
const ANNOUNCED: Duration = Duration::from_secs(2);

const TIMEOUT_HEADER: &str = "X-Prometheus-Scrape-Timeout-Seconds";

/// The highest version under test, where one is enough.
fn newest() -> u32 {
    majors().into_iter().max().expect("a version")
}

/// The versions for what pgvigil does, whichever the server's version is: the quick form takes the newest alone.
fn versions() -> Vec<u32> {
    if is_long() { majors() } else { vec![newest()] }
}

/// A server with the role `pgvigil` and pg_stat_statements.
fn server(major: u32) -> Postgres {
    prepared(Postgres::builder(major).start())
}

fn prepared(server: Postgres) -> Postgres {
    server.create_monitor_role();
    server.sql("postgres", "CREATE EXTENSION pg_stat_statements");
    server
}

/// pgvigil on this server alone.
fn watch(server: &Postgres, args: &[&str]) -> Pgvigil {
    watch_url(&server.url("pgvigil", "postgres"), args)
}

fn watch_url(url: &str, args: &[&str]) -> Pgvigil {
    Pgvigil::start(BINARY, args, &[("PGVIGIL_POSTGRES_URL", url)])
}

/// One scrape: its page, and how long it took.
struct Scrape {
    page: String,
    took: Duration,
}

impl Scrape {
    /// With an announced timeout, or none. Panics unless it is answered 200.
    fn of(pgvigil: &Pgvigil, announced: Option<Duration>) -> Scrape {
        let seconds = announced.map(|announced| announced.as_secs_f64().to_string());
        let headers: Vec<_> = seconds.iter().map(|seconds| (TIMEOUT_HEADER, seconds.as_str())).collect();
        pgvigil.rest();
        let began = Instant::now();
        let answer = pgvigil.get("/metrics", &headers);
        let took = began.elapsed();
        assert_eq!(answer.status, 200, "{}", answer.text());
        Scrape { page: answer.text(), took }
    }

    /// With `ANNOUNCED`; panics when it comes later. Where the server is whole, a slow machine may need longer for all that a first
    /// scrape asks: there `of` without a timeout.
    fn in_time(pgvigil: &Pgvigil) -> Scrape {
        let scrape = Scrape::of(pgvigil, Some(ANNOUNCED));
        assert!(scrape.took < ANNOUNCED + BUSY, "the answer took {:?}", scrape.took);
        scrape
    }

    /// The first scrape after a recovery, which must say up. An open breaker gives the login 0.9 s: on a machine where one of psql
    /// takes more than a third of that, it may come too late; it is kept, and the next scrape has it.
    fn first_after(server: &Postgres, pgvigil: &Pgvigil, what: &str) -> Scrape {
        let scrape = Scrape::of(pgvigil, None);
        let began = Instant::now();
        server.sql("postgres", "");
        let slow = began.elapsed() > Duration::from_millis(300);
        match scrape.reason().as_deref() {
            Some("login_pending") if slow => Scrape::of(pgvigil, None).expect_up(true, what),
            _ => scrape.expect_up(true, what),
        }
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        sample(&self.page, name, labels)
    }

    fn is_up(&self) -> bool {
        self.value("pg_up", &[]) == Some(1.0)
    }

    /// Panics unless the target is up, or not.
    fn expect_up(self, up: bool, what: &str) -> Scrape {
        assert_eq!(self.value("pg_up", &[]), Some(f64::from(u8::from(up))), "{what}: {}", self.own());
        self
    }

    /// Why it is down, by the page.
    fn reason(&self) -> Option<String> {
        let line = self.page.lines().find(|line| line.starts_with("pgvigil_target_down{"))?;
        Some(line.split_once("reason=\"")?.1.split('"').next()?.to_owned())
    }

    /// The series of servers, without the program's own.
    fn of_server(&self) -> Vec<&str> {
        let is_own = |line: &&str| ["#", "pgvigil_", "process_", "pg_up"].iter().any(|own| line.starts_with(own));
        self.page.lines().filter(|line| !is_own(line)).collect()
    }

    /// What the program says of itself, for messages.
    fn own(&self) -> String {
        let of_interest = ["pg_up", "pgvigil_target", "pgvigil_circuit", "pgvigil_login", "pgvigil_collector_failures"];
        let lines = self.page.lines().filter(|line| of_interest.iter().any(|name| line.starts_with(name)));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// A folder of the user's own collectors, by name.
fn collectors(files: &[(&str, String)]) -> Folder {
    let folder = Folder::new("collectors", "TERM");
    files.iter().for_each(|(name, text)| _ = folder.write(&format!("{name}.yaml"), text));
    folder
}

/// A collector of one query, whose columns `kind` and `value` make the gauge `pg_test_<name>`. `head`: more of its keys.
fn collector(name: &str, head: &str, sql: &str) -> String {
    format!(
        "collector: {name}\nsource: postgres\n{head}\nqueries:\n  - name: only\n    sql:\n      - since: 13\n        text: |\n          \
         {sql}\n    labels: [kind]\n    metrics:\n      - {{name: pg_test_{name}, type: gauge, value: value, help: \"A test.\"}}\n    \
         example: [{{kind: a, value: 1}}]\n"
    )
}

/// Ends the sessions of the role `pgvigil`.
fn terminate(server: &Postgres) {
    server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pgvigil'");
}

/// The server's processes for clients over TCP, those included that are still logging in.
fn backends(server: &Postgres) -> usize {
    let title = |pid: u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    process::children(server.pid()).into_iter().filter(|&pid| title(pid).contains("127.0.0.1(")).count()
}

/// A figure, for those who run the tests with `--nocapture`.
fn figure(promise: u32, what: &str, value: impl std::fmt::Display) {
    println!("promise {promise}: {what}: {value}");
}

pub fn millis(millis: u64) {
    sleep(Duration::from_millis(millis));
}

/// No series twice, and every line a sample or a comment.
fn expect_distinct(page: &str) {
    let mut series: Vec<_> =
        page.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ')).collect();
    let all = series.len();
    assert!(series.iter().all(Option::is_some), "a line without a value");
    series.sort_by_key(|split| split.map(|(series, _)| series));
    series.dedup_by_key(|split| split.map(|(series, _)| series));
    assert_eq!(series.len(), all, "a series is there twice");
    assert_eq!(page::count(page), all);
}
