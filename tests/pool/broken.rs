//! Promises 2, 15 and 22: a pooler that is down, hangs, lies or is slow costs nobody else anything.

use std::{io, net::TcpStream, time::Duration};

use super::{BINARY, liar_target, reason, scrape_within, server, target};
use crate::{
    faults::liar::{AUTHENTICATED, LIES, Liar, Lie, READY, hear, message, pour, silent},
    support::{Folder, PgBouncer, Pgvigil, free_port, sample},
};

/// What begins so says what it is, as a login asks: a scrape that logs in has been answered.
const ONCE: &str = "after its version";

/// Lies of one who knows the simple protocol.
const CONSOLE_LIES: [(&str, Lie); 7] = [
    ("endless rows of a SHOW", |stream| show(stream, 1, None)),
    ("a row of less than its columns", |stream| show(stream, 2, Some(1))),
    ("one row and then silence", |stream| show(stream, 1, Some(1)).and_then(|()| silent(stream))),
    ("one row and then the end", |stream| show(stream, 1, Some(1))),
    ("after its version silent", |stream| {
        show(stream, 1, Some(0)).and_then(|()| finish(stream)).and_then(|()| silent(stream))
    }),
    ("rows without columns", |stream| {
        log_in(stream)?;
        stream.write_row(b"x")?;
        finish(stream)
    }),
    ("after its version answers that nobody asked for", |stream| {
        log_in(stream)?;
        (0..3).try_for_each(|_| finish(stream))?;
        silent(stream)
    }),
];

/// The most that all liars together may cost, as promised of one.
const GROWTH_KIB: u64 = 64 << 10;

trait Rows {
    fn write_row(&mut self, cell: &[u8]) -> io::Result<()>;
}

impl Rows for TcpStream {
    fn write_row(&mut self, cell: &[u8]) -> io::Result<()> {
        let length = u32::try_from(cell.len()).expect("a short cell").to_be_bytes();
        io::Write::write_all(self, &message(b'D', &[&1u16.to_be_bytes()[..], &length, cell].concat()))
    }
}

/// Lets anybody in and hears the first question.
fn log_in(stream: &mut TcpStream) -> io::Result<()> {
    pour(stream, &[AUTHENTICATED, READY], &[])?;
    hear(stream)
}

/// Announces columns and sends rows of one, for ever or so many.
fn show(stream: &mut TcpStream, columns: u16, rows: Option<usize>) -> io::Result<()> {
    log_in(stream)?;
    let column = [&b"version\0"[..], &[0; 6], &25u32.to_be_bytes(), &[0xff; 6], &[0, 0]].concat();
    let head = [&columns.to_be_bytes()[..], &column.repeat(usize::from(columns))].concat();
    io::Write::write_all(stream, &message(b'T', &head))?;
    (0..rows.unwrap_or(usize::MAX)).try_for_each(|_| stream.write_row(&[b'x'; 1000]))
}

/// Ends an answer.
fn finish(stream: &mut TcpStream) -> io::Result<()> {
    io::Write::write_all(stream, &[&message(b'C', b"SHOW\0")[..], READY].concat())
}

#[test]
fn p22_no_lie_takes_time_or_memory_or_another_target() {
    let server = server();
    server.create_monitor_role();
    let pooler = PgBouncer::start(&server, "transaction", "");
    let lies: Vec<_> = LIES.into_iter().chain(CONSOLE_LIES).collect();
    let liars: Vec<_> = lies.iter().map(|(_, lie)| Liar::start(*lie)).collect();
    let name = |index: usize| format!("liar-{index}");
    let targets: String = liars.iter().enumerate().map(|(index, liar)| liar_target(&name(index), liar)).collect();
    let postgres = format!("  - {{name: server, postgres: {{url: \"{}\"}}}}\n", server.url("pgvigil", "postgres"));
    let settings = format!("targets:\n{}{postgres}{targets}", target("real", &pooler.url("pgvigil", "")));
    let folder = Folder::new("settings", "TERM");
    let file = folder.write("pgvigil.yaml", &settings).display().to_string();
    let pgvigil = Pgvigil::start(BINARY, &["--config", &file], &[]);
    let before = pgvigil.rss_kib();
    for _ in 0..3 {
        // There is a lot to hear from all of them at once.
        let page = scrape_within(&pgvigil, Duration::from_secs(4));
        assert_eq!(sample(&page, "pg_up", &[("target", "server")]), Some(1.0));
        assert_eq!(reason(&page, "real"), None);
        assert!(sample(&page, "pgbouncer_used_clients", &[("target", "real")]).is_some(), "{page}");
        for (index, (what, _)) in lies.iter().enumerate() {
            let why = reason(&page, &name(index));
            assert!(why.is_some() || what.starts_with(ONCE), "{what}: up");
            assert_eq!(sample(&page, "pgbouncer_used_clients", &[("target", &name(index))]), None, "{what}");
            println!("promise 22: {what}: {why:?}, {} KiB more", pgvigil.rss_kib() - before);
        }
    }
    let more = pgvigil.rss_kib() - before;
    assert!(more < GROWTH_KIB, "{more} KiB more");
}

#[test]
fn p22_a_pooler_that_hangs_or_is_down() {
    let server = server();
    let (mut pooler, other) =
        (PgBouncer::start(&server, "transaction", ""), PgBouncer::start(&server, "transaction", ""));
    let nobody = target("nobody", &format!("postgresql://pgvigil:x@127.0.0.1:{}", free_port()));
    let both = target("one", &pooler.url("pgvigil", "")) + &target("other", &other.url("pgvigil", "")) + &nobody;
    let folder = Folder::new("settings", "TERM");
    let file = folder.write("pgvigil.yaml", &format!("targets:\n{both}")).display().to_string();
    let pgvigil = Pgvigil::start(BINARY, &["--config", &file], &[]);
    let expect = |why: &[&str], what: &str| {
        let page = scrape_within(&pgvigil, Duration::from_secs(3));
        let told = reason(&page, "one");
        assert!(why.contains(&told.as_deref().unwrap_or_default()), "{what}: {told:?}\n{page}");
        assert_eq!(reason(&page, "other"), None, "{what}");
        assert_eq!(reason(&page, "nobody").as_deref(), Some("unreachable"), "{what}");
        let of_one = ("target", "one");
        assert_eq!(sample(&page, "pgbouncer_used_clients", &[of_one]).is_some(), told.is_none(), "{what}");
        let sessions = sample(&page, "pgvigil_sessions", &[of_one]);
        assert!(sessions <= Some(3.0), "{what}: {sessions:?} sessions");
    };
    expect(&[""], "before");
    for _ in 0..2 {
        pooler.pause();
        (0..3).for_each(|_| expect(&["timeout", "login_pending"], "it hangs"));
        pooler.resume();
        expect(&[""], "the first scrape after it hung");
        pooler.stop();
        (0..3).for_each(|_| expect(&["unreachable", "lost"], "it is stopped"));
        pooler.restart();
        expect(&[""], "the first scrape after it was stopped");
    }
}
