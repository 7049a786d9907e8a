//! A backup target: its repositories, and where what is known of each comes from.

mod shapes;

use std::{path::PathBuf, time::Duration};

pub use crate::settings::backup::shapes::BACKUP;
use crate::{
    schema::{fields::Fields, problem::Problems, shape::Shape, yaml::Node},
    secret::Secret,
    settings::{
        BackupSettings, Document, DocumentPart, DocumentSource, Environment, FilesSettings, RepositorySettings, S3,
        Tool,
        backup::shapes::{BARMAN, BUCKET, FILES, PGBACKREST, WALG},
        given::{given, text},
        interpolate::{Env, expand},
    },
};

/// What is known of a repository is good for an hour if nothing is said: twelve runs of the tool.
const MAX_AGE: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy)]
enum ToolName {
    PgBackRest,
    Barman,
    WalG,
    Files,
    S3,
}

const TOOLS: [(&str, ToolName); 5] = [
    ("pgbackrest", ToolName::PgBackRest),
    ("barman", ToolName::Barman),
    ("walg", ToolName::WalG),
    ("files", ToolName::Files),
    ("s3", ToolName::S3),
];

impl ToolName {
    fn shape(self) -> &'static Shape {
        match self {
            ToolName::PgBackRest => &PGBACKREST,
            ToolName::Barman => &BARMAN,
            ToolName::WalG => &WALG,
            ToolName::Files => &FILES,
            ToolName::S3 => &BUCKET,
        }
    }
}

/// Reads `backup:`.
pub fn backup(node: &Node, env: &Env<'_>, problems: &mut Problems) -> Option<BackupSettings> {
    let mut fields = Fields::open(node, &BACKUP, problems)?;
    if fields.node("repositories").is_some_and(Node::is_empty_list) {
        fields.tell("repositories", "there is no repository: list at least one");
    }
    let mut seen: Vec<String> = Vec::new();
    let repositories = fields.each("repositories", |node, problems| {
        let repository = repository(node, env, problems)?;
        if seen.contains(&repository.name) {
            problems.add(&node.place, "a second repository of this name: rename one of the two");
        }
        seen.push(repository.name.clone());
        Some(repository)
    });
    Some(BackupSettings { repositories })
}

fn repository(node: &Node, env: &Env<'_>, problems: &mut Problems) -> Option<RepositorySettings> {
    let named = node.get("tool").and_then(Node::text);
    let word = TOOLS.iter().find(|(word, _)| Some(*word) == named).map(|(_, word)| *word);
    let mut fields = Fields::open(node, word.map_or(&PGBACKREST, ToolName::shape), problems)?;
    let Some(word) = word else {
        _ = fields.word("tool", &TOOLS);
        return None;
    };
    let name = plain(&mut fields, "name", env);
    let (tool, documents) = match word {
        ToolName::PgBackRest => pgbackrest(&mut fields, env),
        ToolName::Barman => {
            (Some(Tool::Barman { server: plain(&mut fields, "server", env) }), barman(&mut fields, env))
        }
        ToolName::WalG => (Some(Tool::WalG), walg(&mut fields, env)),
        ToolName::Files => (files(&mut fields, env).map(Tool::Files), Vec::new()),
        ToolName::S3 => (bucket(&mut fields, env).map(Tool::S3), Vec::new()),
    };
    let max_age = fields.duration("max_age").unwrap_or(MAX_AGE);
    if max_age.is_zero() {
        fields.tell("max_age", "`max_age` must be above 0s");
    }
    Some(RepositorySettings {
        tool: tool?,
        documents,
        env: variables(&mut fields, env),
        max_age,
        archive: path(&mut fields, "archive_path", env),
        verified: path(&mut fields, "verified", env),
        name: name?,
    })
}

/// Its log stays out of what is read, and out of its files, which may be another user's.
fn pgbackrest(fields: &mut Fields<'_, '_>, env: &Env<'_>) -> (Option<Tool>, Vec<Document>) {
    let mut command = vec![plain(fields, "binary", env).unwrap_or_else(|| "pgbackrest".to_owned())];
    let (stanza, repo) = (plain(fields, "stanza", env), fields.whole("repo", 1..=256));
    let number = repo.map(|repo: u32| repo.to_string());
    let given = [("config", plain(fields, "config", env)), ("stanza", stanza.clone()), ("repo", number)];
    command.extend(given.into_iter().filter_map(|(key, value)| Some(format!("--{key}={}", value?))));
    let quiet = ["--log-level-console=off", "--log-level-stderr=error", "--log-level-file=off"];
    command.extend(quiet.into_iter().chain(["info", "--output=json"]).map(str::to_owned));
    let document = document(fields, env, DocumentPart::Information, ["exec", "from_file"], command);
    (Some(Tool::PgBackRest { stanza, repo }), vec![document])
}

fn barman(fields: &mut Fields<'_, '_>, env: &Env<'_>) -> Vec<Document> {
    let mut command = vec![plain(fields, "binary", env).unwrap_or_else(|| "barman".to_owned())];
    if let Some(config) = plain(fields, "config", env) {
        command.extend(["-c".to_owned(), config]);
    }
    command.push("diagnose".to_owned());
    vec![document(fields, env, DocumentPart::Information, ["exec", "from_file"], command)]
}

