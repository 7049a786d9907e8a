//! Compares each path's answers with the primary's answers before and after them.
//!
//! The data may change between two answers of the primary. So an answer that the primary never gave counts as wrong
//! only if the primary's own was the same before and after; otherwise it cannot be judged.

use std::collections::VecDeque;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use strum::{EnumCount, EnumIter, IntoStaticStr};
use tokio::time::Instant;

/// The maximum of the primary's answers kept for each query.
const REMEMBERED: usize = 50;

/// The maximum of answers waiting for the primary's next one; further ones are not compared.
const WAITING: usize = 50;

/// An answer, compared with the primary's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumCount, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Comparison {
    Same,
    /// An earlier answer of the primary, which the path may still give.
    Stale,
    /// An answer that the primary did not give, or that is too old.
    Wrong,
    /// The primary's own answer changed meanwhile.
    Unjudged,
}

/// The answers to one query.
#[derive(Debug, Default)]
pub struct AnswerHistory {
    /// The primary's answers, each once, the newest last.
    primary: VecDeque<PrimaryAnswer>,
    /// Answers to be judged after the primary's next one: their paths and digests.
    waiting: Vec<(usize, u64)>,
}

#[derive(Debug)]
struct PrimaryAnswer {
    digest: u64,
    last_given: Instant,
}

impl AnswerHistory {
    /// Adds an answer of the primary, and returns the comparisons of the paths that waited for it.
    pub fn add_primary(&mut self, answer: &[u8], now: Instant) -> Vec<(usize, Comparison)> {
        let digest = digest(answer);
        let is_unchanged = self.primary.back().is_some_and(|before| before.digest == digest);
        self.primary.retain(|earlier| earlier.digest != digest);
        self.primary.push_back(PrimaryAnswer { digest, last_given: now });
        if self.primary.len() > REMEMBERED {
            self.primary.pop_front();
        }
        let compare = |(path, given)| {
            let comparison = if given == digest {
                Comparison::Same
            } else if is_unchanged {
                Comparison::Wrong
            } else {
                Comparison::Unjudged
            };
            (path, comparison)
        };
        self.waiting.drain(..).map(compare).collect()
    }

    /// Compares an answer of a path that may keep an answer for `max_age`; `None` if it has to wait, or cannot be
    /// compared.
    pub fn compare(&mut self, path: usize, answer: &[u8], max_age: Duration, now: Instant) -> Option<Comparison> {
        let digest = digest(answer);
        if self.primary.back().is_some_and(|newest| newest.digest == digest) {
            return Some(Comparison::Same);
        }
        if let Some(earlier) = self.primary.iter().find(|earlier| earlier.digest == digest) {
            let is_too_old = now.duration_since(earlier.last_given) > max_age;
            return Some(if is_too_old { Comparison::Wrong } else { Comparison::Stale });
        }
        if self.waiting.len() < WAITING {
            self.waiting.push((path, digest));
        }
        None
    }
}

fn digest(answer: &[u8]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::new().hash_one(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_AGE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn stale_answers_and_wrong_ones_are_told_apart() {
        let mut answers = AnswerHistory::default();
        let now = Instant::now();
        assert!(answers.add_primary(b"one", now).is_empty());
        assert_eq!(answers.compare(1, b"one", MAX_AGE, now), Some(Comparison::Same));
        answers.add_primary(b"two", now);
        let later = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(answers.compare(1, b"one", MAX_AGE, later(10)), Some(Comparison::Stale));
        assert_eq!(answers.compare(1, b"one", MAX_AGE, later(11)), Some(Comparison::Wrong));
        assert_eq!(
            answers.compare(2, b"one", Duration::MAX, later(999)),
            Some(Comparison::Stale),
            "a replica that was cut off"
        );
        // The primary never gave it: wrong if its own stays, newer if its own follows, otherwise unjudged.
        for (next, comparison) in
            [(&b"two"[..], Comparison::Wrong), (b"three", Comparison::Same), (b"four", Comparison::Unjudged)]
        {
            let theirs: &[u8] = if comparison == Comparison::Unjudged { b"other" } else { b"three" };
            assert_eq!(answers.compare(1, theirs, MAX_AGE, later(12)), None);
            assert_eq!(answers.add_primary(next, later(13)), [(1, comparison)]);
        }
    }
}
