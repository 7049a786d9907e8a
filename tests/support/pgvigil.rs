//! The program under test, as its users run it.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    process::{Command, ExitStatus},
    sync::Mutex,
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    Folder, eventually,
    http::{self, Response},
    place::free_port,
    process::{self, Process},
};

/// A result so old is not shared with the next scrape.
const OLD: Duration = Duration::from_millis(260);

pub struct Pgvigil {
    address: SocketAddr,
    folder: Folder,
    process: Mutex<Process>,
    /// When the last page came.
    scraped: Mutex<Option<Instant>>,
}

impl Pgvigil {
    /// Runs `serve` with more arguments and exactly these environment variables, and waits until it is ready.
    /// `binary`: `env!("CARGO_BIN_EXE_pgvigil")`, which only tests have.
    pub fn start(binary: impl AsRef<Path>, args: &[&str], env: &[(&str, &str)]) -> Pgvigil {
        let pgvigil = Pgvigil::spawn(binary, args, env);
        eventually(Duration::from_secs(20), "pgvigil is ready", || {
            assert!(pgvigil.ended().is_none(), "pgvigil did not start:\n{}", pgvigil.stderr());
            pgvigil.try_get("/readyz", &[]).is_ok_and(|answer| answer.status == 200)
        });
        pgvigil
    }

    /// The same, until it says that it serves: for pages that not everyone gets.
    pub fn start_closed(binary: impl AsRef<Path>, args: &[&str], env: &[(&str, &str)]) -> Pgvigil {
        let pgvigil = Pgvigil::spawn(binary, args, env);
        eventually(Duration::from_secs(20), "pgvigil serves", || {
            assert!(pgvigil.ended().is_none(), "pgvigil did not start:\n{}", pgvigil.stderr());
            pgvigil.stderr().contains("serving on ")
        });
        pgvigil
    }

    /// The same without waiting.
    pub fn spawn(binary: impl AsRef<Path>, args: &[&str], env: &[(&str, &str)]) -> Pgvigil {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let folder = Folder::new("pgvigil", "TERM");
        let mut command: Command = folder.logged_command(binary);
        command.args(["serve", "--listen", &address.to_string()]).args(args).env_clear().envs(env.iter().copied());
        let process = Mutex::new(Process::start(&mut command));
        Pgvigil { address, folder, process, scraped: Mutex::default() }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its working folder, for files that a test changes while it runs.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Its log: everything it has written.
    pub fn stderr(&self) -> String {
        self.folder.log()
    }

    /// Panics when there is no answer.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let answer = self.try_get(path, headers);
        answer.unwrap_or_else(|error| panic!("GET {path}: {error}\n{}", self.stderr()))
    }

    /// A page shows what is there now, not what the one before has shown: for that, it waits a moment.
    pub fn try_get(&self, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
        if !path.starts_with("/metrics") {
            return http::get(self.address, path, headers);
        }
        self.rest();
        let answer = http::get(self.address, path, headers);
        *self.scraped.lock().expect("no panic while held") = Some(Instant::now());
        answer
    }

    /// Waits until the next page will be another than the last.
    pub fn rest(&self) {
        let scraped = *self.scraped.lock().expect("no panic while held");
        sleep(scraped.map_or(Duration::ZERO, |scraped| OLD.saturating_sub(scraped.elapsed())));
    }

    /// Asks at once: for those who want to see what scrapes right after one another, or at the same time, do.
    pub fn get_at_once(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        http::get(self.address, path, headers).unwrap_or_else(|error| panic!("GET {path}: {error}\n{}", self.stderr()))
    }

    /// One scrape in the text format; panics unless it is answered 200.
    pub fn scrape(&self) -> String {
        let answer = self.get("/metrics", &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }

    pub fn pid(&self) -> u32 {
        self.process.lock().expect("no panic while held").pid()
    }

    /// Resident memory in KiB. Panics when it is gone.
    pub fn rss_kib(&self) -> u64 {
        process::rss_kib(self.pid()).expect("pgvigil runs")
    }

    /// The most resident memory since [`Self::forget_peak`], in KiB.
    pub fn peak_kib(&self) -> u64 {
        process::peak_kib(self.pid()).expect("pgvigil runs")
    }

    pub fn forget_peak(&self) {
        process::forget_peak(self.pid());
    }

    /// Sends a signal by its name: `HUP`.
    pub fn signal(&self, name: &str) {
        process::signal(name, &[self.pid()]);
    }

    /// How it ended, if it did.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.process.lock().expect("no panic while held").ended()
    }

    /// Asks it to end (SIGTERM) and says how it did; panics when that takes longer than 10 s.
    pub fn stop(&self) -> ExitStatus {
        self.signal("TERM");
        let status = self.process.lock().expect("no panic while held").wait(Duration::from_secs(10));
        status.unwrap_or_else(|| panic!("pgvigil does not stop:\n{}", self.stderr()))
    }
}
