//! pgBackRest: `info --output=json`, of any version from 2.0 on. Before 2.32 there was one repository and it had no key.

mod info;

use crate::{
    collector::sections::backup::{PgBackRestArchiveRow, PgBackRestLastRow, PgBackRestRepoRow, PgBackRestStanzaRow},
    source::backup::{
        json,
        json::{LenientList, Malformed},
        pgbackrest::info::{Archive, BackupInfo, Repo, StanzaReport, StanzaStatus},
        problem::{BackupProblem, BackupReason},
        tool_tables::{RepositoryContents, Stanza},
    },
};

/// The kinds of backup, and which of them count when the last of a kind is looked for: a differential backup is
/// no older than the full one that was made after it. So pgbackrest_exporter has it.
const KINDS: [(&str, &[&str]); 3] =
    [("full", &["full"]), ("diff", &["full", "diff"]), ("incr", &["full", "diff", "incr"])];

/// What a repository may say of its backups: there are some (0) or none (2), there is no folder of the stanza (1), or nothing in it (3).
/// With any other status, as 99 where it could not be read, that it shows no backup does not mean that it has none.
const TOLD: [f64; 4] = [0.0, 1.0, 2.0, 3.0];

/// It has 256 repositories at most.
const MOST_REPOS: usize = 256;

/// What pgBackRest calls the stanza where it was asked for none and could read none.
const INVALID: &str = "[invalid]";

/// What it says. Where no stanza is there, there is one without backups, so that it can be seen.
///
/// # Errors
/// This is not what pgBackRest says.
pub fn parse(bytes: &[u8], repository: &str, stanza: Option<&str>) -> Result<RepositoryContents, BackupProblem> {
    let garbage = |what| {
        BackupProblem::new(
            BackupReason::Garbage,
            format!("this is not what `pgbackrest info --output=json` says: {what}"),
        )
    };
    let mut odd = Malformed::default();
    let said: LenientList<StanzaReport> = json::parse(bytes, &mut odd)?;
    if !said.is_there {
        return Err(garbage("it is not a list"));
    }
    let (mut found, mut nameless) = (RepositoryContents::default(), said.odd);
    for item in odd.list(&said) {
        let name = odd.text(&item.name);
        let Some(name) = odd.needed(name) else {
            nameless += 1;
            continue;
        };
        if stanza.is_none_or(|wanted| wanted == name || name == INVALID) {
            read(&mut odd, item, &name, repository, &mut found);
        }
    }
    if found.stanzas.is_empty() && found.unknown.is_empty() {
        if nameless > 0 {
            return Err(garbage("stanzas without a name"));
        }
        found.stanzas.push(Stanza { name: stanza.unwrap_or_default().to_owned(), ..Stanza::default() });
    }
    found.odd = odd.0;
    Ok(found)
}

fn read(odd: &mut Malformed, item: &StanzaReport, name: &str, repository: &str, found: &mut RepositoryContents) {
    let backups = odd.list(&item.backup);
    odd.0 += backups.iter().map(|backup| backup.odd).sum::<u64>();
    let unread = match item.backup.odd {
        _ if !item.backup.is_there => Some("there is no list of its backups".to_owned()),
        0 => None,
        some => Some(format!("{some} backups cannot be read: without a type, or a time of their end")),
    };
    let is_partial = unread.is_some();
    if let Some(what) = unread {
        found.tell(format!("stanza {name}: {what}"));
    }
    let archives = odd.list(&item.archive);
    for (key, told) in repos(odd, item, name, repository, found) {
        let mut stanza = Stanza { name: name.to_owned(), repo_key: key.clone(), ..Stanza::default() };
        stanza.backups =
            backups.iter().filter(|backup| backup.repo_key == key).map(|backup| backup.done.clone()).collect();
        stanza.partial = is_partial || !told;
        if !told && stanza.backups.is_empty() {
            continue;
        }
        // A database that was upgraded has an archive for each version; the last is in use.
        let own = archives.iter().rfind(|archive| archive.database.repo_key(odd) == key);
        stanza.archive = own.and_then(|archive| odd.text(&archive.id)).map(|id| format!("{name}/{id}"));
        stanza.system_identifier = system_identifier(odd, item, &key);
        found.push(stanza, odd);
    }
    push_stanza(odd, item, name, repository, found);
    archives.iter().for_each(|archive| push_archive(odd, archive, name, repository, found));
    KINDS.iter().for_each(|kind| push_last(odd, backups, kind, name, repository, found));
}

