//! A server that speaks PostgreSQL's protocol well enough to be watched, and says whatever a test wants.

use std::{
    collections::HashMap,
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
};

use pgvigil::collector::{Rows, SourceKind, catalogue::Catalogue};

use crate::faults::liar::{AUTHENTICATED, READY, message};

const TEXT: u32 = 25;
const BOOL: u32 = 16;
const INT4: u32 = 23;
const INT8: u32 = 20;

/// A type that is not built in.
const OWN: u32 = 70_000;

/// The types of what the client asks of a type.
const OF_TYPES: [(&str, u32); 7] = [
    ("typname", 19),
    ("typtype", 18),
    ("typelem", 26),
    ("rngsubtype", 26),
    ("typbasetype", 26),
    ("nspname", 19),
    ("typrelid", 26),
];

/// What is said to the question of a collector.
pub struct Script {
    /// Databases beside `postgres`.
    pub databases: usize,
    /// What is said at a login instead of letting in: to the database, at the so-manieth connection.
    pub login: fn(&str, usize) -> Option<Vec<u8>>,
    /// The name of a database.
    pub database: fn(usize) -> String,
    pub rows: usize,
    /// Rows of a reading of statements, if they are others.
    pub statements: Option<usize>,
    /// Why databases let nobody in.
    pub closed: &'static str,
    /// What labels are of a type of the server's own: its kind, and the type that this one is made of.
    pub own_type: fn(u32) -> Option<(u8, u32)>,
    /// So many bytes are said to what nobody but a probe asks.
    pub others: usize,
    /// A label's value in this row, and another value.
    pub label: fn(usize) -> String,
    pub value: fn(usize) -> String,
    /// Name, version and schema of each.
    pub extensions: fn() -> Vec<[String; 3]>,
    /// More columns than were asked for.
    pub more_columns: fn() -> Vec<String>,
    /// What comes before the rows of each answer.
    pub before: fn() -> Vec<u8>,
    /// Instead of rows.
    pub instead: fn() -> Option<Vec<u8>>,
    /// After so many questions the session is closed; 0: never.
    pub patience: usize,
}

impl Script {
    /// One row for each question, and three databases.
    pub fn honest() -> Script {
        Script {
            databases: 3,
            login: |_, _| None,
            database: |nth| format!("db{nth}"),
            rows: 1,
            statements: None,
            closed: "",
            own_type: |_| None,
            others: 0,
            label: |row| format!("label{row}"),
            value: |row| row.to_string(),
            extensions: || vec![["pg_stat_statements", "1.12", "public"].map(str::to_owned)],
            more_columns: Vec::new,
            before: Vec::new,
            instead: || None,
            patience: 0,
        }
    }
}

/// Who plays it.
pub struct Actor {
    script: Script,
    /// By their SQL: the columns, and which of them are labels.
    questions: HashMap<String, Vec<(String, bool)>>,
    connections: AtomicUsize,
}

/// Columns with their types, and rows of cells, which are made when they are sent.
struct Answer<'a> {
    columns: Vec<(String, u32)>,
    rows: Box<dyn Iterator<Item = Vec<Vec<u8>>> + 'a>,
}

impl Actor {
    pub fn new(script: Script) -> Actor {
        let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
        let mut questions = HashMap::new();
        for collector in catalogue.collectors.iter().filter(|collector| collector.source.is_sql()) {
            for query in &collector.queries {
                let Rows::Sql(variants) = &query.rows else { continue };
                let is_label = |column: &str| match collector.source {
                    SourceKind::Statements => column == "datname",
                    _ => query.metrics.iter().any(|metric| query.labels_of(metric).iter().any(|label| label == column)),
                };
                let mut columns: Vec<_> = query.asked_columns(collector.source);
                columns.sort_unstable();
                columns.dedup();
                let columns: Vec<_> = columns.iter().map(|column| ((*column).to_owned(), is_label(column))).collect();
                for variant in variants {
                    questions.insert(variant.text.replace("@extschema@", "public"), columns.clone());
                }
            }
        }
        Actor { script, questions, connections: AtomicUsize::new(0) }
    }

