//! Promises 17 and 21: whoever reaches the port can keep nobody waiting, and do nothing but read.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use crate::support::{BUSY, Pgvigil, eventually, expect_ended, http, process};

use super::{Scrape, figure, millis, newest, server, terminate, watch};

/// When half a request's head is cut.
const CUT: Duration = Duration::from_secs(30);

/// What all that strangers do may cost.
const GROWTH_KIB: u64 = 64 << 10;

/// And one connection that is kept.
const IDLE_KIB: u64 = 24;

/// Idle connections, and as many with half a request.
const CONNECTIONS: usize = 500;

/// This process may have as many files open as it can: it has both ends of some connections.
pub fn many_files() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("a higher limit");
}

/// A connection on which this has been sent, or as much of it as is taken.
fn connection(pgvigil: &Pgvigil, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(pgvigil.address()).expect("a connection");
    stream.set_read_timeout(Some(CUT + BUSY)).expect("a timeout");
    stream.set_write_timeout(Some(BUSY)).expect("a timeout");
    _ = stream.write_all(sent);
    stream
}

/// What is answered before the other side closes.
fn said(mut stream: TcpStream) -> String {
    let mut said = Vec::new();
    // Whoever is cut in the middle of a request may see its connection reset.
    _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

/// Others are answered meanwhile.
fn expect_served(pgvigil: &Pgvigil, what: &str) {
    let began = Instant::now();
    let scrape = Scrape::of(pgvigil, Some(BUSY)).expect_up(true, what);
    expect_ended(what, began, Duration::ZERO);
    figure(17, &format!("a scrape beside this took ({what})"), format!("{:?}", scrape.took));
}

/// Requests that are none, and how their answers begin; "": with or without an answer.
fn nonsense() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let large = vec![b'x'; 10 << 20];
    let around = |before: &str, after: &str| [before.as_bytes(), &large, after.as_bytes()].concat();
    let lines: String = (0..100_000).map(|n| format!("X-{n}: y\r\n")).collect();
    vec![
        ("a path of 10 MiB", around("GET /", " HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 4"),
        ("a header of 10 MiB", around("GET / HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n"), "HTTP/1.1 4"),
        ("100,000 headers", format!("GET / HTTP/1.1\r\n{lines}\r\n").into_bytes(), "HTTP/1.1 4"),
        (
            "a body of 10 MiB",
            around("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10485760\r\n\r\n", ""),
            "HTTP/1.1 405",
        ),
        ("two lengths", b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_vec(), "HTTP/1.1 400"),
        ("a length below zero", b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_vec(), "HTTP/1.1 400"),
        ("letters", large.clone(), "HTTP/1.1 4"),
        ("zeros", vec![0; 1 << 20], "HTTP/1.1 400"),
        ("TLS", [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 512]].concat(), "HTTP/1.1 400"),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), ""),
        ("PostgreSQL", [&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f][..], &[b'\n'; 8]].concat(), "HTTP/1.1 400"),
    ]
}

#[test]
fn p17_dawdlers_and_nonsense_keep_nobody_waiting() {
    many_files();
    let server = server(newest());
    let pgvigil = watch(&server, &[]);
    Scrape::of(&pgvigil, None).expect_up(true, "before");
    let (before, began) = (pgvigil.rss_kib(), Instant::now());
    let idle: Vec<_> = (0..CONNECTIONS).map(|_| connection(&pgvigil, b"")).collect();
    let half: Vec<_> = (0..CONNECTIONS).map(|_| connection(&pgvigil, b"GET /metrics HTTP/1.1\r\nHost:")).collect();
    expect_served(&pgvigil, "idle and half-open connections");
    for (what, request, answer) in nonsense() {
        let told = said_briefly(&pgvigil, &request);
        assert!(told.starts_with(answer), "{what}: {:?}", told.chars().take(100).collect::<String>());
        expect_served(&pgvigil, what);
    }
    expect_pipelined(&pgvigil);
    let more = pgvigil.rss_kib().saturating_sub(before);
    figure(17, "KiB more beside 500 idle and 500 half-open connections and nonsense", more);
    assert!(more <= GROWTH_KIB, "{more} KiB more");
    for stream in half {
        said(stream);
        expect_ended("half a head is kept", began, CUT);
    }
    figure(17, "half-sent heads are cut after", format!("{:?}", began.elapsed()));
    expect_served(&pgvigil, "after all");
    drop(idle);
}

