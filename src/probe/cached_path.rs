//! A path through a cache. Each query has a few keys; each key is read twice and then expires, so that hits, misses and
//! expirations happen all the time. Now and then many readers read one missing key at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::probe::attempt::{AttemptResult, Phase, Trace};
use crate::probe::cache::Cache;
use crate::probe::check::ProbeCheck;
use crate::probe::pool::Pool;
use crate::settings::probe::CacheSettings;

/// The number of a query's keys, which take turns.
const KEYS: u64 = 4;

/// The number of reads of a key before the next key's turn.
const READS_PER_TURN: u64 = 2;

/// The number of readers of one missing key in a stampede.
const STAMPEDE_READERS: usize = 50;

/// A look-aside cache, and the pool behind it.
pub struct CachedPath {
    pub cache: Cache,
    pool: Arc<Pool>,
    /// The prefix of every key, because several paths and probes may share a Redis.
    prefix: String,
    /// By query: the number of its reads.
    reads: Mutex<HashMap<String, u64>>,
}

impl CachedPath {
    /// Before the first read. Each query is read once in the interval.
    pub fn new(settings: &CacheSettings, interval: Duration, pool: Arc<Pool>, prefix: String) -> Self {
        // An answer is kept past its second read, but not until its key's next turn.
        let cache = Cache::new(settings, interval * 5 / 2);
        CachedPath { cache, pool, prefix, reads: Mutex::default() }
    }

    /// Reads the current key of the query.
    pub async fn run(&self, check: &ProbeCheck, until: Instant, trace: &mut Trace) -> AttemptResult {
        let key = format!("{}:{}", check.name, self.count_read(&check.name) / READS_PER_TURN % KEYS);
        self.read(&key, check, until, trace).await
    }

    /// Reads the cache, and loads a missing answer over the pool.
    pub async fn read(&self, key: &str, check: &ProbeCheck, until: Instant, trace: &mut Trace) -> AttemptResult {
        let (began, key) = (Instant::now(), format!("{}:{key}", self.prefix));
        if let Some(answer) = self.cache.get(&key).await {
            trace.record(Phase::Hit, began);
            return Ok(answer);
        }
        let answer = self.cache.load(&key, self.pool.run(check, until, trace)).await?;
        trace.record(Phase::Miss, began);
        Ok(answer)
    }

    /// Lets many readers read a new key at once.
    pub async fn stampede(&self, check: &ProbeCheck, until: Instant) {
        self.cache.count_stampede();
        let key = format!("crowd:{}", self.count_read("crowd"));
        // The path's own attempts show failures.
        let read = async || _ = self.read(&key, check, until, &mut Trace::default()).await;
        join_all((0..STAMPEDE_READERS).map(|_| read())).await;
    }

    /// The number of earlier reads of the query.
    fn count_read(&self, query: &str) -> u64 {
        let mut reads = self.reads.lock();
        let before = reads.entry(query.to_owned()).or_default();
        *before += 1;
        *before - 1
    }
}
