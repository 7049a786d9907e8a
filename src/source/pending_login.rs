//! A login under way, and how it is waited for: it is kept, and the next who needs a session waits for the same, because
//! abandoned logins pile up at a server that does not answer them.

use std::time::Duration;

use tokio::{
    sync::Mutex,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

use crate::source::fetch::{FetchError, Reason};

/// A login that is waited for is kept this long, behind a locked catalogue or a frozen server, before another
/// one is tried.
const LOGIN_LIMIT: Duration = Duration::from_secs(600);

/// What a login leads to.
pub trait LoginOutcome: Send + 'static {
    /// The connection has ended.
    fn is_closed(&self) -> bool;
}

/// A login under way. Dropping it gives it up.
pub struct Login<S>(JoinHandle<Result<S, FetchError>>);

/// Where the one login to a place is kept while it is pending.
pub type Pending<S> = Mutex<Option<Login<S>>>;

impl<S: LoginOutcome> Login<S> {
    /// Starts one.
    pub fn start(log_in: impl Future<Output = Result<S, FetchError>> + Send + 'static) -> Self {
        Login(tokio::spawn(async move {
            timeout(LOGIN_LIMIT, log_in).await.unwrap_or_else(|_| {
                Err(FetchError::new(Reason::LoginPending, "login given up after 10 minutes without an answer"))
            })
        }))
    }
}

impl<S> Drop for Login<S> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits for the pending login, or begins one. One that was begun earlier and failed since says nothing of now, so it
/// is followed by a fresh one.
pub async fn wait<S: LoginOutcome>(
    pending: &Pending<S>,
    start: impl Fn() -> Login<S>,
    until: Instant,
) -> Result<S, FetchError> {
    let late = || FetchError::new(Reason::LoginPending, "the login is not answered yet");
    let mut pending = timeout_at(until, pending.lock()).await.map_err(|_| late())?;
    let mut inherited = pending.is_some();
    loop {
        let login = pending.get_or_insert_with(&start);
        let ended = timeout_at(until, &mut login.0).await.map_err(|_| late())?;
        *pending = None;
        match ended.unwrap_or_else(|error| Err(FetchError::new(Reason::Lost, format!("login ended: {error}")))) {
            Ok(session) if !(inherited && session.is_closed()) => return Ok(session),
            Err(error) if !inherited => return Err(error),
            _ => inherited = false,
        }
    }
}
