//! Calls of which only count, mean, variance and limits are known, spread over buckets: as a log-normal would, or, where that
//! would not end at the slowest call, as a logit-normal, or as two kinds of calls. Pure.

use crate::source::statements::within;

/// Some calls of one statement: how many, their seconds, the sum of their squared deviations from their mean, and what none of them was
/// faster or slower than.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calls {
    pub count: u64,
    pub seconds: f64,
    pub squares: f64,
    pub least: Limit,
    pub most: Limit,
}

/// What no call is beyond, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    pub seconds: f64,
    /// One of the calls took just that.
    pub reached: bool,
}

/// How much of a log-normal may be beyond the limit before it is taken for another distribution.
const BEYOND: f64 = 5e-3;

/// Up to this share of the largest variance that limits allow, calls may be anywhere between them; that of evenly spread ones is a third.
/// Beyond, they are apart: some at the one limit, and the others together.
const SMOOTH: f64 = 0.5;

/// Those others' standard deviation, of their mean.
const TOGETHER: f64 = 0.5;

impl Calls {
    /// Adds to each bucket how many of the calls are expected above the bound before and up to its own. Bounds rise; the last bucket, which has
    /// none, is of what is above them all.
    pub fn spread(mut self, bounds: &[f64], expected: &mut [f64]) {
        for limit in [self.most, self.least] {
            if limit.reached && self.count > 0 {
                self.take_out(limit.seconds);
                expected[bounds.partition_point(|bound| *bound < limit.seconds)] += 1.0;
            }
        }
        if self.count > 0 {
            Distribution::of(self).spread(self.count as f64, bounds, expected);
        }
    }

    /// What is known of the others.
    fn take_out(&mut self, seconds: f64) {
        let (count, others) = (self.count as f64, self.count - 1);
        let apart = seconds - self.seconds / count;
        self.squares = (self.squares - apart * apart * count / others.max(1) as f64).max(0.0);
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
    /// All calls take as long.
    Point(f64),
    /// Of `ln(seconds - least)`.
    LogNormal(Normal),
    /// Of `ln((seconds - least) / (most - seconds))`; and these shares of the calls are at the two limits.
    Between(Normal, f64, f64),
}

#[derive(Clone, Copy)]
pub struct Normal {
    pub mu: f64,
    pub sigma: f64,
}

impl Normal {
    pub fn mirrored(self) -> Normal {
        Normal { mu: -self.mu, ..self }
    }

    fn share(self, value: f64) -> f64 {
        normal((value - self.mu) / self.sigma)
    }
}

impl Distribution {
    fn of(calls: Calls) -> Distribution {
        let (count, mean) = (calls.count as f64, calls.seconds / calls.count as f64);
        let variance = calls.squares / count;
        // By Samuelson's inequality, no value of `n` is farther from their mean than `sqrt(n - 1)` standard deviations
        // (Samuelson 1968, "How deviant can you be?"). So one call is exactly at its mean, and few have no tail that they cannot have.
        let reach = (variance * (count - 1.0)).sqrt();
        let widest = ((mean - reach).max(0.0), mean + reach);
        let (least, most) = limits(calls, mean, widest);
        // Between two limits no variance is larger (Bhatia and Davis 2000, "A better bound on the variance"): if it is, they are not true.
        let fits = variance <= (mean - least) * (most - mean) * (1.0 + 1e-6);
        let (least, most) = if fits { (least, most) } else { widest };
        Distribution { least, most, curve: Curve::of(mean - least, most - mean, mean, variance) }
    }

    fn spread(&self, count: f64, bounds: &[f64], expected: &mut [f64]) {
        let first = bounds.partition_point(|bound| *bound < self.least);
        let (mut at, mut below) = (first, 0.0);
        while below < 1.0 && at < bounds.len() {
            let share = self.share(bounds[at]).max(below);
            expected[at] += count * (share - below);
            (at, below) = (at + 1, share);
        }
        expected[at] += count * (1.0 - below);
    }

    /// The share of the calls that take no longer than a bound.
    fn share(&self, bound: f64) -> f64 {
        match self.curve {
            Curve::Point(mean) if bound < mean => 0.0,
            Curve::Point(_) => 1.0,
            _ if bound >= self.most => 1.0,
            _ if bound < self.least => 0.0,
            Curve::LogNormal(normal) => normal.share((bound - self.least).ln()),
            Curve::Between(normal, low, high) => {
                let odds = (bound - self.least) / (self.most - bound);
                low + (1.0 - low - high) * normal.share(odds.ln())
            }
        }
    }
}

/// The limits that are narrower. A server may have forgotten its own, or say 0 for one that it does not know.
fn limits(calls: Calls, mean: f64, widest: (f64, f64)) -> (f64, f64) {
    let least = Some(calls.least.seconds).filter(|least| *least <= mean).map_or(widest.0, |least| least.max(widest.0));
    let most = Some(calls.most.seconds).filter(|most| *most >= mean).map_or(widest.1, |most| most.min(widest.1));
    (least, most)
}

impl Curve {
    /// Of a mean that is so far above the least and below the most.
    fn of(above: f64, below: f64, mean: f64, variance: f64) -> Curve {
        // The mean and variance of a log-normal, solved for its parameters.
        let sigma2 = (variance / (above * above)).ln_1p();
        let log_normal = Normal { mu: above.ln() - sigma2 / 2.0, sigma: sigma2.sqrt() };
        // Written so that numbers of which nothing follows come out as their mean.
        if !(above > 0.0 && below > 0.0 && log_normal.sigma > 0.0 && log_normal.sigma.is_finite()) {
            return Curve::Point(mean);
        }
        let share = (variance / (above * below)).min(1.0);
        if share > SMOOTH {
            Curve::apart(above, below, variance)
        } else if 1.0 - log_normal.share((above + below).ln()) < BEYOND {
            Curve::LogNormal(log_normal)
        } else {
            Curve::Between(within::fit(above / (above + below), share), 0.0, 0.0)
        }
    }

    /// Some calls are at the limit that is farther from the mean, the others so near to the other one that mean and variance are kept.
    fn apart(above: f64, below: f64, variance: f64) -> Curve {
        let (near, far, width) = (above.min(below), above.max(below), above + below);
        let others = (near - variance / far).max(0.0);
        let at_limit = (near - others) / (width - others);
        let others = (others / width).max(within::EDGE);
        let normal = within::fit(others, TOGETHER * TOGETHER * others / (1.0 - others));
        match above < below {
            true => Curve::Between(normal, 0.0, at_limit),
            false => Curve::Between(normal.mirrored(), at_limit, 0.0),
        }
    }
}

/// The standard normal distribution up to `z`, exact in both tails too: of 10^9 fast calls none may seem slow by an error of an
/// approximation.
pub fn normal(z: f64) -> f64 {
    libm::erfc(-z / std::f64::consts::SQRT_2) / 2.0
}
