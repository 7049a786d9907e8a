//! What processes have used so far, from /proc: CPU in milliseconds, memory in MiB.

use std::{
    fs,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use crate::support::process::{children, private_kib};

/// What the CPU time of ended processes is counted in: 10 ms.
const TICK_MS: f64 = 10.0;

/// CPU of a process, all its threads together.
pub fn cpu_ms(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let spent = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    threads.filter_map(spent).sum::<f64>() / 1e6
}

/// CPU of a server: of its first process, those that it has started, and those of them that have ended.
pub fn server_cpu_ms(postmaster: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{postmaster}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ');
    let ended: f64 = fields.skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    ended * TICK_MS + cpu_ms(postmaster) + children(postmaster).into_iter().map(cpu_ms).sum::<f64>()
}

/// The backends of a role: the server writes it into their titles.
fn backends(postmaster: u32, role: &str) -> Vec<u32> {
    let title = format!("postgres: {role} ");
    let is_its = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|its| its.contains(&title));
    children(postmaster).into_iter().filter(is_its).collect()
}

/// A role's sessions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sessions {
    pub count: usize,
    /// Private memory of the largest one, and of all.
    pub largest_mib: f64,
    pub all_mib: f64,
}

impl Sessions {
    /// As they are now.
    pub fn now(postmaster: u32, role: &str) -> Sessions {
        let memory: Vec<u64> = backends(postmaster, role).into_iter().filter_map(private_kib).collect();
        let mib = |kib: u64| kib as f64 / 1024.0;
        let largest = memory.iter().copied().max().unwrap_or_default();
        Sessions { count: memory.len(), largest_mib: mib(largest), all_mib: mib(memory.iter().sum()) }
    }

    fn or_more(self, other: Sessions) -> Sessions {
        Sessions {
            count: self.count.max(other.count),
            largest_mib: self.largest_mib.max(other.largest_mib),
            all_mib: self.all_mib.max(other.all_mib),
        }
    }

    /// The most that were there while `work` went on, looked at every 3 ms.
    pub fn during<T>(postmaster: u32, role: &str, work: impl FnOnce() -> T) -> (T, Sessions) {
        let (alive, over) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let watcher = scope.spawn(move || {
                let mut most = Sessions::default();
                while over.recv_timeout(Duration::from_millis(3)) == Err(RecvTimeoutError::Timeout) {
                    most = most.or_more(Sessions::now(postmaster, role));
                }
                most
            });
            let result = work();
            drop(alive);
            (result, watcher.join().expect("the watcher"))
        })
    }
}
