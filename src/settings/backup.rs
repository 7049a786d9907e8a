//! The settings of a backup target: its repositories, and where the information about each comes from.

use std::path::PathBuf;
use std::time::Duration;

use strum::{IntoStaticStr, VariantNames};

use crate::declare;
use crate::schema::form::Form;
use crate::schema::reader::{Entry, Schema};
use crate::schema::values::{by_word, entries, list, map, one_of, positive_duration, unique, whole};
use crate::secret::Secret;
use crate::settings::interpolate::{ABSOLUTE, absolute_path, interpolated, secret, secret_in_file};

declare! {
    /// A backup target.
    #[derive(Clone, Debug, PartialEq)]
    pub struct BackupSettings: "`backup`" {
        /// The repositories, each asked on its own.
        repositories: Vec<RepositorySettings> = unique(
            repository(),
            "",
            |repository| vec![repository.name.clone()],
            "a second repository of this name: rename one of the two",
        )
        .not_empty("there is no repository: list at least one"),
    }
}

/// One repository, or several if one run of the tool reports them together.
#[derive(Clone, Debug, PartialEq)]
pub struct RepositorySettings {
    /// The label `repository`.
    pub name: String,
    pub tool: Tool,
    /// Variables for the tool: names and values.
    pub env: Vec<(String, Secret)>,
    /// Older information does not count.
    pub max_age: Duration,
    /// The folder of the WAL archive, if pgvigil can read it.
    pub archive: Option<PathBuf>,
    /// A file that a job touches after each tested restore.
    pub verified: Option<PathBuf>,
}

/// The tool that makes the backups; each is a word in the settings, which is also the label `tool`.
#[allow(clippy::large_enum_variant, reason = "a few, made once")]
#[derive(Clone, Debug, PartialEq, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum Tool {
    /// `None` means all stanzas, or all repositories.
    PgBackRest {
        stanza: Option<String>,
        repo: Option<u32>,
        info: DocumentSource,
    },
    /// `None` means all servers.
    Barman {
        server: Option<String>,
        diagnose: DocumentSource,
    },
    WalG {
        list: DocumentSource,
        wal: Option<DocumentSource>,
    },
    Files(FilesSettings),
    S3(S3),
}

/// A part of the information about a repository, which can fail on its own: a value of the label `part`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum DocumentPart {
    /// The backups.
    Information,
    /// The WAL, as WAL-G lists it.
    Wal,
    /// The WAL, as the folder of the archive shows it.
    Archive,
    Verified,
}

/// Where a JSON document of a tool comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum DocumentSource {
    /// The standard output of a command: the program and its arguments.
    Run(Vec<String>),
    /// A file that a job writes. It is as old as its last change.
    File(PathBuf),
}

declare! {
    /// Backups that are files.
    #[derive(Clone, Debug, PartialEq)]
    pub struct FilesSettings: "files" {
        /// Which files: an absolute path; `*` and `?` stand for parts of names in it.
        pattern: String = interpolated().matching(
            ABSOLUTE,
            "an absolute path; `*` and `?` stand for parts of names in it",
            |pattern| pattern.starts_with('/'),
        ),
        /// How the time (UTC) stands in the name, such as `%Y%m%d-%H%M%S`; that of the last change if left out.
        name_time: Option<String> = interpolated().optional(),
    }
}

