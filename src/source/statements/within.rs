//! The logit-normal: the log-normal's relative between two limits. As the upper one goes away it becomes a log-normal. Pure.

use crate::source::statements::spread::Normal;

/// Where the normal distribution is summed up: steps of half a deviation, up to 8 of them.
const POINTS: i32 = 16;
const STEP: f64 = 0.5;

/// How near mean and variance must come, and after how many of Newton's steps they are what they are: some 3 are usual.
const NEAR: f64 = 1e-3;
const MOST_STEPS: usize = 12;

/// No mean is told to be nearer to a limit.
pub const EDGE: f64 = 1e-6;

/// `ln(x / (1 - x))` of an x between 0 and 1 whose mean is this, and whose variance is this share of the largest that is possible
/// with it, `mean (1 - mean)`. There is no formula for it: Newton's method, from what a log-normal would be.
pub fn fit(mean: f64, share: f64) -> Normal {
    if mean > 0.5 {
        return fit(1.0 - mean, share).mirrored();
    }
    let mean = mean.max(EDGE);
    let variance = (share / (mean * (1.0 - mean))).ln_1p();
    let mut normal = Normal { mu: odds(mean) - (0.5 - mean) * variance, sigma: variance.sqrt() };
    for _ in 0..MOST_STEPS {
        let moments = Moments::of(normal);
        let missed = (odds(moments.mean) - odds(mean), odds(moments.share()) - odds(share));
        let (mu, ln_sigma) = moments.step(normal.sigma, missed);
        let near = missed.0.abs() < NEAR && missed.1.abs() < NEAR;
        if near || !(mu.is_finite() && ln_sigma.is_finite()) {
            break;
        }
        // Far away the slope says little: no more than so much at a time.
        let shorter = (mu.abs() / 4.0).max(ln_sigma.abs()).max(1.0);
        normal = Normal { mu: normal.mu - mu / shorter, sigma: normal.sigma * (-ln_sigma / shorter).exp() };
    }
    normal
}

fn odds(share: f64) -> f64 {
    (share / (1.0 - share)).ln()
}

/// Mean and mean square of a logit-normal, and how they change with mu and with sigma.
#[derive(Default)]
struct Moments {
    weight: f64,
    mean: f64,
    square: f64,
    mean_by: (f64, f64),
    square_by: (f64, f64),
}

impl Moments {
    fn of(normal: Normal) -> Moments {
        let mut sums = Moments::default();
        for point in -POINTS..=POINTS {
            let z = f64::from(point) * STEP;
            let weight = (-z * z / 2.0).exp();
            let x = 1.0 / (1.0 + (-normal.mu - normal.sigma * z).exp());
            let slope = weight * x * (1.0 - x);
            sums.weight += weight;
            sums.mean += weight * x;
            sums.square += weight * x * x;
            sums.mean_by = (sums.mean_by.0 + slope, sums.mean_by.1 + slope * z);
            sums.square_by = (sums.square_by.0 + 2.0 * x * slope, sums.square_by.1 + 2.0 * x * slope * z);
        }
        let per = |sum: f64| sum / sums.weight;
        Moments {
            weight: 1.0,
            mean: per(sums.mean),
            square: per(sums.square),
            mean_by: (per(sums.mean_by.0), per(sums.mean_by.1)),
            square_by: (per(sums.square_by.0), per(sums.square_by.1)),
        }
    }

    /// The largest variance that is possible with this mean.
    fn largest(&self) -> f64 {
        self.mean * (1.0 - self.mean)
    }

    fn share(&self) -> f64 {
        (self.square - self.mean * self.mean) / self.largest()
    }

    /// By how much mu and ln(sigma) are too large, when the odds of mean and share are too large by so much.
    fn step(&self, sigma: f64, missed: (f64, f64)) -> (f64, f64) {
        let (largest, share) = (self.largest(), self.share());
        let of_mean = |mean: f64| mean / largest;
        let of_share = |mean: f64, square: f64| {
            let variance = square - 2.0 * self.mean * mean;
            (variance - share * (1.0 - 2.0 * self.mean) * mean) / (largest * share * (1.0 - share))
        };
        let (a, b) = (of_mean(self.mean_by.0), of_mean(self.mean_by.1 * sigma));
        let c = of_share(self.mean_by.0, self.square_by.0);
        let d = of_share(self.mean_by.1 * sigma, self.square_by.1 * sigma);
        let determinant = a * d - b * c;
        ((missed.0 * d - missed.1 * b) / determinant, (missed.1 * a - missed.0 * c) / determinant)
    }
}
