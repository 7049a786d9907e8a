//! The rate limit of requests: a bucket of tokens that refills with time.

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::settings::web::Rate;

pub struct TokenBucket {
    rate: Rate,
    tokens: Mutex<Tokens>,
}

#[derive(Clone, Copy)]
struct Tokens {
    left: f64,
    at: Instant,
}

impl TokenBucket {
    pub fn new(rate: Rate) -> Self {
        TokenBucket { rate, tokens: Mutex::new(Tokens { left: rate.burst as f64, at: Instant::now() }) }
    }

    /// Takes a token, if there is one.
    pub fn take(&self) -> bool {
        let mut tokens = self.tokens.lock();
        let now = Instant::now();
        let refilled = (now - tokens.at).as_secs_f64() / self.rate.interval.as_secs_f64();
        let left = (tokens.left + refilled).min(self.rate.burst as f64);
        let is_taken = left >= 1.0;
        *tokens = Tokens { left: if is_taken { left - 1.0 } else { left }, at: now };
        is_taken
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
