//! Promise 28: work that nobody waits for ends, and after any flood the next ordinary scrape is answered in time.

use std::{
    fmt,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::support::{BUSY, Folder, Pgvigil, Postgres, Redis, eventually, http, sample, together};

use super::{BINARY, TIMEOUT_HEADER, figure, is_long, millis, newest, server, strangers::many_files};

/// How the watched server is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Healthy,
    Refused,
    /// Everything of it is stopped; the kernel takes connections.
    Hung,
    /// It takes connections and says nothing.
    Silent,
}

use State::{Healthy, Hung, Refused, Silent};

/// What strangers do, each of them once and again.
struct Flood {
    name: &'static str,
    /// One time; a connection that is kept until others have been answered. `nth` is another number each time.
    act: fn(pgvigil: &Pgvigil, nth: usize) -> Option<TcpStream>,
    /// How often at most.
    times: usize,
    states: &'static [State],
}

const FLOODS: [Flood; 15] = [
    Flood { name: "idle connections", act: |at, _| kept(at, ""), times: 4500, states: &[Healthy] },
    Flood {
        name: "half requests",
        act: |at, _| kept(at, "GET /metrics HTTP/1.1\r\nHost:"),
        times: 4500,
        states: &[Healthy],
    },
    Flood {
        name: "abandoned scrapes, each with another timeout",
        act: |at, nth| gone(at, &scrape("GET", "", &timeout(nth))),
        times: usize::MAX,
        states: &[Healthy, Refused, Hung, Silent],
    },
    Flood {
        name: "abandoned scrapes, each of other collectors",
        act: |at, nth| gone(at, &scrape("GET", &selection(nth), "")),
        times: usize::MAX,
        states: &[Healthy, Hung],
    },
    Flood {
        name: "abandoned scrapes that are reset",
        act: |at, nth| reset(at, &scrape("GET", &selection(nth), &timeout(nth))),
        times: usize::MAX,
        states: &[Hung],
    },
    Flood {
        name: "scrapes whose clients have closed their side",
        act: |at, nth| half_closed(at, &scrape("GET", &selection(nth), "")),
        times: 3000,
        states: &[Hung, Healthy],
    },
    Flood {
        name: "scrapes that hold on",
        act: |at, nth| kept(at, &scrape("GET", &selection(nth), &timeout(nth))),
        times: 900,
        states: &[Hung, Silent],
    },
    Flood {
        name: "slow readers, each of another page",
        act: |at, nth| kept(at, &scrape("GET", &selection(nth), "")),
        times: 2000,
        states: &[Healthy],
    },
    Flood { name: "reloads", act: |at, _| answered(at, "POST", "/-/reload"), times: 50, states: &[Healthy, Hung] },
    Flood {
        name: "abandoned rounds of a probe",
        act: |at, _| gone(at, "GET /probe?target=way&path=direct HTTP/1.1\r\nHost: a\r\n\r\n"),
        times: usize::MAX,
        states: &[Healthy, Hung],
    },
    Flood {
        name: "abandoned questions for health",
        act: |at, _| gone(at, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"),
        times: usize::MAX,
        states: &[Healthy, Hung],
    },
    Flood {
        name: "questions for health",
        act: |at, _| answered(at, "GET", "/health"),
        times: usize::MAX,
        states: &[Healthy],
    },
    Flood {
        name: "scrapes in all formats",
        act: |at, nth| read(at, &scrape("GET", "", FORMATS[nth % FORMATS.len()])),
        times: usize::MAX,
        states: &[Healthy, Refused],
    },
    Flood {
        name: "heads of pages",
        act: |at, nth| gone(at, &scrape("HEAD", &selection(nth), &timeout(nth))),
        times: usize::MAX,
        states: &[Hung, Healthy],
    },
    Flood {
        name: "many requests at a time, abandoned",
        act: |at, nth| gone(at, &scrape("GET", &selection(nth), &timeout(nth)).repeat(50)),
        times: 3000,
        states: &[Hung, Healthy],
    },
];

const FORMATS: [&str; 4] = [
    "",
    "Accept-Encoding: gzip\r\n",
    "Accept: application/openmetrics-text;version=1.0.0\r\n",
    "Accept-Encoding: gzip\r\nAccept: application/openmetrics-text;version=1.0.0\r\n",
];

/// Collectors of which each scrape wants others.
const COLLECTORS: [&str; 14] = [
    "buffers",
    "cache",
    "connections",
    "database",
    "exporter",
    "locks",
    "progress",
    "redis",
    "redis_commands",
    "redis_memory",
    "replication",
    "server",
    "settings",
    "wal",
];

fn scrape(method: &str, query: &str, header: &str) -> String {
    format!("{method} /metrics{query} HTTP/1.1\r\nHost: a\r\n{header}\r\n")
}

/// Another one each time.
fn timeout(nth: usize) -> String {
    format!("{TIMEOUT_HEADER}: {}.{nth}\r\n", 1000 + nth % 2500)
}

fn selection(nth: usize) -> String {
    let wanted = COLLECTORS.iter().enumerate().filter(|(bit, _)| (nth >> bit) & 1 == 1);
    "?".to_owned() + &wanted.map(|(_, name)| format!("collector={name}&")).collect::<String>()
}

/// A connection on which this was said, if there is one.
fn said(pgvigil: &Pgvigil, what: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&pgvigil.address(), BUSY).ok()?;
    stream.set_read_timeout(Some(2 * BUSY)).ok()?;
    stream.write_all(what.as_bytes()).ok()?;
    Some(stream)
}

