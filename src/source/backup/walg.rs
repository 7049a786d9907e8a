//! Reads WAL-G's `backup-list --detail --json`, and `wal-show --detailed-json` for missing segments of WAL.

use serde_json::Value;

use crate::source::backup::archive::{Segment, segment};
use crate::source::backup::contents::{FinishedBackup, RepositoryContents, Stanza};
use crate::source::backup::json::JsonReader;
use crate::source::backup::problem::{BackupProblem, BackupReason};

const LIST: &str = "wal-g backup-list --json";
const SHOW: &str = "wal-g wal-show --detailed-json";

/// Reads the list of backups.
///
/// # Errors
/// The bytes are not the output of WAL-G.
pub fn parse(bytes: &[u8]) -> Result<RepositoryContents, BackupProblem> {
    let mut reader = JsonReader::default();
    // Some versions write nothing or `null` if there are no backups.
    let is_nothing = matches!(bytes.trim_ascii(), b"" | b"null");
    let document = reader.parse(if is_nothing { b"[]" } else { bytes })?;
    let list = reader.list(&document).ok_or_else(|| BackupProblem::not_output_of(LIST, "it is not a list"))?;
    let backups: Vec<_> = list.iter().filter_map(|json| backup(&mut reader, json)).collect();
    let unread = list.len() - backups.len();
    if backups.is_empty() && unread > 0 {
        return Err(BackupProblem::not_output_of(LIST, "there is no backup in it"));
    }
    let mut contents = RepositoryContents { malformed: reader.malformed, ..RepositoryContents::default() };
    if unread > 0 {
        contents.push_unknown(format!("{unread} backups have no name, or no time of their end"));
    }
    contents.push(Stanza { backups, partial: unread > 0, ..Stanza::default() });
    Ok(contents)
}

/// A listed backup is complete. Without details (`--detail` finds no metadata for very old ones) it has only the time
/// of storage: `time`, or `modified` in versions with several storages.
fn backup(reader: &mut JsonReader, json: &Value) -> Option<FinishedBackup> {
    let name = reader.text(&json["backup_name"]);
    let name = reader.required(name)?;
    let end = ["finish_time", "time", "modified"].into_iter().find_map(|key| reader.time(&json[key]));
    let wal_in_name = || name.get("base_".len()..)?.get(..24).map(str::to_owned);
    Some(FinishedBackup {
        // base_<segment>_D_<segment of the backup it builds on>
        kind: if name.contains("_D_") { "incr" } else { "full" }.to_owned(),
        start: reader.time(&json["start_time"]),
        end: reader.required(end)?,
        size: reader.number(&json["uncompressed_size"]),
        stored: reader.number(&json["compressed_size"]),
        error: None,
        wal: reader.text(&json["wal_file_name"]).or_else(wal_in_name),
        system_identifier: reader.digits(&json["system_identifier"]),
    })
}

/// Adds the number of WAL segments missing since the newest backup began.
///
/// # Errors
/// The bytes are not the output of WAL-G.
pub fn add_wal(contents: &mut RepositoryContents, bytes: &[u8]) -> Result<(), BackupProblem> {
    let document = JsonReader::default().parse(bytes)?;
    let garbage = |what| BackupProblem::not_output_of(SHOW, what);
    let timelines = document.as_array().ok_or_else(|| garbage("it is not a list"))?;
    let mut missing = Vec::new();
    for timeline in timelines {
        match timeline.get("missing_segments") {
            None => return Err(garbage("a timeline without `missing_segments`")),
            // Some versions write null instead of an empty list.
            Some(Value::Null) => (),
            Some(list) => {
                let list = segments(list);
                missing.extend(list.ok_or_else(|| garbage("`missing_segments` is not a list of segments"))?);
            }
        }
    }
    for stanza in &mut contents.stanzas {
        let Some(newest) = stanza.newest() else { continue };
        if timelines.is_empty() {
            return Err(BackupReason::Missing.because("`wal-g wal-show` finds no WAL, though there are backups"));
        }
        let begin = newest.wal_begin()?;
        stanza.gaps = Some(missing.iter().filter(|segment| **segment >= begin).count() as u64);
    }
    Ok(())
}

fn segments(json: &Value) -> Option<Vec<Segment>> {
    json.as_array()?.iter().map(|name| segment(name.as_str()?)).collect()
}
