//! A PostgreSQL server: a primary or a standby, of any version, with what tests do to servers.
//!
//! It listens on 127.0.0.1, where passwords are asked for (SCRAM), and on a socket in its folder, where they are not. All
//! roles have the password `PASSWORD`. pg_stat_statements is preloaded; a database that wants the extension creates it.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    Folder, Session, eventually,
    place::{free_port, postgres_program},
    process::{self, Process},
    psql,
    template::{copy, made, template},
};

/// Everybody's password, as odd as passwords are: it must be quoted in SQL, in YAML and in a URL.
pub const PASSWORD: &str = r#"p@ss:w/rd?#%25&'"ü"#;

/// What `pgvigil export grants` prints.
pub const GRANTS: &str = include_str!("../../src/cli/grants.sql");

/// What `pgvigil export grants --probe` prints after that.
pub const PROBE_GRANTS: &str = include_str!("../../src/cli/grants_probe.sql");

/// How long a server may take to start, stop or catch up, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How to stop: PostgreSQL's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// When the last session has ended by itself.
    Smart,
    /// Sessions are told to end.
    Fast,
    /// As after a crash: recovery at the next start.
    Immediate,
}

pub struct Postgres {
    major: u32,
    port: u16,
    folder: Folder,
    process: Mutex<Option<Process>>,
}

/// A server to be: `Postgres::builder(18).config("work_mem = 1MB").start()`.
pub struct Builder {
    major: u32,
    config: String,
    of_its_own: bool,
}

impl Builder {
    /// Adds a line to postgresql.conf.
    pub fn config(mut self, line: &str) -> Builder {
        let _ = writeln!(self.config, "{line}");
        self
    }

    /// With a system identifier that no other server has: the others here are copies of one.
    pub fn of_its_own(self) -> Builder {
        Builder { of_its_own: true, ..self }
    }

    pub fn start(self) -> Postgres {
        let data = if self.of_its_own { made(self.major) } else { template(self.major) };
        let server = Postgres::from_data(self.major, &data.path().join("data"));
        server.append("postgresql.conf", &self.config);
        server.start();
        server
    }
}

impl Postgres {
    pub fn builder(major: u32) -> Builder {
        Builder { major, config: String::new(), of_its_own: false }
    }

    /// A server with a copy of another's data, not started.
    fn from_data(major: u32, data: &Path) -> Postgres {
        let folder = Folder::for_server(&format!("postgres{major}"), "QUIT");
        copy(&folder, data, "data");
        Postgres { major, port: free_port(), folder, process: Mutex::default() }
    }

    /// A streaming standby of this server, over its socket and a slot of its own. It is a cold copy: this server restarts.
    pub fn replica(&self) -> Postgres {
        let replica = self.copies(1).remove(0);
        replica.follow(self);
        replica
    }

    /// Cold copies of this server, which restarts; they are not started.
    pub fn copies(&self, count: usize) -> Vec<Postgres> {
        self.stop(Stop::Fast);
        let copies = (0..count).map(|_| Postgres::from_data(self.major, &self.data_dir())).collect();
        self.start();
        copies
    }

    /// Starts a stopped server as a streaming standby of another one, over its socket and a slot of its own.
    pub fn follow(&self, upstream: &Postgres) {
        let slot = format!("replica_{}", self.port);
        upstream.sql("postgres", &format!("SELECT pg_create_physical_replication_slot('{slot}')"));
        let (host, port) = (upstream.socket_dir().display().to_string(), upstream.port);
        let conninfo = format!("host={host} port={port} user=postgres application_name={slot}");
        self.start_standby(&format!("primary_conninfo = '{conninfo}'\nprimary_slot_name = '{slot}'"));
        let streaming = format!(
            "SELECT count(*) FROM pg_stat_replication WHERE application_name = '{slot}' AND state = 'streaming'"
        );
        upstream.until("postgres", &streaming, "1");
    }

    /// Starts a stopped server as a standby with these settings, which say where its WAL comes from.
    pub fn start_standby(&self, settings: &str) {
        self.append("postgresql.auto.conf", &format!("{settings}\n"));
        self.folder.write("data/standby.signal", "");
        self.start();
    }

