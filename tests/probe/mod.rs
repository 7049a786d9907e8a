//! The synthetic probe on real servers: each phase and each reason shows where it should.

// They wait for real processes, on threads of their own.
#![allow(clippy::disallowed_methods)]

mod failures;
mod measured;
mod proxy;
mod redis;
mod run;
mod served;
mod shown;

use std::{
    process::{Command, Output},
    time::Duration,
};

use crate::support::{Folder, PgBouncer, Pgvigil, Postgres, eventually, majors, page::samples, sample};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// The role, as `export grants` makes it, with a password.
fn create_role(server: &Postgres) {
    server.create_role("pgvigil_probe", "");
    server.sql("postgres", "GRANT CREATE ON DATABASE postgres TO pgvigil_probe");
}

fn newest() -> u32 {
    majors().into_iter().max().expect("a version")
}

/// A settings file with one probe; `more` follows `primary`, indented by 6.
fn settings(primary: &str, more: &str) -> String {
    format!("targets:\n  - name: way\n    probe:\n      interval: 500ms\n      primary: {{url: \"{primary}\"}}\n{more}")
}

/// Runs `pgvigil probe` on a settings file.
fn probe(settings: &str, arguments: &[&str]) -> Output {
    probe_with(settings, arguments, &[])
}

/// The same with these environment variables.
fn probe_with(settings: &str, arguments: &[&str], env: &[(&str, String)]) -> Output {
    let folder = Folder::new("probe", "TERM");
    let file = folder.write("pgvigil.yaml", settings);
    let mut command = Command::new(BINARY);
    command.arg("probe").arg("--config").arg(file).args(arguments).env_clear().envs(env.iter().cloned());
    command.output().expect("running pgvigil")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// pgvigil with one probe.
fn serve(settings: &str) -> (Pgvigil, Folder) {
    let folder = Folder::new("probe", "TERM");
    let file = folder.write("pgvigil.yaml", settings);
    (Pgvigil::start(BINARY, &["--config", &file.display().to_string()], &[]), folder)
}

/// Waits until a page says so.
fn until(pgvigil: &Pgvigil, what: &str, is_so: impl Fn(&str) -> bool) -> String {
    let mut page = String::new();
    eventually(Duration::from_secs(60), what, || {
        page = pgvigil.scrape();
        is_so(&page)
    });
    page
}

/// The sum of all samples that fit.
fn total(page: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    samples(page, name, labels).iter().sum()
}
