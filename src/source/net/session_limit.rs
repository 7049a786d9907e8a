//! Counts the sessions of one target until its server has ended them, so that a server whose backends hang never has
//! more than [`MOST`].
//!
//! ```text
//!   free ──open: takes a permit──► open ──the stream is dropped──► lingering: shut down, what comes is thrown away
//!    ▲                              │                                  │
//!    │             dialling failed, │          the server closes it,   │
//!    │       or no runtime is left  │         sends more than 1 MiB,   │
//!    │                              ▼        or 10 minutes have passed ▼
//!    └─────────────────────── ended: gives the permit back ◄───────────┘
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::source::blocking_pool::BlockingPool;
use crate::source::fetch::{FetchError, Reason};
use crate::source::net::login_guard::LoginInfo;
use crate::source::net::socket::Socket;

/// The most sessions on one target, including those that we gave up and the server has not ended.
pub const MOST: usize = 10;

/// How long we wait for a server to end a session, and how many bytes it may still send meanwhile.
const LINGER_LIMIT: Duration = Duration::from_secs(600);
const LINGER_BYTES: u64 = 1 << 20;

/// The sessions of one target, and what they share.
#[derive(Clone)]
pub struct SessionLimit {
    permits: Arc<Semaphore>,
    last_login: Arc<Mutex<Option<LoginInfo>>>,
    /// It was silent, and is not known to be a server of another kind: it is not asked again.
    is_no_stranger: Arc<AtomicBool>,
    /// Where the certificates and keys for their connections are read.
    pub files: Arc<BlockingPool>,
}

impl Default for SessionLimit {
    fn default() -> Self {
        SessionLimit {
            permits: Semaphore::new(MOST).into(),
            last_login: Arc::default(),
            is_no_stranger: Arc::default(),
            files: Arc::default(),
        }
    }
}

impl SessionLimit {
    pub fn count(&self) -> usize {
        MOST - self.permits.available_permits()
    }

    /// How the last session logged in, if one ever did.
    pub fn last_login(&self) -> Option<LoginInfo> {
        self.last_login.lock().clone()
    }

    /// A server that is silent may be one of another kind, as far as is known.
    pub fn may_be_stranger(&self) -> bool {
        !self.is_no_stranger.load(Ordering::Relaxed)
    }

    /// It was asked, and is none that we know.
    pub fn note_no_stranger(&self) {
        self.is_no_stranger.store(true, Ordering::Relaxed);
    }

    /// Counts one more session.
    ///
    /// # Errors
    /// There are [`MOST`] already.
    pub fn open(&self) -> Result<OpenSession, FetchError> {
        let permit = self.permits.clone().try_acquire_owned().map_err(|_| {
            let message = format!("{MOST} sessions were given up and the server has not ended them");
            FetchError::new(Reason::SessionsNotEnding, message)
        })?;
        Ok(OpenSession { _permit: permit, last_login: self.last_login.clone() })
    }
}

/// One session, counted until this is dropped.
pub struct OpenSession {
    _permit: OwnedSemaphorePermit,
    last_login: Arc<Mutex<Option<LoginInfo>>>,
}

impl OpenSession {
    /// Notes how the session has logged in.
    pub fn note_login(&self, login: LoginInfo) {
        *self.last_login.lock() = Some(login);
    }

    /// Says goodbye on the socket and counts the session until the server has closed it too.
    pub fn linger(self, mut socket: Box<dyn Socket>) {
        // Without a runtime the program is ending, and the socket is just closed.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(timeout(LINGER_LIMIT, async move {
            _ = socket.shutdown().await;
            _ = io::copy(&mut socket.take(LINGER_BYTES), &mut io::sink()).await;
            drop(self);
        }));
    }
}
