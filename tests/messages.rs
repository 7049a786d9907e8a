//! What a person reads when something is wrong: each message says what it is, where, and what to do. Against real
//! servers; what is wrong in files alone is in `tests/bad/`.

// They wait for real processes, on threads of their own.
#![allow(clippy::disallowed_methods)]

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    time::Duration,
};

use crate::faults::liar::Liar;
use crate::support::{Folder, PASSWORD, PgBouncer, Pgvigil, Postgres, Redis, Stop, eventually, free_port, majors};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// How long a line of the log may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The key of a target, in settings.
fn target(key: &str, keys: &str) -> String {
    format!("targets: [{{name: t, {key}: {{{keys}}}}}]\n")
}

/// What `pgvigil check` with these arguments says of these settings, and how it ends.
fn check(settings: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let folder = Folder::new("messages", "TERM");
    let file = folder.write("pgvigil.yaml", settings);
    let mut command = Command::new(BINARY);
    command.arg("check").args(arguments).arg("--config").arg(file).env_clear().stdin(Stdio::null());
    let output = command.output().expect("running check");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code(), said.concat())
}

fn newest() -> u32 {
    *majors().last().expect("a version")
}

fn server() -> Postgres {
    let server = Postgres::builder(newest()).start();
    server.create_monitor_role();
    server
}

/// The keys of a URL.
fn url(url: &str) -> String {
    format!("url: '{}'", url.replace('\'', "''"))
}

#[test]
fn what_keeps_a_target_down_is_said_with_its_place_and_what_to_do() {
    let server = server();
    let pooler = PgBouncer::start(&server, "transaction", "");
    let redis = Redis::start("");
    let secured = Redis::start("--requirepass secret");
    let web = Pgvigil::start(BINARY, &[], &[("PGVIGIL_REDIS_URL", &redis.url())]);
    let free = free_port();
    let at = |port: u16| format!("host: 127.0.0.1, port: {port}");
    let login = |port: u16| format!("{}, user: pgvigil, password: x", at(port));
    let missing = "host: nowhere.invalid";
    let (postgres, console) = (server.url("pgvigil", "postgres"), pooler.url("pgvigil", "pgbouncer"));
    let sslmode = "sslmode: disable";
    let web_port = web.address().port();
    for (key, keys, wanted) in [
        (
            "postgres",
            login(free),
            format!("cannot connect to 127.0.0.1:{free}: Connection refused (unreachable); does"),
        ),
        ("pgbouncer", login(free), format!("cannot connect to 127.0.0.1:{free}: Connection refused")),
        ("redis", at(free), format!("cannot connect to 127.0.0.1:{free}: Connection refused")),
        ("postgres", format!("{missing}, user: u"), "cannot find the host nowhere.invalid: ".to_owned()),
        ("redis", missing.to_owned(), "cannot find the host nowhere.invalid: ".to_owned()),
        ("redis", "host: /nowhere/redis.sock".to_owned(), "cannot connect to /nowhere/redis.sock: No such".to_owned()),
        ("postgres", login(redis.port()), "a Redis server answers at 127.0.0.1:".to_owned()),
        ("postgres", login(secured.port()), "watch it with the key `redis`".to_owned()),
        ("postgres", login(web_port), "an HTTP server answers at 127.0.0.1:".to_owned()),
        ("postgres", format!("{}, {sslmode}", login(web_port)), "an HTTP server answers there".to_owned()),
        ("redis", at(web_port), "an HTTP server ".to_owned()),
        ("redis", at(server.port()), "a PostgreSQL server or a PgBouncer answers at 127.0.0.1:".to_owned()),
        ("redis", at(pooler.port()), "a PostgreSQL server or a PgBouncer answers at 127.0.0.1:".to_owned()),
        ("pgbouncer", url(&postgres), "this is a PostgreSQL server, not a PgBouncer (refused)".to_owned()),
        ("postgres", url(&console), "this is the console of a PgBouncer".to_owned()),
        ("postgres", login(server.port()), format!("at 127.0.0.1:{}; is this the password", server.port())),
        ("pgbouncer", login(pooler.port()), "`auth_file`".to_owned()),
        ("postgres", url(&server.url("pgvigil", "shopp")), "name a database that exists".to_owned()),
    ] {
        let (code, said) = check(&target(key, &keys), &["--connect"]);
        assert!(code == Some(1) && said.contains("\nt: down: ") && said.contains(&wanted), "{key} {keys}\n{said}");
        assert!(!said.contains(PASSWORD), "{said}");
    }
}

