//! What `pgbackrest info` says, as structs: nothing in them needs to be there, and of their fields there are more than these.

use serde::Deserialize;

use super::super::{
    found::Done,
    json::{self, Digits, Lenient, List, Number, Odd, Text, Time},
};

/// A stanza.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Said {
    pub name: Lenient<Text>,
    #[serde(deserialize_with = "json::map")]
    pub status: Status,
    pub repo: List<Repo>,
    pub db: List<Database>,
    pub archive: List<Archive>,
    pub backup: List<Backup>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Status {
    pub code: Lenient<Number>,
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
    pub size: Lenient<Number>,
    pub size_cplt: Lenient<Number>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Repo {
    pub key: Lenient<Text>,
    pub cipher: Lenient<Text>,
    #[serde(deserialize_with = "json::map")]
    pub status: Status,
}

/// A server in the list of them, or which one an archive or a backup is of.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Database {
    pub id: Lenient<Text>,
    pub repo_key: Lenient<Text>,
    pub system_id: Lenient<Digits>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Archive {
    pub id: Lenient<Text>,
    #[serde(deserialize_with = "json::map")]
    pub database: Database,
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
    database: Database,
    error: Lenient<bool>,
    #[serde(deserialize_with = "json::map")]
    info: Info,
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
struct Info {
    size: Lenient<Number>,
    delta: Lenient<Number>,
    #[serde(deserialize_with = "json::map")]
    repository: Stored,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Stored {
    pub size: Lenient<Number>,
    pub size_map: Lenient<Number>,
    pub delta: Lenient<Number>,
    pub delta_map: Lenient<Number>,
}

/// A backup whose type and end can be read, and what only pgBackRest says of it.
#[derive(Deserialize)]
#[serde(try_from = "BackupSaid")]
pub struct Backup {
    pub done: Done,
    pub repo_key: String,
    pub delta: Option<f64>,
    pub stored: Stored,
    /// Values in it that were odd.
    pub odd: u64,
}

impl TryFrom<BackupSaid> for Backup {
    type Error = &'static str;

    fn try_from(said: BackupSaid) -> Result<Self, Self::Error> {
        let mut odd = Odd::default();
        let done = Done {
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
        Ok(Backup { done, repo_key, delta, stored: said.info.repository, odd: odd.0 })
    }
}

impl Database {
    /// The key of the repository; old versions have one, which has none.
    pub fn repo_key(&self, odd: &mut Odd) -> String {
        odd.text(&self.repo_key).unwrap_or_else(|| "1".to_owned())
    }
}
