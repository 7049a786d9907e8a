//! Passwords change while pgvigil runs: the next login takes the one that is in the file then. Real servers, no restart.

// They wait for real processes, on threads of their own.
#![allow(clippy::disallowed_methods)]

use std::{fs, time::Duration};

use crate::support::{Folder, PASSWORD, PgBouncer, Pgvigil, Postgres, Redis, eventually, sample};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// A target that is given its password by a file, watched.
struct Watched {
    folder: Folder,
    pgvigil: Pgvigil,
    up: &'static str,
}

impl Watched {
    /// `endpoint`: the keys but `password_file`, with `$FILE` where the file's name belongs.
    fn new(up: &'static str, endpoint: &str, password: &str) -> Watched {
        let folder = Folder::new("rotation", "TERM");
        let file = folder.write("password", &format!("{password}\n")).display().to_string();
        let settings = format!("targets: [{{name: a, {}}}]\n", endpoint.replace("$FILE", &file));
        let settings = folder.write("pgvigil.yaml", &settings).display().to_string();
        let pgvigil = Pgvigil::start(BINARY, &["--config", &settings], &[]);
        Watched { folder, pgvigil, up }
    }

    /// Replaces the file as Kubernetes and Vault do: whole.
    fn write(&self, password: &str) {
        let new = self.folder.write("new", password);
        fs::rename(new, self.folder.path().join("password")).expect("a file in its place");
    }

    fn up(&self) -> Option<f64> {
        sample(&self.pgvigil.scrape(), self.up, &[])
    }

    /// Why it is down, by the page.
    fn reason(&self) -> Option<String> {
        let page = self.pgvigil.scrape();
        let line = page.lines().find(|line| line.starts_with("pgvigil_target_down{"))?;
        Some(line.split_once("reason=\"")?.1.split('"').next()?.to_owned())
    }

    /// The password was changed at the server, and all sessions ended: down until the file has it, then up on the next scrape.
    fn expect_rotated(&self, new: &str) {
        // The login that fails is the one with the old password, whatever still ends.
        eventually(Duration::from_secs(10), "the old password is refused", || {
            self.reason().as_deref() == Some("authentication")
        });
        self.write(new);
        assert_eq!(self.up(), Some(1.0), "the next login has the new password: {:?}", self.reason());
        let log = self.pgvigil.stderr();
        assert!(!log.contains("loaded again"), "nothing was reloaded: {log}");
    }
}

#[test]
fn of_postgresql() {
    let server = Postgres::builder(15).start();
    server.create_monitor_role();
    server.sql("postgres", "ALTER ROLE pgvigil PASSWORD 'first'");
    let place = format!("host: 127.0.0.1, port: {}, user: pgvigil, dbname: postgres", server.port());
    let watched = Watched::new("pg_up", &format!("postgres: {{{place}, password_file: $FILE}}"), "first");
    let probe = Watched::new(
        "pgvigil_probe_up",
        &format!("probe: {{primary: {{{place}, password_file: $FILE}}, paths: [{{direct: {{}}}}]}}"),
        "first",
    );
    assert_eq!(watched.up(), Some(1.0), "{:?}", watched.reason());
    // The file first: the kept session goes on, and the next one is let in at once.
    watched.write("second");
    server.sql("postgres", "ALTER ROLE pgvigil PASSWORD 'second'");
    assert_eq!(watched.up(), Some(1.0));
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pgvigil'";
    server.sql("postgres", end);
    assert_eq!(watched.up(), Some(1.0), "{:?}", watched.reason());
    // The server first.
    server.sql("postgres", "ALTER ROLE pgvigil PASSWORD 'third'");
    server.sql("postgres", end);
    watched.expect_rotated("third");
    fs::remove_file(watched.folder.path().join("password")).expect("a file");
    server.sql("postgres", end);
    assert_eq!(watched.reason().as_deref(), Some("authentication"));
    let told = watched.pgvigil.get("/readyz", &[]).text();
    assert!(told.contains("the file cannot be read"), "{told}");

    let good = || {
        let page = probe.pgvigil.scrape();
        let counts = page.lines().filter(|line| line.starts_with("pgvigil_probe_successes_total{"));
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    probe.write("third");
    let before = good();
    eventually(Duration::from_secs(30), "the probe's next connection", || good() > before);
}

#[test]
fn of_pgbouncer() {
    let server = Postgres::builder(15).start();
    server.create_monitor_role();
    let mut pooler = PgBouncer::start(&server, "transaction", "");
    let place = format!("host: 127.0.0.1, port: {}, user: pgvigil", pooler.port());
    let watched = Watched::new("pgbouncer_up", &format!("pgbouncer: {{{place}, password_file: $FILE}}"), PASSWORD);
    assert_eq!(watched.up(), Some(1.0), "{:?}", watched.reason());
    let users = pooler.socket_dir().join("users.txt");
    let text = fs::read_to_string(&users).expect("users");
    let changed =
        |line: &str| if line.starts_with("\"pgvigil\" ") { "\"pgvigil\" \"second\"" } else { line }.to_owned() + "\n";
    fs::write(&users, text.lines().map(changed).collect::<String>()).expect("users");
    pooler.restart();
    watched.expect_rotated("second");
}

#[test]
fn of_redis() {
    let server = Redis::start("--requirepass first");
    let place = format!("host: 127.0.0.1, port: {}", server.port());
    let watched = Watched::new("redis_up", &format!("redis: {{{place}, password_file: $FILE}}"), "first");
    assert_eq!(watched.up(), Some(1.0), "{:?}", watched.reason());
    server.run_as(Some("first"), "CONFIG SET requirepass second");
    server.run_as(Some("second"), "CLIENT KILL TYPE normal");
    watched.expect_rotated("second");
}

/// A URL says more than a password, so its file is configuration: it is watched.
#[test]
fn of_a_url_in_a_file() {
    let server = Postgres::builder(15).start();
    server.create_monitor_role();
    server.sql("postgres", "ALTER ROLE pgvigil PASSWORD 'first'");
    let url = |password: &str| format!("postgresql://pgvigil:{password}@127.0.0.1:{}/postgres", server.port());
    let watched = Watched::new("pg_up", "postgres: {url_file: $FILE}", &url("first"));
    assert_eq!(watched.up(), Some(1.0), "{:?}", watched.reason());
    server.sql("postgres", "ALTER ROLE pgvigil PASSWORD 'second'");
    server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pgvigil'");
    assert_eq!(watched.reason().as_deref(), Some("authentication"));
    watched.write(&url("second"));
    eventually(Duration::from_secs(20), "the new URL", || watched.up() == Some(1.0));
}
