//! Barman: `barman diagnose`, which tells of all servers, their backups and their WAL at once.
//!
//! Before 2.19 it writes times without their zone. How far its own clock was from UTC is seen by the time that it wrote into the
//! document; that of the server, by the backup's id, which has the time on Barman's clock when it began.

use serde_json::Value;

use super::{
    found::{Done, Found, Stanza},
    json::Json,
    problem::{Problem, Why},
    time,
};

/// Zones differ by quarters of an hour.
const QUARTER: f64 = 900.0;

/// No two zones are farther apart.
const APART: f64 = 26.0 * 3600.0;

/// What it says of all servers that are active, or of one. `at`: when it said so, in Unix seconds.
///
/// # Errors
/// This is not what Barman says, or it tells of no such server.
pub fn parse(bytes: &[u8], server: Option<&str>, at: f64) -> Result<Found, Problem> {
    let mut json = Json::default();
    let document = json.parse(bytes)?;
    let Some(servers) = document.get("servers").and_then(Value::as_object) else {
        return Err(Problem::new(Why::Garbage, "this is not what `barman diagnose` says: no `servers` in it"));
    };
    let ahead = ahead(&document, at);
    let mut found = Found::default();
    for (name, item) in servers {
        if server.map_or_else(|| is_active(item), |wanted| wanted == name) {
            read(&mut json, name, item, ahead, &mut found);
        }
    }
    if found.stanzas.is_empty() {
        let which = server.map_or("an active server".to_owned(), |name| format!("a server {name}"));
        let names: Vec<_> = servers.keys().map(String::as_str).collect();
        let message = format!("`barman diagnose` does not tell of {which}; servers in it: {}", names.join(", "));
        return Err(Problem::new(Why::Missing, message));
    }
    found.odd = json.odd;
    Ok(found)
}

/// Servers are switched off by `active = false`; `diagnose` tells of them too.
fn is_active(item: &Value) -> bool {
    let active = item.get("config").and_then(|config| config.get("active"));
    // With `--show-config-source`, each setting has its value and its source.
    active.and_then(|active| active.get("value").or(Some(active))?.as_bool()).unwrap_or(true)
}

/// How many seconds Barman's clock was ahead of UTC, if it writes times without their zone.
fn ahead(document: &Value, at: f64) -> Option<f64> {
    let info = document.get("global").and_then(|global| global.get("system_info"));
    let wrote = time::on_the_wall(info?.get("timestamp")?.as_str()?)?;
    apart(wrote, at)
}

/// How far one clock is ahead of the other, if that can come from their zones.
fn apart(one: f64, other: f64) -> Option<f64> {
    Some(((one - other) / QUARTER).round() * QUARTER).filter(|seconds| seconds.abs() <= APART)
}

fn read(json: &mut Json, name: &str, item: &Value, ahead: Option<f64>, found: &mut Found) {
    let mut stanza = Stanza { name: name.to_owned(), archive: Some(format!("{name}/wals")), ..Stanza::default() };
    let backups = item.get("backups").and_then(Value::as_object);
    let mut unread = 0;
    for (id, backup) in backups.into_iter().flatten() {
        let zone = zone(id, backup, ahead);
        match backup.get("status").and_then(Value::as_str) {
            Some("DONE") => match read_backup(json, backup, zone) {
                Some(done) => stanza.backups.push(done),
                None => unread += 1,
            },
            Some("FAILED") => {
                let mut at = |key| json.time_as(backup, key, |text| read_time(text, zone));
                let ended = at("end_time").or_else(|| at("begin_time"));
                stanza.failed = stanza.failed.into_iter().chain(ended).max_by(f64::total_cmp);
            }
            // Under way, or complete and without the WAL that makes it consistent.
            Some("EMPTY" | "STARTED" | "SYNCING" | "WAITING_FOR_WALS") => {}
            _ => {
                json.odd += 1;
                unread += 1;
            }
        }
    }
    if backups.is_none() {
        found.unknown.push(format!("server {name}: there is no list of its backups"));
    } else if unread > 0 {
        found
            .unknown
            .push(format!("server {name}: {unread} backups cannot be read: an unknown status, or no time with a zone"));
    }
    let wals = item.get("wals").and_then(|wals| wals.get("last_archived_wal_per_timeline")).and_then(Value::as_object);
    let times = wals.into_iter().flat_map(|wals| wals.values()).filter_map(|wal| json.time(wal, "time"));
    stanza.archived = times.max_by(f64::total_cmp);
    stanza.partial = unread > 0 || backups.is_none();
    found.stanzas.push(stanza);
}

fn read_backup(json: &mut Json, backup: &Value, zone: Option<f64>) -> Option<Done> {
    let mut at = |key| json.time_as(backup, key, |text| read_time(text, zone));
    let (start, end) = (at("begin_time"), at("end_time"));
    let is_incremental = json.text(backup, "backup_type").is_some_and(|kind| kind.starts_with("incr"))
        || json.text(backup, "parent_backup_id").is_some();
    Some(Done {
        kind: if is_incremental { "incr" } else { "full" }.to_owned(),
        start,
        end: json.or_odd(end)?,
        size: json.number(backup, "size"),
        stored: json.number(backup, "deduplicated_size"),
        error: None,
        wal: json.text(backup, "begin_wal"),
        system_identifier: json.digits(backup, "systemid"),
    })
}

fn read_time(text: &str, zone: Option<f64>) -> Option<f64> {
    time::parse(text).or_else(|| Some(time::on_the_wall(text)? - zone?))
}

/// How far a backup's times are ahead of UTC, where they do not say it: they are those of the server's time zone.
fn zone(id: &str, backup: &Value, ahead: Option<f64>) -> Option<f64> {
    let began = backup.get("begin_time").and_then(Value::as_str).and_then(time::on_the_wall);
    let more = began.zip(time::find(id, "%Y%m%dT%H%M%S")).and_then(|(began, id)| apart(began, id));
    Some(ahead? + more.unwrap_or_default())
}
