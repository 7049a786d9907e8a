//! Peers that are asked for backups: tools, buckets, folders.

use std::{fs, io::Write, os::unix::fs::PermissionsExt};

use super::{postgres::text, *};

pub fn peers() -> Vec<Peer> {
    let mut peers = tools();
    peers.extend(programs());
    peers.extend(buckets());
    peers.extend(folders());
    peers
}

/// Nobody is there, or who is asked is no server.
fn nobody() -> Lie {
    Box::new(|_| Ok(()))
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
        a_tool("a tool with as many repositories as backups", |site| {
            let repo = r#"{"key":1,"status":{"code":0}}"#;
            let backup = r#"{"type":"full","timestamp":{"stop":1700000000}}"#;
            let many = |item: &str| vec![item; 9000].join(",");
            let text = format!(r#"[{{"name":"s","repo":[{}],"backup":[{}]}}]"#, many(repo), many(backup));
            document(site, "pgbackrest", &text)
        }),
        a_tool("a tool with 10,000 stanzas", |site| {
            let stanza = |nth| format!(r#"{{"name":"{}","repo":[{{"key":1}}],"archive":[{{}}]}}"#, text(nth, 800));
            document(site, "pgbackrest", &format!("[{}]", (0..10_000).map(stanza).collect::<Vec<_>>().join(",")))
        }),
        a_tool("a tool with servers whose names have 1 MB", |site| {
            let server = |nth| format!(r#""{}":{{"backups":{{}}}}"#, text(nth, 1_000_000));
            document(
                site,
                "barman",
                &format!(r#"{{"servers":{{{}}}}}"#, (0..15).map(server).collect::<Vec<_>>().join(",")),
            )
        }),
        a_tool("a tool that says 16 MiB that are not a text", |site| {
            tool(site, "pgbackrest", "head -c 16777216 /dev/zero | tr '\\0' '\\377'")
        }),
        a_tool("a tool that says one text of 15 MB", |site| {
            document(site, "walg", &format!("[{{\"backup_name\": \"\\n{}\"}}]", "x".repeat(15_000_000)))
        }),
        a_tool("a tool that says just less than too much", |site| {
            let backup = |nth| format!("{{\"a\":\"{}\"}}", text(nth, 200));
            document(site, "walg", &format!("[{}]", (0..60_000).map(backup).collect::<Vec<_>>().join(",")))
        }),
        a_tool("a tool whose kinds of backups are texts of 1 MB", |site| {
            let backup = |nth| {
                let kind = text(nth, 1_000_000);
                format!("{{\"type\": \"{kind}\", \"timestamp\": {{\"start\": 1700000000, \"stop\": 1700000001}}}}")
            };
            document(site, "pgbackrest", &backups(&backup, 14))
        }),
        a_tool("a file of 16 MiB of objects", |site| {
            let file = site.file("document", &format!("[{}0]", "{\"a\":{}},".repeat(900_000)));
            format!("backup: {{repositories: [{{name: r, tool: pgbackrest, from_file: {}}}]}}", file.display())
        }),
    ]
}

fn programs() -> Vec<Peer> {
    vec![
        a_tool("a tool that does not stop", |site| tool(site, "walg", "yes '[{\"backup_name\": \"b\"},'")),
        a_tool("a tool that complains without end", |site| {
            tool(
                site,
                "pgbackrest",
                "printf 'a\\nb\\033[2J\\033[31m' >&2; yes complaint | head -c 50000000 >&2; exit 1",
            )
        }),
        a_tool("a tool that fails in another way each time", |site| {
            let folder = site.folder.path().display().to_string();
            let line = format!(
                "echo x >> {folder}/times; case $(($(wc -l < {folder}/times) % 3)) in 0) exit 1;; 1) echo no;; *) echo '[]';; esac"
            );
            tool(site, "walg", &line)
        }),
        a_tool("a tool whose child keeps its outputs", |site| tool(site, "walg", "setsid sleep 20 & echo '[]'")),
        a_tool("a tool that closes its outputs and stays", |site| tool(site, "walg", "exec >&- 2>&-; sleep 60")),
        a_tool("a file without end", |_| {
            "backup: {repositories: [{name: r, tool: walg, from_file: /dev/zero}]}".to_owned()
        }),
    ]
}

fn buckets() -> Vec<Peer> {
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
        bucket("a bucket of elements within elements", || Box::new(|stream| listed(stream, "<a>".repeat(1_300_000)))),
        bucket("a bucket that says without end that it goes on", || {
            Box::new(|stream| {
                io::Read::read(stream, &mut [0; 8192])?;
                loop {
                    stream.write_all(&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000))?;
                }
            })
        }),
        bucket("a bucket with headers without end", || {
            Box::new(|stream| {
                io::Read::read(stream, &mut [0; 8192])?;
                stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
                (0u64..).try_for_each(|nth| stream.write_all(format!("X-{nth}: {}\r\n", text(0, 4000)).as_bytes()))
            })
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
    ]
}

fn folders() -> Vec<Peer> {
    vec![Peer {
        name: "a folder of 5,000 files with long names",
        target: |site| {
            let folder = site.folder.path().join("dumps");
            fs::create_dir(&folder).expect("a folder");
            for nth in 0..5000 {
                fs::write(folder.join(format!("{nth:04}-{}.dump", text(nth, 240))), "x").expect("a file");
            }
            format!("backup: {{repositories: [{{name: r, tool: files, pattern: \"{}/*.dump\"}}]}}", folder.display())
        },
        lie: nobody,
        must: nothing_else,
    }]
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
