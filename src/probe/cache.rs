//! A look-aside cache: its answers expire, and a missing one is loaded once for all readers that miss it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moka::notification::RemovalCause;
use moka::sync;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::collector::sections::probe::CacheRow;
use crate::probe::attempt::{AnswerBytes, AttemptResult};
use crate::probe::redis_cache::RedisCache;
use crate::settings::probe::CacheSettings;
use crate::table::Cell;

/// A load, which fills the cell for all readers that wait for it.
type Load = Arc<OnceCell<AttemptResult>>;

/// The cache of a path.
pub struct Cache {
    built_in: sync::Cache<String, AnswerBytes>,
    /// Used instead of the built-in cache, as long as it works.
    pub redis: Option<RedisCache>,
    /// By key: the loads in flight.
    loads: Mutex<HashMap<String, Load>>,
    counts: Arc<Mutex<CacheCounts>>,
}

#[derive(Clone, Debug, Default)]
struct CacheCounts {
    hits: u64,
    /// Misses that loaded the answer.
    loads: u64,
    /// Misses that waited for another reader's load.
    saved: u64,
    expired: u64,
    /// Evicted because the cache was full.
    displaced: u64,
    stampedes: u64,
}

impl Cache {
    /// An empty cache. Answers expire after `life`, or after the settings' `ttl` if that is shorter.
    pub fn new(settings: &CacheSettings, life: Duration) -> Self {
        let life = life.min(settings.ttl);
        let counts: Arc<Mutex<CacheCounts>> = Arc::default();
        let counts_of_removals = counts.clone();
        let count_removal = move |_, _, cause| match cause {
            RemovalCause::Expired => counts_of_removals.lock().expired += 1,
            RemovalCause::Size => counts_of_removals.lock().displaced += 1,
            RemovalCause::Explicit | RemovalCause::Replaced => (),
        };
        let built_in = sync::Cache::builder()
            .max_capacity(settings.entries)
            .time_to_live(life)
            .eviction_listener(count_removal)
            .build();
        let redis = settings.redis.clone().map(RedisCache::new);
        Cache { built_in, redis, loads: Mutex::default(), counts }
    }

    /// How long an answer is kept.
    pub fn life(&self) -> Duration {
        self.built_in.policy().time_to_live().unwrap_or_default()
    }

