//! The sessions of a target. They are counted until the server has let go of them, so that there are never more than
//! [`MOST`]: a server whose backends hang keeps them, whether or not we still listen. And how the last was let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::source::blocking_pool::BlockingPool;
use crate::source::fetch::{FetchError, Reason};
use crate::source::net::login_guard::LoginInfo;
use crate::source::net::socket::Socket;

/// The most sessions on one target, with those that we gave up and the server has not ended.
pub const MOST: usize = 10;

/// How long, and for how much that it still sends, a server is waited for to end a session.
const LINGER_LIMIT: Duration = Duration::from_secs(600);
const LINGER_BYTES: usize = 1 << 20;

/// The sessions of one target.
#[derive(Clone, Default)]
pub struct SessionLimit(Arc<Inner>);

#[derive(Default)]
struct Inner {
    count: AtomicUsize,
    entry: Mutex<Option<LoginInfo>>,
    files: BlockingPool,
}

impl SessionLimit {
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// How the last of them was let in, if one ever was.
    pub fn entry(&self) -> Option<LoginInfo> {
        self.0.entry.lock().clone()
    }

    /// Notes how one was let in.
    pub fn note(&self, entry: LoginInfo) {
        *self.0.entry.lock() = Some(entry);
    }

    /// Where the certificates and keys of their connections are read.
    pub fn files(&self) -> &BlockingPool {
        &self.0.files
    }

    /// Counts one more.
    ///
    /// # Errors
    /// There are [`MOST`] already.
    pub fn open(&self) -> Result<Open, FetchError> {
        let one_more = |count| (count < MOST).then_some(count + 1);
        match self.0.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(Open(self.0.clone())),
            Err(_) => {
                let message = format!("{MOST} sessions were given up and the server has not ended them");
                Err(FetchError::new(Reason::SessionsNotEnding, message))
            }
        }
    }
}

/// One session, from its first byte to its last.
pub struct Open(Arc<Inner>);

impl Open {
    /// The sessions this is one of.
    pub fn sessions(&self) -> SessionLimit {
        SessionLimit(self.0.clone())
    }

    /// Says goodbye on the socket and counts the session until the server has closed it too.
    pub fn linger(self, socket: Socket) {
        // Outside a runtime, which is ending then, the socket is just closed.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                _ = timeout(LINGER_LIMIT, read_to_end(socket)).await;
                drop(self);
            });
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn read_to_end(mut socket: Socket) {
    _ = socket.shutdown().await;
    let (mut buffer, mut read) = ([0; 4096], 0);
    while let Ok(bytes @ 1..) = socket.read(&mut buffer).await {
        read += bytes;
        if read > LINGER_BYTES {
            break;
        }
    }
}
