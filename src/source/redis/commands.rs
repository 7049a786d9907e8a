//! Maps sections to the commands that return them, and turns the replies into tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::collector::sections::row::Section;
use crate::collector::{SourceKind, sections};
use crate::source::charset::utf8;
use crate::source::fetch::{FetchError, Reason};
use crate::source::redis::error;
use crate::source::redis::info::InfoReply;
use crate::source::redis::reply::Reply;
use crate::source::redis::session::RedisSession;
use crate::source::sections::Tables;
use crate::table::{Cell, Table};

/// A denied command is sent again after this long, so that it does not fill the server's log with denials.
const RETRY_DENIED: Duration = Duration::from_secs(300);

/// The maximum of rows that are read from an answer: there are about 20 kinds of events.
const MOST_ROWS: usize = 1000;

/// One command, or several of the same kind.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct RedisCommand {
    name: &'static str,
    /// The rule that an access control list needs to allow it.
    rule: &'static str,
    /// The commands to send, split into words.
    lines: &'static [&'static [&'static str]],
}

const INFO: &RedisCommand = &RedisCommand { name: "INFO", rule: "+info", lines: &[&["INFO", "ALL"]] };
const CONFIG: &RedisCommand = &RedisCommand {
    name: "CONFIG GET",
    rule: "+config|get",
    // Before Redis 7 it takes one name at a time.
    lines: &[
        &["CONFIG", "GET", "maxclients"],
        &["CONFIG", "GET", "maxmemory"],
        &["CONFIG", "GET", "io-threads"],
        &["CONFIG", "GET", "slowlog-log-slower-than"],
        &["CONFIG", "GET", "latency-monitor-threshold"],
    ],
};
const SLOWLOG: &RedisCommand =
    &RedisCommand { name: "SLOWLOG LEN", rule: "+slowlog|len", lines: &[&["SLOWLOG", "LEN"]] };
const LATENCY: &RedisCommand =
    &RedisCommand { name: "LATENCY LATEST", rule: "+latency|latest", lines: &[&["LATENCY", "LATEST"]] };
/// Sent only where INFO reports a cluster: elsewhere the server would count it as an error.
const CLUSTER: &RedisCommand =
    &RedisCommand { name: "CLUSTER INFO", rule: "+cluster|info", lines: &[&["CLUSTER", "INFO"]] };

type CommandReplies = BTreeMap<&'static RedisCommand, Result<Vec<Reply>, FetchError>>;

/// Fetches sections, and remembers what it learns about the server.
#[derive(Default)]
pub struct SectionReader {
    /// The server's version and role for people, once known.
    pub description: Mutex<Option<String>>,
    /// The commands that the session was denied: they are not sent again for a while.
    pub denied: Mutex<BTreeMap<&'static RedisCommand, (FetchError, Instant)>>,
}

impl RedisCommand {
    fn of(section: &str) -> &'static Self {
        match section {
            "config" => CONFIG,
            "slowlog" => SLOWLOG,
            "latency" => LATENCY,
            "cluster_info" => CLUSTER,
            _ => INFO,
        }
    }

    /// Returns its replies, or the first refusal among them.
    fn check(&self, replies: Vec<Reply>) -> Result<Vec<Reply>, FetchError> {
        let refusal = replies.iter().find_map(|reply| match reply {
            Reply::Error(message) => Some(error::of_command(message, self.name, self.rule)),
            _ => None,
        });
        refusal.map_or(Ok(replies), Err)
    }

    /// Returns its reply as text.
    fn text(&self, replies: &[Reply]) -> Result<String, FetchError> {
        match replies {
            [Reply::Text(bytes)] => Ok(utf8(bytes).into_owned()),
            _ => Err(FetchError::new(Reason::Query, format!("{}: the answer is not text", self.name))),
        }
    }
}