fn kept(pgvigil: &Pgvigil, what: &str) -> Option<TcpStream> {
    said(pgvigil, what)
}

/// Its client closes it when it is heard.
fn gone(pgvigil: &Pgvigil, what: &str) -> Option<TcpStream> {
    let stream = said(pgvigil, what);
    thread::sleep(Duration::from_micros(500));
    drop(stream);
    None
}

fn reset(pgvigil: &Pgvigil, what: &str) -> Option<TcpStream> {
    let stream = said(pgvigil, what)?;
    thread::sleep(Duration::from_micros(500));
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok()?;
    None
}

fn half_closed(pgvigil: &Pgvigil, what: &str) -> Option<TcpStream> {
    let stream = said(pgvigil, what)?;
    stream.shutdown(Shutdown::Write).ok()?;
    Some(stream)
}

/// The answer is read, on a connection that ends with it.
fn read(pgvigil: &Pgvigil, what: &str) -> Option<TcpStream> {
    let mut stream = half_closed(pgvigil, what)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    None
}

fn answered(pgvigil: &Pgvigil, method: &str, path: &str) -> Option<TcpStream> {
    let answer = http::ask(pgvigil.address(), method, path, &[]).expect("an answer");
    assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
    None
}

/// What is watched: a server in some state, a Redis that is well, and a probe of the server.
struct Stage {
    state: State,
    server: Postgres,
    _other: Redis,
    _deaf: TcpListener,
    _folder: Folder,
    pgvigil: Pgvigil,
}

/// The announced timeout of an ordinary scrape.
const ORDINARY: Duration = Duration::from_secs(5);

/// What a flood may cost.
const GROWTH_KIB: u64 = 64 << 10;

/// Strangers at a time.
const STRANGERS: usize = 8;

impl Stage {
    fn new(state: State) -> Stage {
        let (server, other) = (server(newest()), Redis::start(""));
        let deaf = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = match state {
            Healthy | Hung => server.port(),
            Refused => 1,
            Silent => deaf.local_addr().expect("an address").port(),
        };
        let url = server.url("pgvigil", "postgres").replace(&server.port().to_string(), &port.to_string());
        let settings = format!(
            "targets:\n  - {{name: main, postgres: {{url: \"{url}\"}}}}\n  - {{name: other, redis: {{url: \"{}\"}}}}\n  \
             - {{name: way, probe: {{primary: {{url: \"{url}\"}}, paths: [{{name: direct, direct: {{}}}}]}}}}\n",
            other.url()
        );
        let folder = Folder::new("floods", "TERM");
        let file = folder.write("pgvigil.yaml", &settings).display().to_string();
        let pgvigil = Pgvigil::start(BINARY, &["--config", &file, "--web.enable-lifecycle"], &[]);
        let stage = Stage { state, server, _other: other, _deaf: deaf, _folder: folder, pgvigil };
        stage.expect_ordinary(&"before");
        if state == Hung {
            stage.server.pause();
        }
        stage
    }

    /// The next scrape is answered in time, and says of each target what is.
    fn expect_ordinary(&self, after: &dyn fmt::Display) -> Duration {
        let announced = ORDINARY.as_secs().to_string();
        let began = Instant::now();
        let answer = self.pgvigil.get_at_once("/metrics", &[(TIMEOUT_HEADER, &announced)]);
        let (took, page) = (began.elapsed(), answer.text());
        assert_eq!(answer.status, 200, "{after}: {page}");
        assert!(took < ORDINARY + BUSY, "{after}: {took:?}");
        let of = |metric, target| sample(&page, metric, &[("target", target)]);
        assert_eq!(of("redis_up", "other"), Some(1.0), "{after}");
        assert!(of("redis_connected_clients", "other").is_some(), "{after}");
        assert!(self.state != Healthy || of("pg_up", "main") == Some(1.0), "{after}");
        took
    }

