//! Variances that borrow strength from one another: what few repetitions of one case cannot tell of
//! their scatter, those of all cases can.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::function::gamma::digamma;

/// How the true variances of many cases are spread: a scaled inverse χ² distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// How much it weighs, in degrees of freedom; infinite when all cases scatter alike.
    pub df: f64,
    /// Where it is centred.
    pub variance: f64,
}

/// A variance of one case, from its own repetitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scatter {
    /// The sample variance, above zero.
    pub variance: f64,
    /// Its degrees of freedom, above zero.
    pub df: f64,
}

/// The prior that fits the variances of many cases best (source: Smyth 2004, *Linear models and
/// empirical Bayes methods for assessing differential expression in microarray experiments*, sec. 6.2,
/// as limma's `fitFDist` does). `None` for fewer than three.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "there are few cases")]
pub fn fit_prior(scatters: &[Scatter]) -> Option<Prior> {
    if scatters.len() < MIN_CASES {
        return None;
    }
    let count = scatters.len() as f64;
    let logs: Vec<f64> = scatters
        .iter()
        .map(|one| one.variance.ln() - digamma(one.df / 2.0) + (one.df / 2.0).ln())
        .collect();
    let mean = logs.iter().sum::<f64>() / count;
    let spread = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let own = scatters.iter().map(|one| trigamma(one.df / 2.0)).sum::<f64>() / count;
    let beyond_chance = spread - own;
    if beyond_chance <= 0.0 {
        let variance = scatters.iter().map(|one| one.variance).sum::<f64>() / count;
        return Some(Prior { df: f64::INFINITY, variance });
    }
    let half = inverse_trigamma(beyond_chance);
    Some(Prior { df: 2.0 * half, variance: (mean + digamma(half) - half.ln()).exp() })
}

/// Fewer cases tell nothing of how their variances are spread.
const MIN_CASES: usize = 3;

/// What a case's variance is when the prior is asked as well; `most_df` is what all cases have
/// together (source: Smyth 2004, sec. 4).
#[must_use]
pub fn moderate(own: Scatter, prior: Option<Prior>, most_df: f64) -> Scatter {
    let Some(prior) = prior else { return own };
    if prior.df.is_infinite() {
        return Scatter { variance: prior.variance, df: most_df };
    }
    let df = prior.df + own.df;
    let variance = (prior.df * prior.variance + own.df * own.variance) / df;
    Scatter { variance, df: df.min(most_df) }
}

/// An estimate with its standard error, and how well that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimated {
    /// The estimate.
    pub value: f64,
    /// Its standard error, above zero.
    pub error: f64,
    /// Degrees of freedom of the error.
    pub df: f64,
}

impl Estimated {
    /// An estimate whose variance is a sum of independent parts, each known with its own degrees of
    /// freedom (source: Satterthwaite 1946, *An Approximate Distribution of Estimates of Variance
    /// Components*).
    #[must_use]
    pub fn of_parts(value: f64, parts: &[Scatter]) -> Self {
        let variance: f64 = parts.iter().map(|part| part.variance).sum();
        let weights: f64 = parts.iter().map(|part| part.variance.powi(2) / part.df).sum();
        Self { value, error: variance.sqrt(), df: variance.powi(2) / weights }
    }

    /// The two-sided p value of no effect.
    #[must_use]
    pub fn p(&self) -> f64 {
        (2.0 * below(-(self.value / self.error).abs(), self.df)).min(1.0)
    }

    /// The ends of the interval of a level such as 0.95.
    #[must_use]
    pub fn interval(&self, level: f64) -> (f64, f64) {
        let half = self.error * t_quantile(f64::midpoint(1.0, level), self.df);
        (self.value - half, self.value + half)
    }

    /// The p value of an effect as large as `margin` or larger, in either direction: what is small is
    /// equivalent (two one-sided tests; source: Schuirmann 1987, *A comparison of the two one-sided
    /// tests procedure and the power approach*).
    #[must_use]
    pub fn equivalence_p(&self, margin: f64) -> f64 {
        below((self.value.abs() - margin) / self.error, self.df)
    }

    /// The smallest effect that a test at `alpha` sees with a chance of `power`.
    #[must_use]
    pub fn smallest_seen(&self, alpha: f64, power: f64) -> f64 {
        self.error * (t_quantile(1.0 - alpha / 2.0, self.df) + t_quantile(power, self.df))
    }
}

/// From here on t is the normal distribution to every digit that is used.
const MANY_DF: f64 = 1e6;

/// The chance of a value of t below `t`.
fn below(t: f64, df: f64) -> f64 {
    if df < MANY_DF {
        return StudentsT::new(0.0, 1.0, df).map_or(f64::NAN, |d| d.cdf(t));
    }
    Normal::standard().cdf(t)
}

/// The value that t does not exceed with a chance of `share`.
#[must_use]
pub fn t_quantile(share: f64, df: f64) -> f64 {
    if df < MANY_DF {
        return StudentsT::new(0.0, 1.0, df).map_or(f64::NAN, |d| d.inverse_cdf(share));
    }
    Normal::standard().inverse_cdf(share)
}

/// The second derivative of ln Γ (source: Abramowitz and Stegun 1964, 6.4.6 and 6.4.12).
fn trigamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 15.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series =
        1.0 / 6.0 - y * (1.0 / 30.0 - y * (1.0 / 42.0 - y * (1.0 / 30.0 - y * 5.0 / 66.0)));
    sum + 1.0 / x + y / 2.0 + y / x * series
}

/// Where trigamma has a value above zero (source: Smyth 2004, appendix: Newton's method on 1 /
/// trigamma, which is nearly straight).
fn inverse_trigamma(value: f64) -> f64 {
    if value > 1e7 {
        return 1.0 / value.sqrt();
    }
    if value < 1e-6 {
        return 1.0 / value;
    }
    let mut x = 0.5 + 1.0 / value;
    for _ in 0..50 {
        let now = trigamma(x);
        let step = now * (1.0 - now / value) / tetragamma(x);
        x += step;
        if (step / x).abs() < 1e-10 {
            break;
        }
    }
    x
}

/// The third derivative of ln Γ (source: Abramowitz and Stegun 1964, 6.4.6 and 6.4.13).
fn tetragamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 15.0 {
        sum -= 2.0 / x.powi(3);
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    sum - y * (1.0 + 1.0 / x + y * (0.5 - y * (1.0 / 6.0 - y * (1.0 / 6.0 - y * 0.3))))
}
