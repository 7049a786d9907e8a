//! Redis servers: caches that are full by design, and servers that are not caches.

use std::fmt::Write;

use super::part::Part;
use crate::support::{Process, Redis, system_program};

/// Enough to fill a few megabytes.
const KEYS: usize = 6000;

pub fn caches(_: u32) -> Part {
    let mut part = Part::default();
    // Its own memory counts too, and what it stood at before is not given back.
    full(&mut part, "volatile", "volatile-lru", " EX 36000");
    full(&mut part, "allkeys", "allkeys-lru", "");
    deduplication(&mut part);
    let managed = Redis::start("--rename-command CONFIG hidden1 --rename-command SLOWLOG hidden2");
    part.watch_other("managed", "redis", &managed.url());
    part.keep(managed);
    queue(&mut part);
    copied(&mut part);
    part
}

fn full(part: &mut Part, name: &str, policy: &str, expiry: &str) {
    let redis = Redis::start(&format!("--maxmemory 4mb --maxmemory-policy {policy}"));
    redis.run(&sets(0, KEYS, expiry));
    part.watch_other(name, "redis", &redis.url());
    let expiry = expiry.to_owned();
    part.act(move |page| {
        let newest = KEYS + page * 20;
        let reads: String = (newest - 200..newest).map(|key| format!("GET k{key}\n")).collect();
        redis.run(&(sets(newest, 20, &expiry) + &reads));
    });
}

fn sets(from: usize, count: usize, expiry: &str) -> String {
    let value = "x".repeat(1000);
    (from..from + count).fold(String::new(), |mut all, key| {
        writeln!(all, "SET k{key} {value}{expiry}").expect("text");
        all
    })
}

/// Each key is asked for once, found missing, and set.
fn deduplication(part: &mut Part) {
    let redis = Redis::start("");
    part.watch_other("seen", "redis", &redis.url());
    part.act(move |page| {
        let all: String = (0..100).map(|n| format!("GET seen:{page}:{n}\nSET seen:{page}:{n} 1 EX 3600\n")).collect();
        redis.run(&all);
    });
}

/// Workers wait for jobs, for as long as it takes.
fn queue(part: &mut Part) {
    let redis = Redis::start("");
    part.watch_other("queue", "redis", &redis.url());
    let workers: Vec<_> = (0..3).map(|_| worker(&redis)).collect();
    part.keep(workers);
    part.act(move |page| {
        if page % 5 == 4 {
            redis.run("LPUSH others 1\nRPOP others");
        }
    });
}

fn worker(redis: &Redis) -> Process {
    let mut client = redis.folder().logged_command(system_program("redis-cli"));
    Process::start(client.arg("-s").arg(redis.socket()).args(["BRPOP", "jobs", "0"]))
}

fn copied(part: &mut Part) {
    let redis = Redis::start("");
    let replica = redis.replica("");
    part.watch_other("copied", "redis", &redis.url());
    part.watch_other("copy", "redis", &replica.url());
    part.keep(replica);
    part.act(move |page| drop(redis.run(&format!("SET k {page}\nGET k"))));
}
