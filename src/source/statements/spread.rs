//! Calls of which only count, mean and variance are known, spread over buckets as a log-normal would. Pure.

/// Some calls of one statement: how many, their seconds, the sum of their squared deviations from their mean, and what no
/// call has ever been faster than.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calls {
    pub count: u64,
    pub seconds: f64,
    pub squares: f64,
    pub least: f64,
}

impl Calls {
    /// Adds to each bucket how many of the calls are expected up to its bound, which rises; never less than in the
    /// bucket before.
    pub fn spread(self, bounds: &[f64], expected: &mut [f64]) {
        let (count, shape) = (self.count as f64, Shape::of(self));
        let mut share = 0.0_f64;
        for (bound, expected) in bounds.iter().zip(expected) {
            share = if share < 1.0 { shape.share(*bound).max(share) } else { 1.0 };
            *expected += count * share;
        }
    }
}

/// A log-normal that begins at `least`, and the limits that no call can be beyond.
struct Shape {
    mean: f64,
    least: f64,
    /// By Samuelson's inequality, no value of `n` is farther from their mean than `sqrt(n - 1)` standard deviations
    /// (Samuelson 1968, "How deviant can you be?"). So one call is exactly at its mean, and of few the log-normal has
    /// no tail that they cannot have.
    reach: f64,
    mu: f64,
    sigma: f64,
}

impl Shape {
    fn of(calls: Calls) -> Shape {
        let (count, mean) = (calls.count as f64, calls.seconds / calls.count as f64);
        let variance = calls.squares / count;
        // The server may have forgotten its minimum, or say 0 for one that it does not know.
        let least = if calls.least < mean { calls.least } else { 0.0 };
        let above = mean - least;
        // The mean and variance of a log-normal, solved for its parameters.
        let sigma2 = (variance / (above * above)).ln_1p();
        let reach = (variance * (count - 1.0)).sqrt();
        Shape { mean, least, reach, mu: above.ln() - sigma2 / 2.0, sigma: sigma2.sqrt() }
    }

    /// The share of the calls that take no longer than a bound.
    fn share(&self, bound: f64) -> f64 {
        // Written so that a mean of zero, of which nothing else is known, comes out as no time at all.
        if !(self.mean > 0.0 && bound < self.mean + self.reach) {
            1.0
        } else if bound < self.mean - self.reach || bound <= self.least || self.sigma == 0.0 {
            0.0
        } else {
            normal(((bound - self.least).ln() - self.mu) / self.sigma)
        }
    }
}

/// The standard normal distribution up to `z`, right to 15 decimals, and in both tails to 7 digits: of 10^9 fast calls none may seem slow
/// by an error of the approximation. West 2005, "Better approximations to cumulative normal functions", after Hart
/// 1968, "Computer Approximations", algorithm 5666.
pub fn normal(z: f64) -> f64 {
    const ABOVE: [f64; 7] = [
        0.0352624965998911,
        0.700383064443688,
        6.37396220353165,
        33.912866078383,
        112.079291497871,
        221.213596169931,
        220.206867912376,
    ];
    const BELOW: [f64; 8] = [
        0.0883883476483184,
        1.75566716318264,
        16.064177579207,
        86.7807322029461,
        296.564248779674,
        637.333633378831,
        793.826512519948,
        440.413735824752,
    ];
    let x = z.abs();
    let polynomial = |factors: &[f64]| factors.iter().fold(0.0, |sum, factor| sum * x + factor);
    let density = (-x * x / 2.0).exp();
    let tail = match x {
        _ if x > 37.0 => 0.0,
        _ if x < 7.07106781186547 => density * polynomial(&ABOVE) / polynomial(&BELOW),
        _ => density / (x + 1.0 / (x + 2.0 / (x + 3.0 / (x + 4.0 / (x + 0.65))))) / 2.506628274631,
    };
    if z > 0.0 { 1.0 - tail } else { tail }
}
