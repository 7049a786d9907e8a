//! `pgvigil probe`: some rounds over each path of a probe, and what a client would feel; makes and removes its tables.

mod report;

use std::{
    io::{IsTerminal, stderr},
    time::Duration,
};

use anyhow::anyhow;
use clap::Args;
use tokio::time::sleep;

use crate::{
    cli::{
        arguments::{ConfigArguments, LogArguments},
        probe::report::ProbeSummary,
        run::{CommandError, print, run_to_end},
    },
    probe::{Probe, install},
    schema::problem::{Place, Problems},
    scrape::reload::ConfigPaths,
    settings::{
        Endpoint, TargetSettings,
        connection::{dsn::Dsn, model::PostgresSettings, postgres},
        probe::ProbeSettings as Settings,
    },
};

/// Who makes the tables, if not the probe's own role.
const ADMIN: &str = "PGVIGIL_PROBE_ADMIN_URL";

/// How often progress is told where it cannot be written over, and where it can.
const TOLD_EVERY: Duration = Duration::from_secs(10);
const SHOWN_EVERY: Duration = Duration::from_millis(200);

#[derive(Args)]
pub struct ProbeArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// The probe, where there are several
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// How often each query goes over each path
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    rounds: u64,
    /// The time of a round
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Make the tables that the probe's own queries read, in the primary's database: schema pgvigil_probe, about 5 MB.
    /// As the probe's role or, if PGVIGIL_PROBE_ADMIN_URL is set, as the role of that URL
    #[arg(long, conflicts_with = "uninstall")]
    install: bool,
    /// Remove them
    #[arg(long)]
    uninstall: bool,
    #[command(flatten)]
    log: LogArguments,
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match interval {
        shorter if shorter < Duration::from_millis(100) => Err("must be at least 100ms".to_owned()),
        interval => Ok(interval),
    }
}

pub fn run(arguments: ProbeArguments) -> Result<(), CommandError> {
    arguments.log.start();
    let files: ConfigPaths = arguments.config.into();
    let settings = files.load(None)?.settings;
    let (name, settings) = chosen(&settings.targets, arguments.target.as_deref())?;
    run_to_end(async move {
        match (arguments.install, arguments.uninstall) {
            (true, _) => make(&settings).await,
            (_, true) => remove(&settings).await,
            _ => {
                let settings = Settings { interval: arguments.interval, ..settings };
                measure(&name, settings, arguments.rounds, arguments.json).await
            }
        }
    })
}

/// The one probe, or the one of this name.
fn chosen(targets: &[TargetSettings], name: Option<&str>) -> Result<(String, Settings), CommandError> {
    let probes = targets.iter().filter_map(|target| match &target.endpoint {
        Endpoint::Probe(probe) => Some((&target.name, probe)),
        _ => None,
    });
    let probes: Vec<_> = probes.collect();
    let names: Vec<_> = probes.iter().map(|(name, _)| name.as_str()).collect();
    let fits = |(its, _): &&(&String, &Settings)| name.is_none_or(|name| name == its.as_str());
    match *probes.iter().filter(fits).collect::<Vec<_>>() {
        [(name, probe)] => Ok(((*name).clone(), (*probe).clone())),
        _ if probes.is_empty() => {
            let message = "no probe: give a settings file with a target that has `probe`, or set PGVIGIL_PROBE_URL";
            Err(CommandError::Usage(message.to_owned()))
        }
        _ => Err(CommandError::Usage(format!("choose a probe with --target; there are {}", names.join(", ")))),
    }
}

async fn make(settings: &Settings) -> Result<(), CommandError> {
    let server = admin(settings)?;
    let made = install::install(&server, settings.user()).await;
    made.map_err(|failure| not_allowed("made", &server.user, failure.message.to_string()))?;
    print("the probe's tables are there: schema pgvigil_probe, about 5 MB\n")
}

async fn remove(settings: &Settings) -> Result<(), CommandError> {
    let server = admin(settings)?;
    let removed = install::uninstall(&server).await;
    removed.map_err(|failure| not_allowed("removed", &server.user, failure.message.to_string()))?;
    print("the probe's tables are gone\n")
}

fn not_allowed(what: &str, user: &str, message: String) -> CommandError {
    let hint = format!("who may create schemas can: set {ADMIN} to such a role's URL");
    anyhow!("the tables were not {what} as {user}: {message}; {hint}").into()
}

/// The primary as who makes tables there.
fn admin(settings: &Settings) -> Result<PostgresSettings, CommandError> {
    let Ok(url) = std::env::var(ADMIN) else { return Ok(settings.primary.clone()) };
    let read = Dsn::parse(&url).map_err(|wrong| vec![wrong]).and_then(|dsn| postgres::resolve(&dsn));
    Ok(read.map_err(|wrongs| {
        let mut problems = Problems::default();
        wrongs.iter().for_each(|wrong| problems.add(&Place::whole(ADMIN), wrong.to_string()));
        problems
    })?)
}

async fn measure(name: &str, settings: Settings, rounds: u64, json: bool) -> Result<(), CommandError> {
    let probe = Probe::start(settings, Some(rounds));
    follow(&probe, rounds).await;
    let report = ProbeSummary::of(name, &probe.course);
    print(&if json { report.json() } else { report.text() })?;
    match report.missed().as_slice() {
        [] => Ok(()),
        missed => Err(anyhow!("objectives missed: {}", missed.join(", ")).into()),
    }
}

/// Waits until it ends, and tells how far it is.
async fn follow(probe: &Probe, rounds: u64) {
    let shown = stderr().is_terminal();
    let every = if shown { SHOWN_EVERY } else { TOLD_EVERY };
    let began = tokio::time::Instant::now();
    let all = probe.course.settings.interval * u32::try_from(rounds).unwrap_or(u32::MAX);
    let mut told = began;
    while probe.is_running() {
        sleep(Duration::from_millis(20)).await;
        if told.elapsed() >= every {
            told = tokio::time::Instant::now();
            let percent = 100.0 * (began.elapsed().as_secs_f64() / all.as_secs_f64()).min(1.0);
            match shown {
                true => eprint!("\rprobe: {percent:.0} %"),
                false => eprintln!("probe: {percent:.0} %"),
            }
        }
    }
    if shown {
        eprint!("\r\x1b[K");
    }
}