    pub fn row<'a>(&self, path: Cell<'a>) -> CacheRow<'a> {
        self.built_in.run_pending_tasks();
        let (counts, redis) = (self.counts.lock().clone(), self.redis.as_ref());
        CacheRow {
            path,
            hits: counts.hits.into(),
            misses: (counts.loads + counts.saved).into(),
            loads: counts.loads.into(),
            saved: counts.saved.into(),
            stampedes: counts.stampedes.into(),
            entries: self.built_in.entry_count().into(),
            capacity: self.built_in.policy().max_capacity().into(),
            expired: counts.expired.into(),
            displaced: counts.displaced.into(),
            errors: redis.map(RedisCache::errors).into(),
            fallen_back: redis.map(RedisCache::is_failing).into(),
        }
    }

    pub fn count_stampede(&self) {
        self.counts.lock().stampedes += 1;
    }

    /// The answer under this key, if the cache has it.
    pub async fn get(&self, key: &str) -> Option<AnswerBytes> {
        let mut found = None;
        if let Some(redis) = &self.redis {
            found = redis.get(key).await.map(AnswerBytes::from);
        }
        let found = found.or_else(|| self.built_in.get(key));
        if found.is_some() {
            self.counts.lock().hits += 1;
        }
        found
    }

    /// Loads a missing answer. Later readers of the same key wait for a load in flight (request coalescing).
    pub async fn load(&self, key: &str, load: impl Future<Output = AttemptResult>) -> AttemptResult {
        let cell = self.loads.lock().entry(key.to_owned()).or_default().clone();
        let mut is_own = false;
        let load_and_store = async {
            is_own = true;
            let answer = load.await;
            if let Ok(answer) = &answer {
                self.store(key, answer).await;
            }
            self.loads.lock().remove(key);
            answer
        };
        // If the loading reader is cancelled, the next one that waits loads in its place.
        let answer = cell.get_or_init(|| load_and_store).await.clone();
        let mut counts = self.counts.lock();
        if is_own {
            counts.loads += 1;
        } else {
            counts.saved += 1;
        }
        answer
    }

    async fn store(&self, key: &str, answer: &AnswerBytes) {
        if let Some(redis) = &self.redis
            && redis.set(key, answer, self.life()).await
        {
            return;
        }
        self.built_in.insert(key.to_owned(), answer.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;
    use crate::probe::attempt::{AttemptError, FailureReason, Phase};

    fn cache(entries: u64, life: Duration) -> Arc<Cache> {
        let settings = CacheSettings { entries, ttl: Duration::from_secs(300), redis: None };
        Cache::new(&settings, life).into()
    }

    /// Reads with a loader that counts: returns whether there is an answer, and whether it was in the cache.
    async fn read(cache: &Cache, key: &str, loads: &AtomicUsize, fails: bool) -> (bool, bool) {
        if cache.get(key).await.is_some() {
            return (true, true);
        }
        let load = async {
            loads.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            let failure = AttemptError::new(FailureReason::Lost, Phase::Query, "as the test wants it");
            if fails { Err(failure) } else { Ok(AnswerBytes::from(&b"answer"[..])) }
        };
        (cache.load(key, load).await.is_ok(), false)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn fifty_that_miss_one_key_at_once_make_one_load() {
        let (cache, loads) = (cache(10, Duration::from_secs(60)), Arc::new(AtomicUsize::new(0)));
        for (fails, key) in [(true, "a"), (false, "a"), (false, "b")] {
            let before = loads.load(Ordering::Relaxed);
            let tasks = (0..50).map(|_| {
                let (cache, loads) = (cache.clone(), loads.clone());
                tokio::spawn(async move { read(&cache, key, &loads, fails).await })
            });
            let answers = join_all(tasks).await;
            assert!(answers.into_iter().all(|answer| answer.is_ok_and(|(is_ok, _)| is_ok != fails)));
            assert_eq!(loads.load(Ordering::Relaxed) - before, 1, "{key}");
        }
        let counts = cache.counts.lock().clone();
        assert_eq!(counts.loads, 3);
        assert_eq!(counts.hits + counts.loads + counts.saved, 150);
        assert_eq!(read(&cache, "a", &loads, true).await, (true, true));
        assert!(cache.loads.lock().is_empty());
    }

    #[tokio::test]
    async fn a_reader_that_waits_loads_if_the_loading_one_is_cancelled() {
        let (cache, loads) = (cache(10, Duration::from_secs(60)), Arc::new(AtomicUsize::new(0)));
        let (other_cache, other_loads) = (cache.clone(), loads.clone());
        let first = tokio::spawn(async move { read(&other_cache, "a", &other_loads, false).await });
        tokio::time::sleep(Duration::from_millis(5)).await;
        let second = read(&cache, "a", &loads, false);
        first.abort();
        assert_eq!((second.await, loads.load(Ordering::Relaxed)), ((true, false), 2));
        assert!(cache.loads.lock().is_empty());
    }

    #[tokio::test]
    async fn entries_end_by_age_and_by_number() {
        let (cache, loads) = (cache(3, Duration::from_secs(2)), Arc::new(AtomicUsize::new(0)));
        for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            read(&cache, key, &loads, false).await;
        }
        cache.built_in.run_pending_tasks();
        let entries = cache.built_in.entry_count();
        assert!(entries <= 3 && cache.counts.lock().displaced >= 5, "{entries}: {:?}", cache.counts);
        tokio::time::sleep(Duration::from_millis(2200)).await;
        cache.built_in.run_pending_tasks();
        assert_eq!(cache.built_in.entry_count(), 0);
        assert!(cache.counts.lock().expired > 0, "{:?}", cache.counts);
    }
}
