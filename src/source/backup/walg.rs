//! WAL-G: `backup-list --detail --json`, and `wal-show --detailed-json` for what is missing in the WAL.

use serde_json::Value;

use super::{
    archive::segment,
    found::{Done, Found, Stanza},
    json::Json,
    problem::{Problem, Why},
};

/// What it says of its backups, in the order of its storage. Without any, some versions say nothing at all.
///
/// # Errors
/// This is not what WAL-G says.
pub fn parse(bytes: &[u8]) -> Result<Found, Problem> {
    let mut json = Json::default();
    let nothing = bytes.iter().all(u8::is_ascii_whitespace);
    let document = if nothing { Value::Null } else { json.parse(bytes)? };
    let items = match &document {
        Value::Null => &[][..],
        Value::Array(items) => items.as_slice(),
        _ => return Err(Problem::new(Why::Garbage, "this is not what `wal-g backup-list --json` says: it is no list")),
    };
    let backups: Vec<Done> = items.iter().filter_map(|item| read(&mut json, item)).collect();
    if backups.is_empty() && !items.is_empty() {
        return Err(Problem::new(Why::Garbage, "this is not what `wal-g backup-list --json` says: no backup in it"));
    }
    let unread = items.len() - backups.len();
    let unknown =
        (unread > 0).then(|| format!("{unread} backups cannot be read: without a name, or a time of their end"));
    let stanza = Stanza { backups, partial: unread > 0, ..Stanza::default() };
    Ok(Found { stanzas: vec![stanza], odd: json.odd, unknown: unknown.into_iter().collect(), ..Found::default() })
}

/// A backup in the list is complete. Without details (`--detail` finds no metadata of very old ones) there is the time at
/// which it was stored: `time`, or `modified` since the storages can be several.
fn read(json: &mut Json, item: &Value) -> Option<Done> {
    let name = json.text(item, "backup_name");
    let name = json.or_odd(name)?;
    let end = ["finish_time", "time", "modified"].into_iter().find_map(|key| json.time(item, key));
    Some(Done {
        // base_<segment>_D_<segment of the one it builds on>
        kind: if name.contains("_D_") { "incr" } else { "full" }.to_owned(),
        start: json.time(item, "start_time"),
        end: json.or_odd(end)?,
        size: json.number(item, "uncompressed_size"),
        stored: json.number(item, "compressed_size"),
        error: None,
        system_identifier: json.digits(item, "system_identifier"),
        wal: json.text(item, "wal_file_name").or_else(|| name.get("base_".len()..)?.get(..24).map(str::to_owned)),
    })
}

/// Adds what is missing in the WAL since the newest backup began.
///
/// # Errors
/// This is not what WAL-G says.
pub fn add_wal(found: &mut Found, bytes: &[u8]) -> Result<(), Problem> {
    let mut json = Json::default();
    let nothing = bytes.iter().all(u8::is_ascii_whitespace);
    let document = if nothing { Value::Null } else { json.parse(bytes)? };
    let garbage =
        |what| Problem::new(Why::Garbage, format!("this is not what `wal-g wal-show --detailed-json` says: {what}"));
    let timelines = document.as_array().filter(|_| !nothing).ok_or_else(|| garbage("it is no list"))?;
    let mut missing = Vec::new();
    for timeline in timelines {
        // Without any, some versions write null.
        timeline.get("missing_segments").ok_or_else(|| garbage("a timeline without `missing_segments`"))?;
        let names = json.list(timeline, "missing_segments").iter();
        let segments: Option<Vec<_>> = names.map(|name| name.as_str().and_then(segment)).collect();
        missing.extend(segments.ok_or_else(|| garbage("a segment that is not called like one"))?);
    }
    if json.odd > 0 {
        return Err(garbage("`missing_segments` is no list"));
    }
    for stanza in &mut found.stanzas {
        let Some(newest) = stanza.newest() else { continue };
        if timelines.is_empty() {
            return Err(Problem::new(Why::Missing, "`wal-g wal-show` finds no WAL, though there are backups"));
        }
        let begin = newest.wal.as_deref().and_then(segment);
        let begin =
            begin.ok_or_else(|| Problem::new(Why::Garbage, "the newest backup does not say where its WAL begins"))?;
        stanza.gaps = Some(missing.iter().filter(|segment| **segment >= begin).count() as u64);
    }
    Ok(())
}
