//! PgBouncer in front of a PostgreSQL server.

use std::{fs, net::TcpStream, path::Path, process::Command, time::Duration};

use super::{
    Folder, PASSWORD, Postgres, eventually,
    place::{free_port, system_program},
    postgres::encode,
    process::Process,
    psql,
};

/// Ignores the startup parameter `options` instead of refusing the connection, for `PgBouncer::start`.
pub const IGNORE_OPTIONS: &str = "ignore_startup_parameters = options";

/// Any database of the server is reached under its own name. The users `postgres` (of the console too), `pgvigil` (may ask
/// the console for statistics), `pgvigil_probe` and `app` log in with the password `PASSWORD`.
pub struct PgBouncer {
    port: u16,
    folder: Folder,
    process: Process,
}

impl PgBouncer {
    /// `pool_mode`: session, transaction or statement; `extra`: lines of the section `[pgbouncer]`, and more sections.
    pub fn start(server: &Postgres, pool_mode: &str, extra: &str) -> PgBouncer {
        let (folder, port) = (Folder::for_server("pgbouncer", "TERM"), free_port());
        let password = PASSWORD.replace('"', "\"\"");
        let users = ["postgres", "pgvigil", "pgvigil_probe", "app"].map(|user| format!("\"{user}\" \"{password}\"\n"));
        folder.write("users.txt", &users.concat());
        let config = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = users.txt\n\
             admin_users = postgres\nstats_users = pgvigil\npool_mode = {pool_mode}\n{extra}\n",
            server.port(),
        );
        folder.write("pgbouncer.ini", &config);
        let process = run(&folder);
        let mut pooler = PgBouncer { port, folder, process };
        pooler.wait();
        pooler
    }

    fn wait(&mut self) {
        eventually(Duration::from_secs(20), "PgBouncer starts", || {
            assert!(self.process.ended().is_none(), "PgBouncer did not start:\n{}", self.log());
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    /// Ends it at once, with all its sessions.
    pub fn stop(&mut self) {
        if self.process.ended().is_none() {
            self.process.signal("TERM");
        }
        assert!(self.process.wait(Duration::from_secs(10)).is_some(), "PgBouncer does not stop:\n{}", self.log());
    }

    pub fn restart(&mut self) {
        self.stop();
        self.process = run(&self.folder);
        self.wait();
    }

    /// Changes the text of its settings file, and tells it to read it again.
    pub fn reconfigure(&self, from: &str, to: &str) {
        let config = fs::read_to_string(self.folder.path().join("pgbouncer.ini")).expect("its settings");
        assert!(config.contains(from), "{config}");
        self.folder.write("pgbouncer.ini", &config.replace(from, to));
        self.console("RELOAD");
    }

    /// The folder of its socket, if `extra` says `unix_socket_dir = .`.
    pub fn socket_dir(&self) -> &Path {
        self.folder.path()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn log(&self) -> String {
        self.folder.log()
    }

    /// How a client finds `db` through the pooler; the console is the database `pgbouncer`.
    pub fn url(&self, user: &str, db: &str) -> String {
        format!("postgresql://{}:{}@127.0.0.1:{}/{}", encode(user), encode(PASSWORD), self.port, encode(db))
    }

    /// psql through the pooler, for `psql::run` or `Session::open`.
    pub fn psql(&self, user: &str, db: &str) -> Command {
        psql::psql("127.0.0.1", self.port, user, db)
    }

    /// Asks the console, such as `SHOW POOLS;`.
    pub fn console(&self, command: &str) -> String {
        psql::run(&mut self.psql("postgres", "pgbouncer"), command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Sends a signal by its name: `USR2`, which is RESUME.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Stops answering without closing anything.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    pub fn resume(&self) {
        self.process.signal("CONT");
    }
}

fn run(folder: &Folder) -> Process {
    Process::start(folder.logged_command(system_program("pgbouncer")).arg("pgbouncer.ini"))
}
