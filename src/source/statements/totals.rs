//! One statement's statistics since the server first saw it, and the calls between two readings of them. Pure.

/// Sums that a server computes from the same calls differ in their last digits. Only a larger fall is a fall.
const ROUNDING: f64 = 1e-9;

/// A statement's statistics on the server; times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StatementTotals {
    pub calls: u64,
    pub seconds: f64,
    /// The sum of the squared deviations from the mean.
    pub squared_deviations: f64,
    /// The durations of its fastest and slowest calls, as far as the server remembers.
    pub least: f64,
    pub most: f64,
}

/// The calls of one statement between two readings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntervalCalls {
    pub count: u64,
    pub seconds: f64,
    /// The sum of the squared deviations from the mean of these calls.
    pub squared_deviations: f64,
    pub least: Extreme,
    pub most: Extreme,
}

/// A bound on the durations of all calls, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extreme {
    pub seconds: f64,
    /// One of the calls took exactly that long.
    pub reached: bool,
}

impl StatementTotals {
    /// A statement without calls: any call is faster and slower than its extremes.
    pub const NONE: StatementTotals =
        StatementTotals { calls: 0, seconds: 0.0, squared_deviations: 0.0, least: f64::INFINITY, most: 0.0 };

    /// The calls since `before`. A statement that was reset or evicted meanwhile started again from zero: one of its
    /// numbers has fallen then, and all its calls are new.
    ///
    /// The squared deviations of two sets of calls add up to those of their union less a term for the distance of their
    /// means (Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample
    /// variances"). This equals the difference of the sums of squares, calls x (stddev^2 + mean^2), without its loss of
    /// digits.
    pub fn since(self, before: StatementTotals) -> IntervalCalls {
        let fell = |now: f64, before: f64| now < before * (1.0 - ROUNDING);
        let was_reset = self.calls < before.calls
            || fell(self.seconds, before.seconds)
            || fell(self.squared_deviations, before.squared_deviations);
        let before = if was_reset { StatementTotals::NONE } else { before };
        let count = self.calls - before.calls;
        let seconds = (self.seconds - before.seconds).max(0.0);
        let apart = seconds / count.max(1) as f64 - before.seconds / before.calls.max(1) as f64;
        let between = match before.calls {
            0 => 0.0,
            calls => apart * apart * (calls as f64 / self.calls as f64) * count as f64,
        };
        let squared_deviations = (self.squared_deviations - before.squared_deviations - between).max(0.0);
        let (least, most) = (self.least_since(before), self.most_since(before));
        IntervalCalls { count, seconds, squared_deviations, least, most }
    }

    /// A minimum that falls was reached by a call since. One that rises was reset (PostgreSQL 17 and later can do that
    /// alone) and says nothing about the calls before the reset.
    fn least_since(self, before: StatementTotals) -> Extreme {
        let seconds = if self.least > before.least { 0.0 } else { self.least };
        Extreme { seconds, reached: self.least < before.least }
    }

    /// A maximum in the same way.
    fn most_since(self, before: StatementTotals) -> Extreme {
        let seconds = if self.most < before.most { f64::INFINITY } else { self.most };
        Extreme { seconds, reached: self.most > before.most }
    }
}
