//! Promises 8, 15, 20 and 22: whatever a peer says, to whichever client of ours, it costs no other target a series, the process little
//! memory, and the log few lines.

mod actor;
mod backups;
mod others;
mod postgres;
mod twenty;

use std::{
    io,
    net::TcpStream,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{ANNOUNCED, BINARY, TIMEOUT_HEADER, figure, is_long, liar::Liar, millis, newest, server};
use crate::support::{BUSY, Folder, Pgvigil, Postgres, page, process, sample};

/// What a peer does with a connection; it may remember others.
type Lie = Box<dyn Fn(&mut TcpStream) -> io::Result<()> + Send + Sync>;

/// One hostile peer.
struct Peer {
    name: &'static str,
    /// The target that asks it, as the settings write it.
    target: fn(&Site) -> String,
    lie: fn() -> Lie,
    /// What must be on the page and in the log besides what must always be.
    must: fn(&Seen),
}

/// Where a peer is.
struct Site {
    port: u16,
    folder: Folder,
}

impl Site {
    fn file(&self, name: &str, text: &str) -> PathBuf {
        self.folder.write(name, text)
    }
}

/// What was seen at the end.
struct Seen {
    page: String,
    log: String,
}

impl Seen {
    fn of_bad(&self, metric: &str) -> f64 {
        page::samples(&self.page, metric, &[("target", "bad")]).iter().sum()
    }
}

fn nothing_else(_: &Seen) {}

/// Some text was too long for a label, which is counted.
fn cut(seen: &Seen) {
    assert!(seen.of_bad("pgvigil_texts_cut_total") > 0.0, "no cut text is counted");
}

/// There was too much for a page, which is counted and said.
fn left_out(seen: &Seen) {
    assert!(seen.of_bad("pgvigil_samples_dropped_total") > 0.0, "nothing that was left out is counted");
    assert!(seen.log.contains("max_bytes"), "{}", seen.log);
}

/// What a promise allows one target.
const GROWTH_KIB: u64 = 64 << 10;

/// The most that one target has on a page, and what stands above its metrics.
const PART: usize = (32 << 20) + (64 << 10);

/// Lines of the log about one target in the first minute: one for each reason, and what else may happen to it.
const LINES: usize = 12;

/// Scrapes of each peer.
const SCRAPES: usize = 3;

/// A busy machine may be too slow for all that is on a page: who fails is tried again, alone and with this announced timeout.
const LONGER: Duration = Duration::from_secs(6);

/// Peers at a time.
const TOGETHER: usize = 4;

#[test]
fn p22_no_peer_costs_another_target_a_series() {
    let peers: Vec<Peer> = postgres::peers().into_iter().chain(others::peers()).chain(backups::peers()).collect();
    assert!(peers.len() >= 70, "{} peers", peers.len());
    let wanted = std::env::var("PGVIGIL_TEST_PEER").unwrap_or_default();
    assert!(peers.iter().any(|peer| peer.name.contains(&wanted)), "PGVIGIL_TEST_PEER={wanted} names no peer");
    let good = server(newest());
    let (next, alone) = (AtomicUsize::new(0), series_alone(&good));
    let fails = |peer: &Peer, announced| std::panic::catch_unwind(|| try_peer(peer, &good, alone, announced)).is_err();
    let mut wrong: Vec<&Peer> = thread::scope(|scope| {
        let work = || {
            let mut wrong = Vec::new();
            while let Some(peer) = peers.get(next.fetch_add(1, Ordering::Relaxed)) {
                wrong.extend((peer.name.contains(&wanted) && fails(peer, ANNOUNCED)).then_some(peer));
            }
            wrong
        };
        let workers: Vec<_> = (0..TOGETHER).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    wrong.retain(|peer| fails(peer, LONGER));
    let wrong: Vec<_> = wrong.iter().map(|peer| peer.name).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn settings(good: &Postgres, bad: Option<String>) -> String {
    let url = good.url("pgvigil", "postgres");
    let bad = bad.map_or(String::new(), |target| format!("  - name: bad\n    {target}\n"));
    format!("targets:\n  - {{name: good, postgres: {{url: \"{url}\"}}}}\n{bad}collectors: {{backup: {{ttl: 1s}}}}\n")
}

fn watch(settings: &str) -> (Pgvigil, Folder) {
    let folder = Folder::new("hostile", "TERM");
    let file = folder.write("pgvigil.yaml", settings);
    let path = std::env::var("PATH").unwrap_or_default();
    let pgvigil = Pgvigil::start(BINARY, &["--config", &file.display().to_string()], &[("PATH", &path)]);
    (pgvigil, folder)
}

/// The series of the good target where it is alone, after its slow collectors have come.
fn series_alone(good: &Postgres) -> usize {
    let (pgvigil, _folder) = watch(&settings(good, None));
    let pages: Vec<_> = (0..SCRAPES).map(|_| scrape(&pgvigil, LONGER)).collect();
    pages.iter().map(|page| of_target(page, "good")).max().expect("a page")
}

fn of_target(page: &str, target: &str) -> usize {
    let label = format!("target=\"{target}\"");
    page.lines().filter(|line| line.contains(&label) && !line.starts_with('#')).count()
}

/// The page, which comes in time.
fn scrape(pgvigil: &Pgvigil, announced: Duration) -> String {
    let began = Instant::now();
    let answer = pgvigil.get("/metrics", &[(TIMEOUT_HEADER, &announced.as_secs_f64().to_string())]);
    let took = began.elapsed();
    assert_eq!(answer.status, 200, "{}", answer.text());
    // A page of 32 MiB takes a program for tests seconds to write.
    assert!(took < announced + 2 * BUSY, "the answer took {took:?}");
    answer.text()
}

fn try_peer(peer: &Peer, good: &Postgres, alone: usize, announced: Duration) {
    let liar = Liar::start((peer.lie)());
    let site = Site { port: liar.port(), folder: Folder::new("peer", "TERM") };
    let (pgvigil, _folder) = watch(&settings(good, Some((peer.target)(&site))));
    let before = pgvigil.rss_kib();
    let mut longest = Duration::ZERO;
    let mut text = String::new();
    for _ in 0..if is_long() { 5 * SCRAPES } else { SCRAPES } {
        let began = Instant::now();
        text = scrape(&pgvigil, announced);
        longest = longest.max(began.elapsed());
        // What is slow goes on without a scrape.
        millis(500);
    }
    let growth = process::peak_kib(pgvigil.pid()).expect("pgvigil runs").saturating_sub(before);
    let seen = Seen { page: text, log: pgvigil.stderr() };
    let (size, of_good) = (seen.page.len(), of_target(&seen.page, "good"));
    let mib = growth as f64 / 1024.0;
    figure(22, peer.name, format!("{mib:.1} MiB, {longest:?}, a page of {size} bytes, a log of {}", seen.log.len()));
    expect_bounded(peer.name, &pgvigil, &seen);
    assert_eq!(sample(&seen.page, "pg_up", &[("target", "good")]), Some(1.0), "{}: {}", peer.name, seen.log);
    // A series or two of a server come and go by themselves.
    assert!(of_good + 40 > alone, "{}: {of_good} series of the other target, alone it has {alone}", peer.name);
    (peer.must)(&seen);
    assert!(growth <= GROWTH_KIB, "{}: {mib:.1} MiB more", peer.name);
}

/// The page, the log, /health and / have no more of the peer than they may.
fn expect_bounded(name: &str, pgvigil: &Pgvigil, seen: &Seen) {
    let label = "target=\"bad\"";
    let part: usize = seen.page.lines().filter(|line| line.contains(label)).map(|line| line.len() + 1).sum();
    assert!(part <= PART, "{name}: {part} bytes of it on the page");
    assert!(seen.page.contains(label), "{name}: nothing of it on the page, not even that it is down");
    let longest = seen.page.lines().filter(|line| line.contains(label)).map(str::len).max().unwrap_or_default();
    // A few labels, each with each of its letters escaped at worst.
    assert!(longest <= 10 << 10, "{name}: a line of {longest} bytes");
    let lines: Vec<_> = seen.log.lines().filter(|line| line.contains("bad") || !line.contains("target=")).collect();
    assert!(lines.len() <= LINES, "{name}: {} lines\n{}", lines.len(), seen.log);
    // A message and the name of a database, each of at most 1 KiB, and the few words beside them.
    assert!(lines.iter().all(|line| line.len() < (2 << 10) + 256 && line.starts_with("20")), "{name}:\n{}", seen.log);
    assert!(!seen.log.contains(|letter: char| letter != '\n' && letter.is_control()), "{name}: {:?}", seen.log);
    for path in ["/health", "/"] {
        let length = pgvigil.get(path, &[]).body.len();
        assert!(length <= 32 << 10, "{name}: {path} has {length} bytes");
    }
}
