//! A PostgreSQL server for tests: a script decides its answer to each SQL text.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, NoTls};

use crate::collector::Collector;
use crate::collector::catalogue::Catalogue;
use crate::settings::connection::model::{Address, DatabasePatterns, PostgresSettings, Roots, TlsMode, TlsSettings};

/// The answer to a login (`LOGIN`), a cancel (`CANCEL`) or an SQL text.
pub enum FakeReply {
    /// Columns, and rows of binary values.
    Rows(Vec<(&'static str, Type)>, Vec<Vec<Option<Vec<u8>>>>),
    /// The fields of an error response, by their letters.
    Error(Vec<(u8, &'static str)>),
    Disconnect,
    Silence,
}

pub type Script = Arc<dyn Fn(&str) -> FakeReply + Send + Sync>;

/// Rows of texts.
pub fn texts<const N: usize>(columns: [&'static str; N], rows: &[[&str; N]]) -> FakeReply {
    let bytes = |row: &[&str; N]| row.iter().map(|text| Some(text.as_bytes().to_vec())).collect();
    FakeReply::Rows(columns.map(|name| (name, Type::TEXT)).to_vec(), rows.iter().map(bytes).collect())
}

pub fn flag(name: &'static str, value: bool) -> FakeReply {
    FakeReply::Rows(vec![(name, Type::BOOL)], vec![vec![Some(vec![value.into()])]])
}

pub fn error(code: &'static str, message: &'static str) -> FakeReply {
    FakeReply::Error(vec![(b'S', "ERROR"), (b'V', "ERROR"), (b'C', code), (b'M', message)])
}

/// A primary of version 18 that accepts all settings.
pub fn primary(sql: &str) -> FakeReply {
    match sql {
        sql if sql.contains("server_version_num'), ") => {
            let types = [("v", Type::TEXT), ("r", Type::BOOL), ("m", Type::BOOL), ("e", Type::TEXT)];
            let row = ["180001".into(), vec![0], vec![1], "UTF8".into()].map(Some);
            FakeReply::Rows(types.into(), vec![row.into()])
        }
        sql if sql.contains("pg_extension") => texts(["name", "version", "schema"], &[["ext", "1.10", "public"]]),
        sql if sql.contains("pg_relation_size") => flag("large", false),
        sql if sql.contains("AS replica") => flag("replica", false),
        sql if sql.contains("set_config") => texts(["settings"], &[["applied"]]),
        _ => texts(["value"], &[]),
    }
}

/// A session of the driver on this server.
pub async fn client(script: Script) -> Result<Client, tokio_postgres::Error> {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    tokio::spawn(serve(theirs, script));
    let (client, connection) = Config::new().user("u").connect_raw(ours, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Listens on a port; returns the settings to reach it.
pub async fn listen(script: Script) -> PostgresSettings {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, script.clone()));
        }
    });
    PostgresSettings {
        address: Address::Tcp { host: "127.0.0.1".into(), port },
        user: "u".into(),
        password: None,
        database: "app".into(),
        tls: TlsSettings { mode: TlsMode::Disable, roots: Roots::System, client: None },
        methods: Default::default(),
        binding: Default::default(),
        databases: DatabasePatterns::default(),
    }
}

/// A collector `c` of one query `q` with the value `n`; `more` are further lines of the collector, `query` further keys of its query.
pub fn collector(more: &str, query: &str) -> Arc<Collector> {
    let text = format!(
        "collector: c\nsource: postgres\n{more}queries:\n  - {{name: q, {query}metrics: [{{name: c_n, type: gauge, value: n, help: N.}}], example: [{{n: 1}}]}}\n"
    );
    let catalogue = Catalogue::from_files([("c.yaml", &*text)]).unwrap_or_else(|problems| panic!("{problems}"));
    catalogue.get("c").expect("it is there").clone()
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: Script) -> Option<()> {
    start(&mut stream, &script).await?;
    let (mut prepared, mut bound, mut failed) = (HashMap::new(), String::new(), false);
    loop {
        let tag = stream.read_u8().await.ok()?;
        let body = body(&mut stream).await?;
        let mut strings = body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
        let (first, second) = (strings.next()?, strings.next().unwrap_or_default());
        match tag {
            b'S' | b'Q' => {
                failed = false;
                match (tag, script(&first)) {
                    (b'Q', reply @ (FakeReply::Error(_) | FakeReply::Disconnect | FakeReply::Silence)) => {
                        answer(&mut stream, &reply).await?;
                    }
                    (b'Q', _) => stream.write_all(&message(b'C', b"OK\0")).await.ok()?,
                    _ => (),
                }
                stream.write_all(&message(b'Z', b"I")).await.ok()?;
            }
            _ if failed => (),
            b'P' => {
                match script(&second) {
                    FakeReply::Rows(..) => stream.write_all(&message(b'1', &[])).await.ok()?,
                    reply => {
                        answer(&mut stream, &reply).await?;
                        failed = true;
                    }
                }
                prepared.insert(first, second);
            }
            b'B' => {
                bound = second;
                stream.write_all(&message(b'2', &[])).await.ok()?;
            }
            b'D' => {
                let statement = first.strip_prefix('S');
                let FakeReply::Rows(columns, _) = script(prepared.get(statement.unwrap_or(&bound))?) else {
                    return None;
                };
                if statement.is_some() {
                    stream.write_all(&message(b't', &[0, 0])).await.ok()?;
                }
                stream.write_all(&row_description(&columns)).await.ok()?;
            }
            b'E' => answer(&mut stream, &script(prepared.get(&bound)?)).await?,
            _ => stream.write_all(&message(b'3', &[])).await.ok()?,
        }
    }
}

/// The login, or a cancel, after which nothing follows.
async fn start(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), script: &Script) -> Option<()> {
    let startup = body(stream).await?;
    if startup.starts_with(&80_877_102_i32.to_be_bytes()) {
        script("CANCEL");
        return None;
    }
    let mut greeting = message(b'R', &[0; 4]);
    greeting.extend(message(b'S', b"server_version\x0018.1\0"));
    greeting.extend(message(b'K', &[0; 8]));
    greeting.extend(message(b'Z', b"I"));
    match script("LOGIN") {
        FakeReply::Rows(..) => stream.write_all(&greeting).await.ok(),
        reply => answer(stream, &reply).await,
    }
}

async fn body(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut body = vec![0; stream.read_u32().await.ok()? as usize - 4];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

fn row_description(columns: &[(&str, Type)]) -> Vec<u8> {
    let mut body = (columns.len() as u16).to_be_bytes().to_vec();
    for (name, kind) in columns {
        body.extend([name.as_bytes(), &[0; 7], &kind.oid().to_be_bytes(), &[0; 8]].concat());
    }
    message(b'T', &body)
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), reply: &FakeReply) -> Option<()> {
    match reply {
        FakeReply::Disconnect => None,
        FakeReply::Silence => std::future::pending().await,
        FakeReply::Error(fields) => {
            let fields = fields.iter().map(|(letter, text)| [&[*letter][..], text.as_bytes(), &[0]].concat());
            stream.write_all(&message(b'E', &[fields.collect::<Vec<_>>().concat(), vec![0]].concat())).await.ok()
        }
        FakeReply::Rows(_, rows) => {
            for row in rows {
                let mut body = (row.len() as u16).to_be_bytes().to_vec();
                for value in row {
                    body.extend(value.as_ref().map_or(-1, |value| value.len() as i32).to_be_bytes());
                    body.extend(value.iter().flatten());
                }
                stream.write_all(&message(b'D', &body)).await.ok()?;
            }
            stream.write_all(&message(b'C', b"SELECT\0")).await.ok()
        }
    }
}
