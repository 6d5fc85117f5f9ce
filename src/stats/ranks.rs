//! Ranks: what no outlier can fake.

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
    let seen = ranks[..one.len()].iter().sum();
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
