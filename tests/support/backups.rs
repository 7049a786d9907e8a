//! Real backup tools on a real server: a pgBackRest repository, a Barman.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    Folder, Postgres, eventually,
    place::{postgres_program, server_user, system_program},
    postgres::Builder,
    process::Process,
};

/// How long a tool's step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pgBackRest repository with the stanza `main`.
pub struct PgBackRest {
    folder: Folder,
}

impl PgBackRest {
    /// The newest PostgreSQL that Debian's pgBackRest knows.
    pub const NEWEST: u32 = 15;

    pub fn new() -> PgBackRest {
        PgBackRest { folder: Folder::for_server("pgbackrest", "TERM") }
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("pgbackrest.conf")
    }

    /// Where the stanzas' WAL is.
    pub fn archive(&self) -> PathBuf {
        self.folder.path().join("repo/archive")
    }

    /// A server to be that archives into the repository.
    pub fn archived(&self, server: Builder) -> Builder {
        let program = system_program("pgbackrest").display().to_string();
        let push = format!("{program} --config={} --stanza=main archive-push %p", self.config().display());
        server.config("archive_mode = on").config(&format!("archive_command = '{push}'"))
    }

    /// Makes the stanza of a server that runs.
    pub fn create(&self, server: &Postgres) {
        self.configure(&[("main", server)]);
        self.run(&["--stanza=main", "stanza-create"]);
    }

    /// Writes the configuration, of these stanzas.
    pub fn configure(&self, stanzas: &[(&str, &Postgres)]) {
        let at = self.folder.path().display();
        let global = format!(
            "[global]\nrepo1-path={at}/repo\nrepo1-retention-full=2\nlog-path={at}\nlock-path={at}/lock\nspool-path={at}/spool\n\
             start-fast=y\ncompress-type=none\nprocess-max=2\n"
        );
        let section = |(name, server): &(&str, &Postgres)| {
            let (data, socket, port) = (server.data_dir(), server.socket_dir(), server.port());
            let (data, socket) = (data.display(), socket.display());
            format!("[{name}]\npg1-path={data}\npg1-socket-path={socket}\npg1-port={port}\npg1-user=postgres\n")
        };
        let sections: String = stanzas.iter().map(section).collect();
        self.folder.write("pgbackrest.conf", &(global + &sections));
    }

    /// `full`, `diff` or `incr`.
    pub fn backup(&self, kind: &str) {
        self.run(&["--stanza=main", &format!("--type={kind}"), "backup"]);
    }

    /// What a command says. Panics if it fails.
    pub fn run(&self, arguments: &[&str]) -> String {
        let mut command = self.folder.command(system_program("pgbackrest"));
        said(command.arg(format!("--config={}", self.config().display())).args(arguments))
    }
}

/// A Barman that streams the WAL of one server, which it calls `main`.
pub struct Barman {
    folder: Folder,
    _receiver: Process,
}

impl Barman {
    pub fn start(server: &Postgres) -> Barman {
        let folder = Folder::for_server("barman", "TERM");
        let (at, program) = (folder.path().display(), postgres_program(server.major(), "pg_basebackup"));
        let bin = program.parent().expect("a folder").display().to_string();
        let conninfo =
            format!("host={} port={} user=postgres dbname=postgres", server.socket_dir().display(), server.port());
        let user = if server_user().is_some() { "postgres".to_owned() } else { said(Command::new("id").arg("-un")) };
        folder.write(
            "barman.conf",
            &format!(
                "[barman]\nbarman_home={at}/home\nbarman_user={}\nlog_file={at}/barman.log\n[main]\ndescription=main\n\
                 conninfo={conninfo}\nstreaming_conninfo={conninfo}\nbackup_method=postgres\nstreaming_archiver=on\n\
                 slot_name=barman\npath_prefix={bin}\nimmediate_checkpoint=on\n",
                user.trim()
            ),
        );
        fs::create_dir(folder.path().join("home")).expect("a folder");
        if let Some((user, group)) = server_user() {
            std::os::unix::fs::chown(folder.path().join("home"), Some(user), Some(group))
                .expect("giving a folder away");
        }
        said(&mut barman(&folder, &["receive-wal", "main", "--create-slot"]));
        let mut receive = folder.logged_command(system_program("barman"));
        let receiver = Process::start(receive.args(["-c", "barman.conf", "receive-wal", "main"]));
        let slot = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'barman' AND active";
        server.until("postgres", slot, "1");
        Barman { folder, _receiver: receiver }
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("barman.conf")
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// What a command says. Panics if it fails.
    pub fn run(&self, arguments: &[&str]) -> String {
        said(&mut self.command(arguments))
    }

    /// Whether a command succeeds.
    pub fn try_run(&self, arguments: &[&str]) -> bool {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("Barman runs").success()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        barman(&self.folder, arguments)
    }

    /// Switches to the next segment and waits until Barman has archived the one before.
    pub fn archive(&self, server: &Postgres) {
        let wals = || count(&self.home().join("main/wals"));
        let before = wals();
        server.sql("postgres", "SELECT pg_logical_emit_message(true, 'test', 'x')");
        server.sql("postgres", "SELECT pg_switch_wal()");
        eventually(PATIENCE, "Barman archives a segment", || {
            self.try_run(&["archive-wal", "main"]);
            wals() > before
        });
    }
}

fn barman(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = folder.command(system_program("barman"));
    command.args(["-c", "barman.conf"]).args(arguments);
    command
}

/// Files in a folder and below.
fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
}

/// What a program says. Panics if it fails.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}
