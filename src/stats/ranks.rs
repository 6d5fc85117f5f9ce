//! Ranks: what no outlier can fake.

use statrs::distribution::{ContinuousCDF, Normal};

/// The exact two-sided p value of the rank sum of two samples, ties at their mean rank: twice the
/// smaller tail (source: Wilcoxon 1945, *Individual comparisons by ranking methods*; by counting, for
/// each sum, the ways to choose as many ranks). 1 when a sample is empty.
#[must_use]
pub fn rank_sum_p(one: &[f64], other: &[f64]) -> f64 {
    if one.is_empty() || other.is_empty() {
        return 1.0;
    }
    let all: Vec<f64> = one.iter().chain(other).copied().collect();
    let ranks = doubled_ranks(&all);
    let seen: usize = ranks[..one.len()].iter().sum();
    if all.len() > MAX_COUNTED {
        return approximate_rank_sum_p(&ranks, one.len(), seen);
    }
    // By how many ranks were chosen, and their sum: in how many ways. Counts are of floats: 20 of 40
    // ranks can be chosen in 1e11 ways.
    let most: usize = ranks.iter().sum();
    let mut ways = vec![vec![0.0; most + 1]; one.len() + 1];
    ways[0][0] = 1.0;
    for rank in ranks {
        for chosen in (1..=one.len()).rev() {
            for sum in rank..=most {
                ways[chosen][sum] += ways[chosen - 1][sum - rank];
            }
        }
    }
    twice_the_smaller_tail(&ways[one.len()], seen)
}

/// The exact two-sided p value of the signed ranks of differences: twice the smaller tail of the sum of
/// ranks of those above zero (source: Wilcoxon 1945). Differences of zero are left out; 1 when none is
/// left.
#[must_use]
pub fn signed_rank_p(differences: &[f64]) -> f64 {
    let kept: Vec<f64> = differences.iter().copied().filter(|value| *value != 0.0).collect();
    if kept.is_empty() {
        return 1.0;
    }
    let sizes: Vec<f64> = kept.iter().map(|value| value.abs()).collect();
    let ranks = doubled_ranks(&sizes);
    let seen =
        ranks.iter().zip(&kept).filter(|(_, value)| **value > 0.0).map(|(rank, _)| rank).sum();
    if kept.len() > MAX_COUNTED {
        return approximate_signed_rank_p(&ranks, seen);
    }
    let most: usize = ranks.iter().sum();
    let mut ways = vec![0.0; most + 1];
    ways[0] = 1.0;
    for rank in ranks {
        for sum in (rank..=most).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    twice_the_smaller_tail(&ways, seen)
}

/// Of more values than this the normal distribution is as good as counting, which would take long.
const MAX_COUNTED: usize = 50;

/// The rank sum by its mean and variance, which holds for ties as well (source: Lehmann 1975,
/// *Nonparametrics: Statistical Methods Based on Ranks*, ch. 1).
#[expect(clippy::cast_precision_loss, reason = "there are few ranks")]
fn approximate_rank_sum_p(ranks: &[usize], chosen: usize, seen: usize) -> f64 {
    let (all, chosen) = (ranks.len() as f64, chosen as f64);
    let mean = ranks.iter().sum::<usize>() as f64 / all;
    let spread = ranks.iter().map(|rank| (*rank as f64 - mean).powi(2)).sum::<f64>() / all;
    let variance = chosen * (all - chosen) / (all - 1.0) * spread;
    if variance == 0.0 {
        return 1.0;
    }
    normal_p((seen as f64 - chosen * mean) / variance.sqrt())
}

/// The sum of signed ranks by its mean and variance: each rank is in it with a chance of one half.
#[expect(clippy::cast_precision_loss, reason = "there are few ranks")]
fn approximate_signed_rank_p(ranks: &[usize], seen: usize) -> f64 {
    let squares: f64 = ranks.iter().map(|rank| (*rank as f64).powi(2)).sum();
    let mean = ranks.iter().sum::<usize>() as f64 / 2.0;
    normal_p((seen as f64 - mean) / (squares / 4.0).sqrt())
}

fn normal_p(z: f64) -> f64 {
    2.0 * Normal::standard().cdf(-z.abs())
}

/// Twice the mean rank of each value, which is whole.
fn doubled_ranks(values: &[f64]) -> Vec<usize> {
    let rank = |value: &f64| {
        let less = values.iter().filter(|another| *another < value).count();
        let ties = values.iter().filter(|another| *another == value).count();
        2 * less + ties + 1
    };
    values.iter().map(rank).collect()
}

fn twice_the_smaller_tail(ways: &[f64], seen: usize) -> f64 {
    let total: f64 = ways.iter().sum();
    let low: f64 = ways[..=seen].iter().sum();
    let high: f64 = ways[seen..].iter().sum();
    (2.0 * low.min(high) / total).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_approximation_is_close_where_counting_ends() {
        let value = |index: u32| f64::from(index * 37 % 101);
        let one: Vec<f64> = (0..25).map(value).collect();
        let other: Vec<f64> = (50..75).map(|index| value(index) + 9.5).collect();
        let all: Vec<f64> = one.iter().chain(&other).copied().collect();
        let ranks = doubled_ranks(&all);
        let near = approximate_rank_sum_p(&ranks, 25, ranks[..25].iter().sum());
        let exact = rank_sum_p(&one, &other);
        assert!((near - exact).abs() < 0.01, "{near} {exact}");
        let differences: Vec<f64> = (0..50).map(|index| value(index) - 38.5).collect();
        let sizes: Vec<f64> = differences.iter().map(|value| value.abs()).collect();
        let ranks = doubled_ranks(&sizes);
        let above = ranks.iter().zip(&differences).filter(|(_, value)| **value > 0.0);
        let near = approximate_signed_rank_p(&ranks, above.map(|(rank, _)| rank).sum());
        let exact = signed_rank_p(&differences);
        assert!((near - exact).abs() < 0.01, "{near} {exact}");
        // Beyond that it is what is used.
        let many: Vec<f64> = (0..60).map(|index| value(index) - 38.5).collect();
        assert!((0.0..=1.0).contains(&signed_rank_p(&many)));
        assert!((0.0..=1.0).contains(&rank_sum_p(&many, &all)));
    }

    #[test]
    fn signed_ranks_are_those_of_the_tables() {
        // Five of one sign: 2 of 32 ways.
        assert!((signed_rank_p(&[1.0, 2.0, 3.0, 4.0, 5.0]) - 2.0 / 32.0).abs() < 1e-12);
        // Wilcoxon's T = 1 of six: 4 of 64 ways.
        assert!((signed_rank_p(&[-1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) - 4.0 / 64.0).abs() < 1e-12);
        assert!((signed_rank_p(&[0.0]) - 1.0).abs() < 1e-12);
    }
}
