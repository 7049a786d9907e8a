//! `pgvigil check`: settings and collectors; with `--connect` also every query, on the live servers.

use std::{fmt::Write, future::pending};

use anyhow::anyhow;
use clap::Args;
use tokio::time::Instant;

use super::{ConfigArguments, Failure, LogArguments, print, runtime};
use crate::{
    config::{catalogue::Catalogue, env},
    engine::{Engine, Selection},
    live::{Files, Live},
    target::Target,
};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Also connect, ask each query of each collector, and say what is on and what is off, and why
    #[arg(long)]
    connect: bool,
    #[command(flatten)]
    log: LogArguments,
}

pub fn run(mut arguments: Arguments) -> Result<(), Failure> {
    // What the log would say is said on standard output.
    if arguments.connect && arguments.log.log_level == tracing::level_filters::LevelFilter::INFO {
        arguments.log.log_level = tracing::level_filters::LevelFilter::OFF;
    }
    arguments.log.start();
    let files: Files = arguments.config.into();
    if files.settings.is_none() && !arguments.connect && !env::names_targets(&|name| std::env::var(name).ok()) {
        let catalogue = Catalogue::load(files.collectors.as_deref())?;
        return print(&format!("{}; no settings given\n", summary(&catalogue)));
    }
    runtime()?.block_on(async {
        let engine = Live::start(files)?.engine();
        print(&format!("{}, targets: {}; no problem found\n", summary(&engine.catalogue), engine.targets.len()))?;
        match arguments.connect {
            true => connect(&engine).await,
            false => Ok(()),
        }
    })
}

fn summary(catalogue: &Catalogue) -> String {
    let metrics: usize = catalogue.collectors.iter().flat_map(|c| &c.queries).map(|query| query.metrics.len()).sum();
    format!("collectors: {}, metrics: {metrics}", catalogue.collectors.len())
}

async fn connect(engine: &Engine) -> Result<(), Failure> {
    engine.scrape(&Selection::default(), Instant::now() + 6 * engine.settings.scrape_timeout, pending()).await;
    let mut failed = 0;
    for target in &engine.targets {
        let (text, failures) = describe(target);
        print(&text)?;
        failed += failures;
    }
    match failed {
        0 => Ok(()),
        _ => Err(anyhow!("{failed} of these failed").into()),
    }
}

/// A target's lines, and how many of them tell of a failure. What is merely off is none.
fn describe(target: &Target) -> (String, usize) {
    let report = target.last_report();
    let mut out = format!("\n{}: ", target.name());
    if let Some(error) = report.error {
        _ = writeln!(out, "down: {error}");
        return (out, 1);
    }
    let role = if report.status.replica == Some(true) { "replica" } else { "primary" };
    let protocol = match report.status.pooled {
        Some(true) => "pooled mode: a transaction pooler stands between",
        _ => "prepared statements",
    };
    _ = writeln!(out, "PostgreSQL {}, {role}, {protocol}", report.status.major.unwrap_or_default());
    if report.status.monitor == Some(false) {
        let user = target.settings.user();
        _ = writeln!(
            out,
            "  note       role {user} is no member of pg_monitor and sees little of others' sessions and statements; \
             run GRANT pg_monitor TO \"{user}\";"
        );
    }
    let mut failed = 0;
    for (name, report) in target.collectors() {
        if report.errors.is_empty() {
            _ = writeln!(out, "  on         {name}: {} rows", report.rows);
        }
        for error in &report.errors {
            let state = if error.reason.is_skip() { "off" } else { "FAILED" };
            failed += usize::from(!error.reason.is_skip());
            _ = writeln!(out, "  {state:<10} {name}: {error}{}", remedy(&error.message, target.settings.user()));
        }
    }
    (out, failed)
}

/// What would give a right that is missing, read off the server's words.
fn remedy(message: &str, user: &str) -> String {
    let Some((_, rest)) = message.split_once("permission denied for ") else { return String::new() };
    let mut words = rest.split(' ');
    let (kind, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match kind {
        "function" if name.starts_with("pg_") => format!("; run GRANT pg_monitor TO \"{user}\";"),
        "function" => format!("; run GRANT EXECUTE ON FUNCTION {name} TO \"{user}\";"),
        "schema" => format!("; run GRANT USAGE ON SCHEMA {name} TO \"{user}\";"),
        "table" | "view" => format!("; run GRANT SELECT ON {name} TO \"{user}\";"),
        _ => String::new(),
    }
}
