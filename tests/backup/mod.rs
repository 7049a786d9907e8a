//! Backups: real tools and real files, and tools that fail in every way.

mod barman;
mod bucket;
mod documents;
mod finished;
mod liars;
mod pgbackrest;
mod tools;
mod unknown;

use std::{env, path::Path, time::Duration};

use crate::support::{Folder, Pgvigil, eventually, sample};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// How long a step of a real tool may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Settings with one target of these repositories, each a flow map; tools are run each second.
pub fn settings(repositories: &[String]) -> String {
    let list: String = repositories.iter().map(|repository| format!("      - {repository}\n")).collect();
    format!(
        "targets:\n  - name: b\n    backup:\n     repositories:\n{list}collectors:\n  backup: {{ttl: 1s, timeout: 10s}}\n"
    )
}

/// pgvigil watching these repositories, with the path on which programs are found.
pub fn watch(settings: &str) -> Pgvigil {
    let path = env::var("PATH").unwrap_or_default();
    let folder = Folder::new("settings", "TERM");
    let file = folder.write("pgvigil.yaml", settings);
    Pgvigil::start(
        BINARY,
        &["--config", &file.display().to_string()],
        &[("PATH", &path), ("ORDERS_PASSWORD", "s3cret")],
    )
}

/// Why a part of a repository is not known.
pub fn reason(page: &str, repository: &str, part: &str) -> Option<&'static str> {
    let reasons = ["pending", "missing", "failed", "timeout", "busy", "too_large", "garbage", "stale"];
    let is_so = |reason: &&str| {
        sample(page, "pgvigil_backup_problem", &[("repository", repository), ("part", part), ("reason", reason)])
            .is_some()
    };
    reasons.into_iter().find(is_so)
}

/// Scrapes until a page says so, and returns it.
pub fn until(pgvigil: &Pgvigil, what: &str, is_so: impl Fn(&str) -> bool) -> String {
    let mut page = String::new();
    eventually(PATIENCE, what, || {
        page = pgvigil.scrape();
        is_so(&page)
    });
    page
}

/// `pgvigil check --connect`: whether all is well, and what it says.
pub fn check(settings: &Path) -> (bool, String) {
    let mut command = std::process::Command::new(BINARY);
    let output = command.args(["check", "--connect", "--config"]).arg(settings).output().expect("pgvigil runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text + &String::from_utf8_lossy(&output.stderr))
}
