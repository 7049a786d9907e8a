//! How long the demo goes on: until Ctrl-C, or until pgvigil ends.

use std::{
    io::{IsTerminal, Write, stdout},
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

/// Why the demo ended.
pub enum Ended {
    Asked,
    Pgvigil,
}

/// What ends the demo early, Ctrl-C above all; and the time since its start.
pub struct Until {
    start: Instant,
    is_terminal: bool,
    runtime: Runtime,
    signals: [Signal; 3],
}

impl Until {
    pub fn new() -> Until {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let entered = runtime.enter();
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let signals = kinds.map(|kind| signal(kind).expect("listening for a signal"));
        drop(entered);
        Until { start: Instant::now(), is_terminal: stdout().is_terminal(), runtime, signals }
    }

    /// Waits, unless asked to end.
    pub fn wait(&mut self, limit: Duration) -> Result<(), Ended> {
        let [interrupt, terminate, hangup] = &mut self.signals;
        let asked = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        };
        match self.runtime.block_on(async { timeout(limit, asked).await }) {
            Ok(()) => Err(Ended::Asked),
            Err(_) => Ok(()),
        }
    }

    /// Does a part of the work and says how long it took; what was made goes again when the end was asked for meanwhile.
    pub fn step<T>(&mut self, what: &str, work: impl FnOnce() -> T) -> Result<T, Ended> {
        let made = work();
        self.say(what);
        self.wait(Duration::ZERO).map(|()| made)
    }

    pub fn say(&self, what: &str) {
        self.clear();
        println!("{:6.1} s  {what}", self.start.elapsed().as_secs_f64());
    }

    /// Says how it goes, and returns when to do so again: on a terminal soon, in one line that replaces the last; elsewhere
    /// in a new line each minute.
    pub fn status(&self, what: &str) -> Duration {
        if !self.is_terminal {
            self.say(what);
            return Duration::from_secs(60);
        }
        // Without line breaks in a narrow window; and whatever is logged next begins at the left.
        print!("\r\x1b[K\x1b[?7l{:6.0} s  {what}\x1b[?7h\r", self.start.elapsed().as_secs_f64());
        _ = stdout().flush();
        Duration::from_secs(5)
    }

    /// Clears the line of the status.
    pub fn clear(&self) {
        if self.is_terminal {
            print!("\r\x1b[K");
        }
    }
}
