//! WAL-G: `backup-list --detail --json`, and `wal-show --detailed-json` for what is missing in the WAL.

use serde::Deserialize;

use crate::source::backup::{
    archive::segment,
    json,
    json::{Digits, Lenient, LenientList, LenientNumber, Malformed, Text, Time},
    problem::{BackupProblem, BackupReason},
    tool_tables::{FinishedBackup, RepositoryContents, Stanza},
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct WalGBackup {
    backup_name: Lenient<Text>,
    start_time: Lenient<Time>,
    finish_time: Lenient<Time>,
    time: Lenient<Time>,
    modified: Lenient<Time>,
    uncompressed_size: Lenient<LenientNumber>,
    compressed_size: Lenient<LenientNumber>,
    wal_file_name: Lenient<Text>,
    system_identifier: Lenient<Digits>,
}

#[derive(Deserialize)]
struct Timeline {
    missing_segments: LenientList<Text>,
}

/// What it says of its backups, in the order of its storage. Without any, some versions say nothing at all.
///
/// # Errors
/// This is not what WAL-G says.
pub fn parse(bytes: &[u8]) -> Result<RepositoryContents, BackupProblem> {
    let mut odd = Malformed::default();
    let nothing = bytes.iter().all(u8::is_ascii_whitespace);
    let said: LenientList<WalGBackup> = if nothing { LenientList::default() } else { json::parse(bytes, &mut odd)? };
    let garbage = |what| {
        BackupProblem::new(BackupReason::Garbage, format!("this is not what `wal-g backup-list --json` says: {what}"))
    };
    if !said.is_there && said.odd > 0 {
        return Err(garbage("it is not a list"));
    }
    let backups: Vec<FinishedBackup> = odd.list(&said).iter().filter_map(|item| read(&mut odd, item)).collect();
    let unread = said.odd + said.items.len() - backups.len();
    if backups.is_empty() && unread > 0 {
        return Err(garbage("no backup in it"));
    }
    let unknown =
        (unread > 0).then(|| format!("{unread} backups cannot be read: without a name, or a time of their end"));
    let stanza = Stanza { backups, partial: unread > 0, ..Stanza::default() };
    Ok(RepositoryContents {
        stanzas: vec![stanza],
        odd: odd.0,
        unknown: unknown.into_iter().collect(),
        ..RepositoryContents::default()
    })
}

/// A backup in the list is complete. Without details (`--detail` finds no metadata of very old ones) there is the time at
/// which it was stored: `time`, or `modified` since the storages can be several.
fn read(odd: &mut Malformed, item: &WalGBackup) -> Option<FinishedBackup> {
    let name = odd.text(&item.backup_name);
    let name = odd.needed(name)?;
    let end = [&item.finish_time, &item.time, &item.modified].into_iter().find_map(|time| odd.time(time));
    Some(FinishedBackup {
        // base_<segment>_D_<segment of the one it builds on>
        kind: if name.contains("_D_") { "incr" } else { "full" }.to_owned(),
        start: odd.time(&item.start_time),
        end: odd.needed(end)?,
        size: odd.number(&item.uncompressed_size),
        stored: odd.number(&item.compressed_size),
        error: None,
        system_identifier: odd.digits(&item.system_identifier),
        wal: odd.text(&item.wal_file_name).or_else(|| name.get("base_".len()..)?.get(..24).map(str::to_owned)),
    })
}

/// Adds what is missing in the WAL since the newest backup began.
///
/// # Errors
/// This is not what WAL-G says.
pub fn add_wal(found: &mut RepositoryContents, bytes: &[u8]) -> Result<(), BackupProblem> {
    let nothing = bytes.iter().all(u8::is_ascii_whitespace);
    let timelines: LenientList<Timeline> =
        if nothing { LenientList::default() } else { json::parse(bytes, &mut Malformed::default())? };
    let garbage = |what| {
        BackupProblem::new(
            BackupReason::Garbage,
            format!("this is not what `wal-g wal-show --detailed-json` says: {what}"),
        )
    };
    if !timelines.is_there {
        return Err(garbage("it is not a list"));
    }
    if timelines.odd > 0 {
        return Err(garbage("a timeline without `missing_segments`"));
    }
    let mut missing = Vec::new();
    for Timeline { missing_segments } in &timelines.items {
        // Without any, some versions write null.
        let segments: Option<Vec<_>> = missing_segments.items.iter().map(|Text(name)| segment(name)).collect();
        let segments = segments.filter(|_| missing_segments.odd == 0);
        missing.extend(segments.ok_or_else(|| garbage("`missing_segments` is not a list of segments"))?);
    }
    for stanza in &mut found.stanzas {
        let Some(newest) = stanza.newest() else { continue };
        if timelines.items.is_empty() {
            return Err(BackupProblem::new(
                BackupReason::Missing,
                "`wal-g wal-show` finds no WAL, though there are backups",
            ));
        }
        let begin = newest.wal.as_deref().and_then(segment);
        let begin = begin.ok_or_else(|| {
            BackupProblem::new(BackupReason::Garbage, "the newest backup does not say where its WAL begins")
        })?;
        stanza.gaps = Some(missing.iter().filter(|segment| **segment >= begin).count() as u64);
    }
    Ok(())
}
