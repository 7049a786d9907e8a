//! How soon a path shows the probe's writes: the age of the oldest write that is not visible yet.
//!
//! This works without other writers, and grows when a replica is cut off. It does not grow when the primary refuses
//! writes, because then there is nothing to show.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The maximum of writes kept while the path does not show them.
const REMEMBERED: usize = 1000;

/// A write of the probe.
#[derive(Clone, Copy, Debug)]
pub struct WriteToken {
    /// Rises from write to write.
    pub value: i64,
    pub committed: Instant,
}

/// The writes of the probe, as one path shows them.
#[derive(Debug, Default)]
pub struct WriteVisibility {
    /// Writes that the path does not show yet, the oldest first.
    hidden: VecDeque<WriteToken>,
    /// The age of the last write that became visible, when it did.
    last: Option<Duration>,
}

impl WriteVisibility {
    pub fn add_write(&mut self, token: WriteToken) {
        if self.hidden.len() == REMEMBERED {
            // The oldest one stays, because its age counts.
            self.hidden.pop_back();
        }
        self.hidden.push_back(token);
    }

    /// The path shows this token, or a later one of another writer.
    pub fn show(&mut self, value: i64, now: Instant) {
        while let Some(token) = self.hidden.front().filter(|token| token.value <= value) {
            self.last = Some(now.duration_since(token.committed));
            self.hidden.pop_front();
        }
    }

    /// The age of the oldest write that is not visible, but at least the time until the last one became visible; `None`
    /// before the first write.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        let oldest = self.hidden.front().map(|token| now.duration_since(token.committed));
        // A write of just now has had no time to become visible.
        oldest.max(self.last)
    }

    /// Returns whether every write is visible.
    pub fn is_complete(&self) -> bool {
        self.hidden.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_age_is_that_of_the_oldest_hidden_write() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let write = |value, seconds| WriteToken { value, committed: at(seconds) };
        let age = |visible: &WriteVisibility, seconds| visible.age(at(seconds)).map(|age| age.as_secs());
        let mut visible = WriteVisibility::default();
        assert_eq!(age(&visible, 5), None);
        visible.add_write(write(10, 0));
        visible.show(9, at(1));
        assert_eq!(age(&visible, 3), Some(3));
        visible.show(10, at(3));
        assert_eq!(age(&visible, 100), Some(3), "nobody writes: it does not grow");
        visible.add_write(write(20, 100));
        visible.add_write(write(30, 105));
        assert_eq!(age(&visible, 110), Some(10), "cut off: it grows");
        visible.show(25, at(110));
        assert_eq!(age(&visible, 111), Some(10), "the last took so long");
        visible.show(31, at(112));
        assert_eq!((age(&visible, 200), visible.is_complete()), (Some(7), true), "another's token is as good");
    }
}
