//! A look-aside cache: what is not there is loaded, once however many ask, and kept for a while.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::{Duration, Instant as Clock},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use moka::{Expiry, notification::RemovalCause, sync::Cache as Moka};
use parking_lot::Mutex;
use tracing::debug;

use crate::{
    probe::{
        attempt::{AttemptError, Trace},
        remote::Remote,
    },
    settings::probe,
    source::fetch::FetchError,
};

/// What a load gives: an answer, and the phases it took.
pub type LoadedAnswer = (Result<Arc<[u8]>, AttemptError>, Trace);

/// Loads under way, each waited for by whoever asks for the same.
type Loads = HashMap<String, Shared<BoxFuture<'static, LoadedAnswer>>>;

/// The cache of a path.
pub struct Cache {
    own: Moka<String, CacheEntry>,
    /// What is used instead of our own as long as it can be reached.
    pub remote: Option<Remote>,
    /// What keys begin with there.
    prefix: String,
    /// How long what is loaded is kept.
    life: Duration,
    loads: Mutex<Loads>,
    counts: Arc<Mutex<CacheCounts>>,
}

/// What the cache has been through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CacheCounts {
    pub hits: u64,
    pub misses: u64,
    pub loads: u64,
    /// Misses that waited for another's load instead of making their own.
    pub saved: u64,
    pub expired: u64,
    /// Put out because there were too many.
    pub displaced: u64,
    /// What the remote cache failed at.
    pub errors: u64,
    /// It failed last at being read, or written: ours is used.
    unreadable: bool,
    unwritable: bool,
    /// Rounds of many readers for one missing key.
    pub stampedes: u64,
}

impl CacheCounts {
    /// The built-in cache is used because the remote one failed last.
    pub fn is_fallen_back(&self) -> bool {
        self.unreadable || self.unwritable
    }
}

/// How an answer was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheOutcome {
    Hit,
    Miss,
}

#[derive(Clone)]
struct CacheEntry {
    answer: Arc<[u8]>,
    life: Duration,
}

/// Each entry has its own life.
struct Lives;

impl Expiry<String, CacheEntry> for Lives {
    fn expire_after_create(&self, _: &String, entry: &CacheEntry, _: Clock) -> Option<Duration> {
        Some(entry.life)
    }
}

impl Cache {
    /// Empty; what is loaded is kept for `life`, or as long as the settings let it if that is shorter.
    pub fn new(settings: &probe::CacheSettings, life: Duration, prefix: String) -> Arc<Self> {
        let counts: Arc<Mutex<CacheCounts>> = Arc::default();
        let counted = counts.clone();
        let count = move |_, _, cause| {
            let mut counts = counted.lock();
            match cause {
                RemovalCause::Expired => counts.expired += 1,
                RemovalCause::Size => counts.displaced += 1,
                RemovalCause::Explicit | RemovalCause::Replaced => (),
            }
        };
        let own = Moka::builder()
            .max_capacity(settings.entries)
            .time_to_live(settings.ttl)
            .expire_after(Lives)
            .eviction_listener(count)
            .build();
        let remote = settings.redis.clone().map(Remote::new);
        Arc::new(Cache { own, remote, prefix, life: life.min(settings.ttl), loads: Mutex::default(), counts })
    }

    /// How long an answer may be kept.
    pub fn life(&self) -> Duration {
        self.life
    }

    pub fn counts(&self) -> CacheCounts {
        self.own.run_pending_tasks();
        self.counts.lock().clone()
    }

    pub fn entries(&self) -> u64 {
        self.own.run_pending_tasks();
        self.own.entry_count()
    }

    /// The most entries there may be.
    pub fn capacity(&self) -> u64 {
        self.own.policy().max_capacity().unwrap_or_default()
    }

    /// A round of many readers is about to come.
    pub fn stampede(&self) {
        self.counts.lock().stampedes += 1;
    }

    /// What is kept under this key, or else what `load` gives. Who asks while another's load is under way waits for that one,
    /// and its phases are told to whoever began it.
    pub async fn get(
        self: &Arc<Self>,
        key: &str,
        trace: &mut Trace,
        load: impl Future<Output = LoadedAnswer> + Send + 'static,
    ) -> (Result<Arc<[u8]>, AttemptError>, CacheOutcome) {
        if let Some(answer) = self.kept(key).await {
            self.counts.lock().hits += 1;
            return (Ok(answer), CacheOutcome::Hit);
        }
        self.counts.lock().misses += 1;
        let (load, is_ours) = self.join(key, load);
        let (answer, phases) = load.await;
        if is_ours {
            trace.phases.extend(phases.phases);
            trace.expires = phases.expires;
        }
        (answer, CacheOutcome::Miss)
    }

    /// What is there under this key.
    async fn kept(&self, key: &str) -> Option<Arc<[u8]>> {
        if let Some(remote) = self.remote()
            && let Ok(Some(found)) = self.count(remote.get(&self.name(key)).await, |counts| &mut counts.unreadable)
        {
            return Some(found.into());
        }
        self.own.get(key).map(|entry| entry.answer)
    }

