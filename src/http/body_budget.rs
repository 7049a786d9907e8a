//! Limits the memory that response bodies may hold while their clients have not read them.
//!
//! A client that does not read would otherwise keep a page in memory, and another with each further connection. So
//! large bodies are counted, and the oldest are evicted for newer ones. An eviction hits the readers of one page alone,
//! whose connections are cut; a new scrape always gets its page.
//!
//! ```text
//!              body()                         last reader is done
//!   response ─────────> queued ──────────────────────────────────> freed
//!                         │ ^
//!        each reader has  │ │ body() of the same bytes: one more reader of the same SharedBody
//!        a position of    │ │
//!        its own          │ └── poll_frame: the next piece is copied out, at the pace of the reader
//!                         │
//!                         │ newer bodies need the memory
//!                         v
//!                      evicted: the bytes are freed at once; each reader's next poll_frame fails, on
//!                               which hyper closes the connection
//! ```
//!
//! Three things make this work. Only [`SharedBody`] owns the bytes, behind a lock, so that they can be taken away under
//! the readers. Readers get copies of small pieces: hyper keeps unsent pieces, and one that shared the page's memory
//! would keep all of it. The budget itself holds weak references only: a page without readers is freed without the
//! budget, and the next body cleans the list.
//!
//! Small bodies are not counted, because connections are limited and each has one. The newest few are never evicted,
//! whatever their size: otherwise a page larger than the budget could not be sent at all.
//!
//! A body also reports to its connection's permit when hyper drops it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::{io, mem};

