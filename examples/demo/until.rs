//! How long the demo goes on: until Ctrl-C, or until pgvigil ends.

use std::time::{Duration, Instant};

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
        Until { start: Instant::now(), runtime, signals }
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
        println!("{:6.1} s  {what}", self.start.elapsed().as_secs_f64());
    }
}
