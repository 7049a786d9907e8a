//! pgBackRest: `info --output=json`, of any version from 2.0 on. Before 2.32 there was one repository and it had no key.

use serde_json::Value;

use super::{
    found::{self, Done, Found, Stanza, flag, float},
    json::Json,
    problem::{Problem, Why},
};
use crate::{
    config::collector::SourceKind,
    table::{Cell, Table},
};

/// The kinds of backup, and which of them count when the last of a kind is looked for: a differential backup is
/// no older than the full one that was made after it. So pgbackrest_exporter has it.
const KINDS: [(&str, &[&str]); 3] =
    [("full", &["full"]), ("diff", &["full", "diff"]), ("incr", &["full", "diff", "incr"])];

/// What a repository may say of its backups: there are some (0) or none (2), there is no folder of the stanza (1), or nothing in it (3).
/// With any other status, as 99 where it could not be read, that it shows no backup does not mean that it has none.
const TOLD: [f64; 4] = [0.0, 1.0, 2.0, 3.0];

/// What pgBackRest calls the stanza where it was asked for none and could read none.
const INVALID: &str = "[invalid]";

/// A backup, and what only pgBackRest says of it.
struct Backup<'v> {
    done: Done,
    repo_key: String,
    info: &'v Value,
}

/// What it says. Where no stanza is there, there is one without backups, so that it can be seen.
///
/// # Errors
/// This is not what pgBackRest says.
pub fn parse(bytes: &[u8], repository: &str, stanza: Option<&str>) -> Result<Found, Problem> {
    let mut json = Json::default();
    let document = json.parse(bytes)?;
    let Some(items) = document.as_array() else {
        return Err(Problem::new(Why::Garbage, "this is not what `pgbackrest info --output=json` says: it is no list"));
    };
    let (mut found, mut nameless) = (Found::default(), 0);
    for item in items {
        let name = json.text(item, "name");
        let Some(name) = json.or_odd(name) else {
            nameless += 1;
            continue;
        };
        if stanza.is_none_or(|wanted| wanted == name || name == INVALID) {
            read(&mut json, item, &name, repository, &mut found);
        }
    }
    if found.stanzas.is_empty() && found.unknown.is_empty() {
        if nameless > 0 {
            let message = "this is not what `pgbackrest info --output=json` says: stanzas without a name";
            return Err(Problem::new(Why::Garbage, message));
        }
        found.stanzas.push(Stanza { name: stanza.unwrap_or_default().to_owned(), ..Stanza::default() });
    }
    found.odd = json.odd;
    Ok(found)
}

fn read(json: &mut Json, item: &Value, name: &str, repository: &str, found: &mut Found) {
    let list = item.get("backup").and_then(Value::as_array);
    let backups: Vec<Backup<'_>> = list.into_iter().flatten().filter_map(|backup| read_backup(json, backup)).collect();
    let unread = match list.map(|list| list.len() - backups.len()) {
        None => Some("there is no list of its backups".to_owned()),
        Some(0) => None,
        Some(some) => Some(format!("{some} backups cannot be read: without a type, or a time of their end")),
    };
    let is_partial = unread.is_some();
    found.unknown.extend(unread.map(|what| format!("stanza {name}: {what}")));
    let archives = json.list(item, "archive");
    for (key, told) in repos(json, item, name, repository, found) {
        let mut stanza = Stanza { name: name.to_owned(), repo_key: key.clone(), ..Stanza::default() };
        stanza.backups =
            backups.iter().filter(|backup| backup.repo_key == key).map(|backup| backup.done.clone()).collect();
        stanza.partial = is_partial || !told;
        if !told && stanza.backups.is_empty() {
            continue;
        }
        // A database that was upgraded has an archive for each version; the last is in use.
        let own = archives.iter().rfind(|archive| repo_key(json, archive) == key);
        stanza.archive = own.and_then(|archive| json.text(archive, "id")).map(|id| format!("{name}/{id}"));
        stanza.system_identifier = system_identifier(json, item, &key);
        found.stanzas.push(stanza);
    }
    push_stanza(json, item, name, repository, found);
    archives.iter().for_each(|archive| push_archive(json, archive, name, repository, found));
    KINDS.iter().for_each(|kind| push_last(json, &backups, kind, name, repository, found));
}

/// The keys of the stanza's repositories, and whether each tells of its backups. Old versions have one, which has no key.
fn repos(json: &mut Json, item: &Value, name: &str, repository: &str, found: &mut Found) -> Vec<(String, bool)> {
    let told = |json: &mut Json, of: &Value, found: &mut Found, what: &str| {
        let status = of.get("status").unwrap_or(&Value::Null);
        let code = json.number(status, "code");
        let is_told = code.is_some_and(|code| TOLD.contains(&code));
        if !is_told {
            let code = code.map_or("without a status".to_owned(), |code| format!("status {code}"));
            let message = json.text(status, "message").unwrap_or(code);
            found.unknown.push(format!("stanza {name}, {what}: {message}"));
        }
        is_told
    };
    let mut keys = Vec::new();
    for repo in json.list(item, "repo") {
        let key = json.text(repo, "key").unwrap_or_default();
        push_repo(json, repo, name, &key, repository, found);
        keys.push((key.clone(), told(json, repo, found, &format!("repository {key}"))));
    }
    if keys.is_empty() {
        keys.push(("1".to_owned(), told(json, item, found, "its repository")));
    }
    keys
}

