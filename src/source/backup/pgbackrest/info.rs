//! What `pgbackrest info` says, as structs: nothing in them needs to be there, and of their fields there are more than these.

use serde::Deserialize;

use crate::source::backup::{
    json,
    json::{Digits, Lenient, LenientList, LenientNumber, Malformed, Text, Time},
    tool_tables::FinishedBackup,
};

/// A stanza.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct StanzaReport {
    pub name: Lenient<Text>,
    #[serde(deserialize_with = "json::map")]
    pub status: StanzaStatus,
    pub repo: LenientList<Repo>,
    pub db: LenientList<DatabaseInfo>,
    pub archive: LenientList<Archive>,
    pub backup: LenientList<BackupInfo>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct StanzaStatus {
    pub code: Lenient<LenientNumber>,
    pub message: Lenient<Text>,
    #[serde(deserialize_with = "json::map")]
    pub lock: Locks,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Locks {
    #[serde(deserialize_with = "json::map")]
    pub backup: Lock,
    #[serde(deserialize_with = "json::map")]
    pub restore: Lock,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Lock {
    pub held: Lenient<bool>,
    pub size: Lenient<LenientNumber>,
    pub size_cplt: Lenient<LenientNumber>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Repo {
    pub key: Lenient<Text>,
    pub cipher: Lenient<Text>,
    #[serde(deserialize_with = "json::map")]
    pub status: StanzaStatus,
}

/// A server in the list of them, or which one an archive or a backup is of.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct DatabaseInfo {
    pub id: Lenient<Text>,
    pub repo_key: Lenient<Text>,
    pub system_id: Lenient<Digits>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Archive {
    pub id: Lenient<Text>,
    #[serde(deserialize_with = "json::map")]
    pub database: DatabaseInfo,
    pub min: Lenient<Text>,
    pub max: Lenient<Text>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BackupSaid {
    r#type: Lenient<Text>,
    #[serde(deserialize_with = "json::map")]
    timestamp: Times,
    #[serde(deserialize_with = "json::map")]
    archive: Segments,
    #[serde(deserialize_with = "json::map")]
    database: DatabaseInfo,
    error: Lenient<bool>,
    #[serde(deserialize_with = "json::map")]
    info: BackupSizes,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Times {
    start: Lenient<Time>,
    stop: Lenient<Time>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Segments {
    start: Lenient<Text>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BackupSizes {
    size: Lenient<LenientNumber>,
    delta: Lenient<LenientNumber>,
    #[serde(deserialize_with = "json::map")]
    repository: StoredInfo,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct StoredInfo {
    pub size: Lenient<LenientNumber>,
    pub size_map: Lenient<LenientNumber>,
    pub delta: Lenient<LenientNumber>,
    pub delta_map: Lenient<LenientNumber>,
}

/// A backup whose type and end can be read, and what only pgBackRest says of it.
#[derive(Deserialize)]
#[serde(try_from = "BackupSaid")]
pub struct BackupInfo {
    pub done: FinishedBackup,
    pub repo_key: String,
    pub delta: Option<f64>,
    pub stored: StoredInfo,
    /// Values in it that were odd.
    pub odd: u64,
}

impl TryFrom<BackupSaid> for BackupInfo {
    type Error = &'static str;

    fn try_from(said: BackupSaid) -> Result<Self, Self::Error> {
        let mut odd = Malformed::default();
        let done = FinishedBackup {
            kind: odd.text(&said.r#type).ok_or("a backup without a type")?,
            start: odd.time(&said.timestamp.start),
            end: odd.time(&said.timestamp.stop).ok_or("a backup without an end")?,
            size: odd.number(&said.info.size),
            stored: odd.number(&said.info.repository.delta),
            error: odd.read(&said.error),
            wal: odd.text(&said.archive.start),
            system_identifier: None,
        };
        let (repo_key, delta) = (said.database.repo_key(&mut odd), odd.number(&said.info.delta));
        Ok(BackupInfo { done, repo_key, delta, stored: said.info.repository, odd: odd.0 })
    }
}

impl DatabaseInfo {
    /// The key of the repository; old versions have one, which has none.
    pub fn repo_key(&self, odd: &mut Malformed) -> String {
        odd.text(&self.repo_key).unwrap_or_else(|| "1".to_owned())
    }
}
