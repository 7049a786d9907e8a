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

/// Byte by byte, or not at all: a head has its time, and so has a connection that was kept after an answer.
#[test]
fn a_head_has_its_time() {
    if !is_long() {
        return;
    }
    let pgvigil = Pgvigil::start(BINARY, &[], &NOWHERE);
    let address = pgvigil.address();
    let kept = connect(address, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    thread::scope(|scope| {
        let half = b"GET / HTTP/1.1\r\nX: ";
        let all = [
            ("byte by byte", scope.spawn(move || life(connect(address, half), Some("x")))),
            ("header by header", scope.spawn(move || life(connect(address, half), Some("x\r\nY: ")))),
            ("silent", scope.spawn(move || life(connect(address, b""), None))),
            ("kept after an answer", scope.spawn(move || life(kept, None))),
        ];
        for (what, life) in all {
            let lived = life.join().expect("a life");
            println!("cut, {what}, after {lived:?}");
            assert!(lived < Duration::from_secs(35), "{what}: {lived:?}");
        }
    });
}
