//! Fits a logit-normal, which is a log-normal's relative between two limits: as the upper limit grows, it becomes a
//! log-normal. Pure.

use std::f64::consts::TAU;

use crate::source::statements::normal::NormalDistribution;

/// The normal distribution is summed up in steps of half a standard deviation, up to 8 of these.
const POINTS: i32 = 16;
const STEP: f64 = 0.5;

/// Newton's method ends when mean and variance are within this tolerance (3 steps are usual), or after the most steps.
const TOLERANCE: f64 = 1e-3;
const MAX_STEPS: usize = 12;

/// The smallest distance of a mean from a limit.
pub const MIN_MEAN: f64 = 1e-6;

/// The distribution of `ln(x / (1 - x))` for an x between 0 and 1 with this mean, whose variance is this `share` of the
/// largest possible one, `mean (1 - mean)`. No formula exists, so Newton's method starts at the log-normal.
pub fn fit(mean: f64, share: f64) -> NormalDistribution {
    if mean > 0.5 {
        return fit(1.0 - mean, share).mirrored();
    }
    let mean = mean.max(MIN_MEAN);
    let variance = (share / (mean * (1.0 - mean))).ln_1p();
    let mut normal = NormalDistribution { mu: log_odds(mean) - (0.5 - mean) * variance, sigma: variance.sqrt() };
    for _ in 0..MAX_STEPS {
        let moments = Moments::of(normal);
        let error = (log_odds(moments.mean) - log_odds(mean), log_odds(moments.share()) - log_odds(share));
        let (mu, ln_sigma) = moments.step(normal.sigma, error);
        let is_close = error.0.abs() < TOLERANCE && error.1.abs() < TOLERANCE;
        if is_close || !(mu.is_finite() && ln_sigma.is_finite()) {
            break;
        }
        // Far from the solution the slope misleads, so steps are limited.
        let damping = (mu.abs() / 4.0).max(ln_sigma.abs()).max(1.0);
        normal = NormalDistribution { mu: normal.mu - mu / damping, sigma: normal.sigma * (-ln_sigma / damping).exp() };
    }
    normal
}

fn log_odds(share: f64) -> f64 {
    (share / (1.0 - share)).ln()
}

/// Mean and mean square of a logit-normal, and their derivatives by mu and by sigma.
#[derive(Default)]
struct Moments {
    mean: f64,
    square: f64,
    mean_by: (f64, f64),
    square_by: (f64, f64),
}

impl Moments {
    fn of(normal: NormalDistribution) -> Moments {
        let mut moments = Moments::default();
        for point in -POINTS..=POINTS {
            let z = f64::from(point) * STEP;
            let weight = STEP * (-z * z / 2.0).exp() / TAU.sqrt();
            let x = 1.0 / (1.0 + (-normal.mu - normal.sigma * z).exp());
            let slope = weight * x * (1.0 - x);
            moments.mean += weight * x;
            moments.square += weight * x * x;
            moments.mean_by.0 += slope;
            moments.mean_by.1 += slope * z;
            moments.square_by.0 += 2.0 * x * slope;
            moments.square_by.1 += 2.0 * x * slope * z;
        }
        moments
    }

    /// The largest possible variance with this mean.
    fn max_variance(&self) -> f64 {
        self.mean * (1.0 - self.mean)
    }

    fn share(&self) -> f64 {
        (self.square - self.mean * self.mean) / self.max_variance()
    }

    /// How much too large mu and ln(sigma) are when the log odds of mean and share are too large by `error`.
    fn step(&self, sigma: f64, error: (f64, f64)) -> (f64, f64) {
        let (max_variance, share) = (self.max_variance(), self.share());
        let of_mean = |mean: f64| mean / max_variance;
        let of_share = |mean: f64, square: f64| {
            let variance = square - 2.0 * self.mean * mean;
            (variance - share * (1.0 - 2.0 * self.mean) * mean) / (max_variance * share * (1.0 - share))
        };
        let (a, b) = (of_mean(self.mean_by.0), of_mean(self.mean_by.1 * sigma));
        let c = of_share(self.mean_by.0, self.square_by.0);
        let d = of_share(self.mean_by.1 * sigma, self.square_by.1 * sigma);
        let determinant = a * d - b * c;
        ((error.0 * d - error.1 * b) / determinant, (error.1 * a - error.0 * c) / determinant)
    }
}
