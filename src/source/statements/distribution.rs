//! The distribution of calls of which only count, mean, variance and extremes are known: a log-normal; where that would
//! not end at the slowest call, a logit-normal or two kinds of calls. Pure.

use crate::source::statements::logit_normal;
use crate::source::statements::normal::NormalDistribution;
use crate::source::statements::totals::IntervalCalls;

/// The largest share of a log-normal beyond the slowest call; above it, the log-normal does not fit.
const MAX_BEYOND: f64 = 5e-3;

/// Up to this share of the largest variance that the limits allow, calls may be anywhere between them (evenly spread
/// calls have a third). Above it, there are two kinds of calls: some at one limit, and a cluster near the other.
const MAX_SPREAD: f64 = 0.5;

/// The cluster's standard deviation, relative to its mean.
const CLUSTER_DEVIATION: f64 = 0.5;

impl IntervalCalls {
    /// Adds to each bucket the number of calls expected above the previous bound and up to its own. Bounds rise; the
    /// last bucket has no bound, and holds the calls above all of them.
    pub fn spread(mut self, bounds: &[f64], expected: &mut [f64]) {
        for limit in [self.most, self.least] {
            if limit.reached && self.count > 0 {
                self.exclude(limit.seconds);
                expected[bounds.partition_point(|bound| *bound < limit.seconds)] += 1.0;
            }
        }
        if self.count > 0 {
            Distribution::of(self).spread(self.count as f64, bounds, expected);
        }
    }

    /// Removes one call whose duration is known exactly.
    fn exclude(&mut self, seconds: f64) {
        let (count, others) = (self.count as f64, self.count - 1);
        let apart = seconds - self.seconds / count;
        self.squared_deviations = (self.squared_deviations - apart * apart * count / others.max(1) as f64).max(0.0);
        self.seconds = (self.seconds - seconds).max(0.0);
        self.count = others;
    }
}

/// A distribution that begins at `least` and ends at `most`.
struct Distribution {
    least: f64,
    most: f64,
    curve: Curve,
}

enum Curve {
    /// All calls take the same time.
    Point(f64),
    /// Of `ln(seconds - least)`.
    LogNormal(NormalDistribution),
    /// Of `ln((seconds - least) / (most - seconds))`; these shares of the calls are exactly at the two limits.
    LogitNormal { normal: NormalDistribution, at_least: f64, at_most: f64 },
}

impl Distribution {
    fn of(calls: IntervalCalls) -> Distribution {
        let (count, mean) = (calls.count as f64, calls.seconds / calls.count as f64);
        let variance = calls.squared_deviations / count;
        // By Samuelson's inequality, none of `n` values is farther from their mean than `sqrt(n - 1)` standard
        // deviations (Samuelson 1968, "How deviant can you be?"): a single call is at the mean, and a few calls have no
        // long tail.
        let reach = (variance * (count - 1.0)).sqrt();
        let widest = ((mean - reach).max(0.0), mean + reach);
        let (least, most) = limits(calls, mean, widest);
        // Limits bound the variance (Bhatia and Davis 2000, "A better bound on the variance"): if it is larger, the limits are wrong.
        let fits = variance <= (mean - least) * (most - mean) * (1.0 + 1e-6);
        let (least, most) = if fits { (least, most) } else { widest };
        Distribution { least, most, curve: Curve::of(mean - least, most - mean, mean, variance) }
    }

    fn spread(&self, count: f64, bounds: &[f64], expected: &mut [f64]) {
        let first = bounds.partition_point(|bound| *bound < self.least);
        let (mut at, mut below) = (first, 0.0);
        while below < 1.0 && at < bounds.len() {
            let share = self.cdf(bounds[at]).max(below);
            expected[at] += count * (share - below);
            (at, below) = (at + 1, share);
        }
        expected[at] += count * (1.0 - below);
    }

    /// The share of the calls that take no longer than a bound.
    fn cdf(&self, bound: f64) -> f64 {
        match self.curve {
            Curve::Point(mean) if bound < mean => 0.0,
            Curve::Point(_) => 1.0,
            _ if bound >= self.most => 1.0,
            _ if bound < self.least => 0.0,
            Curve::LogNormal(normal) => normal.cdf((bound - self.least).ln()),
            Curve::LogitNormal { normal, at_least, at_most } => {
                let odds = (bound - self.least) / (self.most - bound);
                at_least + (1.0 - at_least - at_most) * normal.cdf(odds.ln())
            }
        }
    }
}

/// The narrower of the server's and the widest possible limits. A server may have forgotten its own, or report 0.
fn limits(calls: IntervalCalls, mean: f64, widest: (f64, f64)) -> (f64, f64) {
    let least = Some(calls.least.seconds).filter(|least| *least <= mean).map_or(widest.0, |least| least.max(widest.0));
    let most = Some(calls.most.seconds).filter(|most| *most >= mean).map_or(widest.1, |most| most.min(widest.1));
    (least, most)
}

impl Curve {
    /// For a mean that is this far `above` the least and `below` the most.
    fn of(above: f64, below: f64, mean: f64, variance: f64) -> Curve {
        // The mean and variance of a log-normal, solved for its parameters.
        let sigma2 = (variance / (above * above)).ln_1p();
        let log_normal = NormalDistribution { mu: above.ln() - sigma2 / 2.0, sigma: sigma2.sqrt() };
        // Negated, so that NaN and infinities end up here too.
        if !(above > 0.0 && below > 0.0 && log_normal.sigma > 0.0 && log_normal.sigma.is_finite()) {
            return Curve::Point(mean);
        }
        let share = (variance / (above * below)).min(1.0);
        if share > MAX_SPREAD {
            Curve::two_kinds(above, below, variance)
        } else if 1.0 - log_normal.cdf((above + below).ln()) < MAX_BEYOND {
            Curve::LogNormal(log_normal)
        } else {
            let normal = logit_normal::fit(above / (above + below), share);
            Curve::LogitNormal { normal, at_least: 0.0, at_most: 0.0 }
        }
    }

    /// Some calls are at the limit that is farther from the mean, the others in a cluster so near the other limit that mean and variance
    /// stay the same.
    fn two_kinds(above: f64, below: f64, variance: f64) -> Curve {
        let (near, far, width) = (above.min(below), above.max(below), above + below);
        let others = (near - variance / far).max(0.0);
        let at_limit = (near - others) / (width - others);
        let others = (others / width).max(logit_normal::MIN_MEAN);
        let normal = logit_normal::fit(others, CLUSTER_DEVIATION * CLUSTER_DEVIATION * others / (1.0 - others));
        if above < below {
            Curve::LogitNormal { normal, at_least: 0.0, at_most: at_limit }
        } else {
            Curve::LogitNormal { normal: normal.mirrored(), at_least: at_limit, at_most: 0.0 }
        }
    }
}
