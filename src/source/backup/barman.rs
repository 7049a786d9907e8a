//! Barman: `barman diagnose`, which tells of all servers, their backups and their WAL at once.

use serde_json::Value;

use super::{
    found::{Done, Found, Stanza},
    json::Json,
    problem::{Problem, Why},
};

/// What it says of all servers, or of one.
///
/// # Errors
/// This is not what Barman says.
pub fn parse(bytes: &[u8], server: Option<&str>) -> Result<Found, Problem> {
    let mut json = Json::default();
    let document = json.parse(bytes)?;
    let Some(servers) = document.get("servers").and_then(Value::as_object) else {
        return Err(Problem::new(Why::Garbage, "this is not what `barman diagnose` says: no `servers` in it"));
    };
    let mut found = Found::default();
    for (name, item) in servers.iter().filter(|(name, _)| server.is_none_or(|wanted| wanted == *name)) {
        found.stanzas.push(read(&mut json, name, item));
    }
    if found.stanzas.is_empty() {
        found.stanzas.push(Stanza { name: server.unwrap_or_default().to_owned(), ..Stanza::default() });
    }
    found.odd = json.odd;
    Ok(found)
}

fn read(json: &mut Json, name: &str, item: &Value) -> Stanza {
    let mut stanza = Stanza { name: name.to_owned(), archive: Some(format!("{name}/wals")), ..Stanza::default() };
    let backups = item.get("backups").and_then(Value::as_object);
    for backup in backups.into_iter().flat_map(|backups| backups.values()) {
        match backup.get("status").and_then(Value::as_str) {
            Some("DONE") => stanza.backups.extend(read_backup(json, backup)),
            Some("FAILED") => {
                let ended = json.time(backup, "end_time").or_else(|| json.time(backup, "begin_time"));
                stanza.failed = stanza.failed.into_iter().chain(ended).max_by(f64::total_cmp);
            }
            // Under way, or complete and without the WAL that makes it consistent.
            Some("EMPTY" | "STARTED" | "SYNCING" | "WAITING_FOR_WALS") => {}
            _ => json.odd += 1,
        }
    }
    let wals = item.get("wals").and_then(|wals| wals.get("last_archived_wal_per_timeline")).and_then(Value::as_object);
    let times = wals.into_iter().flat_map(|wals| wals.values()).filter_map(|wal| json.time(wal, "time"));
    stanza.archived = times.max_by(f64::total_cmp);
    stanza
}

fn read_backup(json: &mut Json, backup: &Value) -> Option<Done> {
    let end = json.time(backup, "end_time");
    let is_incremental = json.text(backup, "backup_type").is_some_and(|kind| kind.starts_with("incr"))
        || json.text(backup, "parent_backup_id").is_some();
    Some(Done {
        kind: if is_incremental { "incr" } else { "full" }.to_owned(),
        start: json.time(backup, "begin_time"),
        end: json.or_odd(end)?,
        size: json.number(backup, "size"),
        stored: json.number(backup, "deduplicated_size"),
        error: None,
        wal: json.text(backup, "begin_wal"),
    })
}