/// Backups and WAL are two commands. Where the first comes from elsewhere, so must the second, or it is left out.
fn walg(fields: &mut Fields<'_, '_>, env: &Env<'_>) -> Vec<Document> {
    let mut command = vec![plain(fields, "binary", env).unwrap_or_else(|| "wal-g".to_owned())];
    if let Some(config) = plain(fields, "config", env) {
        command.extend(["--config".to_owned(), config]);
    }
    let with = |words: &[&str]| command.iter().cloned().chain(words.iter().map(|word| (*word).to_owned())).collect();
    let (list, show) = (with(&["backup-list", "--detail", "--json"]), with(&["wal-show", "--detailed-json"]));
    let elsewhere = fields.has("exec") || fields.has("from_file");
    let mut documents = vec![document(fields, env, DocumentPart::Information, ["exec", "from_file"], list)];
    if !elsewhere || fields.has("wal_exec") || fields.has("wal_from_file") {
        documents.push(document(fields, env, DocumentPart::Wal, ["wal_exec", "wal_from_file"], show));
    }
    documents
}

/// Where a document comes from: arguments of the user's, a file, or else the tool itself.
fn document(
    fields: &mut Fields<'_, '_>,
    env: &Env<'_>,
    part: DocumentPart,
    [exec, from_file]: [&'static str; 2],
    command: Vec<String>,
) -> Document {
    if fields.has(exec) && fields.has(from_file) {
        fields.tell(from_file, format!("`{exec}` is given too: keep one of the two"));
    }
    let mut words = Vec::new();
    for (word, place) in fields.texts(exec) {
        match expand(&word, env) {
            Ok(word) => words.push(word),
            Err(message) => fields.problems.add(&place, message),
        }
    }
    if fields.node(exec).is_some_and(Node::is_empty_list) {
        fields.tell(exec, format!("`{exec}` is a program and its arguments, as a list"));
    }
    let file = path(fields, from_file, env);
    let ask = match (words.is_empty(), file) {
        (false, _) => DocumentSource::Run(words),
        (true, Some(file)) => DocumentSource::File(file),
        (true, None) => DocumentSource::Run(command),
    };
    Document { part, ask }
}

fn files(fields: &mut Fields<'_, '_>, env: &Env<'_>) -> Option<FilesSettings> {
    let pattern = plain(fields, "pattern", env);
    if pattern.as_ref().is_some_and(|pattern| !pattern.starts_with('/')) {
        fields.tell("pattern", "`pattern` must be an absolute path; `*` and `?` stand for parts of names in it");
    }
    Some(FilesSettings { name_time: plain(fields, "name_time", env), pattern: pattern? })
}

fn bucket(fields: &mut Fields<'_, '_>, env: &Env<'_>) -> Option<S3> {
    if cfg!(not(feature = "s3")) {
        fields.tell("tool", "this pgvigil was built without the feature `s3`");
    }
    let key = plain(fields, "access_key", env);
    let secret = given(fields, "secret_key", "secret_key_file", env).ok().flatten().map(|(_, secret)| secret);
    if key.is_some() != secret.is_some() {
        fields.tell("access_key", "`access_key` and `secret_key` belong together: give both or none");
    }
    let endpoint = plain(fields, "endpoint", env);
    if endpoint.as_ref().is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
        fields.tell("endpoint", "`endpoint` must be like https://s3.example.com or http://localhost:9000");
    }
    Some(S3 {
        endpoint: endpoint?,
        bucket: plain(fields, "bucket", env)?,
        prefix: plain(fields, "prefix", env).unwrap_or_default(),
        pattern: plain(fields, "pattern", env).unwrap_or_else(|| "*".to_owned()),
        name_time: plain(fields, "name_time", env),
        region: plain(fields, "region", env).unwrap_or_else(|| "us-east-1".to_owned()),
        keys: key.zip(secret),
    })
}

/// Variables for the tool, beside those that are passed on.
fn variables(fields: &mut Fields<'_, '_>, env: &Env<'_>) -> Environment {
    Environment(fields.entries("env", |name, _, node, problems| {
        let Some(value) = node.text() else {
            problems.add(&node.place, "a variable's value is a text");
            return None;
        };
        let value = expand(value, env).map_err(|message| problems.add(&node.place, message)).ok()?;
        Some((name.to_owned(), Secret::new(value)))
    }))
}

fn path(fields: &mut Fields<'_, '_>, key: &str, env: &Env<'_>) -> Option<PathBuf> {
    let path = plain(fields, key, env)?;
    if !path.starts_with('/') {
        fields.tell(key, format!("`{key}` must be an absolute path"));
    }
    Some(path.into())
}

fn plain(fields: &mut Fields<'_, '_>, key: &str, env: &Env<'_>) -> Option<String> {
    text(fields, key, env).ok().flatten().map(|(_, value)| value)
}