declare! {
    /// Backups that are objects of an S3-compatible bucket.
    #[derive(Clone, Debug, PartialEq)]
    pub struct S3: "a bucket" {
        /// The bucket's name.
        bucket: String = interpolated(),
        /// Where the service is: `https://s3.example.com`.
        endpoint: String = interpolated().matching(
            r"^https?://|\$\{",
            "like https://s3.example.com or http://localhost:9000",
            |url| url.starts_with("https://") || url.starts_with("http://"),
        ),
        /// How the keys of all backups begin.
        prefix: String = interpolated().or(String::new()),
        /// How the rest of the key is; `*` and `?` stand for parts of it. All if left out.
        pattern: String = interpolated().or("*".to_owned()),
        /// How the time (UTC) stands in the name, such as `%Y%m%d-%H%M%S`; that of the last change if left out.
        name_time: Option<String> = interpolated().optional(),
        /// us-east-1 if left out.
        region: String = interpolated().or("us-east-1".to_owned()),
        /// The key's name; without keys, requests are not signed.
        access_key: Option<String> = interpolated().beside(&["secret_key", "secret_key_file"]).optional(),
        /// The key; better `${NAME}` or `secret_key_file`.
        secret_key: Option<Secret> = secret().beside(&["access_key"]).optional(),
        /// A file that holds the key; one newline at its end is cut off.
        secret_key_file: Option<Secret> = secret_in_file().instead_of("secret_key").beside(&["access_key"]).optional(),
    }
}

/// An hour has twelve runs of the tool.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// The schema of a repository: the word under `tool` decides which keys it has.
fn repository() -> Schema<RepositorySettings> {
    by_word(
        "tool",
        vec![
            map().map(PgBackRestKeys::repository),
            map().map(BarmanKeys::repository),
            map().map(WalGKeys::repository),
            map().map(|keys: FilesKeys| keys.common.of(Tool::Files(keys.files))),
            map().map(|keys: BucketKeys| keys.common.of(Tool::S3(keys.bucket))),
        ],
    )
}

fn command() -> Schema<DocumentSource> {
    list(interpolated()).not_empty("this is a program and its arguments, as a list").map(DocumentSource::Run)
}

fn file() -> Schema<DocumentSource> {
    absolute_path().map(DocumentSource::File)
}

/// The key `tool` of the repositories of one tool.
fn tool(name: &'static str) -> Schema<String> {
    one_of(Tool::VARIANTS).shown_as(Form::Word(vec![name]))
}

declare! {
    /// The keys of every repository.
    pub struct RepositoryKeys: "a repository" {
        /// The label `repository`.
        name: String = interpolated(),
        /// What is older than this does not count; 1h if left out.
        max_age: Duration = positive_duration().or(MAX_AGE),
        /// A file that is touched whenever a restore was tested.
        verified: Option<PathBuf> = absolute_path().optional(),
    }
}

declare! {
    /// The keys of every tool that pgvigil runs, or whose output it reads.
    pub struct CommandKeys: "a tool" {
        /// The tool's configuration file; its own default if left out.
        config: Option<String> = interpolated().optional(),
        /// The tool's program; looked for on the path if left out.
        binary: Option<String> = interpolated().optional(),
        /// Variables for the tool; `${NAME}` is one of pgvigil's own.
        env: Vec<Entry<Secret>> = entries("", |_| Ok(()), secret()).or(Vec::new()),
        /// A program and its arguments that print what the tool would; run as it is, without a shell.
        exec: Option<DocumentSource> = command().optional(),
        /// A file with what the tool prints, which a job beside the tool writes.
        from_file: Option<DocumentSource> = file().instead_of("exec").optional(),
        /// The folder of the archived WAL, if pgvigil can read it: shows gaps.
        archive_path: Option<PathBuf> = absolute_path().optional(),
    }
}

declare! {
    pub struct PgBackRestKeys: "a pgBackRest repository" {
        ..common: RepositoryKeys,
        /// What makes the backups.
        tool: String = tool("pgbackrest"),
        /// One stanza; all if left out.
        stanza: Option<String> = interpolated().optional(),
        /// One of its repositories, by its number; all if left out.
        repo: Option<u32> = whole(1..=256).optional(),
        ..command: CommandKeys,
    }
}

declare! {
    pub struct BarmanKeys: "a Barman repository" {
        ..common: RepositoryKeys,
        /// What makes the backups.
        tool: String = tool("barman"),
        /// One server; all if left out.
        server: Option<String> = interpolated().optional(),
        ..command: CommandKeys,
    }
}

