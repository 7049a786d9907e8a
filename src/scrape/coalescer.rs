//! Rendered pages: scrapes for the same page that come together share one visit and one rendering, and a page whose askers have gone is given up.

use std::{collections::HashMap, future::pending, io::Write, sync::Arc, time::Duration};

use flate2::{Compression, write::GzEncoder};
use hyper::body::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::{Instant, sleep, timeout_at},
};

use crate::{
    exposition,
    exposition::Format,
    scrape::engine::{Engine, Scrape, Selection, YOUNG},
};

/// Which page: everything that makes a difference to the bytes, or to when they must be there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageKey {
    pub selection: Selection,
    pub format: Format,
    pub gzip: bool,
    pub timeout: Duration,
}

/// Where a page is put, for all who wait for it.
type PageSender = watch::Sender<Option<Bytes>>;

/// Targets that the pages being made wait for together; for each wait that takes some KiB.
const MOST_WAITS: usize = 5000;

/// Pages that may be asked for at a time, beside one for each target.
const MOST_PAGES: usize = 1064;

/// Pages that may be made out of turn because half of their time is over: those that have turns may wait for servers that hang, and be
/// less in a hurry.
const MOST_LATE: usize = 16;

/// Pages that have been written, and that those who wait for them have not come for yet. Where more are due at once, the next is
/// written then.
const MOST_READY: usize = 4;

/// Too many different pages are asked for.
#[derive(Debug)]
pub struct Busy;

/// The pages being made.
pub struct Coalescer {
    underway: Mutex<Underway>,
    waits: Semaphore,
    late: Semaphore,
    ready: Semaphore,
    hurry: watch::Sender<bool>,
}

#[derive(Default)]
struct Underway {
    /// How many they are.
    pages: usize,
    /// Of each key the one that was begun last.
    newest: HashMap<PageKey, Newest>,
}

struct Newest {
    engine: Arc<Engine>,
    began: Instant,
    page: PageSender,
}

impl Newest {
    /// It is what somebody who asks now would get, but for what its targets have said since: as young as any result that is shared, and of the
    /// configuration in force.
    fn is_good(&self, engine: &Arc<Engine>, now: Instant) -> bool {
        self.is_of(engine) && now.saturating_duration_since(self.began) <= YOUNG
    }

    fn is_of(&self, engine: &Arc<Engine>) -> bool {
        Arc::ptr_eq(&self.engine, engine)
    }
}

impl Underway {
    /// Nobody joins this page any more.
    fn close(&mut self, key: &PageKey, page: &PageSender) {
        // Another may be made in its place.
        if self.newest.get(key).is_some_and(|newest| newest.page.same_channel(page)) {
            self.newest.remove(key);
        }
    }
}

impl Default for Coalescer {
    fn default() -> Self {
        Coalescer {
            underway: Mutex::default(),
            waits: Semaphore::new(MOST_WAITS),
            late: Semaphore::new(MOST_LATE),
            ready: Semaphore::new(MOST_READY),
            hurry: watch::Sender::default(),
        }
    }
}

impl Coalescer {
    /// The page, from the scrape under way if one for it has just begun. It comes within the key's `timeout`; empty if the task that made
    /// it has ended without. Dropped, nobody waits here any more.
    ///
    /// # Errors
    /// It is another page, and too many are being made.
    pub async fn get(self: &Arc<Self>, engine: &Arc<Engine>, key: PageKey) -> Result<Bytes, Busy> {
        let began = Instant::now();
        let mut page = {
            let mut underway = self.underway.lock();
            let is_full = underway.pages >= MOST_PAGES + engine.targets.len();
            match underway.newest.get(&key) {
                Some(newest) if newest.is_good(engine, began) => newest.page.subscribe(),
                // Older than it should be, which is better than nothing.
                Some(newest) if is_full && newest.is_of(engine) => newest.page.subscribe(),
                _ if is_full => return Err(Busy),
                _ => {
                    let (sender, page) = watch::channel(None);
                    underway.pages += 1;
                    underway.newest.insert(key.clone(), Newest { engine: engine.clone(), began, page: sender.clone() });
                    let making = PageInProgress { pages: self.clone(), key, page: sender };
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
        let underway = self.underway.lock();
        underway.pages == 0 && underway.newest.is_empty()
    }

    /// From now on nobody waits for a server: pages are made of what is there.
    pub fn hurry(&self) {
        self.hurry.send_replace(true);
    }

    /// Visits, when it is this page's turn. One whose turn does not come in time is made of what is there.
    async fn visit(&self, engine: &Engine, key: &PageKey, began: Instant) -> Scrape {
        let deadline = began + key.timeout;
        let scrape = engine.begin(&key.selection, began);
        let visits = async {
            let turn = Mutex::new(self.turn(scrape.targets(), key.timeout / 2).await);
            // What is over takes no place from others: those who wait for one server that hangs would keep all that ask healthy ones from them.
            let visited = || _ = turn.lock().as_mut().map(give_one_back);
            scrape.visit(deadline, pending(), &visited).await;
        };
        let mut hurried = self.hurry.subscribe();
        tokio::select! {
            _ = timeout_at(deadline, visits) => (),
            _ = hurried.wait_for(|hurried| *hurried) => (),
        }
        scrape
    }

    /// The turn of a page with so many targets: in the order of their coming, or after this `patience`.
    async fn turn(&self, targets: usize, patience: Duration) -> Option<SemaphorePermit<'_>> {
        let in_turn = self.waits.acquire_many(targets.clamp(1, MOST_WAITS) as u32);
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

    async fn make(self: Arc<Self>, engine: Arc<Engine>, making: PageInProgress) {
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

/// The last of a turn goes with the page.
fn give_one_back(turn: &mut SemaphorePermit<'_>) {
    if turn.num_permits() > 1 {
        drop(turn.split(1));
    }
}

/// A page being made. Whatever becomes of the task, who waits is let go with its sender, and nobody waits for it any more.
struct PageInProgress {
    pages: Arc<Coalescer>,
    key: PageKey,
    page: PageSender,
}

impl PageInProgress {
    /// Ends when all who waited have gone; from then on nobody can join.
    async fn is_given_up(&self) {
        loop {
            self.page.closed().await;
            let mut underway = self.pages.underway.lock();
            // Somebody may have joined a moment ago.
            if self.page.receiver_count() == 0 {
                return underway.close(&self.key, &self.page);
            }
        }
    }
}

impl Drop for PageInProgress {
    fn drop(&mut self) {
        let mut underway = self.pages.underway.lock();
        underway.close(&self.key, &self.page);
        underway.pages -= 1;
    }
}

fn gzip(page: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(page.len() / 8), Compression::fast());
    // Writing to memory does not fail.
    _ = encoder.write_all(page);
    encoder.finish().unwrap_or_default()
}