impl SectionReader {
    /// Fetches these sections in one round trip; a cluster's own sections take a second one.
    ///
    /// # Errors
    /// The connection failed, the server refuses everything, or it is still loading its data.
    pub async fn fetch(&self, session: &mut RedisSession, sections: &[&str]) -> Result<Tables, FetchError> {
        let mut wanted: BTreeSet<_> = sections.iter().map(|section| RedisCommand::of(section)).collect();
        let wants_cluster = wanted.remove(CLUSTER);
        if wants_cluster {
            wanted.insert(INFO);
        }
        let mut replies = self.send(session, &wanted).await?;
        let info = match replies.remove(INFO) {
            Some(replies) => replies.and_then(|replies| INFO.text(&replies)),
            None => Ok(String::new()),
        };
        let info = info.as_deref().map(InfoReply::new).map_err(Clone::clone);
        if wanted.contains(INFO)
            && let Ok(info) = &info
        {
            *self.description.lock() = Some(description(info));
            info.expect_loaded()?;
            if wants_cluster && info.get("cluster_enabled") == Some("1") {
                replies.extend(self.send(session, &BTreeSet::from([CLUSTER])).await?);
            }
        }
        Ok(sections.iter().map(|name| ((*name).to_owned(), table(name, &info, &replies).map(Arc::new))).collect())
    }

    async fn send(
        &self,
        session: &mut RedisSession,
        wanted: &BTreeSet<&'static RedisCommand>,
    ) -> Result<CommandReplies, FetchError> {
        self.denied.lock().retain(|_, (_, at)| at.elapsed() < RETRY_DENIED);
        let denied =
            |command: &&'static RedisCommand| Some((*command, Err(self.denied.lock().get(command)?.0.clone())));
        let mut replies: CommandReplies = wanted.iter().filter_map(denied).collect();
        let allowed: Vec<_> = wanted.iter().copied().filter(|command| !replies.contains_key(command)).collect();
        let mut lines: Vec<&[&str]> = allowed.iter().flat_map(|command| command.lines).copied().collect();
        // Without any command we would not learn whether the server is up.
        if lines.is_empty() {
            lines.push(&["PING"]);
        }
        let mut values = session.ask(&lines).await?.into_iter();
        for command in allowed {
            let reply = command.check(values.by_ref().take(command.lines.len()).collect());
            if let Err(error) = &reply
                && error.reason == Reason::Privilege
            {
                self.denied.lock().insert(command, (error.clone(), Instant::now()));
            }
            replies.insert(command, reply);
        }
        Ok(replies)
    }
}

/// Describes the server for people.
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

/// One section; it has no rows where the server has nothing of the kind.
fn table(name: &str, info: &Result<InfoReply<'_>, FetchError>, replies: &CommandReplies) -> Result<Table, FetchError> {
    let unknown = || FetchError::new(Reason::Undefined, "there is no such section");
    let section = sections::section(SourceKind::Redis, name).ok_or_else(unknown)?;
    let command = RedisCommand::of(name);
    let Some(replies) = replies.get(command) else {
        // CLUSTER INFO was not sent to a server that is not a cluster.
        let table = |info: &InfoReply<'_>| if command == INFO { info.table(section) } else { Table::default() };
        return info.as_ref().map(table).map_err(Clone::clone);
    };
    let replies = replies.as_ref().map_err(Clone::clone)?;
    Ok(if command == CLUSTER {
        InfoReply::new(&command.text(replies)?).fields("")
    } else if command == CONFIG {
        config(section, replies)
    } else {
        numbers(section, replies)
    })
}

/// One row: each answer is a name and a value, or empty where the server does not know the name.
fn config(section: &Section, answers: &[Reply]) -> Table {
    let values: BTreeMap<_, _> = answers.iter().filter_map(pair).collect();
    let mut table = Table::new(section.columns.iter().copied());
    for column in section.columns {
        // -1 disables a threshold.
        table.push(values.get(*column).filter(|value| *value != "-1").into());
    }
    table
}

/// The name, as a column is named, and the value.
fn pair(answer: &Reply) -> Option<(String, String)> {
    let Reply::List(values) = answer else { return None };
    let [Reply::Text(name), Reply::Text(value)] = values.as_slice() else { return None };
    Some((utf8(name).replace('-', "_"), utf8(value).into_owned()))
}

/// Each integer is a row, and so is each list within a list; values beyond the columns are dropped.
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
