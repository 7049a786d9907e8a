//! What is measured of an exporter, and of each of pgvigil's collectors by itself.

use std::{
    collections::BTreeMap,
    thread::sleep,
    time::{Duration, Instant},
};

use pgvigil::collector::catalogue::Catalogue;

use crate::{
    clock::{Sessions, cpu_ms, server_cpu_ms},
    exporters::{DATABASE, Exporter},
    support::{Postgres, page, process},
};

/// How long what a scrape has begun may go on after it.
const PATIENCE: Duration = Duration::from_secs(60);

/// pgvigil shows a result so old to no further scrape.
pub const FRESH: Duration = Duration::from_millis(260);

/// Of one exporter. CPU and time are of one scrape.
pub struct Figures {
    pub name: &'static str,
    pub samples: usize,
    pub page_bytes: usize,
    /// The first scrape of a new process.
    pub first_ms: f64,
    /// What the first scrape and all that it began cost the server.
    pub first_server_ms: f64,
    pub wall_ms: f64,
    pub cpu_ms: f64,
    pub server_ms: f64,
    pub statements: f64,
    pub rss_mib: f64,
    /// How much more than before its first scrape.
    pub growth_mib: f64,
    /// The most sessions, and the most memory of one and of all.
    pub most: Sessions,
    /// Those that it keeps.
    pub kept: Sessions,
}

/// What some collectors cost the server when they are asked together.
pub struct Cost {
    pub collectors: Vec<String>,
    /// How often they are asked; of collectors that are not asked together by themselves, zero.
    pub ttl: Duration,
    pub server_ms: f64,
}

/// Starts it, scrapes it until everything is there, and then so many times more.
///
/// # Errors
/// A scrape failed.
pub fn measure(exporter: &Exporter, server: &Postgres, scrapes: usize) -> Result<Figures, String> {
    println!("measuring {} ...", exporter.name);
    let (pid, role) = (server.pid(), exporter.role);
    let running = exporter.start();
    let own = running.process.pid();
    let rss = || process::rss_kib(own).unwrap_or_default() as f64 / 1024.0;
    let (idle, server_before) = (rss(), server_cpu_ms(pid));
    let began = Instant::now();
    let (first, most) = Sessions::during(pid, role, || {
        let first = running.scrape().map(|_| began.elapsed());
        settle(pid);
        first
    });
    let first = first?;
    let first_server_ms = server_cpu_ms(pid) - server_before;
    // What the first scrape began is there by the next.
    let page = running.scrape()?;
    settle(pid);
    let statements_before = statements(server, role);
    let (mut walls, mut cpus, mut servers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scrapes {
        sleep(FRESH);
        let (cpu, server_cpu, began) = (cpu_ms(own), server_cpu_ms(pid), Instant::now());
        running.scrape()?;
        walls.push(millis(began.elapsed()));
        settle(pid);
        cpus.push(cpu_ms(own) - cpu);
        servers.push(server_cpu_ms(pid) - server_cpu);
    }
    Ok(Figures {
        name: exporter.name,
        samples: page::count(&page),
        page_bytes: page.len(),
        first_ms: millis(first),
        first_server_ms,
        wall_ms: median(walls),
        cpu_ms: median(cpus),
        server_ms: median(servers),
        statements: (statements(server, role) - statements_before) / scrapes as f64,
        rss_mib: rss(),
        growth_mib: rss() - idle,
        most,
        kept: Sessions::now(pid, role),
    })
}

/// What one scrape costs the server when it is scraped every so often for a while, the slow collectors included that fall due
/// meanwhile. The first scrape, when everything is due, is not counted.
///
/// # Errors
/// A scrape failed.
pub fn in_service(exporter: &Exporter, server: &Postgres, every: Duration, scrapes: u32) -> Result<f64, String> {
    println!("measuring {} for {} s ...", exporter.name, (every * scrapes).as_secs());
    let running = exporter.start();
    let began = Instant::now();
    running.scrape()?;
    settle(server.pid());
    let before = server_cpu_ms(server.pid());
    for nth in 1..=scrapes {
        sleep((every * nth).saturating_sub(began.elapsed()));
        running.scrape()?;
    }
    settle(server.pid());
    Ok((server_cpu_ms(server.pid()) - before) / f64::from(scrapes))
}

/// Waits until the server has nothing more to do: what a scrape began has ended.
fn settle(postmaster: u32) {
    let (began, mut quiet, mut before) = (Instant::now(), 0, server_cpu_ms(postmaster));
    while quiet < 3 && began.elapsed() < PATIENCE {
        sleep(Duration::from_millis(20));
        let now = server_cpu_ms(postmaster);
        quiet = if now - before < 0.5 { quiet + 1 } else { 0 };
        before = now;
    }
}

/// Statements of a role so far.
fn statements(server: &Postgres, role: &str) -> f64 {
    let sql = format!("SELECT coalesce(sum(calls), 0) FROM pg_stat_statements(false) WHERE userid = '{role}'::regrole");
    server.sql(DATABASE, &sql).parse().expect("a number")
}

/// Runs of `pgvigil scrape` for one figure: the server's ended processes count in steps of 10 ms.
const RUNS: usize = 3;

/// pgvigil's collectors, asked by processes of their own.
pub struct Asked<'a> {
    exporter: &'a Exporter,
    server: &'a Postgres,
    /// What the server takes for the logins of such a process.
    login_ms: f64,
}

impl<'a> Asked<'a> {
    pub fn new(exporter: &'a Exporter, server: &'a Postgres) -> Self {
        let mut asked = Asked { exporter, server, login_ms: 0.0 };
        // It asks the server for nothing.
        asked.login_ms = asked.cost(&["exporter"]);
        asked
    }

    /// The server's CPU for these collectors together, with the visits to databases that they need.
    pub fn cost(&self, collectors: &[&str]) -> f64 {
        let postmaster = self.server.pid();
        let before = server_cpu_ms(postmaster);
        for _ in 0..RUNS {
            let mut command = self.exporter.folder.command(&self.exporter.program);
            command.args(["scrape", "--config", "pgvigil.yaml", "--log-level", "error"]);
            collectors.iter().for_each(|name| _ = command.args(["--collector", name]));
            assert!(command.output().expect("running pgvigil").status.success(), "pgvigil scrape failed");
            settle(postmaster);
        }
        ((server_cpu_ms(postmaster) - before) / RUNS as f64 - self.login_ms).max(0.0)
    }

    /// All slow collectors, by how often they are asked: those fall due together.
    pub fn slow(&self) -> Vec<Cost> {
        let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
        let mut by_ttl: BTreeMap<Duration, Vec<String>> = BTreeMap::new();
        let collectors = catalogue.collectors.iter().filter(|collector| collector.source.is_sql());
        for collector in collectors.filter(|collector| !collector.is_quick() && collector.enabled) {
            by_ttl.entry(collector.ttl).or_default().push(collector.name.clone());
        }
        let cost = |(ttl, collectors): (Duration, Vec<String>)| {
            let server_ms = self.cost(&collectors.iter().map(String::as_str).collect::<Vec<_>>());
            Cost { collectors, ttl, server_ms }
        };
        by_ttl.into_iter().map(cost).collect()
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