use hyper::body::{self, Bytes, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::warn;

use crate::http::connections::ConnectionPermit;
use crate::log_limit::LogLimit;

/// Bytes that large bodies may hold together, unless the newest few hold more.
const MAX_BYTES: usize = 64 << 20;
const MIN_BODIES: usize = 4;

/// Larger bodies are counted.
const MAX_UNCOUNTED: usize = 64 << 10;

/// Bytes that a reader takes at a time.
const PIECE: usize = 16 << 10;

/// The large bodies that have readers, the oldest first.
#[derive(Default)]
pub struct BodyBudget {
    large: Mutex<VecDeque<Weak<SharedBody>>>,
    log: LogLimit,
}

impl BodyBudget {
    /// A body of these bytes, shared by clients of the same page. Older bodies are evicted if there is no room.
    pub fn body(&self, bytes: Bytes) -> Body {
        let length = bytes.len();
        let shared = if length <= MAX_UNCOUNTED { Arc::new(Mutex::new(bytes)) } else { self.shared(bytes) };
        Body { shared, length, position: 0, permit: None }
    }

    fn shared(&self, bytes: Bytes) -> Arc<SharedBody> {
        let mut large = self.large.lock();
        large.retain(|shared| shared.strong_count() > 0);
        let same = large.iter().filter_map(Weak::upgrade).find(|shared| is_same(&shared.lock(), &bytes));
        let shared = same.unwrap_or_else(|| {
            let shared = Arc::new(Mutex::new(bytes));
            large.push_back(Arc::downgrade(&shared));
            shared
        });
        self.make_room(&mut large);
        shared
    }

    fn make_room(&self, large: &mut VecDeque<Weak<SharedBody>>) {
        let mut held: usize = large.iter().filter_map(Weak::upgrade).map(|shared| shared.lock().len()).sum();
        while held > MAX_BYTES && large.len() > MIN_BODIES {
            let Some(oldest) = large.pop_front().and_then(|oldest| oldest.upgrade()) else { continue };
            let length = mem::take(&mut *oldest.lock()).len();
            held -= length;
            // Clients decide how often this happens.
            if let Some(held_back) = self.log.say("evicted", Instant::now()) {
                warn!(
                    "a response of {length} bytes is cut: newer ones, which their clients do not read either, need its memory{held_back}"
                );
            }
        }
    }
}

/// The bytes of a body; none once it is evicted.
type SharedBody = Mutex<Bytes>;

/// Returns whether both are the same memory.
fn is_same(one: &Bytes, other: &Bytes) -> bool {
    one.as_ptr() == other.as_ptr() && one.len() == other.len()
}

/// A body on its way to one client.
pub struct Body {
    shared: Arc<SharedBody>,
    length: usize,
    position: usize,
    permit: Option<Arc<ConnectionPermit>>,
}

impl Body {
    /// Reports to this permit when hyper drops the body: the response is sent, or given up.
    pub fn with_permit(mut self, permit: Arc<ConnectionPermit>) -> Self {
        self.permit = Some(permit);
        self
    }

    fn next_piece(&mut self) -> io::Result<Bytes> {
        let start = self.position;
        self.position += PIECE;
        let bytes = self.shared.lock();
        let piece = bytes.get(start..self.length.min(self.position));
        piece.map(Bytes::copy_from_slice).ok_or_else(|| io::Error::other("the response was evicted from memory"))
    }
}

impl body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = (!self.is_end_stream()).then(|| self.next_piece());
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.position >= self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length.saturating_sub(self.position) as u64)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(permit) = &self.permit {
            permit.response_done();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::time::Duration;

    use hyper::body::Body as _;

    use super::*;

    fn next_piece(body: &mut Body) -> Option<io::Result<Bytes>> {
        match Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(frame) => frame.map(|frame| frame.map(|frame| frame.into_data().expect("a piece"))),
            Poll::Pending => panic!("it never waits"),
        }
    }

    fn is_evicted(body: &Body) -> bool {
        body.shared.lock().is_empty()
    }

    #[test]
    fn the_oldest_are_evicted_and_the_log_says_so_once() {
        let budget = BodyBudget::default();
        let mut bodies: Vec<_> = (0..70).map(|_| budget.body(vec![0; 1 << 20].into())).collect();
        let evicted: Vec<_> = bodies.iter().map(is_evicted).collect();
        assert_eq!(evicted, [[true; 6].as_slice(), &[false; 64]].concat());
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(budget.log.overdue(later), [("evicted", 5)], "of six one is logged, the others are counted");
        let error = next_piece(&mut bodies[5]).expect("an error").expect_err("no bytes");
        assert_eq!(error.to_string(), "the response was evicted from memory");
        assert_eq!(next_piece(&mut bodies[6]).expect("a piece").expect("bytes").len(), PIECE);
    }

    #[test]
    fn the_newest_few_stay_however_large_they_are() {
        let budget = BodyBudget::default();
        let bodies: Vec<_> = (0..6).map(|_| budget.body(vec![0; MAX_BYTES / 2].into())).collect();
        assert_eq!(bodies.iter().map(is_evicted).collect::<Vec<_>>(), [true, true, false, false, false, false]);
    }

    #[test]
    fn a_large_body_takes_the_place_of_several() {
        let budget = BodyBudget::default();
        let sizes = [8, 8, 8, 8, 8, 8, 8, 8, 24];
        let bodies: Vec<_> = sizes.iter().map(|size| budget.body(vec![0; size << 20].into())).collect();
        assert_eq!(bodies.iter().filter(|body| is_evicted(body)).count(), 3);
    }

    #[test]
    fn clients_that_get_the_same_bytes_share_a_body() {
        let budget = BodyBudget::default();
        let bytes = Bytes::from(vec![7; MAX_UNCOUNTED + 2]);
        let first = budget.body(bytes.clone());
        for (other, is_shared) in [
            (bytes.clone(), true),
            (bytes.slice(..MAX_UNCOUNTED + 1), false),
            (bytes.slice(1..), false),
            (bytes.to_vec().into(), false),
        ] {
            let second = budget.body(other);
            assert_eq!(Arc::ptr_eq(&first.shared, &second.shared), is_shared);
            assert_eq!(budget.large.lock().len(), if is_shared { 1 } else { 2 }, "readers that are gone do not count");
        }
        let _small = budget.body(bytes.slice(..MAX_UNCOUNTED));
        assert_eq!(budget.large.lock().len(), 2, "a small one is not counted, and does not clean the list");
    }

    #[test]
    fn a_body_is_read_in_pieces() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, MAX_UNCOUNTED + 5] {
            let bytes: Bytes = (0..length).map(|at| at as u8).collect();
            let mut body = BodyBudget::default().body(bytes.clone());
            let mut read = Vec::new();
            while !body.is_end_stream() {
                assert_eq!(body.size_hint().exact(), Some((length - read.len()) as u64));
                let piece = next_piece(&mut body).expect("a piece").expect("bytes");
                assert!(piece.len() == PIECE || read.len() + piece.len() == length, "{}", piece.len());
                read.extend(piece);
            }
            assert_eq!(read, bytes);
            assert!(next_piece(&mut body).is_none());
            assert_eq!(body.size_hint().exact(), Some(0));
        }
    }
}
