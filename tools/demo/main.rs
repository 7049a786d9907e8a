//! A PostgreSQL primary, its replica, a PgBouncer, a Redis, a small shop's traffic through all of them, a repository of
//! backups, pgvigil watching, and Prometheus with Alertmanager, where they are installed: `make demo`, until Ctrl-C.
//!
//! Everything is in temporary folders, on free ports; nothing is left behind, however it ends.

mod cache;
mod probe;
mod readers;
mod settings;
#[path = "../../tests/support/mod.rs"]
mod support;
mod tour;
mod traffic;
mod until;

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{self, ExitCode},
    sync::mpsc::{self, Receiver, Sender, TryRecvError},
    thread,
    time::{Duration, Instant},
};

use cache::Cache;
use clap::Parser;
use readers::Readers;
use support::{Folder, PgBackRest, Postgres, free_port, http, process as child, template};
use traffic::Traffic;
use until::{Ended, Until};

/// PostgreSQL's version: Debian's, which `scripts/install-servers demo` installs.
const MAJOR: u32 = 15;

/// What the servers are set to, beyond what they have in tests; and what these leave out for speed, of which alerts would tell.
const CONFIG: [&str; 4] = ["track_io_timing = on", "archive_timeout = 10s", "fsync = on", "full_page_writes = on"];

/// How often the links are printed again, since a log may have pushed them off the screen.
const TOUR_EVERY: Duration = Duration::from_secs(600);

/// A primary, a replica, a pooler, a workload, backups, and pgvigil watching them.
#[derive(Parser)]
struct Arguments {
    /// Where pgvigil listens; a free port is taken when this one is busy.
    #[arg(long, default_value = "127.0.0.1:9878")]
    listen: SocketAddr,
    /// Ends after this many seconds of watching, instead of at Ctrl-C.
    #[arg(long)]
    seconds: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut until = Until::new();
    let ended = demo(&arguments, &mut until);
    template::clear();
    match ended {
        Ok(()) | Err(Ended::Asked) => ExitCode::SUCCESS,
        Err(Ended::Pgvigil) => {
            eprintln!("pgvigil ended by itself");
            ExitCode::FAILURE
        }
    }
}

fn demo(arguments: &Arguments, until: &mut Until) -> Result<(), Ended> {
    let backups = PgBackRest::new();
    let server = CONFIG.iter().fold(Postgres::builder(MAJOR), |server, line| server.config(line));
    let server = backups.archived(server);
    let primary = until.step("PostgreSQL starts", || server.start())?;
    until.step("pgBackRest has made a backup", || {
        backups.create(&primary);
        backups.backup("full");
    })?;
    let replica = until.step("a replica streams from it", || primary.replica())?;
    until.step("the database of a small shop is filled", || traffic::fill(&primary))?;
    let pooler = until.step("PgBouncer starts", || traffic::pooler(&primary))?;
    let _traffic = until.step("pgbench plays the customers", || Traffic::start(&primary, &replica, &pooler))?;
    let cache = until.step("Redis starts, as their cache", Cache::start)?;
    let folder = Folder::new("demo", "TERM");
    let settings = settings::write(
        &folder,
        &[
            ("primary", "postgres", settings::url(&primary.url("pgvigil", "demo"))),
            ("replica", "postgres", settings::url(&replica.url("pgvigil", "demo"))),
            ("pooler", "pgbouncer", settings::url(&pooler.url("pgvigil", "pgbouncer"))),
            ("cache", "redis", settings::url(&cache.redis.url())),
            ("backups", "backup", settings::repository(&backups, "")),
            ("disk", "disk", settings::paths(&[("data", primary.data_dir()), ("backups", backups.archive())])),
            ("probe", "probe", probe::holds(&primary, &replica, &cache.redis.url())),
        ],
        "backup: {ttl: 15s}",
    );
    until.step("the probe's tables are created", || probe::install(&settings, &primary))?;
    let listen = free_address("pgvigil", arguments.listen);
    let pgvigil = until.step("pgvigil starts", || Pgvigil::start(&settings, listen))?;
    let readers = until.step("Prometheus and Alertmanager start", || Readers::start(listen, free_address))?;
    let tour = tour::text(listen, &readers, [("primary", &primary), ("replica", &replica)]);
    let status = || tour::status(listen, &readers, [("primary", &primary), ("replica", &replica)]);
    let watched = watch(arguments.seconds, until, &pgvigil, &tour, status);
    until.say("closing");
    pgvigil.stop();
    watched
}

/// The wanted address, or another one, and then it says so.
fn free_address(program: &str, wanted: SocketAddr) -> SocketAddr {
    if TcpListener::bind(wanted).is_ok() {
        return wanted;
    }
    let free = SocketAddr::new(wanted.ip(), free_port());
    println!("          port {} is in use, so {program} listens on {}", wanted.port(), free.port());
    free
}

/// pgvigil, in this process.
struct Pgvigil {
    /// Closed when it has ended.
    running: Receiver<()>,
}

impl Pgvigil {
    fn start(config: &Path, address: SocketAddr) -> Pgvigil {
        let (config, (alive, running)) = (config.to_owned(), mpsc::channel());
        thread::spawn(move || {
            let _alive: Sender<()> = alive;
            run_pgvigil(&config, address)
        });
        let pgvigil = Pgvigil { running };
        let ready = || http::get(address, "/readyz", &[]).is_ok_and(|answer| answer.status == 200);
        support::eventually(Duration::from_secs(20), "pgvigil is ready", || ready() || pgvigil.has_ended());
        pgvigil
    }

    fn has_ended(&self) -> bool {
        self.running.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// Tells it to end as its users do, by a signal; ours is the one process, which has noticed that already.
    fn stop(self) {
        child::signal("TERM", &[process::id()]);
        let _ = self.running.recv_timeout(Duration::from_secs(5));
    }
}

fn run_pgvigil(config: &Path, listen: SocketAddr) -> ExitCode {
    let args = ["pgvigil", "serve", "--config", &config.display().to_string(), "--listen", &listen.to_string()];
    pgvigil::cli::main(args.map(str::to_owned))
}

/// Says what to look at, and from time to time again; and how it goes, until the end.
fn watch(
    seconds: Option<u64>,
    until: &mut Until,
    pgvigil: &Pgvigil,
    tour: &str,
    status: impl Fn() -> String,
) -> Result<(), Ended> {
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut told: Option<Instant> = None;
    loop {
        if pgvigil.has_ended() {
            return Err(Ended::Pgvigil);
        }
        if told.is_none_or(|told| told.elapsed() >= TOUR_EVERY) {
            until.clear();
            println!("\n{tour}");
            told = Some(Instant::now());
        }
        let next = until.status(&status());
        let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
        until.wait(left.min(next))?;
        if end.is_some_and(|end| end <= Instant::now()) {
            return Ok(());
        }
    }
}
