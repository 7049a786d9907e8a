//! Promise 20: the password is nowhere, whatever the form in which it was given and whatever goes wrong.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::support::{Folder, Pgvigil, Postgres, eventually, free_port, http, psql, together};

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

/// The same for what is not PostgreSQL, or is asked in another way.
fn other_forms(port: u16, folder: &Folder) -> Vec<Form> {
    let file = folder.write("other", TOKEN).display().to_string();
    let form = |name, settings: Option<String>, env| Form { name, settings, env };
    let target = |keys: String| Some(format!("targets: [{{name: a, {keys}}}]\n"));
    let url = format!("postgresql://pgvigil:{TOKEN}@127.0.0.1:{port}/postgres");
    // Its first letter.
    let encoded = url.replace(TOKEN, &format!("%54{}", &TOKEN[1..]));
    let redis = format!("redis://pgvigil:{TOKEN}@127.0.0.1:{port}/0");
    let place = format!("host: 127.0.0.1, port: {port}, user: pgvigil");
    let bucket = format!("name: a, tool: s3, endpoint: 'http://127.0.0.1:{port}', bucket: b, access_key: k");
    vec![
        form("a percent-encoded URL", None, vec![("DATABASE_URL", encoded)]),
        form(
            "a variable that nobody asks",
            None,
            vec![("DATABASE_URL", url.replace(&format!(":{TOKEN}"), "")), ("PGPASSWORD", TOKEN.to_owned())],
        ),
        form("a pooler's URL", None, vec![("PGVIGIL_PGBOUNCER_URL", url.clone())]),
        form("a pooler's file", target(format!("pgbouncer: {{{place}, password_file: {file}}}")), vec![]),
        form("a probe's URL", None, vec![("PGVIGIL_PROBE_URL", url.clone())]),
        form("a URL of Redis", None, vec![("PGVIGIL_REDIS_URL", redis.clone())]),
        form("a key of Redis", target(format!("redis: {{{place}, password: {TOKEN}}}")), vec![]),
        form(
            "a cache of a probe",
            target(format!(
                "probe: {{primary: {{url: '{url}'}}, paths: [{{pooled: {{}}}}, {{cached: {{redis: {{url: '{redis}'}}}}}}]}}"
            )),
            vec![],
        ),
        form(
            "a bucket's key",
            target(format!("backup: {{repositories: [{{{bucket}, secret_key: {TOKEN}}}]}}")),
            vec![],
        ),
        form(
            "a bucket's file",
            target(format!("backup: {{repositories: [{{{bucket}, secret_key_file: {file}}}]}}")),
            vec![],
        ),
        form(
            "a tool's variable",
            target(format!(
                "backup: {{repositories: [{{name: a, tool: walg, exec: [env], env: {{PGPASSWORD: {TOKEN}}}}}]}}"
            )),
            vec![],
        ),
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
        "postgresql://pgvigil@127.0.0.1/postgres?passfile=T",
        "host=127.0.0.1 user=pgvigil passfile=T",
    ]
    .map(|text| text.replace('T', TOKEN))
    .to_vec()
}

/// Everything that a form makes the program say, at the highest level of logging.
fn everything(form: &Form, folder: &Folder, format: &str) -> Said {
    let env: Vec<_> = form.env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let name = format!("{}.yaml", form.name);
    let file = form.settings.as_ref().map(|text| folder.write(&name, text).display().to_string());
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
    expect_secret_in(&forms(port, &folder), &folder, what, formats);
}

fn expect_secret_in(forms: &[Form], folder: &Folder, what: &str, formats: &[&str]) {
    together(forms, |form| {
        for format in formats {
            everything(form, folder, format).expect_no_token(&format!("{what}, {}, {format}", form.name));
        }
    });
    figure(20, &format!("{what}, forms without a trace of the password"), forms.len());
}

/// A server with the password, which more than one pgvigil may ask at a time.
fn secretive() -> Postgres {
    let server = prepared(Postgres::builder(newest()).start());
    server.sql("postgres", &format!("ALTER ROLE pgvigil CONNECTION LIMIT 50 PASSWORD '{TOKEN}'"));
    server
}

#[test]
fn p20_the_password_is_nowhere() {
    let server = secretive();
    let own =
        psql::run(psql::psql("127.0.0.1", server.port(), "pgvigil", "postgres").env("PGPASSWORD", TOKEN), "SELECT 1");
    assert_eq!(own.as_deref(), Ok("1"), "the password is good");
    expect_secret(server.port(), "up", &["text", "json"]);
    server.sql("postgres", "ALTER ROLE pgvigil PASSWORD 'another'");
    expect_secret(server.port(), "another password", &["text"]);
    expect_secret(free_port(), "nobody there", &["text"]);
}

#[test]
fn p20_what_is_no_postgresql_keeps_its_secrets_too() {
    let server = secretive();
    let folder = Folder::new("secrets", "TERM");
    expect_secret_in(&other_forms(server.port(), &folder), &folder, "other targets", &["text"]);
}

/// Neither who asks nor whom the web configuration knows is in the log, whatever is asked.
#[test]
fn p20_passwords_of_those_who_ask_are_nowhere() {
    let folder = Folder::new("web", "TERM");
    let hash = bcrypt::hash(TOKEN, 4).expect("a hash");
    let web = folder.write("web.yaml", &format!("basic_auth_users: {{prometheus: '{hash}'}}\n")).display().to_string();
    let args = ["--web.config.file", &web, "--log-level", "trace"];
    let nobody = [("DATABASE_URL", "postgresql://pgvigil@127.0.0.1:1/postgres")];
    let pgvigil = Pgvigil::start_closed(BINARY, &args, &nobody);
    let mut said = Vec::new();
    let mut hidden = vec![TOKEN.to_owned(), hash[7..].to_owned()];
    for (user, password, status) in
        [("prometheus", TOKEN.to_owned(), 200), ("nobody", TOKEN.to_owned(), 401), (TOKEN, "x".to_owned(), 401)]
    {
        let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let answer = pgvigil.get("/metrics", &[("Authorization", &format!("Basic {encoded}"))]);
        assert_eq!(answer.status, status, "{user}");
        said.push(answer.text());
        hidden.push(encoded);
    }
    folder.write("web.yaml", &format!("basic_auth_users: {{prometheus: '{hash}x', {TOKEN}: {TOKEN}, {TOKEN}}}\n"));
    pgvigil.signal("HUP");
    eventually(Duration::from_secs(20), "it is refused", || pgvigil.stderr().contains("not loaded"));
    said.push(run(&["check", "--web.config.file", &web, "--log-level", "trace"], &nobody).1);
    pgvigil.stop();
    said.push(pgvigil.stderr());
    for (text, hidden) in said.iter().flat_map(|text| hidden.iter().map(move |hidden| (text, hidden))) {
        assert!(!text.contains(hidden), "{hidden} is in {text}");
    }
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
