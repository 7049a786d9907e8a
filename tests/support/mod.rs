//! Real servers for the tests and the demo: started here, stopped and removed whatever happens to their owner.
//!
//! Each server lives in a `Folder` of its own. When its handle is dropped, or the owning process ends in any way, whoever
//! works in the folder is ended, by process id, and the folder is removed. Needs what `scripts/install-servers` installs.

// The demo and the tests each use a part. They wait for real processes, on threads of their own.
#![allow(dead_code, unused_imports, clippy::disallowed_methods)]

pub mod alertmanager;
pub mod backups;
pub mod folder;
pub mod http;
pub mod https;
pub mod page;
pub mod pgbouncer;
pub mod pgvigil;
pub mod place;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod psql;
pub mod redis;
pub mod size;
pub mod template;
pub mod yaml;

use std::{
    thread::{self, sleep},
    time::{Duration, Instant},
};

pub use backups::{Barman, PgBackRest};
pub use folder::Folder;
pub use page::sample;
pub use pgbouncer::PgBouncer;
pub use pgvigil::Pgvigil;
pub use place::{Generation, free_port, is_long, majors, majors_where, system_program};
pub use postgres::{GRANTS, PASSWORD, PROBE_GRANTS, Postgres, Stop};
pub use process::Process;
pub use prometheus::{Prometheus, promtool, promtool_check_metrics};
pub use psql::Session;
pub use redis::{Redis, redis_programs};

/// How much later than announced an answer may come on a machine that has other work: what is asserted is that nobody waits for
/// who does not answer, and benchmarks are for the rest.
pub const BUSY: Duration = Duration::from_secs(8);

/// Nobody was waited for who does not answer: what `began` then has ended by the time `announced` for it.
#[track_caller]
pub fn expect_ended(what: &str, began: Instant, announced: Duration) {
    let took = began.elapsed();
    assert!(took < announced + BUSY, "{what}: {took:?}");
}

/// Does it with each of these, four at the same time: for what waits most of the time.
pub fn together<T: Send>(all: impl IntoIterator<Item = T>, each: impl Fn(T) + Sync) {
    let (mut all, each) = (all.into_iter(), &each);
    loop {
        let some: Vec<T> = all.by_ref().take(4).collect();
        if some.is_empty() {
            return;
        }
        thread::scope(|scope| some.into_iter().for_each(|one| _ = scope.spawn(move || each(one))));
    }
}

/// Waits until `is_so`, asking every 10 ms, and after a second every 50 ms, since a question often starts a process. Panics when even a busy
/// machine has had more than `limit` for it, saying what it waited for.
pub fn eventually(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < limit + 2 * BUSY, "waited {limit:?} and more in vain: {what}");
        sleep(Duration::from_millis(if start.elapsed() < Duration::from_secs(1) { 10 } else { 50 }));
    }
}
