//! A temporary folder for one server, watched over by a guardian that outlives us by a moment.
//!
//! The guardian is a small shell script that holds a pipe from this process. When the pipe closes (the folder is dropped,
//! or this process ended: a panic, Ctrl-C, SIGKILL) it ends whoever works in the folder and removes it.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::place::{server_folders, server_user};

/// The folder. Dropping it ends the processes in it and removes it, before the drop returns.
pub struct Folder {
    path: PathBuf,
    user: Option<(u32, u32)>,
    guardian: Child,
}

impl Folder {
    /// A folder of our own user; processes in it end by `signal`, such as `TERM`.
    pub fn new(name: &str, signal: &str) -> Folder {
        Folder::owned(env::temp_dir(), name, signal, None)
    }

    /// A folder of the user that servers run as, for those that refuse root.
    pub fn for_server(name: &str, signal: &str) -> Folder {
        Folder::owned(server_folders(), name, signal, server_user())
    }

    fn owned(place: PathBuf, name: &str, signal: &str, user: Option<(u32, u32)>) -> Folder {
        let path = place.join(unique(name));
        let mut guardian = on_its_own(Path::new("/bin/sh"), user);
        guardian.args(["-c", include_str!("guardian.sh"), "guardian"]).arg(&path).arg(signal).current_dir("/");
        guardian.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut guardian = guardian.spawn().expect("starting the guardian of a folder");
        let mut answer = String::new();
        let out = guardian.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut answer).expect("reading from the guardian");
        assert_eq!(answer, "ready\n", "no folder {}: cannot it be written?", path.display());
        Folder { path, user, guardian }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file of the folder's user into the folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.path.join(name);
        fs::write(&file, text).unwrap_or_else(|error| panic!("writing {}: {error}", file.display()));
        if let Some((user, group)) = self.user {
            chown(&file, Some(user), Some(group)).expect("giving a file to the servers' user");
        }
        file
    }

    /// As if it had been written an hour ago: a backup that is finished.
    pub fn write_earlier(&self, name: &str, text: &str) -> PathBuf {
        let (path, time) = (self.write(name, text), SystemTime::now() - Duration::from_secs(3600));
        let file = fs::File::options().write(true).open(&path);
        file.and_then(|file| file.set_modified(time)).expect("setting a time");
        path
    }

    /// A command that runs in the folder, as its user: the guardian ends it.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut guardian = self.guardian.stdin.as_ref().expect("a pipe");
        guardian.write_all(b"\n").expect("telling the guardian that somebody works here");
        let mut command = on_its_own(program.as_ref(), self.user);
        command.current_dir(&self.path).stdin(Stdio::null());
        command
    }

    /// The same, with what it says on either output appended to the folder's file `log`.
    pub fn logged_command(&self, program: impl AsRef<Path>) -> Command {
        let log = fs::File::options().create(true).append(true).open(self.path.join("log")).expect("a log file");
        let mut command = self.command(program);
        command.stdout(log.try_clone().expect("the log file again")).stderr(log);
        command
    }

    /// What logged commands have said.
    pub fn log(&self) -> String {
        fs::read(self.path.join("log")).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        let _ = self.guardian.wait();
    }
}

/// A command in a process group of its own: Ctrl-C is for us alone, we decide in which order things end. `setpriv` changes the user, since
/// `Command::uid` would fork, which copies the page tables of this large process each time.
fn on_its_own(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = match user {
        None => Command::new(program),
        Some((user, group)) => {
            let mut command = Command::new("/usr/bin/setpriv");
            command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
            command.arg("--").arg(program);
            command
        }
    };
    command.process_group(0);
    command
}

fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    format!("pgvigil-{name}-{}-{}-{now}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
