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
    /// The tool's output; empty if no tool is run.
    pub documents: Vec<Document>,
    /// Variables for the tool.
    pub env: Environment,
    /// Older information does not count.
    pub max_age: Duration,
    /// The folder of the WAL archive, if pgvigil can read it.
    pub archive: Option<PathBuf>,
    /// A file that a job touches after each tested restore.
    pub verified: Option<PathBuf>,
}

/// Variables of a child process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Environment(pub Vec<(String, Secret)>);

impl Environment {
    /// Names and values, in clear.
    pub fn expose(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.expose()))
    }
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
    },
    /// `None` means all servers.
    Barman {
        server: Option<String>,
    },
    WalG,
    Files(FilesSettings),
    S3(S3),
}

/// A JSON document of a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub part: DocumentPart,
    pub ask: DocumentSource,
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

/// Where a document comes from.
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

impl S3 {
    /// The key's name and the key; without them, requests are not signed.
    pub fn keys(&self) -> Option<(&str, &Secret)> {
        self.access_key.as_deref().zip(self.secret_key_file.as_ref().or(self.secret_key.as_ref()))
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

fn command() -> Schema<Vec<String>> {
    list(interpolated()).not_empty("this is a program and its arguments, as a list")
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
        exec: Option<Vec<String>> = command().optional(),
        /// A file with what the tool prints, which a job beside the tool writes.
        from_file: Option<PathBuf> = absolute_path().instead_of("exec").optional(),
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
        wal_exec: Option<Vec<String>> = command().optional(),
        /// As `from_file`, for `wal-show`.
        wal_from_file: Option<PathBuf> = absolute_path().instead_of("wal_exec").optional(),
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
            documents: Vec::new(),
            env: Environment::default(),
            max_age: self.max_age,
            archive: None,
            verified: self.verified,
        }
    }
}

impl CommandKeys {
    fn program(&self, name: &str) -> String {
        self.binary.clone().unwrap_or_else(|| name.to_owned())
    }

    /// The program, this option with the configuration file, and these arguments.
    fn command(&self, name: &str, config_option: &str, words: &[&str]) -> Vec<String> {
        let config = self.config.iter().flat_map(|config| [config_option.to_owned(), config.clone()]);
        let words = words.iter().map(|word| (*word).to_owned());
        [self.program(name)].into_iter().chain(config).chain(words).collect()
    }

    /// A repository whose tool is run with this command, unless its keys name another source.
    fn repository(self, repository: RepositorySettings, command: Vec<String>) -> RepositorySettings {
        let ask = source(self.exec, self.from_file, command);
        RepositorySettings {
            documents: vec![Document { part: DocumentPart::Information, ask }],
            env: Environment(self.env.into_iter().map(|entry| (entry.key, entry.value)).collect()),
            archive: self.archive_path,
            ..repository
        }
    }
}

/// Where a document comes from: the user's command, a file, or else this command.
fn source(exec: Option<Vec<String>>, file: Option<PathBuf>, command: Vec<String>) -> DocumentSource {
    match (exec, file) {
        (Some(words), _) => DocumentSource::Run(words),
        (None, Some(file)) => DocumentSource::File(file),
        (None, None) => DocumentSource::Run(command),
    }
}

impl PgBackRestKeys {
    /// Log messages go to standard error only: neither into the output, nor into log files, which may belong to another user.
    fn repository(self) -> RepositorySettings {
        let number = self.repo.map(|repo| repo.to_string());
        let options = [("config", &self.command.config), ("stanza", &self.stanza), ("repo", &number)];
        let options = options.into_iter().filter_map(|(key, value)| Some(format!("--{key}={}", value.as_ref()?)));
        let mut command = vec![self.command.program("pgbackrest")];
        command.extend(options);
        let quiet = ["--log-level-console=off", "--log-level-stderr=error", "--log-level-file=off"];
        command.extend(quiet.into_iter().chain(["info", "--output=json"]).map(str::to_owned));
        let tool = Tool::PgBackRest { stanza: self.stanza, repo: self.repo };
        self.command.repository(self.common.of(tool), command)
    }
}

impl BarmanKeys {
    fn repository(self) -> RepositorySettings {
        let command = self.command.command("barman", "-c", &["diagnose"]);
        self.command.repository(self.common.of(Tool::Barman { server: self.server }), command)
    }
}

impl WalGKeys {
    /// Backups and WAL are two commands. If the user replaces the first but not the second, the WAL is left out.
    fn repository(self) -> RepositorySettings {
        let is_run = self.command.exec.is_none() && self.command.from_file.is_none();
        let has_wal = is_run || self.wal_exec.is_some() || self.wal_from_file.is_some();
        let list = self.command.command("wal-g", "--config", &["backup-list", "--detail", "--json"]);
        let show = self.command.command("wal-g", "--config", &["wal-show", "--detailed-json"]);
        let mut repository = self.command.repository(self.common.of(Tool::WalG), list);
        if has_wal {
            let ask = source(self.wal_exec, self.wal_from_file, show);
            repository.documents.push(Document { part: DocumentPart::Wal, ask });
        }
        repository
    }
}
