//! A token: written on the primary, looked for elsewhere. How old the oldest is that has been written and not seen.
//!
//! That is right when nobody else writes, and when a replica is cut off; and it says nothing of a replica when the
//! primary cannot be written to, because then there is nothing to see.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// Tokens that are remembered as not seen; the oldest of them counts.
const REMEMBERED: usize = 1000;

/// A token, and when it was committed.
pub type WriteToken = (i64, Instant);

/// What a path has seen.
#[derive(Debug, Default)]
pub struct Visible {
    /// Written and not seen, the oldest first.
    unseen: VecDeque<WriteToken>,
    /// How old the token was that was seen last, when it was seen first.
    last: Option<Duration>,
}

impl Visible {
    /// A token has been written.
    pub fn written(&mut self, token: WriteToken) {
        if self.unseen.len() == REMEMBERED {
            // Not the first: that is the age.
            self.unseen.pop_back();
        }
        self.unseen.push_back(token);
    }

    /// The path shows this token; it may be somebody else's, who writes too.
    pub fn seen(&mut self, token: i64, now: Instant) {
        while let Some((written, at)) = self.unseen.front() {
            if *written > token {
                return;
            }
            self.last = Some(now.duration_since(*at));
            self.unseen.pop_front();
        }
    }

    /// How long the oldest token that has not been seen has been there, or else how long the last took to be seen; `None`
    /// before the first.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        let waiting = self.unseen.front().map(|(_, at)| now.duration_since(*at));
        // What was written just now is not missed yet.
        waiting.max(self.last)
    }

    /// Everything that was written has been seen.
    pub fn is_complete(&self) -> bool {
        self.unseen.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_age_is_that_of_the_oldest_unseen() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let age = |visible: &Visible, seconds| visible.age(at(seconds)).map(|age| age.as_secs());
        let mut visible = Visible::default();
        assert_eq!(age(&visible, 5), None);
        visible.written((10, at(0)));
        visible.seen(9, at(1));
        assert_eq!(age(&visible, 3), Some(3));
        visible.seen(10, at(3));
        assert_eq!(age(&visible, 100), Some(3), "nobody writes: it does not grow");
        visible.written((20, at(100)));
        visible.written((30, at(105)));
        assert_eq!(age(&visible, 110), Some(10), "cut off: it grows");
        visible.seen(25, at(110));
        assert_eq!(age(&visible, 111), Some(10), "the last took so long");
        visible.seen(31, at(112));
        assert_eq!((age(&visible, 200), visible.is_complete()), (Some(7), true), "another's token is as good");
    }
}
