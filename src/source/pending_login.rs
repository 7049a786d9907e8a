//! A pending login: it outlives whoever started it, and the next caller joins it, because abandoned logins pile up at a server that
//! does not answer them.
//!
//! ```text
//!          start              answered                 open
//!   (none) ─────► pending ───────────────► outcome ───────────► returned to the caller, (none) again
//!                 ▲ │ ▲ │                     │
//!      joined by  │ │ │ │ caller's deadline   │ failed, or closed meanwhile:
//!      the next   └─┘ └─┘ passes: stays       │   started by this caller  ► the error is returned, (none) again
//!      caller             pending             │   started by an earlier   ► replaced once: a fresh login is started
//!                                             │
//!   10 minutes without an answer: failed ─────┘
//! ```
//!
//! - *joined*: callers queue for the mutex, each until its own deadline. The one that holds it waits for the task itself.
//! - *replaced*: a failure that happened before the caller came tells nothing of the server now, and a session that was closed
//!   while nobody waited is of no use. The fresh login's failure is the caller's own.
//! - *failed after 10 minutes*: behind a locked catalogue or a frozen server, a login may never be answered; then another one is tried.
//! - Dropping the task aborts it, and with it the connection.

use std::time::Duration;

use tokio::{
    sync::Mutex as AsyncMutex,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

use crate::source::fetch::{FetchError, Reason};

const LOGIN_TIMEOUT: Duration = Duration::from_secs(600);

/// What a login leads to.
pub trait LoginOutcome: Send + 'static {
    /// The connection has ended.
    fn is_closed(&self) -> bool;
}

/// A login under way.
pub struct LoginTask<S>(JoinHandle<Result<S, FetchError>>);

impl<S: LoginOutcome> LoginTask<S> {
    pub fn start(log_in: impl Future<Output = Result<S, FetchError>> + Send + 'static) -> Self {
        LoginTask(tokio::spawn(async move {
            timeout(LOGIN_TIMEOUT, log_in).await.unwrap_or_else(|_| {
                Err(FetchError::new(Reason::LoginPending, "login given up after 10 minutes without an answer"))
            })
        }))
    }
}

impl<S> Drop for LoginTask<S> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The one login to a server, or to one of its databases, that may be pending.
pub struct PendingLogin<S>(AsyncMutex<Option<LoginTask<S>>>);

impl<S> Default for PendingLogin<S> {
    fn default() -> Self {
        PendingLogin(AsyncMutex::new(None))
    }
}

impl<S: LoginOutcome> PendingLogin<S> {
    /// A login is under way, or somebody waits for one.
    pub fn is_pending(&self) -> bool {
        self.0.try_lock().map_or(true, |task| task.is_some())
    }

    /// Joins the pending login, or starts one, and waits for its outcome.
    ///
    /// # Errors
    /// The login failed, or is still pending at the deadline.
    pub async fn join_or_start(&self, start: impl Fn() -> LoginTask<S>, until: Instant) -> Result<S, FetchError> {
        let late = || FetchError::new(Reason::LoginPending, "the login is not answered yet");
        let mut pending = timeout_at(until, self.0.lock()).await.map_err(|_| late())?;
        let mut is_joined = pending.is_some();
        loop {
            let task = pending.get_or_insert_with(&start);
            let ended = timeout_at(until, &mut task.0).await.map_err(|_| late())?;
            *pending = None;
            match ended.unwrap_or_else(|error| Err(FetchError::new(Reason::Lost, format!("login ended: {error}")))) {
                Ok(session) if !(is_joined && session.is_closed()) => return Ok(session),
                Err(error) if !is_joined => return Err(error),
                _ => is_joined = false,
            }
        }
    }
}
