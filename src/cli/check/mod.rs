//! `pgvigil check`: checks settings and collectors; with `--connect` also every query, on the live servers.

mod health;
mod lines;
mod summary;

use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use tokio::time::Instant;

use crate::access::WebAccess;
use crate::cli::arguments::{ConfigArguments, LogArguments, WebArguments};
use crate::cli::check::lines::{CheckReport, delivers};
use crate::cli::run::{counted, print, run_to_end};
use crate::collector::catalogue::Catalogue;
use crate::scrape::engine::{Engine, Selection};
use crate::scrape::reload::{ConfigPaths, LiveConfig};
use crate::scrape::target::Target;
use crate::scrape::target::report::CollectorReport;
use crate::settings::{Settings, env};

/// The maximum duration of a check, with any number of slow collectors.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

#[derive(Args)]
pub struct CheckArguments {
    #[command(flatten)]
    config: ConfigArguments,
    #[command(flatten)]
    web: WebArguments,
    /// Also connect, run each query of each collector, and report which are on or off, and why
    #[arg(long)]
    connect: bool,
    /// With --connect, also name what is off as expected: for the server's version or role, or an optional extension
    #[arg(long, requires = "connect")]
    verbose: bool,
    /// Instead, check a running pgvigil: exit code 0 if it reports well within 2 s, else 1. Without URL, the one that
    /// PGVIGIL_LISTEN names; without a path, /healthz
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "", conflicts_with = "connect")]
    health: Option<String>,
    #[command(flatten)]
    log: LogArguments,
}

pub fn run(mut arguments: CheckArguments) -> anyhow::Result<()> {
    if let Some(url) = &arguments.health {
        return health::run(url, arguments.web.web_config.as_deref());
    }
    // Problems for the log are printed instead.
    if arguments.connect && arguments.log.log_level == tracing::level_filters::LevelFilter::INFO {
        arguments.log.log_level = tracing::level_filters::LevelFilter::OFF;
    }
    arguments.log.start();
    let files = ConfigPaths { web: arguments.web.web_config, ..arguments.config.into() };
    if files.settings.is_none() && !arguments.connect && !env::names_targets(&|name| std::env::var(name).ok()) {
        let catalogue = Catalogue::load(files.collectors.as_deref())?;
        WebAccess::load(files.web.as_deref(), None)?;
        return print(&format!("{}; no settings given\n", summary(&catalogue)));
    }
    run_to_end(async {
        let engine = LiveConfig::once(&files)?;
        let (catalogue, targets) = (summary(&engine.catalogue), engine.targets.len());
        let notes: String = engine.settings.notes.iter().map(|note| format!("{note}\n")).collect();
        let files =
            if arguments.connect { "the files are right; now each target is asked" } else { "no problem found" };
        print(&format!("{notes}{catalogue}, targets: {targets}; {files}\n"))?;
        if arguments.connect { connect(&engine, arguments.verbose).await } else { Ok(()) }
    })
}

fn summary(catalogue: &Catalogue) -> String {
    let metrics: usize = catalogue.collectors.iter().flat_map(|c| &c.queries).map(|query| query.metrics.len()).sum();
    format!("collectors: {}, metrics: {metrics}", catalogue.collectors.len())
}

async fn connect(engine: &Engine, is_verbose: bool) -> anyhow::Result<()> {
    let (began, wait) = (Instant::now(), wait_for(&engine.settings, &engine.catalogue));
    engine.scrape(&Selection::default(), began + wait).await;
    let reports: Vec<_> = engine.targets.iter().map(|target| target.collectors_by_database()).collect();
    let is_on = |report: &CollectorReport| {
        let same = reports.iter().flatten().filter(|other| other.collector == report.collector);
        same.flat_map(|other| &other.databases).any(delivers)
    };
    let (mut failed, mut hidden, mut summary) = (0, 0, String::from("\nIn short:\n"));
    for (target, reports) in engine.targets.iter().zip(&reports) {
        let mut lines = CheckReport::new(is_verbose);
        if lines.head(target, began) {
            for report in reports {
                lines.collector(report, is_on(report), wait, target.settings.user());
            }
            let closed = target.closed_databases();
            closed.iter().for_each(|(name, reason)| lines.closed(name, reason, target.settings.user()));
            target.source.problems().iter().for_each(|problem| lines.problem(problem, target.settings.user()));
        }
        try_paths(target, &mut lines).await;
        print(&lines.text)?;
        summary += &lines.summary.text(target.name());
        failed += lines.failed;
        hidden += lines.hidden;
    }
    if hidden > 0 {
        summary += "What is off for version, role or an optional extension is named by --verbose.\n";
    }
    print(&summary)?;
    ensure!(failed == 0, "{} above: look for `down` and `FAILED`", counted(failed, "failure"));
    Ok(())
}

/// Tries each path of a probe once, except the one that writes.
async fn try_paths(target: &Target, lines: &mut CheckReport) {
    let Some(probe) = &target.probe else { return };
    for runner in &probe.state.paths {
        if let Ok(round) = probe.state.debug_round(&runner.path.name).await {
            lines.path(&round);
        }
    }
}

/// Long enough for all slow collectors to use their whole timeout, one after the other.
fn wait_for(settings: &Settings, catalogue: &Catalogue) -> Duration {
    let slow = catalogue.collectors.iter().filter(|collector| !collector.is_quick());
    let all = slow.fold(settings.scrape_timeout, |sum, collector| sum.saturating_add(collector.timeout));
    all.min(LONGEST_WAIT)
}