    pub fn major(&self) -> u32 {
        self.major
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder of its socket, to be used as a host.
    pub fn socket_dir(&self) -> &Path {
        self.folder.path()
    }

    /// The server's log, from its first start on.
    pub fn log(&self) -> String {
        self.folder.log()
    }

    /// The postmaster's process. Panics when stopped.
    pub fn pid(&self) -> u32 {
        self.process().as_ref().expect("the server is stopped").pid()
    }

    /// The same, or `None` when stopped.
    pub fn running(&self) -> Option<u32> {
        self.process().as_ref().map(Process::pid)
    }

    /// How a client with a password finds `db`, over TCP.
    pub fn url(&self, user: &str, db: &str) -> String {
        format!("postgresql://{}:{}@127.0.0.1:{}/{}", encode(user), encode(PASSWORD), self.port, encode(db))
    }

    /// Runs statements as superuser `postgres` over the socket, each in its own transaction. Rows come as lines, columns
    /// apart by `|`. Panics on an error.
    pub fn sql(&self, db: &str, text: &str) -> String {
        self.try_sql(db, text).unwrap_or_else(|error| panic!("{error}\nin: {text}"))
    }

    /// The same, with psql's error.
    pub fn try_sql(&self, db: &str, text: &str) -> Result<String, String> {
        psql::run(&mut psql::psql(self.socket_dir(), self.port, "postgres", db), text)
    }

    /// Waits until this query gives `wanted`, asking in one session: a psql for each question would take the CPU from those that are waited
    /// for. Panics when even a busy machine has had enough time for it.
    pub fn until(&self, db: &str, query: &str, wanted: &str) {
        let mut session = self.session(db);
        let mut last = Ok(String::new());
        eventually(PATIENCE, query, || {
            last = session.try_run(&format!("{query};"));
            if last.is_err() {
                session = self.session(db);
            }
            last.as_deref() == Ok(wanted)
        });
    }

    /// A superuser's session that stays open.
    pub fn session(&self, db: &str) -> Session {
        Session::open(&mut psql::psql(self.socket_dir(), self.port, "postgres", db))
    }

    /// A role that may log in; `attributes` such as `SUPERUSER` or `IN ROLE pg_monitor`.
    pub fn create_role(&self, name: &str, attributes: &str) {
        let password = PASSWORD.replace('\'', "''");
        self.sql("postgres", &format!("CREATE ROLE {name} LOGIN PASSWORD '{password}' {attributes}"));
    }

    /// The roles `pgvigil` and `pgvigil_probe`, as the documentation says to create them: by `pgvigil export grants --probe`
    /// in the database `postgres`.
    pub fn create_monitor_role(&self) {
        let password = PASSWORD.replace('\'', "''");
        self.sql(
            "postgres",
            &format!(
                "{GRANTS}\n{PROBE_GRANTS}\nALTER ROLE pgvigil PASSWORD '{password}'; ALTER ROLE pgvigil_probe PASSWORD '{password}'"
            ),
        );
    }

    /// Starts the server and waits until it takes connections.
    pub fn start(&self) {
        let mut command = self.folder.logged_command(postgres_program(self.major, "postgres"));
        command.arg("-D").arg(self.data_dir()).arg("-k").arg(self.socket_dir()).args(["-p", &self.port.to_string()]);
        let mut process = Process::start(&mut command);
        eventually(PATIENCE, "PostgreSQL starts", || {
            assert!(process.ended().is_none(), "PostgreSQL {} did not start:\n{}", self.major, self.log());
            self.is_ready(process.pid())
        });
        *self.process() = Some(process);
    }

    /// From postmaster.pid: the process on the first line, its state on the eighth.
    fn is_ready(&self, pid: u32) -> bool {
        let file = fs::read_to_string(self.data_dir().join("postmaster.pid")).unwrap_or_default();
        let line = |number| file.lines().nth(number).unwrap_or_default().trim();
        line(0) == pid.to_string() && line(7) == "ready"
    }

    /// Stops the server and waits until it has; its folder and port stay.
    pub fn stop(&self, mode: Stop) {
        let mut process = self.process().take().expect("the server is stopped");
        process.signal(match mode {
            Stop::Smart => "TERM",
            Stop::Fast => "INT",
            Stop::Immediate => "QUIT",
        });
        assert!(process.wait(PATIENCE).is_some(), "PostgreSQL does not stop ({mode:?}):\n{}", self.log());
    }

    pub fn restart(&self) {
        self.stop(Stop::Fast);
        self.start();
    }

    /// Makes a standby a primary.
    pub fn promote(&self) {
        assert_eq!(self.sql("postgres", "SELECT pg_promote()"), "t", "promotion:\n{}", self.log());
    }

    /// Freezes the server: connections are accepted by the kernel, nobody answers.
    pub fn pause(&self) {
        let postmaster = self.pid();
        // First the postmaster, so that it starts no more children; twice, since while one of them ends, another may be left out.
        process::signal("STOP", &[postmaster]);
        (0..2).for_each(|_| process::signal("STOP", &process::children(postmaster)));
    }

    pub fn resume(&self) {
        let postmaster = self.pid();
        process::signal("CONT", &process::children(postmaster));
        process::signal("CONT", &[postmaster]);
    }

    fn append(&self, file: &str, text: &str) {
        let path = self.data_dir().join(file);
        let before = fs::read_to_string(&path).expect("a configuration file");
        fs::write(&path, before + text).expect("writing a configuration file");
    }

    /// A test that panicked meanwhile does not take the server from others.
    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of a URL, with everything but letters and digits escaped.
pub fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            encoded.push(byte.into());
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
