//! Rendered pages: scrapes for the same page that overlap share one visit and one rendering.

use std::{collections::HashMap, io::Write, sync::Arc, time::Duration};

use flate2::{Compression, write::GzEncoder};
use hyper::body::Bytes;
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

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

/// The pages being made.
#[derive(Default)]
pub struct Pages {
    underway: Mutex<HashMap<Key, Underway>>,
    hurry: watch::Sender<bool>,
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

    async fn make(self: Arc<Self>, engine: Arc<Engine>, making: Making, sender: watch::Sender<Option<Bytes>>) {
        let key = making.key.clone();
        let mut hurried = self.hurry.subscribe();
        let hurry = async { _ = hurried.wait_for(|hurried| *hurried).await };
        let blocks = engine.scrape(&key.selection, Instant::now() + key.timeout, hurry).await;
        // Who comes from here on finds no scrape under way, and begins one.
        drop(making);
        let text = exposition::render(&blocks, key.format);
        sender.send_replace(Some(if key.gzip { gzip(&text) } else { text.into() }));
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

fn gzip(text: &str) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
    // Writing to memory does not fail.
    _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default().into()
}