/// More than there are places for; all have been answered once, and keep their connections.
#[test]
fn p17_a_crowd_of_the_idle_locks_nobody_out() {
    many_files();
    let pgvigil =
        Pgvigil::start(super::BINARY, &[], &[("PGVIGIL_POSTGRES_URL", "postgresql://pgvigil@127.0.0.1:1/postgres")]);
    let before = pgvigil.rss_kib();
    let crowd: Vec<_> = (0..4200)
        .map(|_| {
            let mut stream = connection(&pgvigil, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
            hear(&mut stream, "ok\n");
            stream
        })
        .collect();
    let began = Instant::now();
    assert_eq!(pgvigil.get("/healthz", &[]).status, 200);
    expect_ended("beside 4,200 idle connections", began, Duration::ZERO);
    let more = pgvigil.rss_kib().saturating_sub(before);
    figure(
        17,
        "KiB more beside 4,200 idle connections, and an answer then took",
        format!("{more}, {:?}", began.elapsed()),
    );
    assert!(more <= 4200 * IDLE_KIB, "{more} KiB more");
    drop(crowd);
}

/// The answer to one who closes his side then.
fn said_briefly(pgvigil: &Pgvigil, request: &[u8]) -> String {
    let stream = connection(pgvigil, request);
    _ = stream.shutdown(std::net::Shutdown::Write);
    said(stream)
}

/// Requests behind one another are answered in order; one who sends them without end and reads nothing is not waited for.
fn expect_pipelined(pgvigil: &Pgvigil) {
    let requests = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000) + "GET /readyz HTTP/1.0\r\n\r\n";
    let answers = said(connection(pgvigil, requests.as_bytes()));
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 1000);
    let deaf: Vec<_> = (0..10)
        .map(|_| connection(pgvigil, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10_000).as_bytes()))
        .collect();
    expect_served(pgvigil, "ten who ask without end and read nothing");
    drop(deaf);
}

#[test]
fn p17_out_of_descriptors_it_waits_and_lives() {
    let server = server(newest());
    let pgvigil = watch(&server, &[]);
    Scrape::of(&pgvigil, None).expect_up(true, "before");
    let mut kept = connection(&pgvigil, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(&mut kept, "ok\n");
    let few = process::descriptors(pgvigil.pid()) as u64 + 3;
    let (pid, limit) = (Pid::from_raw(pgvigil.pid() as i32), Rlimit { current: Some(few), maximum: Some(few) });
    prlimit(pid, Resource::Nofile, limit).expect("a lower limit");
    let crowd: Vec<_> = (0..100).map(|_| connection(&pgvigil, b"")).collect();
    // Its sessions are gone too, and there is no descriptor for new ones.
    terminate(&server);
    millis(500);
    let (cpu, began) = (process::cpu_ticks(pgvigil.pid()), Instant::now());
    for _ in 0..3 {
        kept.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Prometheus-Scrape-Timeout-Seconds: 2\r\n\r\n")
            .expect("asking");
        let page = hear(&mut kept, "pg_up{target=\"postgres\"} ");
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        millis(1000);
    }
    let used = process::cpu_ticks(pgvigil.pid()) - cpu;
    figure(17, "out of descriptors: hundredths of a second of CPU", format!("{used} in {:?}", began.elapsed()));
    assert!(Duration::from_millis(used * 10) < began.elapsed() / 2, "it spins");
    drop((crowd, kept));
    eventually(Duration::from_secs(20), "it is itself again", || {
        assert!(pgvigil.ended().is_none(), "{}", pgvigil.stderr());
        pgvigil.try_get("/metrics", &[]).is_ok_and(|answer| answer.text().contains("pg_up{target=\"postgres\"} 1"))
    });
}

/// Reads until this has come.
fn hear(stream: &mut TcpStream, end: &str) -> String {
    let (mut heard, mut bytes) = (String::new(), [0; 64 << 10]);
    while !heard.contains(end) {
        let count = stream.read(&mut bytes).expect("an answer in time");
        assert!(count > 0, "closed after {heard}");
        heard += &String::from_utf8_lossy(&bytes[..count]);
    }
    heard
}

#[test]
fn p21_strangers_can_only_read() {
    let server = server(newest());
    let pgvigil = watch(&server, &[]);
    Scrape::of(&pgvigil, None).expect_up(true, "before");
    let spy = TcpListener::bind("127.0.0.1:0").expect("a port");
    spy.set_nonblocking(true).expect("a listener that does not wait");
    let at = spy.local_addr().expect("an address");
    let keys =
        ["target", "url", "dsn", "address", "host", "server", "auth_module", "module", "instance", "path", "collector"];
    let forms = [format!("{at}"), format!("http://{at}/"), format!("postgresql://a:b@{at}/c"), format!("redis://{at}")];
    let sql = "SELECT%20pg_terminate_backend(pid)%20FROM%20pg_stat_activity";
    let mut asked = 0;
    for path in ["/metrics", "/probe", "/sd", "/health", "/healthz", "/readyz", "/", "/scrape", "/query"] {
        for query in keys.iter().flat_map(|key| forms.iter().map(move |form| format!("{key}={form}"))) {
            let answer = pgvigil.get(&format!("{path}?{query}&query={sql}&sql={sql}"), &[]);
            assert!(answer.status < 500, "{path}?{query}: {}", answer.status);
            asked += 1;
        }
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"] {
            let answer = http::ask(pgvigil.address(), method, path, &[]).expect("an answer");
            assert_eq!(answer.status, 405, "{method} {path}");
            asked += 1;
        }
    }
    for line in [format!("GET http://{at}/metrics HTTP/1.1"), format!("CONNECT {at} HTTP/1.1")] {
        said_briefly(&pgvigil, format!("{line}\r\nHost: {at}\r\nConnection: close\r\n\r\n").as_bytes());
    }
    assert_eq!(
        spy.accept().map(|_| ()).map_err(|error| error.kind()),
        Err(ErrorKind::WouldBlock),
        "it was sent somewhere"
    );
    Scrape::of(&pgvigil, None).expect_up(true, "after");
    figure(21, "requests with addresses and SQL, none of which went anywhere", asked);
}
