//! Promise 17: those who ask for large pages and do not read them take neither memory nor the port.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::support::{Folder, Pgvigil, Postgres};

use super::{BINARY, TIMEOUT_HEADER, collectors, figure, newest, server, watch};

/// Nobody of them reads.
const DEAF: usize = 40;

/// What they may cost together: pages of 64 MiB, one being made, and what the allocator does not give back.
const GROWTH_KIB: u64 = 128 << 10;

/// Within this an answer must have been taken, and a moment.
const TAKEN: Duration = Duration::from_secs(65);

/// A page of 11 MB that takes the server nothing: it is asked for once.
const LARGE: &str = "\
collector: large
source: postgres
ttl: 1h
timeout: 20s
max_rows: 20000
queries:
  - name: rows
    sql: [{since: 13, text: \"SELECT repeat('x', 400) || n AS name, n FROM generate_series(1, 12000) n\"}]
    labels: [name]
    metrics:
      - {name: large_first, type: gauge, value: n, help: A.}
      - {name: large_second, type: gauge, value: n, help: B.}
    example: [{name: x, n: 1}]
";

fn large() -> (Postgres, Folder, Pgvigil) {
    let (server, folder) = (server(newest()), collectors(&[("large", LARGE.to_owned())]));
    let pgvigil = watch(&server, &["--collectors", &folder.path().display().to_string()]);
    (server, folder, pgvigil)
}

/// One who has asked, and has seen the answer begin.
fn asked(pgvigil: &Pgvigil) -> TcpStream {
    let mut stream = TcpStream::connect(pgvigil.address()).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("asking");
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("a status");
    assert_eq!(&status, b"HTTP/1.1 200");
    stream
}

/// How many bytes are still to be had, by reading on.
fn rest(mut stream: TcpStream) -> usize {
    let mut rest = Vec::new();
    // Whoever is cut may see its connection reset.
    _ = stream.read_to_end(&mut rest);
    rest.len()
}

fn whole(pgvigil: &Pgvigil) -> usize {
    let began = Instant::now();
    let page = pgvigil.scrape();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(page.len() > 10_000_000, "{} bytes", page.len());
    page.len()
}

#[test]
fn p17_who_does_not_read_takes_no_memory() {
    let (_server, _folder, pgvigil) = large();
    (0..3).for_each(|_| _ = whole(&pgvigil));
    let before = pgvigil.rss_kib();
    let mut deaf: Vec<_> = (0..DEAF).map(|_| asked(&pgvigil)).collect();
    let more = pgvigil.rss_kib().saturating_sub(before);
    figure(17, &format!("KiB more with {DEAF} unread pages of 11 MB"), more);
    let page = whole(&pgvigil);
    assert!(more < GROWTH_KIB, "{more} KiB more");
    let (oldest, newest) = (deaf.remove(0), deaf.pop().expect("the newest"));
    assert!(rest(newest) > page * 9 / 10, "a page is taken late, but in time");
    assert!(rest(oldest) < page * 9 / 10, "the oldest is kept for ever");
}

/// Each asks for another page, since each announces another timeout, and all pages are due at the same time.
#[test]
fn p17_a_crowd_that_asks_for_as_many_pages_takes_no_memory() {
    let targets: String =
        (0..100).map(|n| format!("  - {{name: t{n}, postgres: {{host: 127.0.0.1, port: 1, user: u}}}}\n")).collect();
    let folder = Folder::new("settings", "TERM");
    let file = folder.write("pgvigil.yaml", &format!("targets:\n{targets}"));
    let pgvigil = Pgvigil::start(BINARY, &["--config", &file.display().to_string()], &[]);
    pgvigil.scrape();
    let (before, began) = (pgvigil.rss_kib(), Instant::now());
    let ask = |nth: usize| {
        let announced = 3.0 + nth as f64 / 1000.0;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: a\r\n{TIMEOUT_HEADER}: {announced}\r\n\r\n");
        let mut stream = TcpStream::connect(pgvigil.address()).expect("a connection");
        stream.write_all(request.as_bytes()).expect("asking");
        stream
    };
    let crowd: Vec<_> = (0..400).map(ask).collect();
    let mut most = 0;
    while began.elapsed() < Duration::from_secs(12) {
        most = most.max(pgvigil.rss_kib());
        sleep(Duration::from_millis(100));
    }
    let more = most.saturating_sub(before);
    figure(17, "KiB more at most with 400 who ask for different pages of 100 targets and read none", more);
    assert!(more < GROWTH_KIB, "{more} KiB more");
    assert!(
        crowd.iter().any(|mut stream| stream.read(&mut [0; 12]).is_ok_and(|read| read == 12)),
        "nobody is answered"
    );
}

/// Neither one who reads nothing nor one who reads drop by drop keeps a connection; one who is slow gets all.
#[test]
#[ignore = "long: make test-all"]
fn p17_an_answer_is_taken_in_time_or_not_at_all() {
    let (_server, _folder, pgvigil) = large();
    let page = whole(&pgvigil);
    let (deaf, mut dripping, mut slow) = (asked(&pgvigil), asked(&pgvigil), asked(&pgvigil));
    let began = Instant::now();
    let (mut drops, mut taken, mut part) = (0, 0, vec![0; 256 << 10]);
    while began.elapsed() < TAKEN {
        drops += dripping.read(&mut part[..1000]).unwrap_or(0);
        taken += slow.read(&mut part).unwrap_or(0);
        sleep(Duration::from_millis(200));
    }
    assert!(taken > page, "{taken} of {page}");
    drops += rest(dripping);
    let deaf = rest(deaf);
    figure(17, "bytes of a page had by one who was deaf for 65 s, by one who read 5 KB/s", format!("{deaf}, {drops}"));
    assert!(deaf < page * 9 / 10 && drops < page * 9 / 10, "who does not read is not cut: {deaf}, {drops} of {page}");
}
