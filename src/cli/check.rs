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
    source::Reason,
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
        let (text, failures) = describe(target, &|name| is_on(engine, name));
        print(&text)?;
        failed += failures;
    }
    match failed {
        0 => Ok(()),
        _ => Err(anyhow!("{failed} of these failed").into()),
    }
}

/// Whether a collector lacks nothing on some target.
fn is_on(engine: &Engine, name: &str) -> bool {
    let mut reports = engine.targets.iter().flat_map(|target| target.collectors());
    reports.any(|(other, report)| other == name && report.errors.is_empty())
}

/// A target's lines, and how many of them tell of a failure. What is merely off is none.
fn describe(target: &Target, is_on: &dyn Fn(&str) -> bool) -> (String, usize) {
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
            // To a scrape, what is undefined is just not there; to the author of the SQL it is a mistake, unless
            // another target has it.
            let fails = !error.reason.is_skip() || error.reason == Reason::Undefined && !is_on(name);
            let state = if fails { "FAILED" } else { "off" };
            failed += usize::from(fails);
            _ = writeln!(out, "  {state:<10} {name}: {error}{}", remedy(&error.message, target.settings.user()));
        }
    }
    (out, failed)
}

/// What would give what is missing, read off the server's words.
fn remedy(message: &str, user: &str) -> String {
    if let Some(name) = bare_name(message) {
        return format!("; only pg_catalog is searched: put the schema before the name, as in public.{name}");
    }
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

/// The name that was not found, if it was written without a schema and may be one of the user's.
fn bare_name(message: &str) -> Option<&str> {
    let (what, _) = message.split_once(" does not exist")?;
    let name = ["relation \"", "type \"", "function "].iter().find_map(|kind| what.strip_prefix(kind))?;
    let name = &name[..name.find(['"', '(']).unwrap_or(name.len())];
    (!name.contains('.') && !name.starts_with("pg_")).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        for (message, expected) in [
            ("relation \"outbox\" does not exist [42P01]", "put the schema before the name, as in public.outbox"),
            ("function f(integer) does not exist [42883]", "as in public.f"),
            ("relation \"public.outbox\" does not exist [42P01]", ""),
            ("relation \"pg_new_view\" does not exist [42P01]", ""),
            ("column \"x\" does not exist [42703]", ""),
            ("permission denied for table outbox [42501]", "run GRANT SELECT ON outbox TO \"me\";"),
            ("permission denied for schema shop [42501]", "run GRANT USAGE ON SCHEMA shop TO \"me\";"),
            ("permission denied for function pg_ls_waldir [42501]", "run GRANT pg_monitor TO \"me\";"),
        ] {
            let told = remedy(message, "me");
            assert!(told.ends_with(expected) && told.is_empty() == expected.is_empty(), "{message}: {told}");
        }
    }
}
