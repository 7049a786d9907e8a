//! Peers that are asked as poolers, Redis servers and a probe's paths are.

use std::io::{BufRead, BufReader, Write};

use super::{
    actor::{Script, told},
    postgres::{forged, plays, text},
    *,
};
use crate::faults::liar::{AUTHENTICATED, READY, greet, message};

pub fn peers() -> Vec<Peer> {
    let mut peers = poolers();
    peers.extend(redis());
    peers.extend(probes());
    peers
}

fn pooler(name: &'static str, lie: fn() -> Lie) -> Peer {
    let target =
        |site: &Site| format!("pgbouncer: {{host: 127.0.0.1, port: {}, user: pgvigil, password: secret}}", site.port);
    Peer { name, target, lie, must: nothing_else }
}

/// A console: to each question these columns, and rows of so many cells.
fn console(columns: fn() -> Vec<String>, rows: usize, cell: fn(usize, usize) -> String) -> Lie {
    Box::new(move |stream| {
        greet(stream)?;
        stream.write_all(&[AUTHENTICATED, READY].concat())?;
        loop {
            let mut head = [0; 5];
            io::Read::read_exact(stream, &mut head)?;
            let mut body = vec![0; u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4];
            io::Read::read_exact(stream, &mut body)?;
            let columns = columns();
            let mut out = (columns.len() as u16).to_be_bytes().to_vec();
            for column in &columns {
                out.extend([column.as_bytes(), &[0; 7], &25u32.to_be_bytes(), &[0xff; 6], &[0, 0]].concat());
            }
            stream.write_all(&message(b'T', &out))?;
            for row in 0..rows {
                let mut out = (columns.len() as u16).to_be_bytes().to_vec();
                for column in 0..columns.len() {
                    let cell = cell(row, column);
                    out.extend([&(cell.len() as u32).to_be_bytes(), cell.as_bytes()].concat());
                }
                stream.write_all(&message(b'D', &out))?;
            }
            stream.write_all(&[message(b'C', b"SHOW\0"), READY.to_vec()].concat())?;
        }
    })
}

/// What SHOW POOLS has, and more that others show.
fn pools() -> Vec<String> {
    let columns = "database user cl_active cl_waiting sv_active sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode name \
                   host port force_user pool_size reserve_pool max_connections current_connections total_xact_count total_query_count \
                   total_received total_sent total_xact_time total_query_time total_wait_time key value list items";
    columns.split_whitespace().map(str::to_owned).collect()
}

/// The first two columns are names.
fn cell(row: usize, column: usize, letters: usize) -> String {
    match column {
        0 | 1 => text(row, letters),
        _ => row.to_string(),
    }
}

fn poolers() -> Vec<Peer> {
    vec![
        pooler("a console with names of 30 KB", || console(pools, 200, |row, column| cell(row, column, 30_000))),
        pooler("a console with names of 1 KB", || console(pools, 2000, |row, column| cell(row, column, 1000))),
        pooler("a console with 100,000 rows", || console(pools, 100_000, |row, column| cell(row, column, 20))),
        pooler("a console with 10,000 columns", || {
            console(|| (0..10_000).map(|nth| format!("c{nth}")).collect(), 10, |_, _| "1".to_owned())
        }),
        pooler("a console with 2,000 states of servers", || {
            let columns = || pools().into_iter().take(2).chain((0..2000).map(|nth| format!("sv_{nth}"))).collect();
            console(columns, 200, |row, column| cell(row, column, 10))
        }),
        pooler("a console with columns of 200 KB", || console(|| vec![text(0, 200_000)], 10, |_, _| "1".to_owned())),
        pooler("a console that refuses in other words each time", || {
            Box::new(|stream| {
                greet(stream)?;
                stream.write_all(&told(b'E', &[('S', "FATAL"), ('C', "08P01"), ('M', &(forged() + &text(0, 60_000)))]))
            })
        }),
    ]
}

fn redis_server(name: &'static str, lie: fn() -> Lie) -> Peer {
    Peer {
        name,
        target: |site| format!("redis: {{url: \"redis://:secret@127.0.0.1:{}\"}}", site.port),
        lie,
        must: nothing_else,
    }
}

/// Understands commands: INFO is answered this, others are agreed to.
fn info(answer: fn() -> Vec<u8>) -> Lie {
    Box::new(move |stream| {
        let mut heard = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        loop {
            let mut next = || -> io::Result<String> {
                line.clear();
                match heard.read_line(&mut line)? {
                    0 => Err(io::ErrorKind::UnexpectedEof.into()),
                    _ => Ok(line.trim_end().to_owned()),
                }
            };
            let words: usize = next()?.trim_start_matches('*').parse().map_err(io::Error::other)?;
            let command: Vec<_> = (0..words).map(|_| next().and_then(|_| next())).collect::<io::Result<_>>()?;
            let said = match command[0].to_uppercase().as_str() {
                "INFO" if command.get(1).is_some_and(|section| section == "persistence") => {
                    b"$11\r\nloading:0\r\n\r\n".to_vec()
                }
                "INFO" => answer(),
                "HELLO" => b"-ERR unknown command 'HELLO'\r\n".to_vec(),
                "CONFIG" | "LATENCY" | "SLOWLOG" | "CLUSTER" => b"-NOPERM no\r\n".to_vec(),
                _ => b"+OK\r\n".to_vec(),
            };
            stream.write_all(&said)?;
        }
    })
}

