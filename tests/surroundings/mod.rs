//! What servers have set, refuse or write in their own way, and pages tell the same: settings, databases that are closed, login triggers,
//! poolers, encodings.

// They wait for real processes, on threads of their own.
#![allow(clippy::disallowed_methods)]

mod encodings;
mod intervals;
mod poolers;
mod refusals;
mod settings;
mod triggers;

use std::{
    process::{Command, Output},
    time::Duration,
};

use crate::support::{Folder, Pgvigil};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// How long a server may take to do what it was told, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A settings file for one target, and more of its keys.
fn settings(url: &str, more: &str) -> Folder {
    let folder = Folder::new("surroundings", "TERM");
    folder.write("pgvigil.yaml", &format!("targets: [{{name: t, postgres: {{url: \"{url}\"}}}}]\n{more}"));
    folder
}

/// pgvigil on this server.
fn watch(url: &str, more: &str) -> Pgvigil {
    let folder = settings(url, more);
    Pgvigil::start(BINARY, &["--config", &folder.path().join("pgvigil.yaml").display().to_string()], &[])
}

/// One command of pgvigil on this server: its output.
fn run(command: &[&str], url: &str) -> Output {
    let folder = settings(url, "");
    let file = folder.path().join("pgvigil.yaml");
    Command::new(BINARY).args(command).arg("--config").arg(file).env_clear().output().expect("running pgvigil")
}

/// What `pgvigil check --connect` says, and how it ends.
fn check(url: &str) -> (Option<i32>, String) {
    let output = run(&["check", "--connect"], url);
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}
