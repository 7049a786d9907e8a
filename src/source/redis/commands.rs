//! Which commands give which sections, and how their replies become tables.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    collector::{SourceKind, sections, sections::row::Section},
    source::{
        charset::utf8,
        fetch::{FetchError, Reason},
        pending_login::LoginOutcome,
        redis::{error, info::InfoReply, reply::Reply, session::RedisSession},
        sections::Tables,
    },
    table::{Cell, Table},
};

/// A denied command is sent again after this long: we must not fill the server's log of denials.
const RETRY_DENIED: Duration = Duration::from_secs(300);

/// The most rows of an answer that are read: there are about 20 kinds of events.
const MOST_ROWS: usize = 1000;

/// Before Redis 7 it takes one name at a time.
const CONFIG: &[&[&str]] = &[
    &["CONFIG", "GET", "maxclients"],
    &["CONFIG", "GET", "maxmemory"],
    &["CONFIG", "GET", "io-threads"],
    &["CONFIG", "GET", "slowlog-log-slower-than"],
    &["CONFIG", "GET", "latency-monitor-threshold"],
];

/// One command, or a few of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RedisCommand {
    Info,
    Config,
    Slowlog,
    Latency,
    /// Sent only where INFO reports a cluster: elsewhere it would count as an error.
    Cluster,
}

/// How a command is sent.
struct CommandSpec {
    name: &'static str,
    /// The rule of an access control list that allows it.
    rule: &'static str,
    commands: &'static [&'static [&'static str]],
}

type CommandReplies = BTreeMap<RedisCommand, Result<Vec<Reply>, FetchError>>;

/// A session on which sections are fetched.
pub struct SectionSession {
    session: RedisSession,
    /// What it was not allowed: not asked again for a while.
    denied: BTreeMap<RedisCommand, (FetchError, Instant)>,
    description: ServerDescription,
}

/// For people: what the server is, once it has told.
pub type ServerDescription = Arc<Mutex<Option<String>>>;

impl RedisCommand {
    fn of(section: &str) -> Self {
        match section {
            "config" => RedisCommand::Config,
            "slowlog" => RedisCommand::Slowlog,
            "latency" => RedisCommand::Latency,
            "cluster_info" => RedisCommand::Cluster,
            _ => RedisCommand::Info,
        }
    }

    fn spec(self) -> CommandSpec {
        let spec = |name, rule, commands| CommandSpec { name, rule, commands };
        match self {
            RedisCommand::Info => spec("INFO", "+info", &[&["INFO", "ALL"]]),
            RedisCommand::Config => spec("CONFIG GET", "+config|get", CONFIG),
            RedisCommand::Slowlog => spec("SLOWLOG LEN", "+slowlog|len", &[&["SLOWLOG", "LEN"]]),
            RedisCommand::Latency => spec("LATENCY LATEST", "+latency|latest", &[&["LATENCY", "LATEST"]]),
            RedisCommand::Cluster => spec("CLUSTER INFO", "+cluster|info", &[&["CLUSTER", "INFO"]]),
        }
    }

    /// Its answers; the first that is refused stands for all.
    fn answered(self, values: Vec<Reply>) -> Result<Vec<Reply>, FetchError> {
        let refused = values.iter().find_map(|value| match value {
            Reply::Error(message) => Some(error::of_command(message, self.spec().name, self.spec().rule)),
            _ => None,
        });
        refused.map_or(Ok(values), Err)
    }
}

impl LoginOutcome for SectionSession {
    fn is_closed(&self) -> bool {
        self.session.is_closed()
    }
}

impl SectionSession {
    pub fn new(session: RedisSession, description: ServerDescription) -> Self {
        SectionSession { session, denied: BTreeMap::new(), description }
    }

