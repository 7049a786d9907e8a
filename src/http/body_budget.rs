//! Answers that are not taken yet: what the oldest of them say is given up where they would hold too much memory together.
//!
//! Who asks and does not read would otherwise keep a page, and another with each connection. A page is given up for its readers
//! alone, which see their connection cut; it is never a new scrape that has to go without.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use hyper::body::{self, Bytes, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::warn;

use crate::log_limit::LogLimit;

/// What the large ones hold together, in bytes, unless these few newest hold more.
const MOST_BYTES: usize = 64 << 20;
const NEWEST: usize = 4;

/// Answers up to here are not counted: connections are, and each has one.
const SMALL: usize = 64 << 10;

/// What a connection takes at a time: it keeps its copy, not the page, while its reader does not read.
const PIECE: usize = 16 << 10;

/// The large answers that somebody still takes, the oldest first. Those who asked together share one.
#[derive(Default)]
pub struct BodyBudget {
    large: Mutex<VecDeque<Weak<SharedBody>>>,
    told: LogLimit,
}

impl BodyBudget {
    /// An answer's body. Older ones are given up for it where there is no room.
    pub fn body(&self, bytes: Bytes) -> Body {
        if bytes.len() <= SMALL {
            return Body { said: Arc::new(SharedBody::new(bytes)), at: 0 };
        }
        let mut all = self.large.lock();
        all.retain(|said| said.strong_count() > 0);
        let same = all.iter().filter_map(Weak::upgrade).find(|said| said.is(&bytes));
        let said = same.unwrap_or_else(|| {
            let said = Arc::new(SharedBody::new(bytes));
            all.push_back(Arc::downgrade(&said));
            said
        });
        self.make_room(&mut all);
        Body { said, at: 0 }
    }

    fn make_room(&self, all: &mut VecDeque<Weak<SharedBody>>) {
        let mut held: usize = all.iter().filter_map(Weak::upgrade).map(|said| said.length).sum();
        while held > MOST_BYTES && all.len() > NEWEST {
            let Some(oldest) = all.pop_front().and_then(|oldest| oldest.upgrade()) else { continue };
            let length = oldest.length;
            held -= length;
            oldest.bytes.lock().take();
            // Who asks decides how often.
            if let Some(more) = self.told.say("cut", Instant::now()) {
                warn!("an answer of {length} bytes is cut: newer ones that are not taken either need its memory{more}");
            }
        }
    }
}

/// What an answer says, until it is given up.
struct SharedBody {
    bytes: Mutex<Option<Bytes>>,
    length: usize,
}

impl SharedBody {
    fn new(bytes: Bytes) -> Self {
        SharedBody { length: bytes.len(), bytes: Mutex::new(Some(bytes)) }
    }

    /// It is these very bytes, not only the same.
    fn is(&self, bytes: &Bytes) -> bool {
        self.bytes.lock().as_ref().is_some_and(|mine| mine.as_ptr() == bytes.as_ptr() && mine.len() == bytes.len())
    }

    fn piece(&self, at: usize) -> Result<Bytes, Evicted> {
        let bytes = self.bytes.lock();
        let piece = bytes.as_ref().and_then(|bytes| bytes.get(at..self.length.min(at + PIECE)));
        piece.map(Bytes::copy_from_slice).ok_or(Evicted)
    }
}

/// An answer on its way to one reader.
pub struct Body {
    said: Arc<SharedBody>,
    at: usize,
}

impl body::Body for Body {
    type Data = Bytes;
    type Error = Evicted;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Evicted>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let piece = self.said.piece(self.at);
        self.at += PIECE;
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.at >= self.said.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.said.length.saturating_sub(self.at) as u64)
    }
}

/// Its memory was needed.
#[derive(Debug)]
pub struct Evicted;

impl fmt::Display for Evicted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer was given up")
    }
}

impl std::error::Error for Evicted {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_are_cut_and_that_is_said_once() {
        let unsent = BodyBudget::default();
        let bodies: Vec<_> = (0..70).map(|_| unsent.body(vec![0; 1 << 20].into())).collect();
        let cut: Vec<_> = bodies.iter().map(|body| body.said.bytes.lock().is_none()).collect();
        assert_eq!(cut, [[true; 6].as_slice(), &[false; 64]].concat());
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(unsent.told.overdue(later), [("cut", 5)], "of six one is said, the others are counted");
    }
}
