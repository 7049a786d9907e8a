//! `pgvigil probe`: runs some rounds over each path of a probe and prints the results; creates and removes its tables.

mod report;

use std::io::{IsTerminal, stderr};
use std::pin::pin;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use clap::Args;
use tokio::time::{Instant, timeout};

use crate::cli::arguments::{ConfigArguments, LogArguments};
use crate::cli::probe::report::ProbeReport;
use crate::cli::run::{print, run_to_end, usage};
use crate::probe::attempt::AttemptError;
use crate::probe::{Probe, schema};
use crate::schema::problem::{Place, Problems};
use crate::scrape::reload::ConfigPaths;
use crate::settings::connection::dsn::Dsn;
use crate::settings::connection::model::PostgresSettings;
use crate::settings::connection::postgres;
use crate::settings::probe::ProbeSettings;
use crate::settings::{Endpoint, TargetSettings};

/// The variable with the URL of a role that creates and drops the tables, if the probe's own role may not.
const ADMIN: &str = "PGVIGIL_PROBE_ADMIN_URL";

/// How often progress is printed: on a terminal, where a line replaces the last one, and elsewhere.
const PROGRESS_ON_TERMINAL: Duration = Duration::from_millis(200);
const PROGRESS_ELSEWHERE: Duration = Duration::from_secs(10);

#[derive(Args)]
pub struct ProbeArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// The probe, if there are several
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// How often each query goes over each path
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// The duration of a round
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Create the tables that the probe's own queries read, in the primary's database: schema pgvigil_probe, about 5
    /// MB. As the probe's role or, if PGVIGIL_PROBE_ADMIN_URL is set, as the role of that URL
    #[arg(long, conflicts_with = "uninstall")]
    install: bool,
    /// Drop these tables
    #[arg(long)]
    uninstall: bool,
    #[command(flatten)]
    log: LogArguments,
}

fn interval(text: &str) -> anyhow::Result<Duration> {
    let interval = humantime::parse_duration(text)?;
    ensure!(interval >= Duration::from_millis(100), "must be at least 100ms");
    Ok(interval)
}

pub fn run(arguments: ProbeArguments) -> anyhow::Result<()> {
    arguments.log.start();
    let files: ConfigPaths = arguments.config.into();
    let settings = files.load(None)?.settings;
    let (name, mut probe) = choose(&settings.targets, arguments.target.as_deref())?;
    run_to_end(async move {
        if arguments.install {
            return install(&probe).await;
        }
        if arguments.uninstall {
            return uninstall(&probe).await;
        }
        probe.interval = arguments.interval;
        measure(&name, probe, arguments.rounds, arguments.json).await
    })
}

/// The probe of this name, or the only one.
fn choose(targets: &[TargetSettings], name: Option<&str>) -> anyhow::Result<(String, ProbeSettings)> {
    let mut probes = Vec::new();
    for target in targets {
        if let Endpoint::Probe(probe) = &target.endpoint {
            probes.push((target.name.as_str(), probe));
        }
    }
    let chosen: Vec<_> = probes.iter().filter(|(known, _)| name.is_none_or(|name| name == *known)).collect();
    if let [(name, probe)] = chosen.as_slice() {
        return Ok(((*name).to_owned(), (*probe).clone()));
    }
    if probes.is_empty() {
        let message = "no probe: give a settings file with a target that has `probe`, or set PGVIGIL_PROBE_URL";
        return Err(usage(message.to_owned()).into());
    }
    let names: Vec<_> = probes.iter().map(|(name, _)| *name).collect();
    Err(usage(format!("choose a probe with --target; there are {}", names.join(", "))).into())
}

async fn install(probe: &ProbeSettings) -> anyhow::Result<()> {
    let server = admin(probe)?;
    let installed = schema::install(&server, &probe.primary.user).await;
    installed.map_err(|failure| refused("created", &server.user, &failure))?;
    print("the probe's tables exist: schema pgvigil_probe, about 5 MB\n")
}

async fn uninstall(probe: &ProbeSettings) -> anyhow::Result<()> {
    let server = admin(probe)?;
    schema::uninstall(&server).await.map_err(|failure| refused("dropped", &server.user, &failure))?;
    print("the probe's tables are gone\n")
}

fn refused(what: &str, user: &str, failure: &AttemptError) -> anyhow::Error {
    let hint = format!("a role that may create schemas can do it: set {ADMIN} to such a role's URL");
    anyhow!("the tables were not {what} as {user}: {}; {hint}", failure.message)
}

/// The primary, with the role that creates tables there.
fn admin(probe: &ProbeSettings) -> anyhow::Result<PostgresSettings> {
    let Ok(url) = std::env::var(ADMIN) else { return Ok(probe.primary.clone()) };
    let read = Dsn::parse(&url).map_err(|wrong| vec![wrong]).and_then(|dsn| postgres::resolve(&dsn));
    Ok(read.map_err(|wrongs| {
        let mut problems = Problems::default();
        wrongs.iter().for_each(|wrong| problems.add(&Place::whole(ADMIN), wrong.to_string()));
        problems
    })?)
}

async fn measure(name: &str, settings: ProbeSettings, rounds: u32, json: bool) -> anyhow::Result<()> {
    let mut probe = Probe::start(settings, Some(rounds));
    wait(&mut probe, rounds).await;
    let report = ProbeReport::new(name, &probe.state);
    print(&if json { report.json() } else { report.text() })?;
    let missed = report.missed();
    ensure!(missed.is_empty(), "objectives missed: {}", missed.join(", "));
    Ok(())
}

/// Waits for the end of the rounds, and prints the progress.
async fn wait(probe: &mut Probe, rounds: u32) {
    let is_terminal = stderr().is_terminal();
    let every = if is_terminal { PROGRESS_ON_TERMINAL } else { PROGRESS_ELSEWHERE };
    let (began, duration) = (Instant::now(), probe.state.settings.interval * rounds);
    let mut ended = pin!(probe.ended());
    while timeout(every, &mut ended).await.is_err() {
        let percent = 100.0 * began.elapsed().div_duration_f64(duration).min(1.0);
        let (start, end) = if is_terminal { ("\r", "") } else { ("", "\n") };
        eprint!("{start}probe: {percent:.0} %{end}");
    }
    if is_terminal {
        eprint!("\r\x1b[K");
    }
}
