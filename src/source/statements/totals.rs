//! One statement's statistics since the server knows it, and what two of them say of the calls between. Pure.

use crate::source::statements::spread::{Calls, Limit};

/// Sums that a server computes from the same calls differ by their last digits. What falls by more fell.
const ROUNDING: f64 = 1e-9;

/// Seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Totals {
    pub calls: u64,
    pub seconds: f64,
    /// The sum of the squared deviations from the mean.
    pub squares: f64,
    /// What its fastest and its slowest call took, as far as the server remembers.
    pub least: f64,
    pub most: f64,
}

impl Totals {
    /// Of a statement without calls: any call is faster and slower than what it had.
    pub const NONE: Totals = Totals { calls: 0, seconds: 0.0, squares: 0.0, least: f64::INFINITY, most: 0.0 };

    /// The calls since `before`. A statement that was reset or evicted meanwhile began again from zero: something
    /// of it has fallen then, and everything it has is new.
    ///
    /// The squares of two sets of calls add up to those of both and what their means differ by (Chan, Golub and
    /// LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances"). That is the
    /// difference of the sums of squares, calls x (stddev^2 + mean^2), without the digits which that loses.
    pub fn since(self, before: Totals) -> Calls {
        let fell = |now: f64, before: f64| now < before * (1.0 - ROUNDING);
        let again =
            self.calls < before.calls || fell(self.seconds, before.seconds) || fell(self.squares, before.squares);
        let before = if again { Totals::NONE } else { before };
        let count = self.calls - before.calls;
        let seconds = (self.seconds - before.seconds).max(0.0);
        let apart = seconds / count.max(1) as f64 - before.seconds / before.calls.max(1) as f64;
        let between = match before.calls {
            0 => 0.0,
            calls => apart * apart * (calls as f64 / self.calls as f64) * count as f64,
        };
        let squares = (self.squares - before.squares - between).max(0.0);
        Calls { count, seconds, squares, least: self.least_since(before), most: self.most_since(before) }
    }

    /// A minimum that falls was reached by one of the calls since. One that rises was reset (which PostgreSQL 17 and later do alone)
    /// and says nothing of the calls before that.
    fn least_since(self, before: Totals) -> Limit {
        let seconds = if self.least > before.least { 0.0 } else { self.least };
        Limit { seconds, reached: self.least < before.least }
    }

    /// A maximum in the same way.
    fn most_since(self, before: Totals) -> Limit {
        let seconds = if self.most < before.most { f64::INFINITY } else { self.most };
        Limit { seconds, reached: self.most > before.most }
    }
}
