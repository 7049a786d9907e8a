//! What the settings say of backups and disks, validated.

use std::{path::PathBuf, time::Duration};

use crate::secret::Secret;

/// Backups: repositories, each asked on its own.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupSettings {
    pub repositories: Vec<RepositorySettings>,
}

/// One repository, or all that one run of a tool tells of.
#[derive(Clone, Debug, PartialEq)]
pub struct RepositorySettings {
    /// The label `repository`.
    pub name: String,
    pub tool: Tool,
    /// What the tool says; none where there is no tool.
    pub documents: Vec<Document>,
    /// Variables for the tool.
    pub env: Environment,
    /// What is older than this does not count.
    pub max_age: Duration,
    /// The WAL archive, if it can be read as a folder.
    pub archive: Option<PathBuf>,
    /// A file that is touched when a restore was tested.
    pub verified: Option<PathBuf>,
}

/// Variables of a child process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Environment(pub Vec<(String, Secret)>);

impl Environment {
    /// Names and values, secrets among them.
    pub fn expose(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.expose()))
    }
}

/// What made the backups.
#[derive(Clone, Debug, PartialEq)]
pub enum Tool {
    /// All stanzas where none is named, all repositories where no key is.
    PgBackRest {
        stanza: Option<String>,
        repo: Option<u32>,
    },
    /// All servers where none is named.
    Barman {
        server: Option<String>,
    },
    WalG,
    Files(FilesSettings),
    S3(S3),
}

impl Tool {
    /// Its word in the settings, and the label `tool`.
    pub fn word(&self) -> &'static str {
        match self {
            Tool::PgBackRest { .. } => "pgbackrest",
            Tool::Barman { .. } => "barman",
            Tool::WalG => "walg",
            Tool::Files(_) => "files",
            Tool::S3(_) => "s3",
        }
    }
}

/// JSON of a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub part: DocumentPart,
    pub ask: DocumentSource,
}

/// What can be known, or not, on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DocumentPart {
    /// The backups.
    Information,
    /// What WAL-G says of its WAL.
    Wal,
    /// What the folder of the WAL archive shows.
    Archive,
    Verified,
}

impl DocumentPart {
    /// Its word, as the label `part`.
    pub fn word(self) -> &'static str {
        match self {
            DocumentPart::Information => "information",
            DocumentPart::Wal => "wal",
            DocumentPart::Archive => "archive",
            DocumentPart::Verified => "verified",
        }
    }
}

/// Where a document comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum DocumentSource {
    /// Standard output of a program with these arguments; the first is the program.
    Run(Vec<String>),
    /// A file that somebody writes; it is as old as its last change.
    File(PathBuf),
}

/// Backups that are files.
#[derive(Clone, Debug, PartialEq)]
pub struct FilesSettings {
    /// An absolute path, with `*` and `?`.
    pub pattern: String,
    /// How the time (UTC) stands in the name: `%Y%m%d-%H%M%S`. Without it, the time of the file's last change.
    pub name_time: Option<String>,
}

/// Backups that are objects of an S3-compatible bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct S3 {
    /// `https://s3.example.com`.
    pub endpoint: String,
    pub bucket: String,
    pub prefix: String,
    /// Of the rest of the key, with `*` and `?`.
    pub pattern: String,
    pub name_time: Option<String>,
    pub region: String,
    /// Without them, requests are not signed.
    pub keys: Option<(String, Secret)>,
}

/// Filesystems, by paths on them.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskSettings {
    pub paths: Vec<NamedPath>,
}

/// A path and the value of the label `path`.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedPath {
    pub name: String,
    pub path: PathBuf,
}
