//! Peers that are asked as PostgreSQL servers are.

use std::{io::Write, sync::atomic::AtomicU64};

use super::{
    actor::{Actor, Script, told},
    *,
};
use crate::faults::liar::{AUTHENTICATED, READY, greet, message, pour};

fn target(site: &Site) -> String {
    format!("postgres: {{host: 127.0.0.1, port: {}, user: pgvigil, password: secret, dbname: postgres}}", site.port)
}

/// Logins beyond these are refused, when the databases are known.
const FIRST: usize = 6;

/// Questions after which the sessions of the first logins are closed.
const PATIENCE: usize = 60;

pub fn plays(script: Script) -> Lie {
    let actor = Actor::new(script);
    Box::new(move |stream| actor.play(stream))
}

fn peer(name: &'static str, lie: fn() -> Lie) -> Peer {
    Peer { name, target, lie, must: nothing_else }
}

/// A text of so many letters, another for each number.
pub fn text(number: usize, letters: usize) -> String {
    let word = format!("{number}-{:x}-", (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut text = word.repeat(letters / word.len() + 1);
    text.truncate(letters);
    text
}

/// A text that is another each time, and tries to write lines of its own into a log.
pub fn forged() -> String {
    static TIMES: AtomicU64 = AtomicU64::new(0);
    let nth = TIMES.fetch_add(1, Ordering::Relaxed);
    format!("no {nth}\n2026-01-01T00:00:00Z  INFO all is well\r\n\u{1b}[2J\u{1b}[31mred\u{7}\u{202e}")
}

fn error(text: &str) -> Vec<u8> {
    told(b'E', &[('S', "FATAL"), ('V', "FATAL"), ('C', "28P01"), ('M', text)])
}

fn of_query(text: &str) -> Vec<u8> {
    told(b'E', &[('S', "ERROR"), ('V', "ERROR"), ('C', "XX000"), ('M', text)])
}

/// Greets, and says this again and again.
fn floods(first: &'static [u8], endless: fn() -> Vec<u8>) -> Lie {
    Box::new(move |stream| pour(stream, &[first], &endless()))
}

pub fn peers() -> Vec<Peer> {
    let mut peers = at_the_login();
    peers.extend(floods_of_words());
    peers.extend(answers());
    peers
}

fn at_the_login() -> Vec<Peer> {
    vec![
        peer("an error of 4 MiB at the login", || floods(b"", || error(&"A".repeat(4_194_204)))),
        Peer {
            must: |seen| assert!(seen.log.contains("... (60008 bytes)"), "{}", seen.log),
            ..peer("an error of 60 KB at the login", || {
                plays(Script { login: |_, _| Some(error(&"A".repeat(60_000))), ..Script::honest() })
            })
        },
        peer("an error of 4 MiB where 100 databases are known", || {
            let login = |_: &str, nth| (nth >= FIRST).then(|| error(&"A".repeat(4_194_204)));
            plays(Script { databases: 100, login, patience: PATIENCE, ..Script::honest() })
        }),
        peer("an error of 60 KB where 100 databases are known", || {
            let login = |_: &str, nth| (nth >= FIRST).then(|| error(&"A".repeat(60_000)));
            plays(Script { databases: 100, login, patience: PATIENCE, ..Script::honest() })
        }),
        peer("an error in each of 100 databases", || {
            let login = |database: &str, nth| (database != "postgres").then(|| error(&text(nth, 60_000)));
            plays(Script { databases: 100, login, ..Script::honest() })
        }),
        peer("an error of detail, hint and context", || {
            floods(b"", || {
                let long = "B".repeat(20_000);
                told(b'E', &[('S', "FATAL"), ('C', "28P01"), ('M', "m"), ('D', &long), ('H', &long), ('W', &long)])
            })
        }),
        Peer {
            must: |seen| assert!(!seen.log.contains("\n2026-01-01"), "{}", seen.log),
            ..peer("an error that is another each time and has lines", || {
                plays(Script { login: |_, _| Some(error(&forged())), ..Script::honest() })
            })
        },
        peer("a password is asked for in a way of 60 KB", || {
            floods(b"", || {
                message(b'R', &[&10u32.to_be_bytes()[..], "SCRAM\0".repeat(10_000).as_bytes(), b"\0"].concat())
            })
        }),
        Peer {
            must: |seen| assert!(seen.log.contains("without end"), "{}", seen.log),
            ..peer("keys without end at the login", || floods(AUTHENTICATED, || message(b'K', &[0; 8])))
        },
        peer("SCRAM with as many rounds as there may be, and more", || {
            static TIMES: AtomicU64 = AtomicU64::new(0);
            Box::new(|stream| {
                greet(stream)?;
                stream.write_all(&message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0"))?;
                let mut heard = [0; 4096];
                let length = io::Read::read(stream, &mut heard)?;
                let heard = String::from_utf8_lossy(&heard[..length]).into_owned();
                let nonce = heard.split_once("r=").map_or("", |(_, nonce)| nonce);
                let rounds = [100_000, u32::MAX][TIMES.fetch_add(1, Ordering::Relaxed) as usize % 2];
                let first = format!("\0\0\0\x0br={nonce}x,s=c2FsdHNhbHQ=,i={rounds}");
                stream.write_all(&message(b'R', first.as_bytes()))?;
                io::Read::read(stream, &mut [0; 4096]).map(|_| ())
            })
        }),
        peer("a message of 2 GiB", || floods(b"R\x7f\xff\xff\xff", || vec![0; 64 << 10])),
        peer("an answer in HTTP", || {
            Box::new(|stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"))
        }),
        peer("TLS that never ends its handshake", || {
            Box::new(|stream| {
                io::Read::read_exact(stream, &mut [0; 8])?;
                stream.write_all(b"S")?;
                // Records of a handshake message that announces 16 MiB.
                let record = [&b"\x16\x03\x03\x40\x00\x0b\xff\xff\xff"[..], &[0; 0x4000 - 4]].concat();
                loop {
                    stream.write_all(&record)?;
                }
            })
        }),
        peer("TLS that is none", || {
            Box::new(|stream| {
                io::Read::read_exact(stream, &mut [0; 8])?;
                stream.write_all(&[&b"S"[..], &[b'x'; 100_000]].concat())
            })
        }),
    ]
}

fn floods_of_words() -> Vec<Peer> {
    vec![
        peer("notices without end at the login", || {
            floods(b"", || told(b'N', &[('S', "NOTICE"), ('C', "00000"), ('M', &"n".repeat(1000))]))
        }),
        peer("notices without end after it", || {
            floods(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", || told(b'N', &[('S', "NOTICE"), ('C', "00000"), ('M', "n")]))
        }),
        peer("notices before each answer", || {
            let before = || told(b'N', &[('S', "NOTICE"), ('C', "00000"), ('M', &"n".repeat(50_000))]);
            plays(Script { before, databases: 100, ..Script::honest() })
        }),
        peer("notifications without end", || {
            floods(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", || message(b'A', b"\0\0\0\x01channel\0payload\0"))
        }),
        peer("parameters without end", || {
            Box::new(|stream| {
                pour(stream, &[AUTHENTICATED], &[])?;
                (0u64..).try_for_each(|nth| {
                    let body = format!("parameter_{nth}\0{}\0", "x".repeat(1000));
                    stream.write_all(&message(b'S', body.as_bytes()))
                })
            })
        }),
        peer("parameters before each answer", || {
            static TIMES: AtomicU64 = AtomicU64::new(0);
            let before = || {
                let nth = TIMES.fetch_add(1, Ordering::Relaxed);
                message(b'S', format!("parameter_{nth}\0{}\0", "x".repeat(20_000)).as_bytes())
            };
            plays(Script { before, databases: 100, ..Script::honest() })
        }),
        peer("silence after the login", || {
            Box::new(|stream| {
                greet(stream)?;
                stream.write_all(&[AUTHENTICATED, READY].concat())?;
                io::copy(stream, &mut io::sink()).map(|_| ())
            })
        }),
    ]
}

fn answers() -> Vec<Peer> {
    vec![
        Peer {
            must: cut,
            ..peer("labels of 30 KB", || {
                plays(Script { rows: 500, label: |row| text(row, 30_000), ..Script::honest() })
            })
        },
        Peer {
            must: left_out,
            ..peer("labels of 1 KB", || plays(Script { rows: 500, label: |row| text(row, 1000), ..Script::honest() }))
        },
        Peer {
            must: left_out,
            ..peer("labels of quotes", || {
                plays(Script { rows: 500, label: |row| format!("{row}{}", "\"".repeat(1000)), ..Script::honest() })
            })
        },
        peer("labels that differ at the end only", || {
            plays(Script { rows: 500, label: |row| format!("{}{row}", "x".repeat(30_000)), ..Script::honest() })
        }),
        peer("texts of 30 KB instead of numbers", || {
            plays(Script { rows: 500, value: |row| text(row, 30_000), ..Script::honest() })
        }),
        peer("20,000 rows", || plays(Script { rows: 20_000, ..Script::honest() })),
        peer("rows of too few cells, and no end", || {
            fn rows() -> Vec<u8> {
                message(b'D', &[&1u16.to_be_bytes()[..], &1u32.to_be_bytes(), b"1"].concat()).repeat(20_000)
            }
            plays(Script { instead: || Some(rows()), ..Script::honest() })
        }),
        peer("1,664 columns", || {
            let more_columns = || (0..1600).map(|nth| format!("c{nth}")).collect();
            plays(Script { rows: 500, more_columns, databases: 100, ..Script::honest() })
        }),
        peer("1,664 columns with long names", || {
            plays(Script {
                more_columns: || (0..1600).map(|nth| text(nth, 100)).collect(),
                databases: 100,
                ..Script::honest()
            })
        }),
        peer("10,000 columns", || {
            plays(Script { more_columns: || (0..10_000).map(|nth| format!("c{nth}")).collect(), ..Script::honest() })
        }),
        peer("names of columns of 200 KB", || {
            plays(Script { more_columns: || vec![text(0, 200_000)], databases: 100, ..Script::honest() })
        }),
        peer("names of columns of 4 MB", || {
            plays(Script { more_columns: || vec![text(0, 4_000_000)], ..Script::honest() })
        }),
        peer("cells of 4 MB", || plays(Script { label: |row| text(row, 2_000_000), ..Script::honest() })),
        peer("rows of 16 MiB", || {
            plays(Script { instead: || Some([&b"D\x01\0\0\0"[..], &[0; 100_000]].concat()), ..Script::honest() })
        }),
        peer("types that are made of types without end", || {
            plays(Script { own_type: |number| Some((b'd', number + 1)), ..Script::honest() })
        }),
        peer("an enum of 100 MiB", || plays(Script { own_type: |_| Some((b'e', 0)), ..Script::honest() })),
        peer("statements in 20,000 databases", || plays(Script { statements: Some(20_000), ..Script::honest() })),
        peer("10,000 databases that let nobody in", || {
            plays(Script {
                databases: 10_000,
                closed: "privilege",
                database: |nth| text(nth, 1000),
                ..Script::honest()
            })
        }),
        peer("errors of queries in 1,000 databases", || {
            plays(Script { databases: 1000, instead: || Some(of_query(&forged().repeat(10))), ..Script::honest() })
        }),
        peer("1,000 databases that are others each time, and do not answer a login", || {
            static TIMES: AtomicU64 = AtomicU64::new(0);
            let database = |nth| format!("{}-{nth}-{}", TIMES.fetch_add(1, Ordering::Relaxed), "d".repeat(1000));
            let login = |database: &str, _| {
                millis(if database == "postgres" { 0 } else { 60_000 });
                None
            };
            plays(Script { databases: 1000, database, login, ..Script::honest() })
        }),
        peer("1,000 databases with long names", || {
            plays(Script { databases: 1000, database: |nth| text(nth, 1000), ..Script::honest() })
        }),
        peer("100,000 databases", || {
            plays(Script {
                databases: 100_000,
                database: |nth| format!("{}{nth}", "d".repeat(200)),
                ..Script::honest()
            })
        }),
        peer("extensions with endless names", || {
            let extensions = || (0..1000).map(|nth| [text(nth, 20_000), "1".to_owned(), text(nth, 20_000)]).collect();
            plays(Script { extensions, ..Script::honest() })
        }),
        Peer {
            must: |seen| assert!(!seen.log.contains("\n2026-01-01"), "{}", seen.log),
            ..peer("errors of queries that are others each time", || {
                plays(Script { databases: 100, instead: || Some(of_query(&forged())), ..Script::honest() })
            })
        },
        peer("errors of queries of 60 KB", || {
            plays(Script { databases: 100, instead: || Some(of_query(&text(0, 60_000))), ..Script::honest() })
        }),
    ]
}
