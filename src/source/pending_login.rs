//! A pending login outlives the caller that started it, and the next caller joins it, because abandoned logins pile up
//! at a server that does not answer them.
//!
//! ```text
//!           start                answered, open
//!   none ─────────► pending ──────────────────────► none; the caller has the session
//!                   ▲  │ │
//!                   └──┘ │ failed, or closed meanwhile
//!     a caller's deadline├─ the caller started it ─► none; the caller has the error
//!     passes: it stays   └─ the caller joined it ──► pending again: replaced by a fresh login, once
//! ```
//!
//! - *joined*: callers queue for the mutex, each until its own deadline. The one that holds it waits for the task itself.
//! - *replaced*: a failure before the caller came says nothing about the server now, and a session that was closed
//!   while no caller waited is useless. If the fresh login fails too, that is the caller's own error.
//! - *failed*: also after 10 minutes without an answer, behind a locked catalogue or a frozen server. The next caller starts another.
//! - Dropping the task aborts it, and closes its connection.

use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::source::fetch::{FetchError, Reason};

const LOGIN_TIMEOUT: Duration = Duration::from_secs(600);

/// The result of a login.
pub trait LoginOutcome: Send + 'static {
    /// The connection has ended.
    fn is_closed(&self) -> bool;
}

/// A login in progress.
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
    /// A login is in progress, or a caller waits for one.
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

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::sync::oneshot;
    use tokio::time::sleep;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Outcome(&'static str);

    impl LoginOutcome for Outcome {
        fn is_closed(&self) -> bool {
            self.0 == "closed"
        }
    }

    /// Starts logins that take this many seconds each, one after the other.
    fn starter(
        outcomes: impl IntoIterator<Item = (u64, Result<&'static str, Reason>)>,
    ) -> impl Fn() -> LoginTask<Outcome> {
        let outcomes = Mutex::new(outcomes.into_iter().collect::<std::collections::VecDeque<_>>());
        move || {
            let (seconds, outcome) = outcomes.lock().pop_front().expect("no more logins are started");
            LoginTask::start(async move {
                sleep(Duration::from_secs(seconds)).await;
                outcome.map(Outcome).map_err(|reason| FetchError::new(reason, "failed"))
            })
        }
    }

    fn after(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_outlives_its_caller_and_is_joined() {
        let refused = Err(Reason::Refused);
        // The logins; the result of the first caller, which waits for 2 s; and of the second, 5 s later, which waits
        // for 10 s.
        for (logins, first, second) in [
            (vec![(1, Ok("a")), (1, Ok("b"))], Ok("a"), Ok("b")),
            (vec![(1, refused), (1, Ok("b"))], refused, Ok("b")),
            (vec![(1, Ok("closed")), (1, Ok("b"))], Ok("closed"), Ok("b")),
            (vec![(8, Ok("a"))], Err(Reason::LoginPending), Ok("a")),
            (vec![(4, Ok("a"))], Err(Reason::LoginPending), Ok("a")),
            (vec![(30, Ok("a"))], Err(Reason::LoginPending), Err(Reason::LoginPending)),
            (vec![(4, Ok("closed")), (1, Ok("b"))], Err(Reason::LoginPending), Ok("b")),
            (vec![(4, Ok("closed")), (1, Ok("closed"))], Err(Reason::LoginPending), Ok("closed")),
            (vec![(4, refused), (1, Ok("b"))], Err(Reason::LoginPending), Ok("b")),
            (vec![(8, refused), (1, Err(Reason::Starting))], Err(Reason::LoginPending), Err(Reason::Starting)),
        ] {
            let (pending, start) = (PendingLogin::default(), starter(logins.clone()));
            let text = |result: Result<Outcome, FetchError>| result.map(|outcome| outcome.0).map_err(|e| e.reason);
            assert!(!pending.is_pending());
            assert_eq!(text(pending.join_or_start(&start, after(2)).await), first, "{logins:?}");
            assert_eq!(pending.is_pending(), first == Err(Reason::LoginPending), "{logins:?}");
            sleep(Duration::from_secs(3)).await;
            assert_eq!(text(pending.join_or_start(&start, after(10)).await), second, "{logins:?}");
            assert_eq!(pending.is_pending(), second == Err(Reason::LoginPending), "{logins:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_wait_for_each_other() {
        let (pending, start) = (PendingLogin::default(), starter([(8, Ok("a")), (1, Ok("b"))]));
        let (first, second, third) = tokio::join!(
            pending.join_or_start(&start, after(10)),
            pending.join_or_start(&start, after(10)),
            pending.join_or_start(&start, after(5)),
        );
        assert_eq!((first, second), (Ok(Outcome("a")), Ok(Outcome("b"))));
        assert_eq!(third.expect_err("the first one still waits").reason, Reason::LoginPending);
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_is_given_up_after_ten_minutes_and_when_dropped() {
        let (pending, start) = (PendingLogin::default(), starter([(3600, Ok("a"))]));
        let began = Instant::now();
        let error = pending.join_or_start(&start, after(3600)).await.expect_err("it is never answered");
        assert_eq!((error.reason, began.elapsed()), (Reason::LoginPending, LOGIN_TIMEOUT));
        let (connection, ended) = oneshot::channel::<()>();
        drop(LoginTask::start(async move {
            sleep(Duration::from_secs(60)).await;
            drop(connection);
            Ok(Outcome("a"))
        }));
        assert!(timeout(Duration::from_secs(1), ended).await.expect("it ends at once").is_err());
    }

    #[tokio::test]
    async fn a_login_that_panics_is_lost() {
        let pending = PendingLogin::<Outcome>::default();
        let error = pending.join_or_start(|| LoginTask::start(async { panic!("a test's") }), after(1)).await;
        assert_eq!(error.expect_err("there is no session").reason, Reason::Lost);
    }
}
