//! Runs calls that may block for ever (a hanging filesystem), each on its own thread, at most one of a kind at a time.
//!
//! The program does not wait for these threads when it ends.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// Makes one kind of call.
#[derive(Default)]
pub struct BlockingPool {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// When the running call began.
    began: Arc<Mutex<Option<Instant>>>,
}

impl BlockingPool {
    /// The result of the call; `None` if it has not returned within `patience`. While one hangs, no other call is made,
    /// and later callers do not wait.
    pub async fn call<T: Send + 'static>(
        &self,
        patience: Duration,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let before = *self.began.lock();
        let until = before.unwrap_or_else(Instant::now) + patience;
        let turn = timeout_at(until, self.turn.clone().lock_owned()).await.ok()?;
        let began = self.began.clone();
        let (sender, answer) = oneshot::channel();
        *began.lock() = Some(Instant::now());
        let work = move || {
            let result = call();
            *began.lock() = None;
            drop(turn);
            // The caller may have left.
            _ = sender.send(result);
        };
        if thread::Builder::new().name("blocking".into()).spawn(work).is_err() {
            *self.began.lock() = None;
            return None;
        }
        timeout_at(Instant::now() + patience, answer).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;

    use super::*;

    const SHORT: Duration = Duration::from_millis(30);
    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn what_hangs_is_left_alone_until_it_returns() {
        let pool = BlockingPool::default();
        assert_eq!(pool.call(LONG, || 1).await, Some(1));
        let (release, hangs) = mpsc::channel::<()>();
        let calls = Arc::new(AtomicU32::new(0));
        let counted = calls.clone();
        let hang = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            hangs.recv().is_ok()
        };
        assert_eq!(pool.call(SHORT, hang).await, None);
        for _ in 0..5 {
            let counted = calls.clone();
            assert_eq!(pool.call(SHORT, move || counted.fetch_add(1, Ordering::SeqCst)).await, None);
        }
        assert_eq!(calls.load(Ordering::SeqCst), 1, "no call beside the one that hangs");
        release.send(()).unwrap();
        assert_eq!(pool.call(LONG, || 2).await, Some(2));
    }
}
