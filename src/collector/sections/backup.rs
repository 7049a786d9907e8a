//! The sections of backups: what is known of repositories, whatever the tool, and what only pgBackRest says.

use crate::collector::sections::Section;

/// All there are.
pub const SECTIONS: &[Section] = &[
    // One row for each configured repository, whatever becomes of it.
    section("repositories", &["repository", "tool", "up", "information", "seconds", "skipped", "verified"]),
    // What is not known, by part (information, wal, archive, verified), and why.
    section("problems", &["repository", "part", "reason", "present"]),
    section(
        "stanzas",
        &["repository", "stanza", "repo_key", "restore_points", "oldest", "restorable", "archived", "gaps", "failed"],
    ),
    // Which server each of them is of; only where that is known.
    section("servers", &["repository", "stanza", "repo_key", "system_identifier"]),
    section(
        "backups",
        &["repository", "stanza", "repo_key", "backup_type", "kept", "end", "duration", "size", "stored", "error"],
    ),
    section(
        "pgbackrest_stanzas",
        &["repository", "stanza", "status", "backup_lock", "backup_complete", "backup_total", "restore_lock"],
    ),
    section("pgbackrest_repos", &["repository", "stanza", "repo_key", "cipher", "status"]),
    section("pgbackrest_archives", &["repository", "stanza", "repo_key", "database_id", "pg_version", "status"]),
    section(
        "pgbackrest_last",
        &[
            "repository",
            "stanza",
            "backup_type",
            "block_incr",
            "duration",
            "size",
            "delta",
            "repo_size",
            "repo_size_map",
            "repo_delta",
            "repo_delta_map",
            "error",
        ],
    ),
];

const fn section(name: &'static str, columns: &'static [&'static str]) -> Section {
    Section { name, of_target: true, columns }
}
