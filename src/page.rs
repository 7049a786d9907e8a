//! Rendered pages: scrapes for the same page that overlap share one visit and one rendering, and a page whose askers have gone is given up.

use std::{collections::HashMap, future::pending, io::Write, sync::Arc, time::Duration};

use flate2::{Compression, write::GzEncoder};
use hyper::body::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::{Instant, sleep, timeout_at},
};

use crate::{
    engine::{Engine, Scrape, Selection},
    exposition::{self, Format},
};

/// Which page: everything that makes a difference to the bytes, or to when they must be there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub selection: Selection,
    pub format: Format,
    pub gzip: bool,
    pub timeout: Duration,
}

/// Where a page is put, for all who wait for it.
type Page = watch::Sender<Option<Bytes>>;

/// Targets that the pages being made wait for together; for each wait that takes some KiB.
const MOST_WAITS: usize = 5000;

/// Pages that may be made at a time beside one for each target. Further ones wait for their turn.
const MOST_PAGES: usize = 64;

/// Pages that may wait for their turn.
const MOST_WAITING: usize = 1000;

/// Of those, pages that may be made out of turn because half of their time is over: those that have turns may wait for a server that
/// hangs, and be less in a hurry.
const MOST_LATE: usize = 16;

/// Pages that have been written, and that those who wait for them have not come for yet. Where more are due at once, the next is
/// written then.
const MOST_READY: usize = 4;

/// Too many different pages wait for their turn.
#[derive(Debug)]
pub struct Busy;

/// The pages being made.
pub struct Pages {
    underway: Mutex<HashMap<Key, Page>>,
    waits: Semaphore,
    late: Semaphore,
    ready: Semaphore,
    hurry: watch::Sender<bool>,
}

impl Default for Pages {
    fn default() -> Self {
        Pages {
            underway: Mutex::default(),
            waits: Semaphore::new(MOST_WAITS),
            late: Semaphore::new(MOST_LATE),
            ready: Semaphore::new(MOST_READY),
            hurry: watch::Sender::default(),
        }
    }
}

impl Pages {
    /// The page, from the scrape under way if there is one for it. It comes within the key's `timeout`; empty if the task that made
    /// it has ended without. Dropped, nobody waits here any more.
    ///
    /// # Errors
    /// It is another page, and too many wait for their turn.
    pub async fn get(self: &Arc<Self>, engine: &Arc<Engine>, key: Key) -> Result<Bytes, Busy> {
        let mut page = {
            let mut underway = self.underway.lock();
            match underway.get(&key) {
                Some(page) => page.subscribe(),
                None if underway.len() >= at_once(engine.targets.len()) + MOST_WAITING => return Err(Busy),
                None => {
                    let (sender, page) = watch::channel(None);
                    underway.insert(key.clone(), sender.clone());
                    let making = Making { pages: self.clone(), key, page: sender };
                    tokio::spawn(self.clone().make(engine.clone(), making));
                    page
                }
            }
        };
        Ok(page.wait_for(Option::is_some).await.ok().and_then(|page| page.clone()).unwrap_or_default())
    }

    /// None is being made.
    #[cfg(test)]
    pub fn is_idle(&self) -> bool {
        self.underway.lock().is_empty()
    }

    /// From now on nobody waits for a server: pages are made of what is there.
    pub fn hurry(&self) {
        self.hurry.send_replace(true);
    }

    /// Visits, when it is this page's turn. One whose turn does not come in time is made of what is there.
    async fn visit(&self, engine: &Engine, key: &Key, began: Instant) -> Scrape {
        let deadline = began + key.timeout;
        let scrape = engine.begin(&key.selection, began);
        let visits = async {
            let _turn = self.turn(scrape.targets(), engine.targets.len(), key.timeout / 2).await;
            scrape.visit(deadline, pending()).await;
        };
        let mut hurried = self.hurry.subscribe();
        tokio::select! {
            _ = timeout_at(deadline, visits) => (),
            _ = hurried.wait_for(|hurried| *hurried) => (),
        }
        scrape
    }

    /// The turn of a page with so many of all targets: in the order of their coming, or after this `patience`.
    async fn turn(&self, targets: usize, all: usize, patience: Duration) -> Option<SemaphorePermit<'_>> {
        let share = MOST_WAITS / at_once(all);
        let in_turn = self.waits.acquire_many(targets.max(share).clamp(1, MOST_WAITS) as u32);
        let late = async {
            sleep(patience).await;
            self.late.acquire().await
        };
        let turn = tokio::select! {
            biased;
            turn = in_turn => turn,
            turn = late => turn,
        };
        turn.ok()
    }

    async fn make(self: Arc<Self>, engine: Arc<Engine>, making: Making) {
        let (key, page) = (making.key.clone(), making.page.clone());
        let scrape = tokio::select! {
            scrape = self.visit(&engine, &key, Instant::now()) => scrape,
            () = making.is_given_up() => return,
        };
        // Who comes from here on finds no scrape under way, and begins one.
        drop(making);
        let ready = tokio::select! {
            ready = self.ready.acquire() => ready,
            () = page.closed() => return,
        };
        let blocks = engine.show(&scrape);
        let mut bytes = exposition::render(&blocks, key.format);
        drop(blocks);
        if key.gzip {
            bytes = gzip(&bytes);
        }
        // It may be kept for a while, by who reads slowly.
        bytes.shrink_to_fit();
        page.send_replace(Some(bytes.into()));
        page.closed().await;
        drop(ready);
    }
}

/// How many pages may be made at a time, with so many targets.
fn at_once(targets: usize) -> usize {
    MOST_PAGES + targets
}

/// A page being made. Whatever becomes of the task, who waits is let go with its sender, and nobody waits for it any more.
struct Making {
    pages: Arc<Pages>,
    key: Key,
    page: Page,
}

impl Making {
    /// Ends when all who waited have gone; from then on nobody can join.
    async fn is_given_up(&self) {
        loop {
            self.page.closed().await;
            let mut underway = self.pages.underway.lock();
            // Somebody may have joined a moment ago.
            if self.page.receiver_count() == 0 {
                underway.remove(&self.key);
                return;
            }
        }
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let mut underway = self.pages.underway.lock();
        // After it was given up, another may be made in its place.
        if underway.get(&self.key).is_some_and(|page| page.same_channel(&self.page)) {
            underway.remove(&self.key);
        }
    }
}

fn gzip(page: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(page.len() / 8), Compression::fast());
    // Writing to memory does not fail.
    _ = encoder.write_all(page);
    encoder.finish().unwrap_or_default()
}
