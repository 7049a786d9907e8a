//! Reads pgBackRest's `info --output=json`, of any version from 2.0 on. Before 2.32 a repository had no key.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::collector::sections::backup::{
    PgBackRestArchiveRow, PgBackRestLastRow, PgBackRestRepoRow, PgBackRestStanzaRow,
};
use crate::source::backup::contents::{FinishedBackup, RepositoryContents, Stanza};
use crate::source::backup::json::JsonReader;
use crate::source::backup::problem::BackupProblem;

const COMMAND: &str = "pgbackrest info --output=json";

/// The kinds of backup, and which of them count as the last of a kind: a differential backup is no older than the full
/// one that was made after it. pgbackrest_exporter counts in this way.
const KINDS: [(&str, &[&str]); 3] =
    [("full", &["full"]), ("diff", &["full", "diff"]), ("incr", &["full", "diff", "incr"])];

/// The status codes of a repository that was read: it has backups (0) or none (2), the stanza's folder is missing (1),
/// or the repository is empty (3). With any other code, such as 99 where the repository could not be read, an empty
/// list does not mean that there are no backups.
const READ_CODES: [f64; 4] = [0.0, 1.0, 2.0, 3.0];

/// pgBackRest has at most 256 repositories.
const MOST_REPOS: usize = 256;

/// pgBackRest's name for the stanza if the command names none and it could not read one.
const INVALID: &str = "[invalid]";

/// Reads the output. If it has no stanza, the contents have one without backups, so that the problem is visible.
///
/// # Errors
/// The bytes are not the output of pgBackRest.
pub fn parse(bytes: &[u8], repository: &str, stanza: Option<&str>) -> Result<RepositoryContents, BackupProblem> {
    let (mut reader, mut contents) = (JsonReader::default(), RepositoryContents::default());
    let document = reader.parse(bytes)?;
    let list = reader.list(&document).ok_or_else(|| BackupProblem::not_output_of(COMMAND, "it is not a list"))?;
    let mut is_nameless = false;
    for json in list {
        let name = reader.text(&json["name"]);
        let Some(name) = reader.required(name) else {
            is_nameless = true;
            continue;
        };
        if stanza.is_none_or(|wanted| wanted == name || name == INVALID) {
            StanzaReader { json, name: &name, repository, reader: &mut reader, contents: &mut contents }.read();
        }
    }
    if contents.stanzas.is_empty() && contents.unknown.is_empty() {
        if is_nameless {
            return Err(BackupProblem::not_output_of(COMMAND, "stanzas without a name"));
        }
        contents.push(Stanza { name: stanza.unwrap_or_default().to_owned(), ..Stanza::default() });
    }
    contents.malformed += reader.malformed;
    Ok(contents)
}

/// Reads one stanza into the contents.
struct StanzaReader<'r> {
    json: &'r Value,
    name: &'r str,
    repository: &'r str,
    reader: &'r mut JsonReader,
    contents: &'r mut RepositoryContents,
}

/// A backup whose type and end are known.
struct ListedBackup<'r> {
    json: &'r Value,
    repo_key: String,
    finished: FinishedBackup,
}

/// One of a stanza's repositories.
struct StanzaRepo {
    key: String,
    /// pgBackRest could read it.
    is_read: bool,
}

impl<'r> StanzaReader<'r> {
    fn read(&mut self) {
        let list = self.reader.list(&self.json["backup"]);
        let backups: Vec<_> = list.unwrap_or_default().iter().filter_map(|json| self.backup(json)).collect();
        let unread = list.map(|list| list.len() - backups.len());
        match unread {
            None => self.push_unknown(": there is no list of its backups"),
            Some(0) => (),
            Some(unread) => self.push_unknown(&format!(": {unread} backups have no type, or no time of their end")),
        }
        let (mut archives, mut identifiers) = (self.archives(), self.system_identifiers());
        for repo in self.repos() {
            let of_repo = backups.iter().filter(|backup| backup.repo_key == repo.key);
            let finished: Vec<_> = of_repo.map(|backup| backup.finished.clone()).collect();
            if !repo.is_read && finished.is_empty() {
                continue;
            }
            self.contents.push(Stanza {
                name: self.name.to_owned(),
                partial: !repo.is_read || unread != Some(0),
                archive: archives.remove(&repo.key).flatten().map(|id| format!("{}/{id}", self.name)),
                system_identifier: identifiers.remove(&repo.key).flatten(),
                backups: finished,
                repo_key: repo.key,
                ..Stanza::default()
            });
        }
        self.push_stanza_row();
        for (kind, counted) in KINDS {
            self.push_last_row(&backups, kind, counted);
        }
    }

    /// Adds a sentence on missing knowledge about the stanza.
    fn push_unknown(&mut self, what: &str) {
        self.contents.push_unknown(format!("stanza {}{what}", self.name));
    }

