//! Intervals that assume no distribution: samples are drawn again from themselves.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The percentile interval of the mean at a level such as 0.95 (source: Efron and Tibshirani 1993, *An
/// Introduction to the Bootstrap*, ch. 13). Too narrow for few samples: of five its 95 % cover about
/// 84 %. `None` for fewer than two.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "there are few samples"
)]
pub fn bootstrap_interval(
    samples: &[f64],
    level: f64,
    resamples: usize,
    seed: u64,
) -> Option<(f64, f64)> {
    if samples.len() < 2 || resamples == 0 {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = || {
        let drawn = samples.iter().map(|_| samples[random.random_range(0..samples.len())]);
        drawn.sum::<f64>() / samples.len() as f64
    };
    let mut means: Vec<f64> = (0..resamples).map(|_| draw()).collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((resamples - 1) as f64 * share).round() as usize];
    Some((at((1.0 - level) / 2.0), at(f64::midpoint(1.0, level))))
}
