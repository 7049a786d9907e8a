//! Coalescing: concurrent scrapes of the same page share one scrape and one rendering.
//!
//! ```text
//!              its turn                all refreshed, or the deadline                written
//!   waiting -------------> refreshing --------------------------------> rendering -------------> rendered
//!      |                       |                                            |                        |
//!      +-----------------------+--------------------------------------------+                        |
//!                              | all who waited have hung up                     all who waited have it
//!                              v                                                                     v
//!                          abandoned                                                             forgotten
//! ```
//!
//! - Requests join a page that is waiting or refreshing, if it was started at most 250 ms ago and by the configuration
//!   in force: older results may not be shared. Requests never join a page that is rendering.
//! - An abandoned page costs nothing more; a refresh that a target has started still continues, see
//!   `target/refresh.rs`.
//! - A turn is a permit for each target, so that the waits for hanging servers are bounded. A finished target returns
//!   its permit at once. Turns come in the order of the requests; a page that has used up half of its time takes one of
//!   a few late turns. A page without a turn is rendered at its deadline from the results already there.
//! - Pages in flight are bounded too. Beyond the bound a request joins an older page of the same key, or is refused.
//! - Rendered pages not yet fetched are bounded, because a page may be megabytes: taking one lets the next be rendered.
//! - At shutdown nothing waits for a server any more.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep, timeout_at};

use crate::exposition;
use crate::exposition::Format;
use crate::scrape::engine::{Engine, Scrape, Selection};
use crate::scrape::target::refresh::MAX_SHARED_AGE;

/// The key of a page: everything that affects its bytes, or when they must be there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageKey {
    pub selection: Selection,
    pub format: Format,
    pub gzip: bool,
    pub timeout: Duration,
}

/// Sends a page to all who wait for it.
type PageSender = watch::Sender<Option<Bytes>>;
type PageReceiver = watch::Receiver<Option<Bytes>>;

/// The maximum of targets that pages may wait for together; each such wait takes some KiB.
const MAX_WAITS: usize = 5000;

/// Pages in flight, in addition to one for each target.
const MAX_PAGES: usize = 1064;

/// Late turns: for pages that have used up half of their time while others, possibly waiting for hanging servers, have
/// the turns.
const MAX_LATE: usize = 16;

/// Rendered pages that were not fetched yet.
const MAX_RENDERED: usize = 4;

/// Too many different pages are in flight.
#[derive(Debug)]
pub struct Busy;

/// The pages in flight.
pub struct Coalescer {
    in_flight: Mutex<PagesInFlight>,
    turns: Semaphore,
    late_turns: Semaphore,
    rendered: Semaphore,
    /// True once shutdown has begun.
    is_stopping: watch::Sender<bool>,
}

#[derive(Default)]
struct PagesInFlight {
    count: usize,
    /// The last started page of each key.
    newest: HashMap<PageKey, NewestPage>,
}

struct NewestPage {
    engine: Arc<Engine>,
    began: Instant,
    page: PageSender,
}

impl PagesInFlight {
    /// Stops requests from joining this page.
    fn close(&mut self, key: &PageKey, page: &PageSender) {
        // Another page may have been started in its place.
        if self.newest.get(key).is_some_and(|newest| newest.page.same_channel(page)) {
            self.newest.remove(key);
        }
    }
}

impl Default for Coalescer {
    fn default() -> Self {
        Coalescer {
            in_flight: Mutex::default(),
            turns: Semaphore::new(MAX_WAITS),
            late_turns: Semaphore::new(MAX_LATE),
            rendered: Semaphore::new(MAX_RENDERED),
            is_stopping: watch::Sender::default(),
        }
    }
}

impl Coalescer {
    /// Returns the page, from a scrape in flight if one for it has just begun. It comes within the key's `timeout`; it
    /// is empty if its task has panicked. Dropping the future ends the wait.
    ///
    /// # Errors
    /// The request needs another page, and too many are in flight.
    pub async fn get(self: &Arc<Self>, engine: &Arc<Engine>, key: PageKey) -> Result<Bytes, Busy> {
        let mut page = self.join_or_start(engine, key)?;
        let Ok(rendered) = page.wait_for(Option::is_some).await else { return Ok(Bytes::new()) };
        Ok(rendered.clone().unwrap_or_default())
    }

