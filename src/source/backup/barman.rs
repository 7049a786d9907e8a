//! Reads Barman's `barman diagnose`, which describes all servers, their backups and their WAL at once.
//!
//! Before 2.19 it writes times without their time zone. The time in the document shows how far Barman's clock was from
//! UTC. A backup's id has the backup's beginning on Barman's clock, and so shows how far the server's time zone is from
//! Barman's.

use serde_json::Value;

use crate::source::backup::contents::{FinishedBackup, RepositoryContents, Stanza};
use crate::source::backup::json::JsonReader;
use crate::source::backup::problem::{BackupProblem, BackupReason};
use crate::source::backup::time;
use crate::truncate;

/// Time zones differ by multiples of a quarter of an hour.
const QUARTER: f64 = 900.0;

/// The largest difference between two time zones.
const APART: f64 = 26.0 * 3600.0;

/// Reads all active servers, or one of this name. `at`: when Barman wrote this, in Unix seconds.
///
/// # Errors
/// The bytes are not the output of Barman, or do not contain such a server.
pub fn parse(bytes: &[u8], server: Option<&str>, at: f64) -> Result<RepositoryContents, BackupProblem> {
    let (mut reader, mut contents) = (JsonReader::default(), RepositoryContents::default());
    let document = reader.parse(bytes)?;
    let servers = document["servers"].as_object();
    let servers = servers.ok_or_else(|| BackupProblem::not_output_of("barman diagnose", "it has no `servers`"))?;
    let clock = local_time(&document["global"]["system_info"]["timestamp"]);
    let ahead = clock.and_then(|clock| zones_between(clock, at));
    for (name, json) in servers {
        if server.map_or_else(|| is_active(json), |wanted| wanted == name) {
            let (stanza, unknown) = read_server(&mut reader, name, json, ahead);
            unknown.into_iter().for_each(|sentence| contents.push_unknown(sentence));
            contents.push(stanza);
        }
    }
    if contents.stanzas.is_empty() {
        let which = server.map_or("an active server".to_owned(), |name| format!("a server {name}"));
        let names: Vec<_> = servers.keys().map(String::as_str).collect();
        let message = format!("`barman diagnose` does not show {which}; servers in it: {}", names.join(", "));
        return Err(BackupReason::Missing.because(message));
    }
    contents.malformed += reader.malformed;
    Ok(contents)
}

/// `active = false` switches a server off, but `diagnose` still shows it. With `--show-config-source`, each setting is
/// a map of its value and its source.
fn is_active(server: &Value) -> bool {
    let active = &server["config"]["active"];
    active != &Value::Bool(false) && active["value"] != Value::Bool(false)
}

/// A time without its time zone, read as UTC.
fn local_time(json: &Value) -> Option<f64> {
    time::parse_local(json.as_str()?)
}

/// The difference of two clocks, if time zones can explain it.
fn zones_between(one: f64, other: f64) -> Option<f64> {
    Some(((one - other) / QUARTER).round() * QUARTER).filter(|seconds| seconds.abs() <= APART)
}

/// A server, and a sentence about missing knowledge. `ahead`: how many seconds Barman's clock was ahead of UTC, if it
/// writes times without their time zone.
fn read_server(reader: &mut JsonReader, name: &str, json: &Value, ahead: Option<f64>) -> (Stanza, Option<String>) {
    let name = &*truncate::label(name);
    let mut stanza = Stanza { name: name.to_owned(), archive: Some(format!("{name}/wals")), ..Stanza::default() };
    let (backups, mut unread) = (reader.map(&json["backups"]), 0);
    for (id, backup) in backups.into_iter().flatten() {
        let ahead = ahead.map(|ahead| ahead + server_ahead(id, backup));
        match backup["status"].as_str() {
            Some("DONE") => match finished(reader, backup, ahead) {
                Some(finished) => stanza.backups.push(finished),
                None => unread += 1,
            },
            Some("FAILED") => {
                let ends = ["end_time", "begin_time"];
                if let Some(end) = ends.into_iter().find_map(|key| reader.time_in(&backup[key], ahead)) {
                    stanza.push_failed(end);
                }
            }
            // Running, or finished without the WAL that makes it consistent.
            Some("EMPTY" | "STARTED" | "SYNCING" | "WAITING_FOR_WALS") => (),
            _ => {
                reader.malformed += 1;
                unread += 1;
            }
        }
    }
    let unknown = match (backups, unread) {
        (None, _) => Some("there is no list of its backups".to_owned()),
        (_, 0) => None,
        _ => Some(format!("{unread} backups have an unknown status, or no time with a time zone")),
    };
    let wals = reader.map(&json["wals"]["last_archived_wal_per_timeline"]);
    let times = wals.into_iter().flatten().filter_map(|(_, wal)| reader.time(&wal["time"]));
    stanza.archived = times.max_by(f64::total_cmp);
    stanza.partial = unknown.is_some();
    (stanza, unknown.map(|what| format!("server {name}: {what}")))
}

/// How many seconds the server's clock was ahead of Barman's: its times have no time zone, and a backup's id has
/// Barman's time.
fn server_ahead(id: &str, backup: &Value) -> f64 {
    let times = local_time(&backup["begin_time"]).zip(time::find_in_name(id, "%Y%m%dT%H%M%S"));
    times.and_then(|(begin, id)| zones_between(begin, id)).unwrap_or_default()
}

fn finished(reader: &mut JsonReader, json: &Value, ahead: Option<f64>) -> Option<FinishedBackup> {
    let start = reader.time_in(&json["begin_time"], ahead);
    let end = reader.time_in(&json["end_time"], ahead);
    let is_incremental = reader.text(&json["backup_type"]).is_some_and(|kind| kind.starts_with("incr"))
        || reader.text(&json["parent_backup_id"]).is_some();
    Some(FinishedBackup {
        kind: if is_incremental { "incr" } else { "full" }.to_owned(),
        start,
        end: reader.required(end)?,
        size: reader.number(&json["size"]),
        stored: reader.number(&json["deduplicated_size"]),
        error: None,
        wal: reader.text(&json["begin_wal"]),
        system_identifier: reader.digits(&json["systemid"]),
    })
}
