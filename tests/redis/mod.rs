//! Redis and Valkey: what the page says of real servers, how they are logged in to, and what becomes of a scrape when
//! they are down, hung or lie. `PGVIGIL_TEST_REDIS` names more servers' programs.

mod access;
mod allowed;
mod liars;
mod numbers;
mod protocol;
mod recorded;
mod trouble;

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::{PASSWORD, Pgvigil, Redis, expect_ended, sample};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// The announced timeout of a scrape.
const ANNOUNCED: Duration = Duration::from_secs(2);

/// How long a server may take to do what it was told, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn watch(url: &str) -> Pgvigil {
    Pgvigil::start(BINARY, &[], &[("PGVIGIL_REDIS_URL", url)])
}

/// One page, which must come within the announced timeout.
fn scrape(pgvigil: &Pgvigil) -> String {
    let began = Instant::now();
    let answer =
        pgvigil.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", &ANNOUNCED.as_secs_f64().to_string())]);
    expect_ended("the answer", began, ANNOUNCED);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

/// The page of a target that is up.
fn expect_up(pgvigil: &Pgvigil, what: &str) -> String {
    let page = scrape(pgvigil);
    assert_eq!(sample(&page, "redis_up", &[]), Some(1.0), "{what}: {:?}\n{}", reason(&page), pgvigil.stderr());
    page
}

/// The page of a target that is down for this reason, and of which nothing else is said.
fn expect_down(pgvigil: &Pgvigil, because: &str, what: &str) -> String {
    let page = scrape(pgvigil);
    assert_eq!(sample(&page, "redis_up", &[]), Some(0.0), "{what}");
    assert_eq!(reason(&page).as_deref(), Some(because), "{what}: {}", pgvigil.stderr());
    let others = page.lines().find(|line| line.starts_with("redis_") && !line.starts_with("redis_up"));
    assert_eq!(others, None, "{what}");
    page
}

/// Why a target is down, by the page.
fn reason(page: &str) -> Option<String> {
    let line = page.lines().find(|line| line.starts_with("pgvigil_target_down{"))?;
    Some(line.split_once("reason=\"")?.1.split('"').next()?.to_owned())
}

/// The queries that are skipped: collector and reason, sorted.
fn skipped(page: &str) -> Vec<(String, String)> {
    let of = |line: &str, label: &str| {
        line.split_once(&format!("{label}=\"")).and_then(|(_, rest)| Some(rest.split_once('"')?.0.to_owned()))
    };
    let lines = page.lines().filter(|line| line.starts_with("pgvigil_collector_skipped{"));
    lines.filter_map(|line| Some((of(line, "collector")?, of(line, "reason")?))).collect()
}

/// The collectors that did not succeed.
fn failed(page: &str) -> Vec<&str> {
    page.lines().filter(|line| line.starts_with("pgvigil_collector_success{") && line.ends_with(" 0")).collect()
}

/// What `check --connect` says, and whether it ended well.
fn check(url: &str) -> (bool, String) {
    let mut command = Command::new(BINARY);
    command.args(["check", "--connect"]).env_clear().env("PGVIGIL_REDIS_URL", url).stdin(Stdio::null());
    let output = command.output().expect("running pgvigil");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `PASSWORD` after this character (`>` in rules), as redis-cli takes it.
fn quoted(before: &str) -> String {
    format!("\"{before}{}\"", PASSWORD.replace('"', "\\\""))
}

/// Makes a user with this access.
fn set_user(redis: &Redis, user: &str, rules: &str) {
    assert_eq!(redis.run(&format!("ACL SETUSER {user} reset on {} {rules}", quoted(">"))), "OK", "{rules}");
}