    fn join_or_start(self: &Arc<Self>, engine: &Arc<Engine>, key: PageKey) -> Result<PageReceiver, Busy> {
        let began = Instant::now();
        let mut in_flight = self.in_flight.lock();
        let is_full = in_flight.count >= MAX_PAGES + engine.targets.len();
        // If no other page can be started, an older one is better than none.
        if let Some(newest) = in_flight.newest.get(&key)
            && Arc::ptr_eq(&newest.engine, engine)
            && (is_full || began.saturating_duration_since(newest.began) <= MAX_SHARED_AGE)
        {
            return Ok(newest.page.subscribe());
        }
        if is_full {
            return Err(Busy);
        }
        let (sender, receiver) = watch::channel(None);
        let newest = NewestPage { engine: engine.clone(), began, page: sender.clone() };
        in_flight.count += 1;
        in_flight.newest.insert(key.clone(), newest);
        let progress = PageInProgress { coalescer: self.clone(), key, page: sender };
        tokio::spawn(self.clone().make(engine.clone(), progress));
        Ok(receiver)
    }

    #[cfg(test)]
    pub fn is_idle(&self) -> bool {
        let in_flight = self.in_flight.lock();
        in_flight.count == 0 && in_flight.newest.is_empty()
    }

    /// From now on no page waits for a server: pages show the results already there.
    pub fn stop_waiting(&self) {
        self.is_stopping.send_replace(true);
    }

    /// Refreshes the targets of a page on its turn. Without a turn in time, the page shows the results already there.
    async fn refresh(&self, engine: &Engine, key: &PageKey) -> Scrape {
        let began = Instant::now();
        let deadline = began + key.timeout;
        let scrape = engine.begin(&key.selection, began);
        let refresh = async {
            let turn = Mutex::new(self.turn(scrape.targets(), key.timeout / 2).await);
            // Otherwise pages that wait for one hanging server would block the others.
            let give_back = || _ = turn.lock().as_mut().and_then(|turn| turn.split(1));
            scrape.refresh(deadline, &give_back).await;
        };
        let mut stopping = self.is_stopping.subscribe();
        tokio::select! {
            _ = timeout_at(deadline, refresh) => (),
            _ = stopping.wait_for(|is_stopping| *is_stopping) => (),
        }
        scrape
    }

    /// The turn of a page with this many targets: in the order of the requests, or a late one after `patience`.
    async fn turn(&self, targets: usize, patience: Duration) -> Option<SemaphorePermit<'_>> {
        let in_turn = self.turns.acquire_many(targets.clamp(1, MAX_WAITS) as u32);
        let late = async {
            sleep(patience).await;
            self.late_turns.acquire().await
        };
        let turn = tokio::select! {
            biased;
            turn = in_turn => turn,
            turn = late => turn,
        };
        turn.ok()
    }

    async fn make(self: Arc<Self>, engine: Arc<Engine>, progress: PageInProgress) {
        let (key, page) = (progress.key.clone(), progress.page.clone());
        let scrape = tokio::select! {
            scrape = self.refresh(&engine, &key) => scrape,
            () = progress.is_abandoned() => return,
        };
        // A later request starts another page.
        drop(progress);
        let permit = tokio::select! {
            permit = self.rendered.acquire() => permit,
            () = page.closed() => return,
        };
        let blocks = engine.show(&scrape);
        let mut bytes = exposition::render(&blocks, key.format);
        drop(blocks);
        if key.gzip {
            bytes = gzip(&bytes);
        }
        // A slow reader may keep it for a while.
        bytes.shrink_to_fit();
        page.send_replace(Some(bytes.into()));
        page.closed().await;
        drop(permit);
    }
}

/// A page that is waiting or refreshing. Dropping it, even by a panic, stops requests from joining it, and those that
/// wait find the sender gone.
struct PageInProgress {
    coalescer: Arc<Coalescer>,
    key: PageKey,
    page: PageSender,
}

impl PageInProgress {
    /// Ends when all requests have left; from then on none can join.
    async fn is_abandoned(&self) {
        loop {
            self.page.closed().await;
            let mut in_flight = self.coalescer.in_flight.lock();
            // A request may just have joined.
            if self.page.receiver_count() == 0 {
                return in_flight.close(&self.key, &self.page);
            }
        }
    }
}

impl Drop for PageInProgress {
    fn drop(&mut self) {
        let mut in_flight = self.coalescer.in_flight.lock();
        in_flight.close(&self.key, &self.page);
        in_flight.count -= 1;
    }
}

fn gzip(page: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(page.len() / 8), Compression::fast());
    // Writing to memory does not fail.
    _ = encoder.write_all(page);
    encoder.finish().unwrap_or_default()
}