#[test]
fn a_server_that_cannot_start_a_process_is_quoted() {
    let postmaster = Liar::start(|stream| {
        stream.read_exact(&mut [0; 8])?;
        stream.write_all(b"Ecould not fork new process for connection: Cannot allocate memory\n\0")
    });
    let (code, said) = check(&target("postgres", &url(&postmaster.url())), &["--connect"]);
    let wanted = " refuses: could not fork new process for connection: Cannot allocate memory (refused)";
    assert!(code == Some(1) && said.contains(&format!("127.0.0.1:{}{wanted}", postmaster.port())), "{said}");
}

#[test]
fn a_file_that_is_empty_or_cannot_be_read_is_named() {
    let server = server();
    let folder = Folder::new("messages", "TERM");
    let empty = folder.write("empty", "").display().to_string();
    let none = folder.path().join("none").display().to_string();
    let keys = |file: &str| format!("host: 127.0.0.1, port: {}, user: pgvigil, password_file: {file}", server.port());
    let (code, said) = check(&target("postgres", &keys(&none)), &[]);
    assert!(code == Some(2) && said.contains(&format!("`password_file`: {none}: the file cannot be read: ")), "{said}");
    let (code, said) = check(&target("postgres", &keys(&empty)), &["--connect"]);
    assert!(code == Some(1) && said.contains(&format!("{empty} is empty")), "{said}");
}

#[test]
fn a_dollar_that_is_lost_is_told() {
    let settings = |password: &str| target("postgres", &format!("user: u, password: '{password}'"));
    for (password, is_told) in [("pa$$word", true), ("pa$word", false), ("pa$$$$word", true)] {
        let (code, said) = check(&settings(password), &[]);
        assert_eq!((code, said.contains("`$$` stands for one `$`")), (Some(0), is_told), "{said}");
        assert!(!said.contains("word\n") && !said.contains("pa$"), "{said}");
    }
}