    /// A load has ended: who asks from now on finds what it gave, or loads anew.
    async fn keep(&self, key: &str, answer: Result<&Arc<[u8]>, &AttemptError>) {
        if let Ok(answer) = answer {
            let is_kept = match self.remote() {
                Some(remote) => {
                    let set = remote.set(&self.name(key), answer, self.life).await;
                    self.count(set, |counts| &mut counts.unwritable).is_ok()
                }
                None => false,
            };
            if !is_kept {
                self.own.insert(key.to_owned(), CacheEntry { answer: answer.clone(), life: self.life });
            }
        }
        self.loads.lock().remove(key);
    }

    /// The remote cache, unless it failed a short while ago.
    fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref().filter(|remote| !remote.rests())
    }

    /// Notes whether the remote cache did what it was asked for.
    fn count<T>(&self, done: Result<T, FetchError>, failed: fn(&mut CacheCounts) -> &mut bool) -> Result<T, ()> {
        let mut counts = self.counts.lock();
        *failed(&mut counts) = done.is_err();
        done.map_err(|error| {
            counts.errors += 1;
            debug!("the cache's Redis: {error}");
        })
    }

    fn name(&self, key: &str) -> String {
        format!("{}:{key}", self.prefix)
    }

    pub fn has_remote(&self) -> bool {
        self.remote.is_some()
    }

    /// The load of this key that is under way, or this one.
    fn join(
        self: &Arc<Self>,
        key: &str,
        load: impl Future<Output = LoadedAnswer> + Send + 'static,
    ) -> (Shared<BoxFuture<'static, LoadedAnswer>>, bool) {
        let mut loads = self.loads.lock();
        if let Some(under_way) = loads.get(key) {
            self.counts.lock().saved += 1;
            return (under_way.clone(), false);
        }
        self.counts.lock().loads += 1;
        // Not itself kept by what it keeps.
        let (cache, name) = (Arc::downgrade(self), key.to_owned());
        let load = async move {
            let loaded = load.await;
            if let Some(cache) = Weak::upgrade(&cache) {
                cache.keep(&name, loaded.0.as_ref()).await;
            }
            loaded
        };
        let load = load.boxed().shared();
        loads.insert(key.to_owned(), load.clone());
        (load, true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;
    use crate::probe::attempt::{FailureReason, Phase};

    fn cache(entries: u64, life: Duration) -> Arc<Cache> {
        Cache::new(&probe::CacheSettings { entries, ttl: Duration::from_secs(300), redis: None }, life, String::new())
    }

    /// Asks with a loader that counts.
    async fn ask(cache: &Arc<Cache>, key: &str, loads: &Arc<AtomicUsize>, fails: bool) -> (bool, CacheOutcome) {
        let loads = loads.clone();
        let load = async move {
            loads.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            let failure = AttemptError::new(FailureReason::Lost, Phase::Query, "as the test wants it");
            (if fails { Err(failure) } else { Ok(Arc::from(&b"answer"[..])) }, Trace::default())
        };
        let (answer, found) = cache.get(key, &mut Trace::default(), load).await;
        (answer.is_ok(), found)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn fifty_that_miss_one_key_at_once_make_one_load() {
        let (cache, loads) = (cache(10, Duration::from_secs(60)), Arc::new(AtomicUsize::new(0)));
        for (fails, key) in [(true, "a"), (false, "a"), (false, "b")] {
            let before = loads.load(Ordering::Relaxed);
            let tasks = (0..50).map(|_| {
                let (cache, loads) = (cache.clone(), loads.clone());
                tokio::spawn(async move { ask(&cache, key, &loads, fails).await })
            });
            let answers = join_all(tasks).await;
            assert!(answers.into_iter().all(|answer| answer.is_ok_and(|(is_ok, _)| is_ok != fails)));
            assert_eq!(loads.load(Ordering::Relaxed) - before, 1, "{key}");
        }
        let counts = cache.counts();
        assert_eq!(counts.loads, 3);
        assert_eq!(counts.hits + counts.loads + counts.saved, 150);
        assert_eq!(ask(&cache, "a", &loads, true).await, (true, CacheOutcome::Hit));
        assert!(cache.loads.lock().is_empty());
    }

    #[tokio::test]
    async fn entries_end_by_age_and_by_number() {
        let (cache, loads) = (cache(3, Duration::from_secs(2)), Arc::new(AtomicUsize::new(0)));
        for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            ask(&cache, key, &loads, false).await;
        }
        assert!(cache.entries() <= 3 && cache.counts().displaced >= 5, "{:?}", cache.counts());
        tokio::time::sleep(Duration::from_millis(2200)).await;
        assert_eq!(cache.entries(), 0);
        assert!(cache.counts().expired > 0, "{:?}", cache.counts());
    }
}