    /// Fetches these sections, in one round trip; in a second what only a cluster has.
    ///
    /// # Errors
    /// The connection failed, the server refuses everything, or it is still loading its data.
    pub async fn fetch(&mut self, sections: &[&str]) -> Result<Tables, FetchError> {
        let mut wanted: Vec<_> = sections.iter().map(|section| RedisCommand::of(section)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let wants_cluster = wanted.last() == Some(&RedisCommand::Cluster);
        wanted.retain(|command| *command != RedisCommand::Cluster);
        if wants_cluster && wanted.first() != Some(&RedisCommand::Info) {
            wanted.insert(0, RedisCommand::Info);
        }
        let mut answers = self.answers(&wanted).await?;
        let reply = answers
            .remove(&RedisCommand::Info)
            .map(|answer| answer.and_then(|values| text(RedisCommand::Info, &values)));
        let info = reply.as_ref().map(|text| text.as_deref().map(InfoReply::new).map_err(Clone::clone));
        if let Some(Ok(info)) = &info {
            *self.description.lock() = Some(description(info));
            info.expect_loaded()?;
            if wants_cluster && info.get("cluster_enabled") == Some("1") {
                answers.extend(self.answers(&[RedisCommand::Cluster]).await?);
            }
        }
        let info = info.unwrap_or_else(|| Ok(InfoReply::new("")));
        Ok(sections.iter().map(|name| ((*name).to_owned(), table(name, &info, &answers).map(Arc::new))).collect())
    }

    async fn answers(&mut self, wanted: &[RedisCommand]) -> Result<CommandReplies, FetchError> {
        self.denied.retain(|_, (_, at)| at.elapsed() < RETRY_DENIED);
        let mut answers = CommandReplies::new();
        let mut commands: Vec<&[&str]> = Vec::new();
        for command in wanted {
            match self.denied.get(command) {
                Some((error, _)) => _ = answers.insert(*command, Err(error.clone())),
                None => commands.extend(command.spec().commands),
            }
        }
        // Without any command it would stay unknown whether the server is there.
        if commands.is_empty() {
            commands.push(&["PING"]);
        }
        let mut values = self.session.ask(&commands).await?.into_iter();
        for command in wanted.iter().filter(|command| !self.denied.contains_key(command)) {
            let values: Vec<_> = values.by_ref().take(command.spec().commands.len()).collect();
            answers.insert(*command, command.answered(values));
        }
        let denied = |(command, answer): (&RedisCommand, &Result<_, FetchError>)| match answer {
            Err(error) if error.reason == Reason::Privilege => Some((*command, error.clone())),
            _ => None,
        };
        for (command, error) in answers.iter().filter_map(denied) {
            self.denied.entry(command).or_insert((error, Instant::now()));
        }
        Ok(answers)
    }
}

/// For people: what the server is.
fn description(info: &InfoReply<'_>) -> String {
    let product = match info.get("valkey_version") {
        Some(version) => format!("Valkey {version}"),
        None => format!("Redis {}", info.get("redis_version").unwrap_or("of an unknown version")),
    };
    let role = match info.get("role") {
        Some("slave") => "replica",
        Some("master") => "primary",
        _ => info.get("redis_mode").unwrap_or("of an unknown role"),
    };
    let cluster = if info.get("cluster_enabled") == Some("1") { ", cluster" } else { "" };
    format!("{product}, {role}{cluster}")
}

/// One section; without rows where there is nothing of the kind.
fn table(name: &str, info: &Result<InfoReply<'_>, FetchError>, answers: &CommandReplies) -> Result<Table, FetchError> {
    let unknown = || FetchError::new(Reason::Undefined, "there is no such section");
    let section = sections::section(SourceKind::Redis, name).ok_or_else(unknown)?;
    let command = RedisCommand::of(name);
    if command == RedisCommand::Info {
        return info.as_ref().map(|info| info.table(section)).map_err(Clone::clone);
    }
    let Some(answer) = answers.get(&command) else {
        // The server is not a cluster, unless that is unknown.
        return info.as_ref().map(|_| Table::default()).map_err(Clone::clone);
    };
    let values = answer.as_ref().map_err(Clone::clone)?;
    match command {
        RedisCommand::Cluster => text(command, values).map(|text| InfoReply::new(&text).fields("")),
        RedisCommand::Config => Ok(config(section, values)),
        _ => Ok(numbers(section, values)),
    }
}

/// The reply to a command, as a text.
fn text(command: RedisCommand, values: &[Reply]) -> Result<String, FetchError> {
    match values {
        [Reply::Text(bytes)] => Ok(utf8(bytes).into_owned()),
        _ => Err(FetchError::new(Reason::Query, format!("{}: the answer is not a text", command.spec().name))),
    }
}

/// One row: each answer is a name and a value, or nothing where the server does not know the name.
fn config(section: &Section, answers: &[Reply]) -> Table {
    let pairs: Vec<_> = answers.iter().filter_map(pair).collect();
    let value = |column: &str| pairs.iter().find(|(name, _)| name == column);
    let mut table = Table::new(section.columns.iter().copied());
    for column in section.columns {
        // -1 switches off what has a threshold.
        let value = value(column).map(|(_, value)| value.as_str()).filter(|value| *value != "-1");
        table.push(value.map_or(Cell::Absent, Cell::Text));
    }
    table
}

/// The name as a column is called.
fn pair(answer: &Reply) -> Option<(String, String)> {
    let Reply::List(values) = answer else { return None };
    let [Reply::Text(name), Reply::Text(value)] = values.as_slice() else { return None };
    Some((utf8(name).replace('-', "_"), utf8(value).into_owned()))
}

/// An integer is a row, and so is each list within a list; values beyond the columns are left out.
fn numbers(section: &Section, answers: &[Reply]) -> Table {
    let mut table = Table::new(section.columns.iter().copied());
    let rows = answers.iter().flat_map(|answer| match answer {
        Reply::List(rows) => rows.as_slice(),
        row => std::slice::from_ref(row),
    });
    for row in rows.take(MOST_ROWS) {
        let values = match row {
            Reply::List(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for column in 0..section.columns.len() {
            match values.get(column) {
                Some(Reply::Int(value)) => table.push(Cell::Int(*value)),
                Some(Reply::Text(bytes)) => table.push(Cell::Text(&utf8(bytes))),
                _ => table.push(Cell::Absent),
            }
        }
    }
    table
}
