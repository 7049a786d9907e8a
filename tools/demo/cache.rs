//! The demo's cache: a Redis that is too small for all that the shop would keep, and its traffic.

use std::process::Stdio;

use crate::support::{Redis, place::system_program, process::Process};

/// The server; about 100 calls of the script in a second.
pub struct Cache {
    pub redis: Redis,
    _traffic: Process,
}

impl Cache {
    pub fn start() -> Cache {
        let sizes = "--maxmemory 4mb --maxmemory-policy allkeys-lru";
        let redis = Redis::start(&format!("{sizes} --slowlog-log-slower-than 200 --latency-monitor-threshold 1"));
        let mut client = redis.folder().command(system_program("redis-cli"));
        client.arg("-s").arg(redis.socket()).args(["-r", "-1", "-i", "0.01", "EVAL"]);
        client.args([include_str!("cache.lua"), "0"]).stdout(Stdio::null()).stderr(Stdio::null());
        Cache { _traffic: Process::start(&mut client), redis }
    }
}
