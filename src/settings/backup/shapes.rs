//! The keys of `backup`, by tool.

use crate::{
    schema::shape::{Is, KeySpec, Shape, key},
    settings::disk::ABSOLUTE,
};

/// What `backup` holds.
pub const BACKUP: Shape = Shape {
    what: "`backup`",
    needs: &[key("repositories", Is::List(1, &Is::Either(&REPOSITORIES)), "The repositories, each asked on its own.")],
    may: &[],
    quiet: true,
};

const REPOSITORIES: [Is; 5] =
    [Is::Map(&PGBACKREST), Is::Map(&BARMAN), Is::Map(&WALG), Is::Map(&FILES), Is::Map(&BUCKET)];

const NAME: KeySpec = key("name", Is::Text, "The label `repository`.");
const MAX_AGE_KEY: KeySpec = key("max_age", Is::Duration, "What is older than this does not count; 1h if left out.");
const VERIFIED: KeySpec = key("verified", Is::Form(ABSOLUTE), "A file that is touched whenever a restore was tested.");
const CONFIG: KeySpec = key("config", Is::Text, "The tool's configuration file; its own default if left out.");
const BINARY: KeySpec = key("binary", Is::Text, "The tool's program; looked for on the path if left out.");
const ENV: KeySpec =
    key("env", Is::Entries(0, "", &Is::Text), "Variables for the tool; `${NAME}` is one of pgvigil's own.");
const EXEC: KeySpec = key(
    "exec",
    Is::List(1, &Is::Text),
    "A program and its arguments that print what the tool would; run as it is, without a shell.",
);
const FROM_FILE: KeySpec =
    key("from_file", Is::Form(ABSOLUTE), "A file with what the tool prints, which a job beside the tool writes.");
const ARCHIVE_PATH: KeySpec =
    key("archive_path", Is::Form(ABSOLUTE), "The folder of the archived WAL, if pgvigil can read it: shows gaps.");
const PATTERN: &str = "Which files: an absolute path; `*` and `?` stand for parts of names in it.";
const NAME_TIME: KeySpec = key(
    "name_time",
    Is::Text,
    "How the time (UTC) stands in the name, such as `%Y%m%d-%H%M%S`; that of the last change if left out.",
);

/// The keys of each tool; all have those named here.
macro_rules! shape {
    ($what:literal, $tool:literal, [$($needs:expr),*], [$($own:expr),*]) => {
        Shape {
            what: $what,
            needs: &[NAME, key("tool", Is::Word(&[$tool]), "What makes the backups."), $($needs),*],
            may: &[MAX_AGE_KEY, VERIFIED, $($own),*],
            quiet: true,
        }
    };
}

pub const PGBACKREST: Shape = shape!(
    "a pgBackRest repository",
    "pgbackrest",
    [],
    [
        key("stanza", Is::Text, "One stanza; all if left out."),
        key("repo", Is::Whole(1, 256), "One of its repositories, by its number; all if left out."),
        CONFIG,
        BINARY,
        ENV,
        EXEC,
        FROM_FILE,
        ARCHIVE_PATH
    ]
);
pub const BARMAN: Shape = shape!(
    "a Barman repository",
    "barman",
    [],
    [key("server", Is::Text, "One server; all if left out."), CONFIG, BINARY, ENV, EXEC, FROM_FILE, ARCHIVE_PATH]
);
pub const WALG: Shape = shape!(
    "a WAL-G repository",
    "walg",
    [],
    [
        CONFIG,
        BINARY,
        ENV,
        EXEC,
        FROM_FILE,
        key("wal_exec", Is::List(1, &Is::Text), "As `exec`, for `wal-show`."),
        key("wal_from_file", Is::Form(ABSOLUTE), "As `from_file`, for `wal-show`."),
        ARCHIVE_PATH
    ]
);
pub const FILES: Shape =
    shape!("a repository of files", "files", [key("pattern", Is::Form(ABSOLUTE), PATTERN)], [NAME_TIME]);
pub const BUCKET: Shape = shape!(
    "a repository in a bucket",
    "s3",
    [
        key("bucket", Is::Text, "The bucket's name."),
        key("endpoint", Is::Form(r"^https?://|\$\{"), "Where the service is: `https://s3.example.com`.")
    ],
    [
        key("prefix", Is::Text, "How the keys of all backups begin."),
        key("pattern", Is::Text, "How the rest of the key is; `*` and `?` stand for parts of it. All if left out."),
        NAME_TIME,
        key("region", Is::Text, "us-east-1 if left out."),
        key("access_key", Is::Text, "The key's name; without keys, requests are not signed."),
        key("secret_key", Is::Text, "The key; better `${NAME}` or `secret_key_file`."),
        key("secret_key_file", Is::Text, "A file that holds the key; one newline at its end is cut off.")
    ]
);