/// A collector that loses rows and values.
const LOSSY: &str = "\
collector: lossy
source: postgres
queries:
  - name: rows
    sql: [{since: 13, text: \"SELECT n % 3 AS kind, n FROM generate_series(1, 6) n\"}]
    labels: [kind]
    metrics:
      - {name: lossy_rows, type: gauge, value: n, help: A.}
    example: [{kind: a, n: 1}]
  - name: texts
    sql: [{since: 13, text: \"SELECT 'x' AS n\"}]
    metrics:
      - {name: lossy_texts, type: gauge, value: n, help: B.}
    example: [{n: 1}]
";

#[test]
fn a_check_ends_with_what_can_be_done() {
    let server = server();
    server.sql("postgres", "CREATE DATABASE closed; REVOKE CONNECT ON DATABASE closed FROM PUBLIC");
    let folder = Folder::new("messages", "TERM");
    folder.write("lossy.yaml", LOSSY);
    let own = folder.path().display().to_string();
    let settings = target("postgres", &url(&server.url("pgvigil", "postgres")));
    let (code, said) = check(&settings, &["--connect", "--collectors", &own]);
    assert_eq!(code, Some(0), "{said}");
    let (_, summary) = said.split_once("\nIn short:\n").expect("a summary");
    for wanted in [
        "  dropped    lossy: 3 of 7 rows have the labels of another row: is a label missing?\n",
        "  dropped    lossy: values that are not numbers: 1; cast them",
        "  on         server: 1 row\n",
        "  off        database closed is skipped: run GRANT CONNECT ON DATABASE \"closed\" TO \"pgvigil\";",
    ] {
        assert!(said.contains(wanted), "{wanted}\n{said}");
    }
    for wanted in [" collectors on; rows of 1 collector are dropped; 1 database skipped; ", " you can turn on"] {
        assert!(summary.contains(wanted), "{wanted}\n{said}");
    }
    assert!(summary.contains("run CREATE EXTENSION pg_stat_statements; in database postgres\n"), "{said}");
    assert!(!said.contains("(version)") && !said.contains("(role)") && !said.contains("(extension)"), "{said}");
    assert!(said.contains("named by --verbose") && !said.contains("note "), "{said}");
    let (_, said) = check(&settings, &["--connect", "--verbose"]);
    assert!(said.contains("(role)") && said.contains("(extension); run CREATE EXTENSION"), "{said}");
    assert!(!said.contains("--verbose"), "{said}");

    let (code, said) = check(&target("postgres", &url(&server.url("postgres", "postgres"))), &["--connect"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("note       role postgres is a superuser"), "{said}");
}

/// What is there of a version that lacks a few queries is on, and not off.
#[test]
fn a_collector_that_delivers_is_on() {
    let oldest = *majors().first().expect("a version");
    let server = Postgres::builder(oldest).start();
    server.create_monitor_role();
    let settings = target("postgres", &url(&server.url("pgvigil", "postgres")));
    let (_, said) = check(&settings, &["--connect", "--verbose"]);
    for name in ["cache", "tables"] {
        let lines: Vec<_> =
            said.lines().filter(|line| line.get(13..).is_some_and(|rest| rest.starts_with(name))).collect();
        assert!(lines.iter().any(|line| line.starts_with("  on ")), "{name}\n{said}");
        assert!(!lines.iter().any(|line| line.starts_with("  off ")), "{name}\n{said}");
    }
}

/// The lines of a log that tell of something wrong.
fn warnings(pgvigil: &Pgvigil) -> Vec<String> {
    pgvigil.stderr().lines().filter(|line| line.contains(" WARN ")).map(str::to_owned).collect()
}

#[test]
fn the_log_tells_of_a_wrong_password_before_anybody_asks() {
    let server = server();
    let wrong = format!("postgresql://pgvigil:wrong@127.0.0.1:{}/postgres", server.port());
    let redis = Redis::start("");
    let pgvigil = Pgvigil::start(BINARY, &[], &[("PGVIGIL_POSTGRES_URL", &wrong), ("PGVIGIL_REDIS_URL", &redis.url())]);
    eventually(PATIENCE, "the first answers", || pgvigil.stderr().contains("asked once: 1 of 2 up"));
    let log = pgvigil.stderr();
    assert!(log.contains("(2 targets)"), "{log}");
    let told = "down: password authentication failed for user \"pgvigil\" [28P01] (authentication); is this the";
    assert!(log.contains(told) && log.contains(&format!("127.0.0.1:{}", server.port())), "{log}");
    assert_eq!(warnings(&pgvigil).iter().filter(|line| line.contains("down")).count(), 1, "{log}");
}

#[test]
fn one_event_is_one_line() {
    let (server, redis) = (server(), Redis::start(""));
    server.sql("postgres", "CREATE DATABASE other; CREATE DATABASE another");
    let pgvigil = Pgvigil::start(
        BINARY,
        &[],
        &[("PGVIGIL_POSTGRES_URL", &server.url("pgvigil", "postgres")), ("PGVIGIL_REDIS_URL", &redis.url())],
    );
    for _ in 0..3 {
        pgvigil.scrape();
    }
    eventually(PATIENCE, "the first answers", || pgvigil.stderr().contains("asked once: 2 of 2 up"));
    let log = pgvigil.stderr();
    let is_of = |line: &&str| line.contains("extension pgstattuple is not installed");
    let lines: Vec<_> = log.lines().filter(is_of).collect();
    assert!(lines.len() == 1 && lines[0].contains(" INFO "), "{log}");
    assert!(!warnings(&pgvigil).iter().any(|line| line.contains("extension ")), "{log}");

    let before = warnings(&pgvigil).len();
    redis.kill();
    server.stop(Stop::Fast);
    for _ in 0..3 {
        pgvigil.scrape();
    }
    let log = pgvigil.stderr();
    let lines = warnings(&pgvigil).split_off(before);
    assert_eq!(lines.len(), 2, "one line for each server\n{log}");
    assert!(lines.iter().all(|line| line.contains("down: ")), "{log}");
}
