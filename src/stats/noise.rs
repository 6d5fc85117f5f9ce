//! How small a difference repetitions can tell from chance.

use super::t_quantile;
use crate::model::rules::{ALPHA, POWER};

/// The smallest ratio above 1 by which two sides of `repetitions` each have to differ so that a
/// t-test at 5 % sees it four times in five, when the logarithms of single repetitions have this standard
/// deviation (source: Cohen 1988, *Statistical Power Analysis*, ch. 2, in the usual approximation by two
/// quantiles of t). `None` for fewer than two repetitions.
#[must_use]
pub fn smallest_ratio(deviation: f64, repetitions: u32) -> Option<f64> {
    if repetitions < 2 {
        return None;
    }
    let df = 2.0 * f64::from(repetitions) - 2.0;
    let quantiles = t_quantile(1.0 - ALPHA / 2.0, df) + t_quantile(POWER, df);
    let error = deviation * (2.0 / f64::from(repetitions)).sqrt();
    Some((quantiles * error).exp())
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // Five against five: t with 8 degrees of freedom has the quantiles 2.306 and 0.889.
        let expected = ((2.306 + 0.889) * 0.5 * (2.0_f64 / 5.0).sqrt()).exp();
        let ratio = smallest_ratio(0.5, 5).unwrap();
        assert!((ratio / expected - 1.0).abs() < 1e-3, "{ratio} {expected}");
        assert_eq!(smallest_ratio(0.5, 1), None);
    }

    fn standard_deviation(values: &[f64]) -> f64 {
        let count = f64::from(u32::try_from(values.len()).unwrap());
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (squares / (count - 1.0)).sqrt()
    }

    #[test]
    fn a_difference_of_that_size_is_seen_four_times_in_five() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut normal = || {
            let (u, v): (f64, f64) = (random.random(), random.random());
            (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
        };
        let deviation = 0.1;
        let ratio = smallest_ratio(deviation, 5).unwrap();
        let critical = t_quantile(0.975, 8.0);
        let mut sees = |effect: f64| {
            let mut side =
                |shift: f64| -> Vec<f64> { (0..5).map(|_| deviation * normal() + shift).collect() };
            let (a, b) = (side(0.0), side(effect));
            let mean = |side: &[f64]| side.iter().sum::<f64>() / 5.0;
            let pooled =
                f64::midpoint(standard_deviation(&a).powi(2), standard_deviation(&b).powi(2));
            ((mean(&b) - mean(&a)) / (pooled * 2.0 / 5.0).sqrt()).abs() > critical
        };
        let power = (0..4000).filter(|_| sees(ratio.ln())).count();
        assert!((3000..3440).contains(&power), "seen {power} times in 4000");
        let false_alarms = (0..4000).filter(|_| sees(0.0)).count();
        assert!((140..260).contains(&false_alarms), "seen {false_alarms} times in 4000");
    }
}
