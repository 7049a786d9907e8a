//! SQL through psql: the tests' way into a server that owes nothing to the code under test.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
};

use super::{PASSWORD, place::client_program};

/// psql on its way to a server; `host` is a name, an address or the folder of a socket.
pub fn psql(host: impl AsRef<Path>, port: u16, user: &str, db: &str) -> Command {
    let mut psql = Command::new(client_program("psql"));
    psql.env_clear().env("PGPASSWORD", PASSWORD).env("PGCONNECT_TIMEOUT", "10").env("PGCLIENTENCODING", "UTF8");
    psql.arg("-qXAt").args(["-v", "ON_ERROR_STOP=1", "-U", user, "-d", db, "-p", &port.to_string()]);
    psql.arg("-h").arg(host.as_ref()).current_dir("/");
    // Ctrl-C is for us alone: psql would cancel what it runs.
    psql.process_group(0);
    psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    psql
}

/// Runs statements, each in its own transaction, to the first error. Rows come as lines, columns apart by `|`.
pub fn run(psql: &mut Command, text: &str) -> Result<String, String> {
    let mut child = psql.spawn().expect("starting psql");
    let mut stdin = child.stdin.take().expect("a pipe");
    let text = text.to_owned();
    // Beside us, because psql may answer before it has read everything; its error says why it stopped reading.
    let writer = thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("waiting for psql");
    let _ = writer.join();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned())
    }
}

/// A session that stays open: for locks, idle transactions, temporary tables. Ends when dropped.
pub struct Session {
    psql: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Session {
    pub fn open(psql: &mut Command) -> Session {
        let mut psql = psql.spawn().expect("starting psql");
        let stdin = psql.stdin.take().expect("a pipe");
        let stdout = BufReader::new(psql.stdout.take().expect("a pipe"));
        Session { psql, stdin, stdout }
    }

    /// Starts a statement (with its `;`) and does not wait for it.
    pub fn send(&mut self, sql: &str) {
        writeln!(self.stdin, "{sql}").expect("writing to psql");
    }

    /// Runs statements (each with its `;`) and gives their rows. Panics with psql's error when one fails.
    pub fn run(&mut self, sql: &str) -> String {
        self.try_run(sql).unwrap_or_else(|error| panic!("the session ended: {error}"))
    }

    /// The same, with psql's error, after which the session has ended.
    pub fn try_run(&mut self, sql: &str) -> Result<String, String> {
        const END: &str = "=== end of answer ===";
        // Where psql has ended already, its error is read below.
        let _ = writeln!(self.stdin, "{sql}\n\\echo {END}");
        let mut rows = String::new();
        loop {
            let start = rows.len();
            if self.stdout.read_line(&mut rows).expect("reading from psql") == 0 {
                return Err(self.error());
            }
            if rows[start..].trim_end() == END {
                rows.truncate(start);
                return Ok(rows.trim_end().to_owned());
            }
        }
    }

    fn error(&mut self) -> String {
        let mut text = String::new();
        if let Some(stderr) = &mut self.psql.stderr {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}
