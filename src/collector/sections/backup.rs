//! The sections of backups: what is known of repositories, whatever the tool, and what only pgBackRest says.

use crate::collector::sections::row::sections;

sections! {
    // One for each configured repository, whatever becomes of it.
    "repositories": RepositoryRow { repository, tool, up, information, seconds, skipped, verified }
    // What is not known, by part (information, wal, archive, verified), and why.
    "problems": BackupProblemRow { repository, part, reason, present }
    "stanzas": StanzaRow {
        repository, stanza, repo_key, restore_points, oldest, restorable, archived, gaps, failed
    }
    // Which server a stanza is of; only where that is known.
    "servers": ServerRow { repository, stanza, repo_key, system_identifier }
    "backups": BackupRow {
        repository, stanza, repo_key, backup_type, kept, end, duration, size, stored, error
    }
    "pgbackrest_stanzas": PgBackRestStanzaRow {
        repository, stanza, status, backup_lock, backup_complete, backup_total, restore_lock
    }
    "pgbackrest_repos": PgBackRestRepoRow { repository, stanza, repo_key, cipher, status }
    "pgbackrest_archives": PgBackRestArchiveRow { repository, stanza, repo_key, database_id, pg_version, status }
    "pgbackrest_last": PgBackRestLastRow {
        repository, stanza, backup_type, block_incr, duration, size, delta, repo_size, repo_size_map, repo_delta,
        repo_delta_map, error
    }
}
