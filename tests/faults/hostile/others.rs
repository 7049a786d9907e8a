//! Peers that are asked as poolers, Redis servers, backup tools, buckets, folders and a probe's paths are.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
};

use super::{
    actor::told,
    postgres::{forged, text},
    *,
};
use crate::faults::liar::{AUTHENTICATED, READY, greet, message};

pub fn peers() -> Vec<Peer> {
    let mut peers = poolers();
    peers.extend(redis());
    peers.extend(tools());
    peers.extend(buckets_and_folders());
    peers.extend(probes());
    peers
}

/// Nobody is there, or who is asked is no server.
fn nobody() -> Lie {
    Box::new(|_| Ok(()))
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

/// A repository whose tool is a program in the peer's folder; its output is made by this line of a shell.
fn tool(site: &Site, tool: &str, line: &str) -> String {
    let program = site.file("tool", &format!("#!/bin/sh\n{line}\n"));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a program");
    format!("backup: {{repositories: [{{name: r, tool: {tool}, exec: [{}]}}]}}", program.display())
}

/// The same, with a document that it prints.
fn document(site: &Site, named: &str, text: &str) -> String {
    let file = site.file("document", text);
    tool(site, named, &format!("cat {}", file.display()))
}

fn backups(backup: &dyn Fn(usize) -> String, many: usize) -> String {
    let all: Vec<_> = (0..many).map(backup).collect();
    format!(
        "[{{\"name\": \"s\", \"status\": {{\"code\": 0, \"message\": \"ok\"}}, \"db\": [], \"repo\": [], \"archive\": [], \"backup\": [{}]}}]",
        all.join(",")
    )
}

fn a_tool(name: &'static str, target: fn(&Site) -> String) -> Peer {
    Peer { name, target, lie: nobody, must: nothing_else }
}

fn tools() -> Vec<Peer> {
    vec![
        a_tool("a tool that says a million objects", |site| {
            document(site, "pgbackrest", &format!("[{}0]", "{\"a\":0},".repeat(999_999)))
        }),
        a_tool("a tool that says a million lists", |site| {
            document(site, "pgbackrest", &format!("[{}0]", "[0],".repeat(999_999)))
        }),
        a_tool("a tool that says lists within lists", |site| document(site, "walg", &"[".repeat(16 << 20))),
        a_tool("a tool that says 16 MiB of numbers", |site| {
            document(site, "barman", &format!("[{}0]", "0,".repeat((8 << 20) - 2)))
        }),
        a_tool("a tool that does not stop", |site| tool(site, "walg", "yes '[{\"backup_name\": \"b\"},'")),
        a_tool("a tool that complains without end", |site| {
            tool(
                site,
                "pgbackrest",
                "printf 'a\\nb\\033[2J\\033[31m' >&2; yes complaint | head -c 50000000 >&2; exit 1",
            )
        }),
        a_tool("a tool whose backups have names of 1 MB", |site| {
            let backup = |nth| {
                let label = text(nth, 1_000_000);
                format!(
                    "{{\"label\": \"{label}\", \"type\": \"full\", \"timestamp\": {{\"start\": 1, \"stop\": 2}}, \"database\": {{\"id\": 1, \"repo-key\": 1}}}}"
                )
            };
            document(site, "pgbackrest", &backups(&backup, 14))
        }),
        a_tool("a tool whose stanzas have names of 10 KB", |site| {
            let stanza = |nth| {
                format!(
                    "{{\"name\": \"{}\", \"status\": {{\"code\": 0}}, \"db\": [], \"backup\": []}}",
                    text(nth, 10_000)
                )
            };
            document(site, "pgbackrest", &format!("[{}]", (0..1000).map(stanza).collect::<Vec<_>>().join(",")))
        }),
        a_tool("a file of 16 MiB of objects", |site| {
            let file = site.file("document", &format!("[{}0]", "{\"a\":{}},".repeat(900_000)));
            format!("backup: {{repositories: [{{name: r, tool: pgbackrest, from_file: {}}}]}}", file.display())
        }),
    ]
}

fn buckets_and_folders() -> Vec<Peer> {
    let bucket = |name, lie| Peer {
        name,
        target: |site| {
            let url = format!("http://127.0.0.1:{}", site.port);
            format!(
                "backup: {{repositories: [{{name: r, tool: s3, endpoint: \"{url}\", bucket: b, access_key: k, secret_key: s}}]}}"
            )
        },
        lie,
        must: nothing_else,
    };
    vec![
        bucket("a bucket of keys of 4 KiB", || {
            Box::new(|stream| listed(stream, (0..1800).map(|nth| object(&text(nth, 4096))).collect::<String>()))
        }),
        bucket("a bucket of 70,000 keys a page", || {
            Box::new(|stream| listed(stream, (0..70_000).map(|nth| object(&nth.to_string())).collect::<String>()))
        }),
        bucket("a bucket that refuses in 8 MB", || {
            Box::new(|stream| {
                let text = format!(
                    "<Error><Code>{}</Code><Message>{}\n\u{1b}[2J</Message></Error>",
                    text(0, 4_000_000),
                    text(1, 4_000_000)
                );
                answered(stream, "403 Forbidden", &text)
            })
        }),
        Peer {
            name: "a folder of 5,000 files with long names",
            target: |site| {
                let folder = site.folder.path().join("dumps");
                fs::create_dir(&folder).expect("a folder");
                for nth in 0..5000 {
                    fs::write(folder.join(format!("{nth:04}-{}.dump", text(nth, 240))), "x").expect("a file");
                }
                format!(
                    "backup: {{repositories: [{{name: r, tool: files, pattern: \"{}/*.dump\"}}]}}",
                    folder.display()
                )
            },
            lie: nobody,
            must: nothing_else,
        },
    ]
}

fn object(key: &str) -> String {
    format!("<Contents><Key>{key}</Key><Size>1</Size><LastModified>2026-11-21T12:54:20Z</LastModified></Contents>")
}

fn listed(stream: &mut TcpStream, objects: String) -> io::Result<()> {
    let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
    answered(stream, "200 OK", &format!("<ListBucketResult>{more}{objects}</ListBucketResult>"))
}

fn answered(stream: &mut TcpStream, status: &str, text: &str) -> io::Result<()> {
    io::Read::read(stream, &mut [0; 8192])?;
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", text.len());
    stream.write_all(&[head.as_bytes(), text.as_bytes()].concat())
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
