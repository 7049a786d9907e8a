//! A path through a cache: a small set of keys, each read twice and then left to end, so that hits, misses and endings all
//! happen all the time; and now and then many readers at once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::probe::{
    attempt::{AttemptError, Phase, Trace},
    cache::{Cache, CacheOutcome, LoadedAnswer},
    check::ProbeCheck,
    path_runner::is_of_use,
    pool,
    pool::Pool,
};

/// Each query has so many keys, in turn.
const KEYS: u64 = 4;

/// Each key is read so often before the next one's turn.
const READS: u64 = 2;

/// Readers of one missing key.
const CROWD: usize = 50;

/// A look-aside cache, and the pool behind it.
pub struct CachedPath {
    pub cache: Arc<Cache>,
    pool: Arc<Pool>,
    /// How often each query has been read, and the crowd has come.
    turns: Mutex<HashMap<String, u64>>,
}

/// How long an answer is kept, by the interval: until it is read again, and not until its key's next turn.
pub fn life(interval: Duration) -> Duration {
    interval * 5 / 2
}

impl CachedPath {
    pub fn new(cache: Arc<Cache>, pool: Arc<Pool>) -> Self {
        CachedPath { cache, pool, turns: Mutex::default() }
    }

    /// Asks the cache, and behind it the pool.
    pub async fn ask(&self, question: &ProbeCheck, until: Instant, trace: &mut Trace) -> Result<Vec<u8>, AttemptError> {
        let key = format!("{}:{}", question.name, self.turn(&question.name) / READS % KEYS);
        self.read(&key, question, until, trace).await
    }

    /// What the cache shows of a query that has one key, as long as that is there.
    pub async fn show(&self, question: &ProbeCheck, until: Instant) -> Result<Vec<u8>, AttemptError> {
        self.read(&question.name, question, until, &mut Trace::default()).await
    }

    /// As many readers at once for a key that nobody has read.
    pub async fn stampede(&self, question: &ProbeCheck, until: Instant) {
        self.cache.stampede();
        let key = format!("crowd:{}", self.turn("crowd"));
        // What fails shows in the path's own attempts, and nobody wants so many answers.
        let read = async || _ = self.read(&key, question, until, &mut Trace::default()).await;
        join_all((0..CROWD).map(|_| read())).await;
    }

    fn turn(&self, name: &str) -> u64 {
        let mut turns = self.turns.lock();
        let turn = turns.entry(name.to_owned()).or_default();
        *turn += 1;
        *turn - 1
    }

    async fn read(
        &self,
        key: &str,
        question: &ProbeCheck,
        until: Instant,
        trace: &mut Trace,
    ) -> Result<Vec<u8>, AttemptError> {
        let began = Instant::now();
        let load = load(self.pool.clone(), question.clone(), until);
        let (answer, found) = self.cache.get(key, trace, load).await;
        let answer = answer?.to_vec();
        trace.ended(if found == CacheOutcome::Hit { Phase::Hit } else { Phase::Miss }, began);
        Ok(answer)
    }
}

async fn load(pool: Arc<Pool>, question: ProbeCheck, until: Instant) -> LoadedAnswer {
    let mut trace = Trace::default();
    let answer = over(&pool, &question, until, &mut trace).await;
    (answer.map(Arc::from), trace)
}

/// Asks over a connection of a pool.
pub async fn over(
    pool: &Pool,
    question: &ProbeCheck,
    until: Instant,
    trace: &mut Trace,
) -> Result<Vec<u8>, AttemptError> {
    let connection = pool.acquire(until, trace).await?;
    let answer = question.ask(&connection.client, until, trace).await;
    if !is_of_use(&answer) {
        pool::discard(connection);
    }
    answer
}