/// Which server the stanza is of. An upgraded one has had several identifiers; the last is in use.
fn system_identifier(json: &mut Json, item: &Value, key: &str) -> Option<String> {
    let databases = json.list(item, "db");
    let is_of = |json: &mut Json, db: &Value| json.text(db, "repo-key").is_none_or(|own| own == key);
    let last = databases.iter().rfind(|db| is_of(json, db))?;
    json.digits(last, "system-id")
}

fn repo_key(json: &mut Json, of: &Value) -> String {
    of.get("database").and_then(|database| json.text(database, "repo-key")).unwrap_or_else(|| "1".to_owned())
}

fn read_backup<'v>(json: &mut Json, backup: &'v Value) -> Option<Backup<'v>> {
    let times = backup.get("timestamp").unwrap_or(&Value::Null);
    let end = json.time(times, "stop");
    let end = json.or_odd(end)?;
    let kind = json.text(backup, "type");
    let kind = json.or_odd(kind)?;
    let info = backup.get("info").unwrap_or(&Value::Null);
    let stored = info.get("repository").unwrap_or(&Value::Null);
    let done = Done {
        kind,
        start: json.time(times, "start"),
        end,
        size: json.number(info, "size"),
        stored: json.number(stored, "delta"),
        error: json.flag(backup, "error"),
        wal: backup.get("archive").and_then(|archive| json.text(archive, "start")),
        system_identifier: None,
    };
    Some(Backup { done, repo_key: repo_key(json, backup), info })
}

fn push_stanza(json: &mut Json, item: &Value, name: &str, repository: &str, found: &mut Found) {
    let status = item.get("status").unwrap_or(&Value::Null);
    let lock = |kind| status.get("lock").and_then(|lock| lock.get(kind)).unwrap_or(&Value::Null);
    let (backup, restore) = (lock("backup"), lock("restore"));
    let row = [
        Cell::Text(repository),
        Cell::Text(name),
        float(json.number(status, "code")),
        flag(json.flag(backup, "held")),
        float(json.number(backup, "size-cplt")),
        float(json.number(backup, "size")),
        flag(json.flag(restore, "held")),
    ];
    section(found, "pgbackrest_stanzas").push_row(row);
}

fn push_repo(json: &mut Json, repo: &Value, name: &str, key: &str, repository: &str, found: &mut Found) {
    let cipher = json.text(repo, "cipher").unwrap_or_default();
    let status = repo.get("status").and_then(|status| json.number(status, "code"));
    let row = [Cell::Text(repository), Cell::Text(name), Cell::Text(key), Cell::Text(&cipher), float(status)];
    section(found, "pgbackrest_repos").push_row(row);
}

fn push_archive(json: &mut Json, archive: &Value, name: &str, repository: &str, found: &mut Found) {
    let key = repo_key(json, archive);
    let id = archive.get("database").and_then(|database| json.text(database, "id")).unwrap_or_default();
    let version = json.text(archive, "id").unwrap_or_default();
    let has_wal = json.text(archive, "min").is_some() && json.text(archive, "max").is_some();
    section(found, "pgbackrest_archives").push_row([
        Cell::Text(repository),
        Cell::Text(name),
        Cell::Text(&key),
        Cell::Text(&id),
        Cell::Text(&version),
        Cell::Int(has_wal.into()),
    ]);
}

fn push_last(
    json: &mut Json,
    backups: &[Backup<'_>],
    (kind, counted): &(&str, &[&str]),
    name: &str,
    repository: &str,
    found: &mut Found,
) {
    let of_kind = backups.iter().filter(|backup| counted.contains(&backup.done.kind.as_str()));
    let Some(last) = of_kind.max_by(|one, two| one.done.end.total_cmp(&two.done.end)) else { return };
    let stored = last.info.get("repository").unwrap_or(&Value::Null);
    let map = json.number(stored, "size-map");
    section(found, "pgbackrest_last").push_row([
        Cell::Text(repository),
        Cell::Text(name),
        Cell::Text(kind),
        Cell::Text(if map.is_some() { "y" } else { "n" }),
        float(last.done.duration()),
        float(last.done.size),
        float(json.number(last.info, "delta")),
        float(json.number(stored, "size")),
        float(map),
        float(json.number(stored, "delta")),
        float(json.number(stored, "delta-map")),
        flag(last.done.error),
    ]);
}

fn section<'f>(found: &'f mut Found, name: &'static str) -> &'f mut Table {
    found.more.entry(name).or_insert_with(|| found::table(SourceKind::Backup, name))
}
