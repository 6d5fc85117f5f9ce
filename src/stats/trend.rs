//! Whether a series has a trend.

use crate::model::rules::{MIN_DRIFT_SECONDS, MIN_DRIFT_SHARE};

/// A trend that is beyond chance is one in a hundred such series of nothing but noise.
const SIGNIFICANCE_Z: f64 = 2.575_829;

/// Whether values, equally far apart, drift: their trend is beyond chance (two-sided test of Mann
/// 1945, *Nonparametric Tests Against Trend*, and Kendall 1975, with the variance corrected for
/// ties) and changes the level by a fifth of the median or more (slope of Sen 1968, *Estimates of
/// the Regression Coefficient Based on Kendall's Tau*).
#[must_use]
pub fn drifts(values: &[f64]) -> bool {
    if values.len() < MIN_DRIFT_SECONDS || mann_kendall_z(values).abs() < SIGNIFICANCE_Z {
        return false;
    }
    let middle = median(values.to_vec());
    #[expect(clippy::cast_precision_loss, reason = "a trial has few seconds")]
    let span = (values.len() - 1) as f64;
    (sen_slope(values) * span).abs() >= MIN_DRIFT_SHARE * middle.abs()
}

/// The pairs of places in a series, the earlier first.
fn pairs(values: &[f64]) -> impl Iterator<Item = (usize, usize)> {
    (0..values.len()).flat_map(|i| (i + 1..values.len()).map(move |j| (i, j)))
}

/// The normal score of Kendall's S.
#[expect(clippy::cast_precision_loss, reason = "a trial has few seconds")]
fn mann_kendall_z(values: &[f64]) -> f64 {
    let s: f64 = pairs(values)
        .map(|(i, j)| match values[j].partial_cmp(&values[i]) {
            Some(std::cmp::Ordering::Greater) => 1.0,
            Some(std::cmp::Ordering::Less) => -1.0,
            _ => 0.0,
        })
        .sum();
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let spread = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let ties: f64 = sorted.chunk_by(|a, b| a == b).map(|tied| spread(tied.len() as f64)).sum();
    let variance = (spread(values.len() as f64) - ties) / 18.0;
    if variance <= 0.0 {
        return 0.0;
    }
    // One step towards zero, since S moves in steps of two.
    (s.abs() - 1.0).max(0.0) * s.signum() / variance.sqrt()
}

fn sen_slope(values: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a trial has few seconds")]
    let slope = |(i, j): (usize, usize)| (values[j] - values[i]) / (j - i) as f64;
    median(pairs(values).map(slope).collect())
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() % 2 {
        _ if values.is_empty() => 0.0,
        1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_the_published_one() {
        // Gilbert 1987, *Statistical Methods for Environmental Pollution Monitoring*, p. 208 ff.:
        // without ties and n = 10 the variance of S is 125.
        let rising: Vec<f64> = (0..10).map(f64::from).collect();
        assert!((mann_kendall_z(&rising) - 44.0 / 125.0_f64.sqrt()).abs() < 1e-12);
        assert!((sen_slope(&rising) - 1.0).abs() < 1e-12);
        // Of ties nothing is left.
        assert!(mann_kendall_z(&[1.0; 10]).abs() < 1e-12);
    }

    #[test]
    fn a_trend_is_found_and_a_level_is_none() {
        let drifting: Vec<f64> = (0..20).map(|i| 100.0 + 3.0 * f64::from(i)).collect();
        assert!(drifts(&drifting));
        let hardly: Vec<f64> = (0..20).map(|i| 100.0 + 0.1 * f64::from(i)).collect();
        assert!(!drifts(&hardly), "beyond chance, and of no matter");
        let swinging: Vec<f64> = (0..20).map(|i| if i % 2 == 0 { 50.0 } else { 150.0 }).collect();
        assert!(!drifts(&swinging));
        assert!(!drifts(&[1.0, 2.0, 3.0, 4.0]), "four values show nothing");
    }
}
