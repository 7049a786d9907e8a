//! A part of the zoo: servers that stand together, who works on them, and what happens there from page to page.

use std::{any::Any, process::Command};

use crate::support::{Folder, PASSWORD, Postgres, majors, place::client_program, process::Process};

/// When something happens in the middle of the recording, and when it is over: before the pages of these numbers.
pub const BEGIN: usize = 3;
pub const END: usize = 10;

/// How real servers are set, other than those of tests; from the moment they are watched.
const SAFE: &str = "ALTER SYSTEM SET fsync = on; ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf()";

type Act = Box<dyn FnMut(usize) + Send>;

#[derive(Default)]
pub struct Part {
    /// Of pgvigil's settings.
    pub targets: String,
    /// Done before each page, which has a number.
    pub acts: Vec<Act>,
    /// Who works; then who is worked on.
    pub kept: Vec<Box<dyn Any + Send>>,
}

impl Part {
    /// A PostgreSQL server is watched; `more`: keys of the target.
    pub fn watch(&mut self, name: &str, server: &Postgres, more: &str) {
        server.sql("postgres", SAFE);
        self.watch_as(name, server, "pgvigil", more);
    }

    pub fn watch_as(&mut self, name: &str, server: &Postgres, role: &str, more: &str) {
        let url = server.url(role, "postgres");
        self.targets += &format!("  - {{name: {name}, {more}postgres: {{url: \"{url}\"}}}}\n");
    }

    pub fn watch_other(&mut self, name: &str, kind: &str, url: &str) {
        self.targets += &format!("  - {{name: {name}, {kind}: {{url: \"{url}\"}}}}\n");
    }

    pub fn act(&mut self, act: impl FnMut(usize) + Send + 'static) {
        self.acts.push(Box::new(act));
    }

    pub fn keep(&mut self, kept: impl Any + Send) {
        self.kept.push(Box::new(kept));
    }
}

/// A server of its own, ready to be watched.
pub fn server(major: u32, config: &str) -> Postgres {
    let server = Postgres::builder(major).of_its_own().config("autovacuum_naptime = 10s").config(config).start();
    server.create_monitor_role();
    server.sql("postgres", "CREATE EXTENSION pg_stat_statements");
    server
}

/// The newest version to be tested, up to this one, that the clients' programs talk to: they refuse servers newer than they are.
pub fn known_to_clients(major: u32) -> u32 {
    let output =
        Command::new(client_program("pg_basebackup")).arg("--version").output().expect("running pg_basebackup");
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    let digits = version.trim_start_matches(|c: char| !c.is_ascii_digit()).split(|c: char| !c.is_ascii_digit()).next();
    let theirs: u32 = digits.and_then(|digits| digits.parse().ok()).expect("a version");
    majors().into_iter().filter(|other| *other <= theirs && *other <= major).max().unwrap_or(major)
}

/// A script that pgbench runs, so many times a second, until it is dropped.
pub fn load(server: &Postgres, database: &str, script: &str, rate: &str) -> (Process, Folder) {
    let folder = Folder::new("load", "TERM");
    let file = folder.write("script.sql", script);
    let mut command = folder.logged_command(client_program("pgbench"));
    command.env("PGPASSWORD", PASSWORD).args(["-n", "-h"]).arg(server.socket_dir());
    command.args(["-p", &server.port().to_string(), "-U", "postgres", "-c", "2", "-T", "7200", "--rate", rate]);
    (Process::start(command.arg("-f").arg(file).arg(database)), folder)
}

/// A program of a client, on its way to a server; it runs in the folder.
pub fn client(folder: &Folder, program: &str, server: &Postgres) -> Command {
    let mut command = folder.logged_command(client_program(program));
    command.arg("-h").arg(server.socket_dir()).args(["-p", &server.port().to_string(), "-U", "postgres"]);
    command
}