    /// Does it for a while; what is kept, and how often it was done.
    fn flood(&self, flood: &Flood) -> (Vec<TcpStream>, usize) {
        let until = Instant::now() + if is_long() { Duration::from_secs(25) } else { Duration::from_millis(1000) };
        let next = AtomicUsize::new(0);
        let stranger = || {
            let mut kept = Vec::new();
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                if nth >= flood.times || Instant::now() > until {
                    return kept;
                }
                kept.extend((flood.act)(&self.pgvigil, nth));
            }
        };
        let kept = thread::scope(|scope| {
            let strangers: Vec<_> = (0..STRANGERS).map(|_| scope.spawn(stranger)).collect();
            strangers.into_iter().flat_map(|stranger| stranger.join().expect("a stranger")).collect()
        });
        (kept, next.into_inner().saturating_sub(STRANGERS))
    }

    fn endure(&self, flood: &Flood) {
        let name = format!("{:?}, {}", self.state, flood.name);
        let before = self.pgvigil.rss_kib();
        let (kept, times) = self.flood(flood);
        let more = self.pgvigil.rss_kib().saturating_sub(before);
        let began = Instant::now();
        assert_eq!(self.pgvigil.get("/healthz", &[]).status, 200, "{name}");
        let healthz = began.elapsed();
        assert!(healthz < Duration::from_secs(1) + BUSY, "{name}: {healthz:?}");
        let scrape = self.expect_ordinary(&name);
        let told = format!("{times} times, {} KiB more, /healthz {healthz:.1?}, a scrape {scrape:.1?}", more);
        figure(28, &name, told);
        assert!(more <= GROWTH_KIB, "{name}: {more} KiB more");
        drop(kept);
        self.expect_ordinary(&format!("{name}, when they have gone"));
    }
}

fn endure_all(state: State) {
    many_files();
    let floods: Vec<_> = FLOODS.iter().filter(|flood| flood.states.contains(&state)).collect();
    // A scrape of a server that hangs waits for most of its time: three stages with a part of the floods each wait together.
    let parts = if state == Hung { 3 } else { 1 };
    together(floods.chunks(floods.len().div_ceil(parts)), |part| endure_some(state, part));
}

fn endure_some(state: State, floods: &[&Flood]) {
    let stage = Stage::new(state);
    floods.iter().for_each(|flood| stage.endure(flood));
    if state == Hung {
        stage.server.resume();
        let up = |page: &str| sample(page, "pg_up", &[("target", "main")]) == Some(1.0);
        assert!(up(&stage.pgvigil.scrape()), "the first scrape when it goes on");
    }
    eventually(Duration::from_secs(20), "nothing of it is left", || {
        millis(500);
        crate::support::process::descriptors(stage.pgvigil.pid()) < 100
    });
}

#[test]
fn p28_floods_at_a_healthy_server() {
    endure_all(Healthy);
}

#[test]
fn p28_floods_at_a_server_that_refuses() {
    endure_all(Refused);
}

#[test]
fn p28_floods_at_a_server_that_hangs() {
    endure_all(Hung);
}

#[test]
fn p28_floods_at_a_server_that_says_nothing() {
    endure_all(Silent);
}

/// The one 5xx of a scrape, and only while so many are waited for.
#[test]
fn p01_beyond_a_thousand_pages_it_says_when_to_come_back() {
    many_files();
    let stage = Stage::new(Silent);
    let asked: Vec<_> = (0..1500).map(|nth| kept(&stage.pgvigil, &scrape("GET", "", &timeout(nth)))).collect();
    let answer = stage.pgvigil.get_at_once("/metrics", &[(TIMEOUT_HEADER, "5")]);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{}", answer.text());
    assert!(answer.text().contains("retry in a few seconds"), "{}", answer.text());
    drop(asked);
    eventually(Duration::from_secs(20), "there is room again", || {
        stage.pgvigil.get_at_once("/metrics", &[(TIMEOUT_HEADER, "1")]).status == 200
    });
    stage.expect_ordinary(&"a thousand pages");
}

/// A scraper that scrapes each target by itself, all at once.
#[test]
fn p28_three_hundred_targets_at_once() {
    const TARGETS: usize = 300;
    many_files();
    let redis = Redis::start("");
    let target = |n| format!("  - {{name: t{n}, redis: {{url: \"{}\"}}}}\n", redis.url());
    let settings = format!("targets:\n{}", (0..TARGETS).map(target).collect::<String>());
    let folder = Folder::new("floods", "TERM");
    let file = folder.write("pgvigil.yaml", &settings).display().to_string();
    let pgvigil = Pgvigil::start(BINARY, &["--config", &file], &[]);
    for (state, up) in [(Healthy, 1.0), (Hung, 0.0), (Healthy, 1.0)] {
        let began = Instant::now();
        thread::scope(|scope| {
            for n in 0..TARGETS {
                let pgvigil = &pgvigil;
                scope.spawn(move || {
                    let path = format!("/metrics?target=t{n}");
                    let answer = pgvigil.get_at_once(&path, &[(TIMEOUT_HEADER, "5")]);
                    assert!(
                        answer.status == 200 && began.elapsed() < ORDINARY + BUSY,
                        "{state:?}, {:?}",
                        began.elapsed()
                    );
                    assert_eq!(sample(&answer.text(), "redis_up", &[]), Some(up), "{state:?}, t{n}");
                });
            }
        });
        figure(28, &format!("{TARGETS} targets at once, {state:?}"), format!("{:?}", began.elapsed()));
        let signal = if state == Healthy && up == 1.0 { "STOP" } else { "CONT" };
        crate::support::process::signal(signal, &[redis.pid()]);
        millis(300);
    }
    crate::support::process::signal("CONT", &[redis.pid()]);
}