declare! {
    pub struct WalGKeys: "a WAL-G repository" {
        ..common: RepositoryKeys,
        /// What makes the backups.
        tool: String = tool("walg"),
        /// As `exec`, for `wal-show`.
        wal_exec: Option<DocumentSource> = command().optional(),
        /// As `from_file`, for `wal-show`.
        wal_from_file: Option<DocumentSource> = file().instead_of("wal_exec").optional(),
        ..command: CommandKeys,
    }
}

declare! {
    pub struct FilesKeys: "a repository of files" {
        ..common: RepositoryKeys,
        /// What makes the backups.
        tool: String = tool("files"),
        ..files: FilesSettings,
    }
}

declare! {
    pub struct BucketKeys: "a repository in a bucket" {
        ..common: RepositoryKeys,
        /// What makes the backups.
        tool: String = tool("s3").refuse_if("this pgvigil was built without the feature `s3`", |_| cfg!(not(feature = "s3"))),
        ..bucket: S3,
    }
}

impl RepositoryKeys {
    /// A repository without a tool to run.
    fn of(self, tool: Tool) -> RepositorySettings {
        RepositorySettings {
            name: self.name,
            tool,
            env: Vec::new(),
            max_age: self.max_age,
            archive: None,
            verified: self.verified,
        }
    }
}

impl CommandKeys {
    /// What the user names instead of the tool.
    fn given(&self) -> Option<DocumentSource> {
        self.exec.as_ref().or(self.from_file.as_ref()).cloned()
    }

    /// This option with the configuration file.
    fn config(&self, option: &str) -> impl Iterator<Item = String> {
        self.config.iter().flat_map(move |config| [option.to_owned(), config.clone()])
    }

    /// The program with these options and arguments.
    fn run(&self, name: &str, options: impl Iterator<Item = String>, words: &[&str]) -> DocumentSource {
        let program = self.binary.clone().unwrap_or_else(|| name.to_owned());
        let words = words.iter().map(|word| (*word).to_owned());
        DocumentSource::Run([program].into_iter().chain(options).chain(words).collect())
    }

    fn repository(self, common: RepositoryKeys, tool: Tool) -> RepositorySettings {
        let env = self.env.into_iter().map(|entry| (entry.key, entry.value)).collect();
        RepositorySettings { env, archive: self.archive_path, ..common.of(tool) }
    }
}

impl PgBackRestKeys {
    /// Log messages go to standard error only: neither into the output, nor into log files, which may belong to another user.
    fn repository(self) -> RepositorySettings {
        let number = self.repo.map(|repo| repo.to_string());
        let options = [("config", &self.command.config), ("stanza", &self.stanza), ("repo", &number)];
        let options = options.into_iter().filter_map(|(key, value)| Some(format!("--{key}={}", value.as_ref()?)));
        let quiet = ["--log-level-console=off", "--log-level-stderr=error", "--log-level-file=off"];
        let words = [&quiet[..], &["info", "--output=json"]].concat();
        let info = self.command.run("pgbackrest", options, &words);
        let info = self.command.given().unwrap_or(info);
        self.command.repository(self.common, Tool::PgBackRest { stanza: self.stanza, repo: self.repo, info })
    }
}

impl BarmanKeys {
    fn repository(self) -> RepositorySettings {
        let diagnose = self.command.run("barman", self.command.config("-c"), &["diagnose"]);
        let diagnose = self.command.given().unwrap_or(diagnose);
        self.command.repository(self.common, Tool::Barman { server: self.server, diagnose })
    }
}

impl WalGKeys {
    /// Backups and WAL are two commands. If the user replaces the first but not the second, the WAL is left out.
    fn repository(self) -> RepositorySettings {
        let list = self.command.run("wal-g", self.command.config("--config"), &["backup-list", "--detail", "--json"]);
        let show = self.command.run("wal-g", self.command.config("--config"), &["wal-show", "--detailed-json"]);
        let given = self.command.given();
        let wal = self.wal_exec.or(self.wal_from_file).or(given.is_none().then_some(show));
        self.command.repository(self.common, Tool::WalG { list: given.unwrap_or(list), wal })
    }
}
