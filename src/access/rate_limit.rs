//! A limit on requests: a bucket of tokens that fills again with time.

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::settings::web::Rate;

/// The tokens left, as of a moment.
pub struct Bucket {
    rate: Rate,
    left: Mutex<(f64, Instant)>,
}

impl Bucket {
    pub fn new(rate: Rate) -> Self {
        Bucket { rate, left: Mutex::new((rate.burst as f64, Instant::now())) }
    }

    /// Takes a token, if there is one.
    pub fn take(&self) -> bool {
        let mut left = self.left.lock();
        let (tokens, at) = *left;
        let now = Instant::now();
        let since = (now - at).as_secs_f64() / self.rate.interval.as_secs_f64();
        let tokens = (tokens + since).min(self.rate.burst as f64);
        let taken = tokens >= 1.0;
        *left = (if taken { tokens - 1.0 } else { tokens }, now);
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_and_then_one_each_interval() {
        let bucket = Bucket::new(Rate { interval: Duration::from_secs(2), burst: 3 });
        let taken = |times: usize| (0..times).filter(|_| bucket.take()).count();
        assert_eq!(taken(5), 3);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(taken(5), 1);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(taken(5), 3);
    }
}
