//! Promises 15 and 22: whatever a peer says instead of Redis' protocol, the answer comes in time and memory is bounded.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

use super::*;
use crate::{
    faults::{
        liar::{Liar, Lie},
        millis,
    },
    support::{is_long, together},
};

/// The promise allows 64 MiB for any peer.
const GROWTH_KIB: u64 = 15 << 10;

/// Lies to the login, with the reasons that fit; and lies to INFO, without: who lets us in is up until it keeps us waiting,
/// and shows nothing else.
const LIES: [(&str, &[&str], Lie); 45] = [
    ("silent", &["login_pending"], silent),
    ("closes at once", &["lost"], |_| Ok(())),
    ("drips bytes", &["login_pending"], |stream| drip(stream, b"+")),
    ("answers in HTTP", &["refused"], |stream| say(stream, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")),
    ("answers as PostgreSQL", &["refused"], |stream| say(stream, b"E\0\0\0\x20SFATAL\0C08P01\0\0\r\n")),
    ("a line without end", &["refused"], |stream| pour(stream, b"+", b"x")),
    ("is loading", &["starting"], |stream| say(stream, b"-LOADING Redis is loading the dataset in memory\r\n")),
    ("is loading, says INFO", &["starting"], |stream| say(stream, b"+OK\r\n+OK\r\n+OK\r\n$11\r\nloading:1\r\n\r\n")),
    ("a push message instead of the login", &["login_pending"], |stream| say(stream, b">2\r\n+subscribe\r\n:1\r\n")),
    ("a list instead of the login", &["refused"], |stream| say(stream, &b"*1\r\n".repeat(20_000))),
    ("answers before the question", &[], |stream| stream.write_all(WELCOME).and_then(|()| silent(stream))),
    ("answers twice", &["refused"], |stream| say(stream, &[WELCOME, b":1\r\n"].concat())),
    ("wants a password", &["authentication"], |stream| say(stream, b"-NOAUTH Authentication required.\r\n")),
    ("is full", &["connections_exhausted"], |stream| say(stream, b"-ERR max number of clients reached\r\n")),
    ("is protected", &["refused"], |stream| say(stream, b"-DENIED Redis is running in protected mode\r\n")),
    ("silent after the login", &[], |stream| greeted(stream, b"").and_then(|()| silent(stream))),
    ("closes half-way", &[], |stream| greeted(stream, b"$1000\r\n# Server\r\n")),
    ("announces 2 GiB", &[], |stream| endless(stream, b"$2147483648\r\n", b"x")),
    ("announces 8 EiB", &[], |stream| endless(stream, b"$9223372036854775807\r\n", b"x")),
    ("a list of 2^31", &[], |stream| endless(stream, b"*2147483648\r\n", b":1\r\n")),
    ("a list of nothings", &[], |stream| endless(stream, b"*9223372036854775807\r\n", b"*0\r\n")),
    ("lists within lists", &[], |stream| endless(stream, b"", b"*1\r\n")),
    ("answers nobody asked for", &[], |stream| endless(stream, b"", b"+OK\r\n")),
    ("one answer too many", &[], |stream| greeted(stream, &b":1\r\n".repeat(9)).and_then(|()| silent(stream))),
    ("one answer too many, later", &[], |stream| late(stream, b":1\r\n")),
    ("push messages without end", &[], |stream| endless(stream, b"", b">2\r\n+message\r\n+x\r\n")),
    ("push messages that look like answers", &[], |stream| endless(stream, b"", b">3\r\n+subscribe\r\n+x\r\n:1\r\n")),
    ("a push message of 2^31", &[], |stream| endless(stream, b">2147483648\r\n", b"_\r\n")),
    ("a map of 2^62", &[], |stream| endless(stream, b"%4611686018427387904\r\n", b"_\r\n")),
    ("a map of as many as there may be", &[], |stream| endless(stream, b"%4999\r\n", b"_\r\n")),
    ("a set of 2^31", &[], |stream| endless(stream, b"~2147483647\r\n", b"_\r\n")),
    ("attributes without end", &[], |stream| endless(stream, b"", b"|1\r\n+a\r\n+b\r\n")),
    ("an attribute of 2^62", &[], |stream| endless(stream, b"|4611686018427387903\r\n", b"_\r\n")),
    ("lengths below zero", &[], |stream| endless(stream, b"!-1\r\n", b"x")),
    ("a number without end", &[], |stream| endless(stream, b"(", b"9")),
    ("a verbatim text of 2 GiB", &[], |stream| endless(stream, b"=2147483648\r\n", b"txt:")),
    ("an error of a MB", &[], |stream| endless(stream, b"!1048000\r\n", b"\xff")),
    ("a streamed text", &[], |stream| endless(stream, b"$?\r\n", b";4\r\nabcd\r\n")),
    ("a streamed list", &[], |stream| endless(stream, b"*?\r\n", b":1\r\n")),
    ("a hundred lists, one in the other", &[], |stream| endless(stream, &b"*1\r\n".repeat(99), b"+x\r\n")),
    ("a hundred maps, one in the other", &[], |stream| endless(stream, &b"%1\r\n+a\r\n".repeat(99), b"+x\r\n")),
    ("a hundred attributes, one in the other", &[], |stream| endless(stream, &b"|1\r\n+a\r\n".repeat(99), b"+x\r\n")),
    ("an INFO of databases", &[], |stream| info(stream, "# Keyspace\r\n", "db1:\r\n")),
    ("an INFO of fields", &[], |stream| info(stream, "# Server\r\n", "a:\r\n")),
    ("an INFO of RESP3, no text", &[], |stream| verbatim(stream, &b"\xff".repeat(1_040_000))),
];

/// The password is right, RESP3 is spoken, the name is taken, all data is there.
const WELCOME: &[u8] = b"+OK\r\n%1\r\n+proto\r\n:3\r\n+OK\r\n$11\r\nloading:0\r\n\r\n";

fn silent(stream: &mut TcpStream) -> io::Result<()> {
    io::copy(stream, &mut io::sink()).map(|_| ())
}

/// Reads what is there, whatever it is.
fn hear(stream: &mut TcpStream) -> io::Result<()> {
    stream.read(&mut [0; 4096]).map(|_| ())
}

/// Says this to whatever is said first, and closes when the other does.
fn say(stream: &mut TcpStream, what: &[u8]) -> io::Result<()> {
    hear(stream)?;
    stream.write_all(what)?;
    silent(stream)
}

fn drip(stream: &mut TcpStream, what: &[u8]) -> io::Result<()> {
    hear(stream)?;
    stream.set_read_timeout(Some(Duration::from_millis(50)))?;
    loop {
        stream.write_all(what)?;
        // Nothing comes: this is a pause.
        _ = hear(stream);
    }
}

/// After whatever is said first.
fn pour(stream: &mut TcpStream, first: &[u8], endless: &[u8]) -> io::Result<()> {
    hear(stream)?;
    stream.write_all(first)?;
    let endless = endless.repeat((64 << 10) / endless.len());
    loop {
        stream.write_all(&endless)?;
    }
}

/// Lets the other log in, and says this to the next that it says.
fn greeted(stream: &mut TcpStream, what: &[u8]) -> io::Result<()> {
    hear(stream)?;
    stream.write_all(WELCOME)?;
    hear(stream)?;
    stream.write_all(what)
}

fn endless(stream: &mut TcpStream, first: &[u8], endless: &[u8]) -> io::Result<()> {
    hear(stream)?;
    stream.write_all(WELCOME)?;
    pour(stream, first, endless)
}

/// Lets the other log in, answers what it asks with nothing, and says something more a while later.
fn late(stream: &mut TcpStream, what: &[u8]) -> io::Result<()> {
    hear(stream)?;
    stream.write_all(WELCOME)?;
    loop {
        hear(stream)?;
        stream.write_all(&b"_\r\n".repeat(8))?;
        millis(100);
        stream.write_all(what)?;
    }
}

/// Lets the other log in, and then answers each INFO with this and what is asked beside it with a refusal: no more than was asked.
fn inform(stream: &mut TcpStream, answer: &[u8]) -> io::Result<()> {
    hear(stream)?;
    stream.write_all(WELCOME)?;
    let mut said = [0; 4096];
    loop {
        let length = stream.read(&mut said)?;
        let commands = said[..length].iter().filter(|byte| **byte == b'*').count();
        let refusals = b"-NOPERM no\r\n".repeat(commands.saturating_sub(1));
        stream.write_all(&[answer, &refusals].concat())?;
    }
}

/// A text of RESP3.
fn verbatim(stream: &mut TcpStream, text: &[u8]) -> io::Result<()> {
    inform(stream, &[format!("={}\r\ntxt:", text.len() + 4).as_bytes(), text, b"\r\n"].concat())
}

/// As long an INFO as is let through, again and again.
fn info(stream: &mut TcpStream, title: &str, line: &str) -> io::Result<()> {
    let text = format!("{title}{}", line.repeat((1_040_000 - title.len()) / line.len()));
    inform(stream, format!("${}\r\n{text}\r\n", text.len()).as_bytes())
}

#[test]
fn p15_no_lie_takes_time_or_memory() {
    together(LIES, |(name, reasons, lie)| {
        let liar = Liar::start(lie);
        let pgvigil = watch(&format!("redis://:secret@127.0.0.1:{}", liar.port()));
        pgvigil.forget_peak();
        let before = pgvigil.rss_kib();
        let mut most = before;
        for _ in 0..if is_long() { 20 } else { 2 } {
            let page = scrape(&pgvigil);
            let (up, reason) = (sample(&page, "redis_up", &[]), reason(&page));
            match reasons.is_empty() {
                true => assert!(up == Some(1.0) || !name.starts_with("an INFO"), "{name}: {reason:?}"),
                false => assert!(
                    up == Some(0.0) && reasons.contains(&reason.as_deref().unwrap_or_default()),
                    "{name}: {reason:?}"
                ),
            }
            let shown = page.lines().filter(|line| line.starts_with("redis_")).count();
            assert!(shown == 1 || name.starts_with("an INFO"), "{name}: {page}");
            most = pgvigil.peak_kib();
            println!("promise 15: redis: {name}: {reason:?}, {} KiB more", most - before);
            // The liar ends its connections a while after us: ten that it has not ended would be another reason.
            millis(if is_long() { 100 } else { 0 });
        }
        assert!(most - before <= GROWTH_KIB, "{name}: {} KiB more", most - before);
        assert!(!pgvigil.stderr().contains("secret"), "{}", pgvigil.stderr());
    });
}
