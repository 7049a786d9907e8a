//! A PostgreSQL primary, its replica, a PgBouncer, a Redis, a small shop's traffic through all of them, a repository of
//! backups, pgvigil watching, and Prometheus with Alertmanager, where they are installed: `make demo`, until Ctrl-C.
//!
//! Everything is in temporary folders, on free ports; nothing is left behind, however it ends.

#[path = "demo/cache.rs"]
mod cache;
#[path = "demo/probe.rs"]
mod probe;
#[path = "demo/readers.rs"]
mod readers;
#[path = "demo/settings.rs"]
mod settings;
#[path = "../tests/support/mod.rs"]
mod support;
#[path = "demo/traffic.rs"]
mod traffic;
#[path = "demo/until.rs"]
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
use support::{Folder, PgBackRest, Postgres, free_port, http, page, process as child, template};
use traffic::Traffic;
use until::{Ended, Until};

/// PostgreSQL's version: Debian's, which `scripts/install-servers demo` installs.
const MAJOR: u32 = 15;

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
    let server =
        backups.archived(Postgres::builder(MAJOR).config("track_io_timing = on").config("archive_timeout = 10s"));
    let primary = until.step("PostgreSQL starts", || server.start())?;
    until.step("a backup is made", || {
        backups.create(&primary);
        backups.backup("full");
    })?;
    let replica = until.step("a replica follows it", || primary.replica())?;
    until.step("the shop opens", || traffic::fill(&primary))?;
    let pooler = until.step("PgBouncer stands in front of it", || traffic::pooler(&primary))?;
    let _traffic = until.step("customers come", || Traffic::start(&primary, &replica, &pooler))?;
    let cache = until.step("they are remembered by a Redis", Cache::start)?;
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
    until.step("a probe tries its ways", || probe::install(&settings, &primary))?;
    let listen = free_address(arguments.listen);
    let pgvigil = until.step("pgvigil watches", || Pgvigil::start(&settings, listen))?;
    let readers = until.step("and is read", || Readers::start(listen, free_address))?;
    announce(listen, &primary, &replica, &readers);
    let watched = watch(arguments.seconds, until, &pgvigil, &primary, &replica);
    until.say("closing");
    pgvigil.stop();
    watched
}

fn free_address(wanted: SocketAddr) -> SocketAddr {
    match TcpListener::bind(wanted) {
        Ok(_) => wanted,
        Err(_) => SocketAddr::new(wanted.ip(), free_port()),
    }
}

/// pgvigil, in this process.
struct Pgvigil {
    address: SocketAddr,
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
        let pgvigil = Pgvigil { address, running };
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

fn announce(listen: SocketAddr, primary: &Postgres, replica: &Postgres, readers: &Readers) {
    println!("\nLook:");
    println!("  http://{listen}/                         what there is");
    println!("  http://{listen}/metrics                  everything");
    println!("  http://{listen}/metrics?target=primary   one target");
    println!("  http://{listen}/probe?path=direct&debug=true   one round of the probe, phase by phase");
    readers.lines().iter().for_each(|line| println!("  {line}"));
    for (name, server) in [("primary", primary), ("replica", replica)] {
        let socket = server.socket_dir().display();
        println!("  psql -h {socket} -p {} -U postgres demo   # the {name}", server.port());
    }
    println!("Ctrl-C ends it all.\n");
}

/// A line every 10 s, until the end.
fn watch(
    seconds: Option<u64>,
    until: &mut Until,
    pgvigil: &Pgvigil,
    primary: &Postgres,
    replica: &Postgres,
) -> Result<(), Ended> {
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    loop {
        if pgvigil.has_ended() {
            return Err(Ended::Pgvigil);
        }
        until.say(&format!("{}; {}", page_line(pgvigil.address), traffic::line(primary, replica)));
        let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
        until.wait(left.min(Duration::from_secs(10)))?;
        if end.is_some_and(|end| end <= Instant::now()) {
            return Ok(());
        }
    }
}

fn page_line(address: SocketAddr) -> String {
    let start = Instant::now();
    match http::get(address, "/metrics", &[]) {
        Ok(answer) if answer.status == 200 => {
            format!("a scrape: {} samples in {} ms", page::count(&answer.text()), start.elapsed().as_millis())
        }
        Ok(answer) => format!("a scrape: status {}", answer.status),
        Err(error) => format!("a scrape: {error}"),
    }
}
