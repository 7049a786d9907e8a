//! Promise 18, the end: what is in flight finishes, and nobody who dawdles holds it up.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use crate::support::{BUSY, Pgvigil, Postgres};

use super::{Scrape, figure, millis, newest, server, watch};

/// Who else is connected.
type Others = fn(&Pgvigil) -> Vec<TcpStream>;

/// What is done to the server.
type Break = fn(&Postgres);

/// A connection on which this much has been sent.
fn connection(pgvigil: &Pgvigil, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(pgvigil.address()).expect("a connection");
    stream.write_all(sent.as_bytes()).expect("sending");
    stream
}

/// Stops it while a scrape is in flight, and says how long both took.
fn stop_amid_a_scrape(pgvigil: &Pgvigil, announced: Option<Duration>) -> (Duration, Scrape) {
    thread::scope(|scope| {
        let scrape = scope.spawn(|| Scrape::of(pgvigil, announced));
        millis(300);
        let began = Instant::now();
        let status = pgvigil.stop();
        assert_eq!(status.code(), Some(0), "{}", pgvigil.stderr());
        (began.elapsed(), scrape.join().expect("the scrape in flight is answered"))
    })
}

#[test]
fn p18_the_scrape_in_flight_finishes() {
    let server = server(newest());
    let dawdlers: [(&str, Others); 2] = [("nobody else", |_| Vec::new()), ("dawdlers", dawdle)];
    // As long as a scrape takes by itself, and longer than an end may take.
    let broken: [(&str, Break, Option<Duration>); 3] = [
        ("up", |_| (), None),
        ("hung, 2 s announced", Postgres::pause, Some(Duration::from_secs(2))),
        ("hung, nothing announced", Postgres::pause, None),
    ];
    for (name, begin, announced) in broken {
        for (who, others) in dawdlers {
            let pgvigil = watch(&server, &[]);
            Scrape::of(&pgvigil, None);
            let others = others(&pgvigil);
            begin(&server);
            let (took, scrape) = stop_amid_a_scrape(&pgvigil, announced);
            server.resume();
            figure(
                18,
                &format!("server {name}, {who}: the end took"),
                format!("{took:?}, the scrape {:?}", scrape.took),
            );
            // Where no server is waited for, nobody else is either.
            let limit = Duration::from_secs(if name == "up" { 3 } else { 5 });
            assert!(took < limit + BUSY, "{name}, {who}: {took:?}");
            drop(others);
        }
    }
}

/// One that sent half a request's head, and one that keeps its connection after an answer.
fn dawdle(pgvigil: &Pgvigil) -> Vec<TcpStream> {
    let half = connection(pgvigil, "GET /metrics HTTP/1.1\r\nHost: x\r\nAcc");
    let mut idle = connection(pgvigil, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    let read = idle.read(&mut [0; 4096]).expect("an answer");
    assert!(read > 0);
    let silent = connection(pgvigil, "");
    vec![half, idle, silent]
}

#[test]
fn p18_a_signal_at_any_moment_ends_it_well() {
    let server = server(newest());
    for delay in [0, 5, 50] {
        let pgvigil = watch(&server, &[]);
        millis(delay);
        pgvigil.signal("INT");
        assert_eq!(pgvigil.stop().code(), Some(0));
    }
}
