//! Whether all paths answer the same: each answer is compared with what the primary has said before and says next.
//!
//! The data may change between two readings of the primary. So an answer that it never gave counts as wrong only if the
//! primary said the same before and after; else nobody can tell.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use tokio::time::Instant;

/// Answers of the primary that are remembered, for each query.
const REMEMBERED: usize = 50;

/// Answers that wait for the primary's next; more are not judged.
const WAITING: usize = 50;

/// What an answer is, beside the primary's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comparison {
    Same,
    /// What the primary has said before, and not longer ago than the path may keep it.
    Stale,
    /// What the primary has not said, or has not said for too long.
    Wrong,
    /// The primary's own answer changed meanwhile.
    Unjudged,
}

impl Comparison {
    pub const ALL: [Comparison; 4] = [Comparison::Same, Comparison::Stale, Comparison::Wrong, Comparison::Unjudged];

    /// The word for it, as a label's value.
    pub fn word(self) -> &'static str {
        match self {
            Comparison::Same => "same",
            Comparison::Stale => "stale",
            Comparison::Wrong => "wrong",
            Comparison::Unjudged => "unjudged",
        }
    }
}

/// The answers to one query.
#[derive(Debug, Default)]
pub struct AnswerHistory {
    /// The primary's, the newest last, and when each was last given.
    said: VecDeque<(u64, Instant)>,
    /// Those of paths that have to wait for the primary's next.
    waiting: Vec<(usize, u64)>,
}

impl AnswerHistory {
    /// The primary answers; what that means for the paths that waited.
    pub fn primary(&mut self, answer: &[u8], now: Instant) -> Vec<(usize, Comparison)> {
        let answer = digest(answer);
        let before = self.said.back().map(|(before, _)| *before);
        self.said.retain(|(said, _)| *said != answer);
        self.said.push_back((answer, now));
        if self.said.len() > REMEMBERED {
            self.said.pop_front();
        }
        let judge = |(path, theirs): (usize, u64)| match before {
            _ if theirs == answer => (path, Comparison::Same),
            Some(before) if before == answer => (path, Comparison::Wrong),
            _ => (path, Comparison::Unjudged),
        };
        std::mem::take(&mut self.waiting).into_iter().map(judge).collect()
    }

    /// A path answers, which may keep an answer for so long; `None` if that cannot be judged yet, or ever.
    pub fn other(&mut self, path: usize, answer: &[u8], keeps: Option<Duration>, now: Instant) -> Option<Comparison> {
        let answer = digest(answer);
        let newest = self.said.back().is_some_and(|(said, _)| *said == answer);
        let before = self.said.iter().find(|(said, _)| *said == answer);
        match before {
            _ if newest => Some(Comparison::Same),
            Some((_, at)) if keeps.is_some_and(|keeps| now.duration_since(*at) > keeps) => Some(Comparison::Wrong),
            Some(_) => Some(Comparison::Stale),
            None => {
                if self.waiting.len() < WAITING {
                    self.waiting.push((path, answer));
                }
                None
            }
        }
    }
}

fn digest(answer: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    answer.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEPS: Option<Duration> = Some(Duration::from_secs(10));

    #[tokio::test(start_paused = true)]
    async fn what_is_stale_is_told_apart_from_what_is_wrong() {
        let mut answers = AnswerHistory::default();
        let now = Instant::now();
        assert!(answers.primary(b"one", now).is_empty());
        assert_eq!(answers.other(1, b"one", KEEPS, now), Some(Comparison::Same));
        answers.primary(b"two", now);
        let later = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(answers.other(1, b"one", KEEPS, later(10)), Some(Comparison::Stale));
        assert_eq!(answers.other(1, b"one", KEEPS, later(11)), Some(Comparison::Wrong));
        assert_eq!(answers.other(2, b"one", None, later(999)), Some(Comparison::Stale), "a replica that was cut off");
        // Never said: wrong if the primary stays, newer if the primary follows, else nobody knows.
        for (next, verdict) in
            [(&b"two"[..], Comparison::Wrong), (b"three", Comparison::Same), (b"four", Comparison::Unjudged)]
        {
            let theirs: &[u8] = if verdict == Comparison::Unjudged { b"other" } else { b"three" };
            assert_eq!(answers.other(1, theirs, KEEPS, later(12)), None);
            assert_eq!(answers.primary(next, later(13)), [(1, verdict)]);
        }
    }
}
