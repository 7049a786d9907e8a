//! Rendered pages: scrapes for the same page that overlap share one visit and one rendering.

use std::{collections::HashMap, future::pending, io::Write, sync::Arc, time::Duration};

use flate2::{Compression, write::GzEncoder};
use hyper::body::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout_at},
};

use crate::{
    engine::{Engine, Selection},
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

type Underway = watch::Receiver<Option<Bytes>>;

/// Targets that the pages being made wait for together; for each wait that takes some KiB. Further pages wait for their turn.
const MOST_WAITS: usize = 5000;

/// Pages that have been written, and that those who wait for them have not come for yet. Where more are due at once, the next is
/// written then.
const MOST_READY: usize = 4;

/// The pages being made.
pub struct Pages {
    underway: Mutex<HashMap<Key, Underway>>,
    waits: Semaphore,
    ready: Semaphore,
    hurry: watch::Sender<bool>,
}

impl Default for Pages {
    fn default() -> Self {
        Pages {
            underway: Mutex::default(),
            waits: Semaphore::new(MOST_WAITS),
            ready: Semaphore::new(MOST_READY),
            hurry: watch::Sender::default(),
        }
    }
}

impl Pages {
    /// The page, from the scrape under way if there is one for it. It comes within the key's `timeout`; empty if the task that made
    /// it has ended without.
    pub async fn get(self: &Arc<Self>, engine: &Arc<Engine>, key: Key) -> Bytes {
        let mut page = {
            let mut underway = self.underway.lock();
            match underway.get(&key) {
                Some(page) => page.clone(),
                None => {
                    let (sender, page) = watch::channel(None);
                    underway.insert(key.clone(), page.clone());
                    let making = Making { pages: self.clone(), key };
                    tokio::spawn(self.clone().make(engine.clone(), making, sender));
                    page
                }
            }
        };
        page.wait_for(Option::is_some).await.ok().and_then(|page| page.clone()).unwrap_or_default()
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
    async fn visit(&self, engine: &Engine, key: &Key, began: Instant, hurry: impl Future<Output = ()>) {
        let targets = engine.targets.iter().filter(|target| key.selection.has_target(target)).count();
        let deadline = began + key.timeout;
        let visits = async {
            let _turn = self.waits.acquire_many(targets.min(MOST_WAITS) as u32).await;
            engine.visit(&key.selection, began, deadline, pending()).await;
        };
        tokio::select! {
            _ = timeout_at(deadline, visits) => (),
            () = hurry => (),
        }
    }

    async fn make(self: Arc<Self>, engine: Arc<Engine>, making: Making, sender: watch::Sender<Option<Bytes>>) {
        let (key, began) = (making.key.clone(), Instant::now());
        let mut hurried = self.hurry.subscribe();
        let hurry = async { _ = hurried.wait_for(|hurried| *hurried).await };
        self.visit(&engine, &key, began, hurry).await;
        // Who comes from here on finds no scrape under way, and begins one.
        drop(making);
        let ready = self.ready.acquire().await;
        let blocks = engine.show(&key.selection, began);
        let mut page = exposition::render(&blocks, key.format);
        drop(blocks);
        if key.gzip {
            page = gzip(&page);
        }
        // It may be kept for a while, by who reads slowly.
        page.shrink_to_fit();
        sender.send_replace(Some(page.into()));
        sender.closed().await;
        drop(ready);
    }
}

/// A page being made. Whatever becomes of the task, who waits is let go with its sender, and nobody waits for it any more.
struct Making {
    pages: Arc<Pages>,
    key: Key,
}

impl Drop for Making {
    fn drop(&mut self) {
        self.pages.underway.lock().remove(&self.key);
    }
}

fn gzip(page: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(page.len() / 8), Compression::fast());
    // Writing to memory does not fail.
    _ = encoder.write_all(page);
    encoder.finish().unwrap_or_default()
}