    /// Plays to one connection, until it ends.
    pub fn play(&self, stream: &mut TcpStream) -> io::Result<()> {
        let nth = self.connections.fetch_add(1, Ordering::Relaxed);
        let database = startup(stream)?;
        if let Some(said) = (self.script.login)(&database, nth) {
            return stream.write_all(&said);
        }
        let version = message(b'S', b"server_version\x0018.1\0");
        stream.write_all(&[AUTHENTICATED, &version, READY].concat())?;
        let (mut statements, mut portal, mut out, mut asked) = (HashMap::new(), String::new(), Vec::new(), 0);
        // The one parameter that is ever sent is the number of a type.
        let mut number = 0;
        loop {
            let (kind, body) = hear(stream)?;
            let mut words = body.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
            let mut word = || words.next().unwrap_or_default();
            match kind {
                b'Q' => out.extend([message(b'C', b"SET\0"), READY.to_vec()].concat()),
                b'P' => {
                    let (name, sql) = (word(), word());
                    statements.insert(name, sql);
                    out.extend(message(b'1', &[]));
                }
                b'D' => {
                    let of_statement = body.first() == Some(&b'S');
                    let name = word()[1..].to_owned();
                    let sql = if of_statement { statements.get(&name).unwrap_or(&portal) } else { &portal };
                    if of_statement {
                        out.extend(parameters(sql));
                    }
                    out.extend(described(&self.answer(sql, number)));
                }
                b'B' => {
                    let (_, name) = (word(), word());
                    portal = statements.get(&name).cloned().unwrap_or_default();
                    number = parameter(&body);
                    out.extend(message(b'2', &[]));
                }
                b'E' => {
                    asked += 1;
                    out.extend((self.script.before)());
                    match (self.script.instead)().filter(|_| self.questions.contains_key(&portal)) {
                        Some(said) => out.extend(said),
                        None => push_rows(&mut out, self.answer(&portal, number)),
                    }
                }
                b'C' => out.extend(message(b'3', &[])),
                b'S' => out.extend(READY),
                b'X' => return Ok(()),
                _ => (),
            }
            if matches!(kind, b'Q' | b'S' | b'H') || out.len() > 1 << 20 {
                stream.write_all(&std::mem::take(&mut out))?;
            }
            if self.script.patience > 0 && asked >= self.script.patience {
                return Ok(());
            }
        }
    }

    /// The rows of a collector's question. Each label may be of a type of the server's own.
    fn rows<'a>(&'a self, columns: &'a [(String, bool)]) -> Answer<'a> {
        let script = &self.script;
        // As on an honest server, or nothing would be counted.
        let is_number = |name: &str| name == "dbid";
        let row = move |row: usize| {
            let cell = |(name, is_label): &(String, bool)| match is_number(name) {
                true => (row as i64).to_be_bytes().to_vec(),
                false => if *is_label { (script.label)(row) } else { (script.value)(row) }.into_bytes(),
            };
            columns.iter().map(cell).collect()
        };
        let of_label = if (script.own_type)(OWN).is_some() { OWN } else { TEXT };
        let kind = |(name, is_label): &(String, bool)| match (is_number(name), is_label) {
            (true, _) => INT8,
            (_, true) => of_label,
            _ => TEXT,
        };
        let mut all: Vec<_> = columns.iter().map(|column| (column.0.clone(), kind(column))).collect();
        all.extend((script.more_columns)().into_iter().map(|name| (name, TEXT)));
        let is_reading = columns.iter().any(|(name, _)| is_number(name));
        let rows = script.statements.filter(|_| is_reading).unwrap_or(script.rows);
        Answer { columns: all, rows: Box::new((0..rows).map(row)) }
    }

