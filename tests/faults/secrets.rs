//! Promise 20: the password is nowhere, whatever the form in which it was given and whatever goes wrong.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::support::{Folder, Pgvigil, Postgres, free_port, http, psql};

use super::{BINARY, TIMEOUT_HEADER, figure, newest, prepared};

/// A part of every password here; nothing else holds it.
const TOKEN: &str = "Tok3nOfThisTest";

/// What a process said, and answered, and is called by the system.
struct Said(Vec<(String, String)>);

impl Said {
    fn expect_no_token(&self, what: &str) {
        for (place, text) in &self.0 {
            assert!(!text.contains(TOKEN), "{what}: the password is in {place}: {text}");
        }
    }
}

/// A way to give the password: settings, or the variable of the environment.
struct Form {
    name: &'static str,
    settings: Option<String>,
    env: Vec<(&'static str, String)>,
}

fn forms(port: u16, folder: &Folder) -> Vec<Form> {
    let file = folder.write("password", &format!("{TOKEN}\n")).display().to_string();
    let url_file = folder.write("url", &format!("postgresql://pgvigil:{TOKEN}@127.0.0.1:{port}/postgres\n"));
    let target = |keys: String| Some(format!("targets: [{{name: a, postgres: {{{keys}}}}}]\n"));
    let form = |name, settings, env| Form { name, settings, env };
    let host = format!("host: 127.0.0.1, port: {port}, user: pgvigil, dbname: postgres");
    let url = format!("postgresql://pgvigil:{TOKEN}@127.0.0.1:{port}/postgres");
    let keywords = format!("host=127.0.0.1 port={port} user=pgvigil dbname=postgres password={TOKEN}");
    let query = format!("postgresql://127.0.0.1:{port}/postgres?user=pgvigil&password={TOKEN}");
    vec![
        form("a URL", None, vec![("PGVIGIL_POSTGRES_URL", url.clone())]),
        form("keywords", None, vec![("DATABASE_URL", keywords.clone())]),
        form("a query string", None, vec![("PGVIGIL_POSTGRES_URL", query.clone())]),
        form("a replica's URL", None, vec![("PGVIGIL_REPLICA_URLS", url.clone())]),
        form("a URL in the settings", target(format!("url: '{url}'")), vec![]),
        form("keywords in the settings", target(format!("url: '{keywords}'")), vec![]),
        form("a key", target(format!("{host}, password: {TOKEN}")), vec![]),
        form("a file", target(format!("{host}, password_file: {file}")), vec![]),
        form("a URL's file", target(format!("url_file: {}", url_file.display())), vec![]),
        form("a variable", target(format!("{host}, password: '${{SECRET}}'")), vec![("SECRET", TOKEN.to_owned())]),
    ]
}

/// Connection strings that are refused.
fn malformed() -> Vec<String> {
    [
        "postgresql://pgvigil:T@127.0.0.1:port/postgres",
        "postgresql://pgvigil:T/x@127.0.0.1/postgres",
        "postgresql://pgvigil:T%zz@127.0.0.1/postgres",
        "postgresql://pgvigil:T@127.0.0.1/postgres?sslmode=maybe",
        "postgresql://pgvigil:T@127.0.0.1/postgres?pasword=T",
        "postgresql://T@127.0.0.1,T:T@x/postgres",
        "postgresql//pgvigil:T@127.0.0.1/postgres",
        "mysql://pgvigil:T@127.0.0.1/postgres",
        "postgresql://127.0.0.1:T/postgres",
        "postgresql://pgvigil:T @127.0.0.1/postgres",
        "host=127.0.0.1 user=pgvigil password='T",
        "host=127.0.0.1 user=pgvigil password T",
        "host=127.0.0.1 user=pgvigil T=T",
        "pgvigil:T",
    ]
    .map(|text| text.replace('T', TOKEN))
    .to_vec()
}

/// Everything that a form makes the program say, at the highest level of logging.
fn everything(form: &Form, folder: &Folder, format: &str) -> Said {
    let env: Vec<_> = form.env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let file = form.settings.as_ref().map(|text| folder.write("pgvigil.yaml", text).display().to_string());
    let config: Vec<_> = file.iter().flat_map(|file| ["--config", file]).collect();
    let log = ["--log-level", "trace", "--log-format", format];
    let pgvigil = Pgvigil::start(BINARY, &[&config[..], &log, &["--web.enable-lifecycle"]].concat(), &env);
    let mut said = Vec::new();
    for path in ["/metrics", "/", "/health", "/healthz", "/readyz", "/nothing", "/metrics?target=x"] {
        said.push((path.to_owned(), pgvigil.get(path, &[(TIMEOUT_HEADER, "2")]).text()));
    }
    let reloaded = http::ask(pgvigil.address(), "POST", "/-/reload", &[]).expect("an answer");
    said.push(("/-/reload".to_owned(), reloaded.text()));
    said.push((
        "the command line".to_owned(),
        fs::read_to_string(format!("/proc/{}/cmdline", pgvigil.pid())).expect("a process"),
    ));
    pgvigil.stop();
    said.push(("the log".to_owned(), pgvigil.stderr()));
    for command in [&["check"][..], &["check", "--connect"], &["scrape"]] {
        said.push((command.concat(), run(&[command, &config, &log].concat(), &env).1));
    }
    Said(said)
}

/// The exit code, and both outputs.
fn run(args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(BINARY);
    command.args(args).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
    let output = command.output().expect("running pgvigil");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code(), text.concat())
}

fn expect_secret(port: u16, what: &str, formats: &[&str]) {
    let folder = Folder::new("secrets", "TERM");
    let forms = forms(port, &folder);
    for form in &forms {
        for format in formats {
            everything(form, &folder, format).expect_no_token(&format!("{what}, {}, {format}", form.name));
        }
    }
    figure(20, &format!("{what}, forms without a trace of the password"), forms.len());
}

#[test]
fn p20_the_password_is_nowhere() {
    let server = prepared(Postgres::builder(newest()).start());
    server.sql("postgres", &format!("ALTER ROLE pgvigil PASSWORD '{TOKEN}'"));
    let own =
        psql::run(psql::psql("127.0.0.1", server.port(), "pgvigil", "postgres").env("PGPASSWORD", TOKEN), "SELECT 1");
    assert_eq!(own.as_deref(), Ok("1"), "the password is good");
    expect_secret(server.port(), "up", &["text", "json"]);
    server.sql("postgres", "ALTER ROLE pgvigil PASSWORD 'another'");
    expect_secret(server.port(), "another password", &["text"]);
    expect_secret(free_port(), "nobody there", &["text"]);
}

#[test]
fn p20_a_malformed_connection_string_is_not_repeated() {
    let folder = Folder::new("malformed", "TERM");
    let malformed = malformed();
    for url in &malformed {
        let file = folder.write("pgvigil.yaml", &format!("targets: [{{name: a, postgres: {{url: \"{url}\"}}}}]\n"));
        let file = file.display().to_string();
        let log = ["--log-level", "trace", "--listen", "127.0.0.1:1"];
        for command in ["serve", "check", "scrape"] {
            let log = if command == "serve" { &log[..] } else { &log[..2] };
            let by_env = run(&[&[command], log].concat(), &[("PGVIGIL_POSTGRES_URL", url)]);
            let by_file = run(&[&[command, "--config", &file], log].concat(), &[]);
            for (code, said) in [by_env, by_file] {
                assert_eq!(code, Some(2), "{command} {url}: {said}");
                Said(vec![(command.to_owned(), said)]).expect_no_token(url);
            }
        }
    }
    figure(20, "malformed connection strings refused without being repeated", malformed.len());
}