fn bulk(text: String) -> Vec<u8> {
    format!("${}\r\n{text}\r\n", text.len()).into_bytes()
}

fn redis() -> Vec<Peer> {
    vec![
        redis_server("INFO with commands of 900 bytes", || {
            info(|| {
                let line = |nth| {
                    format!(
                        "cmdstat_{}:calls=1,usec=1,usec_per_call=1.00,rejected_calls=0,failed_calls=0\r\n",
                        text(nth, 900)
                    )
                };
                bulk(format!("# Commandstats\r\n{}", (0..1000).map(line).collect::<String>()))
            })
        }),
        Peer {
            must: cut,
            ..redis_server("INFO with a version of 1 MB", || {
                info(|| {
                    bulk(format!(
                        "# Server\r\nredis_version:{}\r\nredis_mode:standalone\r\n# Replication\r\nrole:master\r\n",
                        text(0, 1_000_000)
                    ))
                })
            })
        },
        redis_server("INFO with 30,000 databases", || {
            info(|| {
                let line = |nth| format!("db{nth}:keys=1,expires=0,avg_ttl=0\r\n");
                bulk(format!("# Keyspace\r\n{}", (0..30_000).map(line).collect::<String>()))
            })
        }),
        redis_server("INFO with errors of 30 KB", || {
            info(|| {
                let line = |nth| format!("errorstat_{}:count=1\r\n", text(nth, 30_000));
                bulk(format!("# Errorstats\r\n{}", (0..30).map(line).collect::<String>()))
            })
        }),
        redis_server("INFO with percentiles without end", || {
            info(|| {
                let line = format!("latency_percentiles_usec_{}:{}\r\n", text(0, 15_000), "p1=1,".repeat(200_000));
                bulk(format!("# Latencystats\r\n{line}"))
            })
        }),
        redis_server("an INFO of 2 MB", || info(|| bulk("x".repeat(2 << 20)))),
        redis_server("an error of 900 KB", || {
            Box::new(|stream| {
                let mut heard = [0; 4096];
                while io::Read::read(stream, &mut heard)? > 0 {
                    stream.write_all(format!("-ERR invalid password {}\r\n", text(0, 900_000)).as_bytes())?;
                }
                Ok(())
            })
        }),
        redis_server("an error that is another each time", || {
            Box::new(|stream| {
                let mut heard = [0; 4096];
                while io::Read::read(stream, &mut heard)? > 0 {
                    stream
                        .write_all(format!("-WRONGPASS {}\r\n", forged().replace(['\n', '\r'], "\u{b}")).as_bytes())?;
                }
                Ok(())
            })
        }),
    ]
}

fn probes() -> Vec<Peer> {
    let probe = |name, lie| Peer {
        name,
        target: |site| {
            let url = format!("postgresql://pgvigil_probe:secret@127.0.0.1:{}/postgres", site.port);
            format!(
                "probe: {{interval: 500ms, primary: {{url: \"{url}\"}}, paths: [direct: {{}}, pooled: {{size: 2}}]}}"
            )
        },
        lie,
        must: nothing_else,
    };
    vec![
        probe("a probe's server that refuses in other words each time", || {
            Box::new(|stream| {
                greet(stream)?;
                stream.write_all(&told(b'E', &[('S', "FATAL"), ('C', "28P01"), ('M', &(forged() + &text(0, 60_000)))]))
            })
        }),
        Peer {
            target: |site| {
                let url = format!("postgresql://pgvigil_probe:secret@127.0.0.1:{}/postgres", site.port);
                format!(
                    "probe: {{interval: 250ms, primary: {{url: \"{url}\"}}, paths: [pooled: {{size: 2}}, cached: {{through: pooled}}]}}"
                )
            },
            ..probe("a probe's server whose every answer has 1 MB", || {
                plays(Script { others: 1_000_000, ..Script::honest() })
            })
        },
        probe("a probe's server with rows without end", || {
            Box::new(|stream| {
                greet(stream)?;
                stream.write_all(&[AUTHENTICATED, READY].concat())?;
                io::Read::read(stream, &mut [0; 8192])?;
                let column =
                    [&1u16.to_be_bytes()[..], b"a\0", &[0; 6], &25u32.to_be_bytes(), &[0xff; 6], &[0, 1]].concat();
                stream.write_all(&[message(b'1', &[]), message(b'2', &[]), message(b'T', &column)].concat())?;
                let cell = vec![b'x'; 1_000_000];
                let row = message(b'D', &[&1u16.to_be_bytes()[..], &1_000_000u32.to_be_bytes(), &cell].concat());
                loop {
                    stream.write_all(&row)?;
                }
            })
        }),
    ]
}