    fn answer(&self, sql: &str, number: u32) -> Answer<'_> {
        let script = &self.script;
        let text = |text: &str| text.as_bytes().to_vec();
        let of = |columns: &[(&str, u32)], rows: Vec<Vec<Vec<u8>>>| Answer {
            columns: columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect(),
            rows: Box::new(rows.into_iter()),
        };
        match self.questions.get(sql) {
            Some(columns) => self.rows(columns),
            None if sql.contains("server_version_num'), pg_catalog.pg_is_in_recovery") => of(
                &[("version", TEXT), ("replica", BOOL), ("monitor", BOOL), ("encoding", TEXT)],
                vec![vec![text("180001"), vec![0], vec![1], text("UTF8")]],
            ),
            None if sql.contains("pg_is_in_recovery() AS replica") => of(&[("replica", BOOL)], vec![vec![vec![0]]]),
            None if sql.contains("FROM pg_catalog.pg_extension") => of(
                &[("name", TEXT), ("version", TEXT), ("schema", TEXT)],
                (script.extensions)().iter().map(|row| row.iter().map(|word| text(word)).collect()).collect(),
            ),
            None if sql.contains("AS closed") => {
                let names = (0..script.databases).map(script.database).chain(["postgres".to_owned()]);
                let closed = script.closed;
                let row = |name: String| vec![text(&name), text(closed), (name.len() as u32).to_be_bytes().to_vec()];
                of(&[("datname", TEXT), ("closed", TEXT), ("bytes", INT4)], names.map(row).collect())
            }
            // That the session is ours alone.
            None if sql.contains("set_config") && sql.contains("WHERE") => of(&[("set", TEXT)], vec![vec![text("1")]]),
            None if sql.contains("FROM pg_catalog.pg_type t") => {
                let (kind, base) = (script.own_type)(number).unwrap_or((b'b', 0));
                let none = || vec![0; 4];
                let base = base.to_be_bytes().to_vec();
                of(&OF_TYPES, vec![vec![text("own"), vec![kind], none(), none(), base, text("public"), none()]])
            }
            None if sql.contains("FROM pg_catalog.pg_enum") => {
                of(&[("enumlabel", 19)], (0..100).map(|_| vec![vec![b'e'; 1 << 20]]).collect())
            }
            None if script.others > 0 => of(&[("other", TEXT)], vec![vec![vec![b'o'; script.others]]]),
            None => of(&[("nothing", TEXT)], vec![]),
        }
    }
}

fn startup(stream: &mut TcpStream) -> io::Result<String> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        let mut body = vec![0; length.checked_sub(4).filter(|length| *length < 10_000).ok_or(ErrorKind::InvalidData)?];
        stream.read_exact(&mut body)?;
        match body.get(..4) {
            // TLS and GSSAPI are declined.
            Some([0x04, 0xd2, 0x16, 0x2f | 0x30]) => stream.write_all(b"N")?,
            Some([0x04, 0xd2, 0x16, 0x2e]) => return Err(ErrorKind::ConnectionAborted.into()),
            _ => {
                let words: Vec<_> = body[4..].split(|byte| *byte == 0).collect();
                let at = words.iter().position(|word| *word == b"database");
                let database = at.and_then(|at| words.get(at + 1)).copied().unwrap_or_default();
                return Ok(String::from_utf8_lossy(database).into_owned());
            }
        }
    }
}

fn hear(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    let mut body = vec![0; length.checked_sub(4).filter(|length| *length < 1 << 20).ok_or(ErrorKind::InvalidData)?];
    stream.read_exact(&mut body)?;
    Ok((head[0], body))
}

/// The parameters of a statement: one, the number of a type, or none.
fn parameters(sql: &str) -> Vec<u8> {
    match sql.contains("$1") {
        true => message(b't', &[0, 1, 0, 0, 0, 26]),
        false => message(b't', &[0, 0]),
    }
}

/// The last parameter that is bound, before how answers are to be written; of none anything.
fn parameter(bound: &[u8]) -> u32 {
    let before = &bound[..bound.len().saturating_sub(4)];
    before.last_chunk().map_or(0, |number| u32::from_be_bytes(*number))
}

fn described(answer: &Answer) -> Vec<u8> {
    let mut body = (answer.columns.len() as u16).to_be_bytes().to_vec();
    for (name, kind) in &answer.columns {
        body.extend([name.as_bytes(), &[0; 7], &kind.to_be_bytes(), &[0xff; 6], &[0, 1]].concat());
    }
    message(b'T', &body)
}

fn push_rows(out: &mut Vec<u8>, answer: Answer) {
    for row in answer.rows {
        let mut body = (answer.columns.len() as u16).to_be_bytes().to_vec();
        for column in 0..answer.columns.len() {
            let cell = row.get(column).map_or(&[][..], Vec::as_slice);
            body.extend((cell.len() as u32).to_be_bytes());
            body.extend(cell);
        }
        out.extend(message(b'D', &body));
    }
    out.extend(message(b'C', b"SELECT 1\0"));
}

/// An error or a notice with these fields.
pub fn told(kind: u8, fields: &[(char, &str)]) -> Vec<u8> {
    let fields: String = fields.iter().map(|(field, text)| format!("{field}{text}\0")).collect();
    message(kind, format!("{fields}\0").as_bytes())
}
