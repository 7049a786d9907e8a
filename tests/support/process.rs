//! A running child process: whether it lives, its signals, its end.

use std::{
    fs,
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// A child, killed and reaped on drop. Put it after its `Folder` in a struct, so that the guardian may end it gently first.
pub struct Process(Child);

impl Process {
    pub fn start(command: &mut Command) -> Process {
        Process(command.spawn().unwrap_or_else(|error| panic!("starting {:?}: {error}", command.get_program())))
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("asking for a child's state")
    }

    /// How it ended, waiting for that at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        while self.ended().is_none() && start.elapsed() < limit {
            sleep(Duration::from_millis(5));
        }
        self.ended()
    }

    /// Sends a signal by its name: `TERM`.
    pub fn signal(&self, name: &str) {
        signal(name, &[self.pid()]);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a signal by its name to processes; those already gone do not matter.
pub fn signal(name: &str, pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    let mut kill = Command::new("/bin/sh");
    kill.args(["-c", r#"for pid; do kill -s "$0" "$pid"; done"#, name]).args(pids).stderr(Stdio::null());
    kill.status().expect("running sh to send a signal");
}

/// Whether a process runs (one that ended but was not reaped does not).
pub fn is_alive(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != "Z")
}

/// The processes that `parent`, of one thread, has started. The kernel's list is taken, where it makes one: to look at each process of a busy
/// machine takes milliseconds.
pub fn children(parent: u32) -> Vec<u32> {
    if let Ok(list) = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")) {
        return list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    }
    let entries = fs::read_dir("/proc").expect("reading /proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| state_and_parent(pid).is_some_and(|(_, its)| its == parent)).collect()
}

/// Resident memory in KiB; `None` when the process is gone.
pub fn rss_kib(pid: u32) -> Option<u64> {
    status_kib(pid, "VmRSS:")
}

/// The most resident memory since its start, or since [`forget_peak`], in KiB. `None` when it is gone.
pub fn peak_kib(pid: u32) -> Option<u64> {
    status_kib(pid, "VmHWM:")
}

/// The most resident memory is counted anew from now on.
pub fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a process of ours");
}

fn status_kib(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Memory in KiB that is a process's own: not the server's shared memory, of which what one process alone has touched looks
/// private too. `None` when it is gone.
pub fn private_kib(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss_Anon:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// How many files, sockets and the like a process has open. Panics when it is gone.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("the process runs").count()
}

/// The CPU that a process took, in hundredths of a second. Panics when it is gone.
pub fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let fields: Vec<_> = stat.rsplit_once(") ").expect("its name").1.split(' ').collect();
    [11, 12].iter().map(|field| fields[*field].parse::<u64>().expect("a number")).sum()
}

/// From `/proc/PID/stat`: `12 (name, which may hold anything) S 1 ...`.
fn state_and_parent(pid: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}
