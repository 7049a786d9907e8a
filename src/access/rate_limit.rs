//! The rate limit of requests: a bucket of tokens that refills with time.

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::settings::web::Rate;

pub struct TokenBucket {
    rate: Rate,
    /// When it is full again, unless it is: each token that is missing takes an interval.
    full_at: Mutex<Instant>,
}

impl TokenBucket {
    pub fn new(rate: Rate) -> Self {
        TokenBucket { rate, full_at: Mutex::new(Instant::now()) }
    }

    /// Takes a token, if there is one.
    pub fn take(&self) -> bool {
        let mut full_at = self.full_at.lock();
        let now = Instant::now();
        let full_after = now.max(*full_at) + self.rate.interval;
        let is_left = full_after - now <= self.rate.interval * self.rate.burst;
        if is_left {
            *full_at = full_after;
        }
        is_left
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_and_then_one_each_interval() {
        let bucket = TokenBucket::new(Rate { interval: Duration::from_secs(2), burst: 3 });
        let take = |times: usize| (0..times).filter(|_| bucket.take()).count();
        assert_eq!(take(5), 3);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(take(5), 1);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(take(5), 3);
    }
}
