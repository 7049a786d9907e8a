//! Barman: `barman diagnose`, which tells of all servers, their backups and their WAL at once.
//!
//! Before 2.19 it writes times without their zone. How far its own clock was from UTC is seen by the time that it wrote into the
//! document; that of the server, by the backup's id, which has the time on Barman's clock when it began.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    source::backup::{
        json,
        json::{Digits, Lenient, LenientNumber, Malformed, Text, Time},
        problem::{BackupProblem, BackupReason},
        time,
        tool_tables::{FinishedBackup, RepositoryContents, Stanza},
    },
    truncate,
};

/// Zones differ by quarters of an hour.
const QUARTER: f64 = 900.0;

/// No two zones are farther apart.
const APART: f64 = 26.0 * 3600.0;

#[derive(Default, Deserialize)]
#[serde(default)]
struct BarmanDiagnose {
    #[serde(deserialize_with = "json::map")]
    global: Global,
    servers: Lenient<BTreeMap<String, Lenient<BarmanServer>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Global {
    #[serde(deserialize_with = "json::map")]
    system_info: SystemInfo,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SystemInfo {
    /// When it said so.
    timestamp: Lenient<Time>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BarmanServer {
    #[serde(deserialize_with = "json::map")]
    config: Config,
    backups: Lenient<BTreeMap<String, Lenient<BarmanBackup>>>,
    #[serde(deserialize_with = "json::map")]
    wals: Wals,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    active: Lenient<Active>,
}

/// With `--show-config-source`, each setting has its value and its source.
#[derive(Deserialize)]
#[serde(untagged)]
enum Active {
    Plain(bool),
    Sourced { value: bool },
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BarmanBackup {
    status: Lenient<Text>,
    begin_time: Lenient<Time>,
    end_time: Lenient<Time>,
    backup_type: Lenient<Text>,
    parent_backup_id: Lenient<Text>,
    size: Lenient<LenientNumber>,
    deduplicated_size: Lenient<LenientNumber>,
    begin_wal: Lenient<Text>,
    systemid: Lenient<Digits>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wals {
    #[serde(deserialize_with = "json::map")]
    last_archived_wal_per_timeline: BTreeMap<String, Lenient<Wal>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wal {
    time: Lenient<Time>,
}

/// What it says of all servers that are active, or of one. `at`: when it said so, in Unix seconds.
///
/// # Errors
/// This is not what Barman says, or it tells of no such server.
pub fn parse(bytes: &[u8], server: Option<&str>, at: f64) -> Result<RepositoryContents, BackupProblem> {
    let mut odd = Malformed::default();
    let said: Lenient<BarmanDiagnose> = json::parse(bytes, &mut odd)?;
    let Some((said, servers)) = said.known().and_then(|said| Some((said, said.servers.known()?))) else {
        return Err(BackupProblem::new(
            BackupReason::Garbage,
            "this is not what `barman diagnose` says: no `servers` in it",
        ));
    };
    let ahead = said.global.system_info.timestamp.known().and_then(|wrote| apart(wrote.wall()?, at));
    let mut found = RepositoryContents::default();
    let nothing = BarmanServer::default();
    for (name, item) in servers {
        let item = item.known().unwrap_or(&nothing);
        if server.map_or_else(|| item.config.is_active(), |wanted| wanted == name) {
            read(&mut odd, name, item, ahead, &mut found);
        }
    }
    if found.stanzas.is_empty() {
        let which = server.map_or("an active server".to_owned(), |name| format!("a server {name}"));
        let names: Vec<_> = servers.keys().map(String::as_str).collect();
        let message = format!("`barman diagnose` does not tell of {which}; servers in it: {}", names.join(", "));
        return Err(BackupProblem::new(BackupReason::Missing, message));
    }
    found.odd = odd.0;
    Ok(found)
}

impl Config {
    /// Servers are switched off by `active = false`; `diagnose` tells of them too.
    fn is_active(&self) -> bool {
        !matches!(self.active, Lenient::Known(Active::Plain(false) | Active::Sourced { value: false }))
    }
}

/// How far one clock is ahead of the other, if that can come from their zones.
fn apart(one: f64, other: f64) -> Option<f64> {
    Some(((one - other) / QUARTER).round() * QUARTER).filter(|seconds| seconds.abs() <= APART)
}

/// `ahead`: how many seconds Barman's clock was ahead of UTC, if it writes times without their zone.
fn read(odd: &mut Malformed, name: &str, item: &BarmanServer, ahead: Option<f64>, found: &mut RepositoryContents) {
    let name = &*truncate::label(name);
    let mut stanza = Stanza { name: name.to_owned(), archive: Some(format!("{name}/wals")), ..Stanza::default() };
    let backups = item.backups.known();
    let (mut unread, nothing) = (0, BarmanBackup::default());
    for (id, backup) in backups.into_iter().flatten() {
        let backup = backup.known().unwrap_or(&nothing);
        let zone = backup.zone(id, ahead);
        match odd.text(&backup.status).as_deref() {
            Some("DONE") => match backup.read(odd, zone) {
                Some(done) => stanza.backups.push(done),
                None => unread += 1,
            },
            Some("FAILED") => {
                let ended = odd.time_in(&backup.end_time, zone).or_else(|| odd.time_in(&backup.begin_time, zone));
                stanza.failed = stanza.failed.into_iter().chain(ended).max_by(f64::total_cmp);
            }
            // Under way, or complete and without the WAL that makes it consistent.
            Some("EMPTY" | "STARTED" | "SYNCING" | "WAITING_FOR_WALS") => {}
            _ => {
                odd.0 += 1;
                unread += 1;
            }
        }
    }
    if backups.is_none() {
        found.tell(format!("server {name}: there is no list of its backups"));
    } else if unread > 0 {
        found
            .tell(format!("server {name}: {unread} backups cannot be read: an unknown status, or no time with a zone"));
    }
    let wals = item.wals.last_archived_wal_per_timeline.values();
    let times = wals.filter_map(|wal| odd.time(&wal.known()?.time));
    stanza.archived = times.max_by(f64::total_cmp);
    stanza.partial = unread > 0 || backups.is_none();
    found.push(stanza, odd);
}

impl BarmanBackup {
    fn read(&self, odd: &mut Malformed, zone: Option<f64>) -> Option<FinishedBackup> {
        let (start, end) = (odd.time_in(&self.begin_time, zone), odd.time_in(&self.end_time, zone));
        let is_incremental = odd.text(&self.backup_type).is_some_and(|kind| kind.starts_with("incr"))
            || odd.text(&self.parent_backup_id).is_some();
        Some(FinishedBackup {
            kind: if is_incremental { "incr" } else { "full" }.to_owned(),
            start,
            end: odd.needed(end)?,
            size: odd.number(&self.size),
            stored: odd.number(&self.deduplicated_size),
            error: None,
            wal: odd.text(&self.begin_wal),
            system_identifier: odd.digits(&self.systemid),
        })
    }

    /// How far its times are ahead of UTC, where they do not say it: they are those of the server's time zone.
    fn zone(&self, id: &str, ahead: Option<f64>) -> Option<f64> {
        let began = self.begin_time.known().and_then(|began| began.wall());
        let more = began.zip(time::find(id, "%Y%m%dT%H%M%S")).and_then(|(began, id)| apart(began, id));
        Some(ahead? + more.unwrap_or_default())
    }
}
