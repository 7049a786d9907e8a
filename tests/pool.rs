//! PgBouncer's console, asked on a real one with clients in front and a real server behind.

#[path = "pool/broken.rs"]
mod broken;
#[path = "pool/recorded.rs"]
mod recorded;
#[path = "pool/shown.rs"]
mod shown;
#[path = "pool/ways.rs"]
mod ways;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    faults::liar::Liar,
    support::{Folder, PgBouncer, Pgvigil, Postgres, expect_ended, place::client_program, process::Process, sample},
};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// How long the pooler may take to do what it was told, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The announced timeout of most scrapes.
const ANNOUNCED: Duration = Duration::from_secs(2);

/// A server with the role `app` and the database `shop`.
fn server() -> Postgres {
    let server = Postgres::builder(15).start();
    server.create_role("app", "");
    server.sql("postgres", "CREATE DATABASE shop OWNER app");
    server
}

/// The section `[databases]` with these entries beside the one for all others: `shop: pool_size=2`.
fn databases(server: &Postgres, entries: &[&str]) -> String {
    let entry = |entry: &&str| {
        let (name, settings) = entry.split_once(": ").expect("a name and settings");
        format!("{name} = host=127.0.0.1 port={} dbname=shop {settings}\n", server.port())
    };
    format!("[databases]\n{}", entries.iter().map(entry).collect::<String>())
}

/// pgvigil with this pooler as its one target.
fn watch(pooler: &PgBouncer) -> Pgvigil {
    Pgvigil::start(BINARY, &[], &[("PGVIGIL_PGBOUNCER_URL", &pooler.url("pgvigil", ""))])
}

fn scrape(pgvigil: &Pgvigil) -> String {
    scrape_within(pgvigil, ANNOUNCED)
}

/// A page that came before this announced timeout.
fn scrape_within(pgvigil: &Pgvigil, announced: Duration) -> String {
    let (began, seconds) = (Instant::now(), announced.as_secs().to_string());
    let answer = pgvigil.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", &seconds)]);
    expect_ended("the answer", began, announced);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

/// `pgvigil ARGUMENTS` on this PgBouncer, with what it says on both outputs.
fn run(url: &str, arguments: &[&str]) -> String {
    run_with("PGVIGIL_PGBOUNCER_URL", url, arguments)
}

fn run_with(variable: &str, url: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_clear().env(variable, url);
    let output = command.output().expect("running pgvigil");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Why a target is down by its page; `None` if it is up.
fn reason(page: &str, target: &str) -> Option<String> {
    let down = page.lines().filter(|line| line.starts_with("pgvigil_target_down{"));
    let line = down.into_iter().find(|line| line.contains(&format!("target=\"{target}\"")));
    let up = sample(page, "pgbouncer_up", &[("target", target)]);
    assert_eq!(up, Some(f64::from(u8::from(line.is_none()))), "{target} is up and down:\n{page}");
    line.and_then(|line| Some(line.split_once("reason=\"")?.1.split('"').next()?.to_owned()))
}

/// Clients that ask for this again and again.
struct Load {
    _folder: Folder,
    _pgbench: Process,
}

impl Load {
    fn start(pooler: &PgBouncer, db: &str, clients: u32, sql: &str) -> Load {
        let folder = Folder::new("load", "TERM");
        folder.write("load.sql", sql);
        let mut pgbench = folder.logged_command(client_program("pgbench"));
        pgbench.env("PGPASSWORD", crate::support::PASSWORD);
        pgbench.args(["-n", "-c", &clients.to_string(), "-T", "600", "-f", "load.sql", "-U", "app"]);
        pgbench.args(["-h", "127.0.0.1", "-p", &pooler.port().to_string(), db]);
        let pgbench = Process::start(&mut pgbench);
        Load { _folder: folder, _pgbench: pgbench }
    }
}

/// A target of a settings file.
fn target(name: &str, url: &str) -> String {
    format!("  - {{name: {name}, pgbouncer: {{url: \"{url}\"}}}}\n")
}

fn liar_target(name: &str, liar: &Liar) -> String {
    target(name, &format!("postgresql://pgvigil:secret@127.0.0.1:{}", liar.port()))
}