    fn backup(&mut self, json: &'r Value) -> Option<ListedBackup<'r>> {
        let (kind, end) = (self.reader.text(&json["type"]), self.reader.time(&json["timestamp"]["stop"]));
        let finished = FinishedBackup {
            kind: self.reader.required(kind)?,
            start: self.reader.time(&json["timestamp"]["start"]),
            end: self.reader.required(end)?,
            size: self.reader.number(&json["info"]["size"]),
            stored: self.reader.number(&json["info"]["repository"]["delta"]),
            error: self.reader.flag(&json["error"]),
            wal: self.reader.text(&json["archive"]["start"]),
            system_identifier: None,
        };
        Some(ListedBackup { json, repo_key: self.repo_key(&json["database"]), finished })
    }

    /// The repository of a database. Old versions have one repository and write no key.
    fn repo_key(&mut self, database: &Value) -> String {
        self.reader.text(&database["repo-key"]).unwrap_or_else(|| "1".to_owned())
    }

    /// The archive of each repository. An upgraded server has one for each version; the last is in use.
    fn archives(&mut self) -> BTreeMap<String, Option<String>> {
        let mut archives = BTreeMap::new();
        for json in self.reader.maps(&self.json["archive"]) {
            let (repo_key, id) = (self.repo_key(&json["database"]), self.reader.text(&json["id"]));
            let database = self.reader.text(&json["database"]["id"]).unwrap_or_default();
            let ends = [&json["min"], &json["max"]].map(|segment| self.reader.text(segment));
            self.contents.push_row(PgBackRestArchiveRow {
                repository: self.repository.into(),
                stanza: self.name.into(),
                repo_key: (&repo_key).into(),
                database_id: (&database).into(),
                pg_version: id.as_deref().unwrap_or_default().into(),
                status: ends.iter().all(Option::is_some).into(),
            });
            archives.insert(repo_key, id);
        }
        archives
    }

    /// The server's system identifier in each repository; for an upgraded server the last is in use.
    fn system_identifiers(&mut self) -> BTreeMap<String, Option<String>> {
        let databases = self.reader.maps(&self.json["db"]);
        databases.into_iter().map(|json| (self.repo_key(json), self.reader.digits(&json["system-id"]))).collect()
    }

    /// The stanza's repositories. Old versions have one and do not list it.
    fn repos(&mut self) -> Vec<StanzaRepo> {
        let mut repos: Vec<StanzaRepo> = Vec::new();
        for json in self.reader.maps(&self.json["repo"]) {
            let key = self.reader.text(&json["key"]).unwrap_or_default();
            if repos.len() == MOST_REPOS || repos.iter().any(|repo| repo.key == key) {
                self.contents.malformed += 1;
                continue;
            }
            let cipher = self.reader.text(&json["cipher"]).unwrap_or_default();
            self.contents.push_row(PgBackRestRepoRow {
                repository: self.repository.into(),
                stanza: self.name.into(),
                repo_key: (&key).into(),
                cipher: (&cipher).into(),
                status: self.reader.number(&json["status"]["code"]).into(),
            });
            let is_read = self.is_read(&json["status"], &format!("repository {key}"));
            repos.push(StanzaRepo { key, is_read });
        }
        if repos.is_empty() {
            let is_read = self.is_read(&self.json["status"], "its repository");
            repos.push(StanzaRepo { key: "1".to_owned(), is_read });
        }
        repos
    }

    /// Returns whether pgBackRest could read a repository, by its status.
    fn is_read(&mut self, status: &Value, what: &str) -> bool {
        let code = self.reader.number(&status["code"]);
        let is_read = code.is_some_and(|code| READ_CODES.contains(&code));
        if !is_read {
            let code = code.map_or("without a status".to_owned(), |code| format!("status {code}"));
            let message = self.reader.text(&status["message"]).unwrap_or(code);
            self.push_unknown(&format!(", {what}: {message}"));
        }
        is_read
    }

    fn push_stanza_row(&mut self) {
        let (status, reader) = (&self.json["status"], &mut *self.reader);
        let (backup, restore) = (&status["lock"]["backup"], &status["lock"]["restore"]);
        self.contents.push_row(PgBackRestStanzaRow {
            repository: self.repository.into(),
            stanza: self.name.into(),
            status: reader.number(&status["code"]).into(),
            backup_lock: reader.flag(&backup["held"]).into(),
            backup_complete: reader.number(&backup["size-cplt"]).into(),
            backup_total: reader.number(&backup["size"]).into(),
            restore_lock: reader.flag(&restore["held"]).into(),
        });
    }

    /// Adds the row of the last backup of a kind.
    fn push_last_row(&mut self, backups: &[ListedBackup<'_>], kind: &str, counted: &[&str]) {
        let of_kind = backups.iter().filter(|backup| counted.contains(&backup.finished.kind.as_str()));
        let Some(last) = of_kind.max_by(|one, two| one.finished.end.total_cmp(&two.finished.end)) else { return };
        let (info, reader) = (&last.json["info"], &mut *self.reader);
        let size_map = reader.number(&info["repository"]["size-map"]);
        self.contents.push_row(PgBackRestLastRow {
            repository: self.repository.into(),
            stanza: self.name.into(),
            backup_type: kind.into(),
            block_incr: if size_map.is_some() { "y" } else { "n" }.into(),
            duration: last.finished.duration().into(),
            size: last.finished.size.into(),
            delta: reader.number(&info["delta"]).into(),
            repo_size: reader.number(&info["repository"]["size"]).into(),
            repo_size_map: size_map.into(),
            repo_delta: last.finished.stored.into(),
            repo_delta_map: reader.number(&info["repository"]["delta-map"]).into(),
            error: last.finished.error.into(),
        });
    }
}