/// The keys of the stanza's repositories, and whether each tells of its backups. Old versions have one, which has no key.
fn repos(
    odd: &mut Malformed,
    item: &StanzaReport,
    name: &str,
    repository: &str,
    found: &mut RepositoryContents,
) -> Vec<(String, bool)> {
    let told = |odd: &mut Malformed, status: &StanzaStatus, found: &mut RepositoryContents, what: &str| {
        let code = odd.number(&status.code);
        let is_told = code.is_some_and(|code| TOLD.contains(&code));
        if !is_told {
            let code = code.map_or("without a status".to_owned(), |code| format!("status {code}"));
            let message = odd.text(&status.message).unwrap_or(code);
            found.tell(format!("stanza {name}, {what}: {message}"));
        }
        is_told
    };
    let mut keys = Vec::new();
    for repo in odd.list(&item.repo) {
        let key = odd.text(&repo.key).unwrap_or_default();
        if keys.len() == MOST_REPOS || keys.iter().any(|(known, _)| *known == key) {
            odd.0 += 1;
            continue;
        }
        push_repo(odd, repo, name, &key, repository, found);
        keys.push((key.clone(), told(odd, &repo.status, found, &format!("repository {key}"))));
    }
    if keys.is_empty() {
        keys.push(("1".to_owned(), told(odd, &item.status, found, "its repository")));
    }
    keys
}

/// Which server the stanza is of. An upgraded one has had several identifiers; the last is in use.
fn system_identifier(odd: &mut Malformed, item: &StanzaReport, key: &str) -> Option<String> {
    let last = odd.list(&item.db).iter().rfind(|db| odd.text(&db.repo_key).is_none_or(|own| own == key))?;
    odd.digits(&last.system_id)
}

fn push_stanza(odd: &mut Malformed, item: &StanzaReport, name: &str, repository: &str, found: &mut RepositoryContents) {
    let (status, locks) = (&item.status, &item.status.lock);
    let row = PgBackRestStanzaRow {
        repository: repository.into(),
        stanza: name.into(),
        status: odd.number(&status.code).into(),
        backup_lock: odd.read(&locks.backup.held).into(),
        backup_complete: odd.number(&locks.backup.size_cplt).into(),
        backup_total: odd.number(&locks.backup.size).into(),
        restore_lock: odd.read(&locks.restore.held).into(),
    };
    found.push_row(row, odd);
}

fn push_repo(
    odd: &mut Malformed,
    repo: &Repo,
    name: &str,
    key: &str,
    repository: &str,
    found: &mut RepositoryContents,
) {
    let cipher = odd.text(&repo.cipher).unwrap_or_default();
    let status = odd.number(&repo.status.code);
    let row = PgBackRestRepoRow {
        repository: repository.into(),
        stanza: name.into(),
        repo_key: key.into(),
        cipher: (&cipher).into(),
        status: status.into(),
    };
    found.push_row(row, odd);
}

fn push_archive(odd: &mut Malformed, archive: &Archive, name: &str, repository: &str, found: &mut RepositoryContents) {
    let key = archive.database.repo_key(odd);
    let id = odd.text(&archive.database.id).unwrap_or_default();
    let version = odd.text(&archive.id).unwrap_or_default();
    let has_wal = odd.text(&archive.min).is_some() && odd.text(&archive.max).is_some();
    let row = PgBackRestArchiveRow {
        repository: repository.into(),
        stanza: name.into(),
        repo_key: (&key).into(),
        database_id: (&id).into(),
        pg_version: (&version).into(),
        status: has_wal.into(),
    };
    found.push_row(row, odd);
}

fn push_last(
    odd: &mut Malformed,
    backups: &[BackupInfo],
    (kind, counted): &(&str, &[&str]),
    name: &str,
    repository: &str,
    found: &mut RepositoryContents,
) {
    let of_kind = backups.iter().filter(|backup| counted.contains(&backup.done.kind.as_str()));
    let Some(last) = of_kind.max_by(|one, two| one.done.end.total_cmp(&two.done.end)) else { return };
    let map = odd.number(&last.stored.size_map);
    let row = PgBackRestLastRow {
        repository: repository.into(),
        stanza: name.into(),
        backup_type: (*kind).into(),
        block_incr: if map.is_some() { "y" } else { "n" }.into(),
        duration: last.done.duration().into(),
        size: last.done.size.into(),
        delta: last.delta.into(),
        repo_size: odd.number(&last.stored.size).into(),
        repo_size_map: map.into(),
        repo_delta: last.done.stored.into(),
        repo_delta_map: odd.number(&last.stored.delta_map).into(),
        error: last.done.error.into(),
    };
    found.push_row(row, odd);
}
