//! Promise 17 beyond `faults/strangers.rs`: handshakes that hang, and heads that come byte by byte.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::support::{Pgvigil, expect_ended, https::Https, is_long};

use super::{BINARY, NOWHERE, TLS, closed};

fn connect(address: SocketAddr, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("connecting");
    stream.write_all(sent).expect("sending");
    stream
}

/// How long a connection lives that sends a byte each half second, or never says anything.
fn life(mut stream: TcpStream, drip: Option<&str>) -> Duration {
    let began = Instant::now();
    stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    let mut dripping = drip.unwrap_or_default().bytes().cycle();
    loop {
        match stream.read(&mut [0; 1000]) {
            Ok(0) => return began.elapsed(),
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return began.elapsed();
            }
            _ => (),
        }
        if let Some(byte) = dripping.next()
            && stream.write_all(&[byte]).is_err()
        {
            return began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it is never cut");
    }
}

#[test]
fn a_handshake_that_hangs_is_cut() {
    let folder = crate::tls::certificates();
    let pgvigil = closed(&folder, TLS);
    let silent: Vec<_> = (0..50).map(|_| connect(pgvigil.address(), b"\x16\x03")).collect();
    let began = Instant::now();
    let answer = Https::new(folder.path(), None).get(pgvigil.address(), "/metrics").expect("an answer");
    assert_eq!(answer.status, 200);
    expect_ended("a page beside them", began, Duration::ZERO);
    silent.into_iter().for_each(|stream| _ = life(stream, None));
    println!("50 handshakes that hang are cut after {:?}", began.elapsed());
    expect_ended("they are cut", began, Duration::from_secs(20));
}

/// Byte by byte, or not at all: a head has its time.
#[test]
#[ignore = "long: make test-all"]
fn a_head_has_its_time() {
    let pgvigil = Pgvigil::start(BINARY, &[], &NOWHERE);
    let address = pgvigil.address();
    thread::scope(|scope| {
        let half = b"GET / HTTP/1.1\r\nX: ";
        let all = [
            ("byte by byte", scope.spawn(move || life(connect(address, half), Some("x")))),
            ("header by header", scope.spawn(move || life(connect(address, half), Some("x\r\nY: ")))),
            ("silent", scope.spawn(move || life(connect(address, b""), None))),
        ];
        for (what, life) in all {
            let lived = life.join().expect("a life");
            println!("cut, {what}, after {lived:?}");
            assert!(lived < Duration::from_secs(35), "{what}: {lived:?}");
        }
    });
}

/// Asks on the same connection, with these seconds before each time.
fn ask_again(mut stream: impl Read + Write, pauses: &[u64]) {
    for pause in pauses {
        thread::sleep(Duration::from_secs(*pause));
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").expect("asking");
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\nok\n") {
            let mut bytes = [0; 1000];
            let count = stream.read(&mut bytes).expect("an answer");
            assert!(count > 0, "closed when asked after {pause} s");
            heard.extend_from_slice(&bytes[..count]);
        }
    }
}

/// A scraper that comes every minute, or every other, need not connect each time.
#[test]
fn a_connection_is_kept_from_scrape_to_scrape() {
    let pauses = if is_long() { &[0, 60, 120][..] } else { &[0, 6] };
    let folder = crate::tls::certificates();
    let [open, closed] = [Pgvigil::start(BINARY, &[], &NOWHERE), closed(&folder, TLS)];
    thread::scope(|scope| {
        scope.spawn(|| ask_again(connect(open.address(), b""), pauses));
        let tls = Https::new(folder.path(), None).connect(closed.address()).expect("connecting");
        scope.spawn(|| ask_again(tls, pauses));
    });
}
