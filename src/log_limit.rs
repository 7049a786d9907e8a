//! A limit on log lines that strangers cause: at most one line a minute for each reason, whatever its text is.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// From a line to the next for the same reason.
const INTERVAL: Duration = Duration::from_secs(60);

/// The last line for each reason.
pub struct LogLimit<R = &'static str>(Mutex<BTreeMap<R, LogLine>>);

struct LogLine {
    /// When the next one may be logged.
    next: Instant,
    /// Lines held back until then.
    held: u64,
}

/// The number of lines held back since the last one, to be written behind the next.
#[derive(Debug, PartialEq)]
pub struct HeldBack(u64);

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            held => write!(f, " (and {held} more like it)"),
        }
    }
}

impl<R> Default for LogLimit<R> {
    fn default() -> Self {
        LogLimit(Mutex::default())
    }
}

impl<R: Copy + Ord> LogLimit<R> {
    /// `Some` if a line may be logged now, with those held back before it. Otherwise the line is counted.
    pub fn say(&self, reason: R, now: Instant) -> Option<HeldBack> {
        let mut lines = self.0.lock();
        let line = lines.entry(reason).or_insert(LogLine { next: now, held: 0 });
        if now < line.next {
            line.held += 1;
            return None;
        }
        line.next = now + INTERVAL;
        Some(HeldBack(std::mem::take(&mut line.held)))
    }

    /// Lines that were held back a while ago without another to follow: their reasons and numbers.
    pub fn overdue(&self, now: Instant) -> Vec<(R, u64)> {
        let mut lines = self.0.lock();
        let mut overdue = Vec::new();
        for (reason, line) in lines.iter_mut() {
            if line.held > 0 && now >= line.next {
                overdue.push((*reason, std::mem::take(&mut line.held)));
                line.next = now + INTERVAL;
            }
        }
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_minute_and_what_was_held_back() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(limit.say("query", at(0)), Some(HeldBack(0)));
        assert_eq!(limit.say("query", at(1)), None);
        assert_eq!(limit.say("lost", at(1)), Some(HeldBack(0)));
        assert_eq!((limit.say("query", at(59)), limit.overdue(at(59))), (None, vec![]));
        assert_eq!(limit.say("query", at(60)).map(|held| held.to_string()).as_deref(), Some(" (and 2 more like it)"));
        assert_eq!(limit.say("query", at(100)), None);
        assert_eq!((limit.overdue(at(119)), limit.overdue(at(120))), (vec![], vec![("query", 1)]));
        assert_eq!((limit.overdue(at(300)), limit.say("query", at(130))), (vec![], None));
    }
}
