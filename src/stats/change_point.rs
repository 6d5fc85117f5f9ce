//! Where a series changes.

use std::ops::Range;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Values that a segment has at least: one or two that stand out are no segment.
const SHORTEST: usize = 3;
/// Shuffled series that a change is compared with.
const PERMUTATIONS: u32 = 499;
/// Statistics that differ by less, in parts of what the values span, are equal but for rounding.
const ROUNDING: f64 = 1e-9;

/// Places where the distribution of a series changes: the index of the first value of each new
/// segment, ascending, never 0. Segments have three values or more. The same seed gives the same
/// places. There are none in fewer values than two segments, and none if a value is not finite.
///
/// E-divisive (Matteson and James 2014, *A Nonparametric Approach for Multiple Change Point Analysis
/// of Multivariate Data*, JASA 109, with their exponent α = 1): the split with the greatest energy
/// distance is taken when it is beyond chance, and the segments are searched again. It is beyond
/// chance when at most a share `significance` of the series, shuffled inside each segment, has such
/// a split. A series of nothing but noise shows a change with at most that probability. Less than
/// one in 500 cannot be shown.
#[must_use]
pub fn change_points(values: &[f64], significance: f64, seed: u64) -> Vec<usize> {
    if values.len() < 2 * SHORTEST || !values.iter().all(|value| value.is_finite()) {
        return Vec::new();
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut segments = Vec::from([Range { start: 0, end: values.len() }]);
    while let Some((segment, split)) = greatest_split(values, &segments)
        && is_beyond_chance(values, &segments, split.distance, significance, &mut random)
    {
        let Range { start, end } = segments[segment];
        let place = start + split.place;
        segments.splice(segment..=segment, [start..place, place..end]);
    }
    segments.iter().skip(1).map(|segment| segment.start).collect()
}

/// A segment in two.
#[derive(Clone, Copy, Debug)]
struct Split {
    /// Where the right side begins, counted in the segment.
    place: usize,
    /// The scaled energy distance of the sides.
    distance: f64,
}

/// The greatest split over all segments, and the index of its segment.
fn greatest_split(values: &[f64], segments: &[Range<usize>]) -> Option<(usize, Split)> {
    let all = segments.iter().enumerate().flat_map(|(index, segment)| {
        splits(&values[segment.clone()]).map(move |split| (index, split))
    });
    // The first of those that are equal.
    all.reduce(|best, next| if next.1.distance > best.1.distance { next } else { best })
}

/// The permutation test of a split: its p-value, which counts the series itself as one of the
/// shuffled ones, is at most `significance`.
fn is_beyond_chance(
    values: &[f64],
    segments: &[Range<usize>],
    distance: f64,
    significance: f64,
    random: &mut ChaCha8Rng,
) -> bool {
    let rounding = ROUNDING * span(values);
    if distance <= rounding {
        return false;
    }
    let allowed = significance * f64::from(PERMUTATIONS + 1);
    let mut shuffled = values.to_vec();
    let mut reached = 1_u32;
    for _ in 0..PERMUTATIONS {
        // What is left cannot change the answer.
        if f64::from(reached) > allowed {
            return false;
        }
        for segment in segments {
            shuffled[segment.clone()].shuffle(random);
        }
        let reaches = |segment: &Range<usize>| {
            splits(&shuffled[segment.clone()]).any(|split| split.distance > distance - rounding)
        };
        reached += u32::from(segments.iter().any(reaches));
    }
    f64::from(reached) <= allowed
}

fn span(values: &[f64]) -> f64 {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most - least
}

/// The splits of a segment into two; none where two do not fit in. All of them together take time
/// that grows with the square of the segment's length.
fn splits(segment: &[f64]) -> impl Iterator<Item = Split> {
    let within = distances_within(segment);
    let inverse = inverses(segment.len());
    let mut to_left = vec![0.0; segment.len()];
    let places = 1..=segment.len() - SHORTEST;
    let splits = places.map(move |place| {
        let left = Left { last: segment[place - 1], place, within: &within, inverse: &inverse };
        let distance = left.greatest_distance(&segment[place..], &mut to_left[place..]);
        Split { place, distance }
    });
    splits.skip(SHORTEST - 1)
}

/// The left side of a split.
struct Left<'a> {
    /// Its last value.
    last: f64,
    /// How many values it has.
    place: usize,
    /// The sum of all distances among the first so many values of the segment, from none to all.
    within: &'a [f64],
    /// The inverse of each number.
    inverse: &'a [f64],
}

impl Left<'_> {
    /// The greatest scaled energy distance to what is right of it, over all places where the right
    /// side may end: a change that a later one undoes is seen, too. `values` are those to its right,
    /// and `to_left` the sums of their distances to it, which lack those to its last value. One
    /// value has no mean distance: the result is then meaningless.
    #[expect(clippy::cast_precision_loss, reason = "a series has far fewer than 2^52 values")]
    fn greatest_distance(&self, values: &[f64], to_left: &mut [f64]) -> f64 {
        let left = self.place as f64;
        let within_left = self.within[self.place];
        let mean_left = within_left * self.inverse[self.place - 1];
        // Without bounds that the compiler cannot see.
        let count = values.len();
        let to_left = &mut to_left[..count];
        let within_both = &self.within[self.place + 1..][..count];
        let inverse_both = &self.inverse[self.place + 1..][..count];
        let inverse_right = &self.inverse[..count];
        let mut between = 0.0;
        let mut right = 0.0;
        let mut greatest = f64::NEG_INFINITY;
        for index in 0..count {
            to_left[index] += (values[index] - self.last).abs();
            between += to_left[index];
            right += 1.0;
            let mean_right = (within_both[index] - within_left - between) * inverse_right[index];
            // Times the sizes over their sum: twice the mean distance between the sides, less the
            // mean distance within each.
            let distance = (between - right * mean_left - left * mean_right) * inverse_both[index];
            if index + 1 >= SHORTEST && distance > greatest {
                greatest = distance;
            }
        }
        2.0 * greatest
    }
}

/// The inverse of each number up to `last`.
#[expect(clippy::cast_precision_loss, reason = "a series has far fewer than 2^52 values")]
fn inverses(last: usize) -> Vec<f64> {
    (0..=last).map(|number| 1.0 / number as f64).collect()
}

/// The sum of the distances among the first so many values, from none to all.
///
/// With those before it in order, a value's distances to them are sums of what is below and above:
/// sums that a tree of Fenwick (1994, *A New Data Structure for Cumulative Frequency Tables*) has.
#[expect(clippy::cast_precision_loss, reason = "a series has far fewer than 2^52 values")]
fn distances_within(segment: &[f64]) -> Vec<f64> {
    let mut sorted = segment.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    // How many values there are, and their sum, counted from the middle for precision.
    let mut tree = vec![(0.0, 0.0); segment.len() + 1];
    let middle = sorted[segment.len() / 2];
    let mut all = 0.0;
    let mut sums = vec![0.0];
    let mut sum = 0.0;
    for (earlier, value) in segment.iter().enumerate() {
        let rank = sorted.partition_point(|other| other.total_cmp(value).is_lt()) + 1;
        let value = value - middle;
        let (mut count_below, mut below) = (0.0, 0.0);
        let mut node = rank;
        while node > 0 {
            count_below += tree[node].0;
            below += tree[node].1;
            node &= node - 1;
        }
        let count_above = earlier as f64 - count_below;
        sum += value * (count_below - count_above) - below + (all - below);
        sums.push(sum);
        all += value;
        let mut node = rank;
        while node < tree.len() {
            tree[node].0 += 1.0;
            tree[node].1 += value;
            node += node & node.wrapping_neg();
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use statrs::distribution::{Binomial, DiscreteCDF};

    use super::*;

    const NONE: [usize; 0] = [];

    /// Normal noise about each level, so many values long.
    fn series(levels: &[(f64, usize)], seed: u64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = || {
            let (u, v): (f64, f64) = (random.random(), random.random());
            (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
        };
        let repeated = levels.iter().flat_map(|&(level, count)| std::iter::repeat_n(level, count));
        repeated.map(|level| level + normal()).collect()
    }

    fn greatest(values: &[f64]) -> Split {
        greatest_split(values, std::slice::from_ref(&(0..values.len()))).unwrap().1
    }

    /// The greatest split, by the definition.
    #[expect(clippy::cast_precision_loss, reason = "the series are short")]
    fn by_definition(values: &[f64]) -> (usize, f64) {
        let mean = |a: &[f64], b: &[f64]| {
            let sum: f64 = a.iter().flat_map(|a| b.iter().map(move |b| (a - b).abs())).sum();
            // A value has no distance to itself.
            sum / (a.len() * (b.len() - usize::from(a == b))) as f64
        };
        let mut best = (0, f64::NEG_INFINITY);
        for place in SHORTEST..=values.len() - SHORTEST {
            for end in place + SHORTEST..=values.len() {
                let (left, right) = (&values[..place], &values[place..end]);
                let energy = 2.0 * mean(left, right) - mean(left, left) - mean(right, right);
                let distance = (place * (end - place)) as f64 / end as f64 * energy;
                if distance > best.1 {
                    best = (place, distance);
                }
            }
        }
        best
    }

    #[test]
    fn the_sums_are_those_of_the_definition() {
        for seed in 0..50 {
            let values = series(&[(1e3, 6 + usize::try_from(seed).unwrap() % 20)], seed);
            let split = greatest(&values);
            let (place, distance) = by_definition(&values);
            assert_eq!(split.place, place);
            assert!((split.distance / distance - 1.0).abs() < 1e-9, "{split:?} {distance}");
        }
    }

    #[test]
    fn a_shift_is_found_at_its_place() {
        assert_eq!(change_points(&series(&[(0.0, 40), (10.0, 25)], 1), 0.01, 1), [40]);
        let undone = series(&[(0.0, 30), (10.0, 20), (0.0, 30)], 2);
        assert_eq!(change_points(&undone, 0.01, 2), [30, 50]);
        let steps = series(&[(0.0, 20), (8.0, 20), (16.0, 20), (8.0, 3)], 3);
        assert_eq!(change_points(&steps, 0.05, 3), [20, 40, 60]);
        // Levels without noise.
        let flat: Vec<f64> = (0..20).map(|i| if i < 12 { 5.0 } else { 6.0 }).collect();
        assert_eq!(change_points(&flat, 0.01, 4), [12]);
    }

    #[test]
    fn noise_raises_false_alarms_at_the_stated_rate() {
        const SERIES: u16 = 400;
        for significance in [0.05, 0.2] {
            let changes = |&seed: &u64| {
                !change_points(&series(&[(0.0, 30)], seed), significance, seed).is_empty()
            };
            let count = (0..u64::from(SERIES)).filter(changes).count() as u64;
            // What one honest test in ten thousand exceeds.
            let slack = Binomial::new(significance, SERIES.into()).unwrap();
            let (least, most) = (slack.inverse_cdf(1e-4), slack.inverse_cdf(1.0 - 1e-4));
            assert!((least..=most).contains(&count), "{count} of {SERIES} at {significance}");
        }
    }

    #[test]
    fn a_spike_is_no_change() {
        for place in 0..40 {
            let mut spiked = series(&[(0.0, 40)], 8);
            assert_eq!(change_points(&spiked, 0.01, 5), NONE);
            spiked[place] += 50.0;
            assert_eq!(change_points(&spiked, 0.01, 5), NONE, "at {place}");
            let mut flat = [1.0; 40];
            flat[place] = 2.0;
            assert_eq!(change_points(&flat, 0.05, 5), NONE, "at {place} of a flat series");
        }
    }

    #[test]
    fn what_cannot_show_a_change_shows_none() {
        assert_eq!(change_points(&[], 0.05, 1), NONE);
        assert_eq!(change_points(&[1.0, 1.0, 9.0, 9.0, 9.0], 1.0, 1), NONE, "no two segments");
        assert_eq!(change_points(&[7.0; 50], 0.05, 1), NONE, "all equal");
        let shift = series(&[(0.0, 20), (50.0, 20)], 1);
        assert_eq!(change_points(&shift, 0.002, 1), [20]);
        assert_eq!(change_points(&shift, 0.0019, 1), NONE, "500 series cannot show it");
        let broken: Vec<f64> = shift.iter().copied().chain([f64::NAN]).collect();
        assert_eq!(change_points(&broken, 0.05, 1), NONE);
    }

    #[test]
    fn they_are_those_of_apache_otava() {
        let fixture: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/statistics.json")).unwrap();
        let significance = fixture["change_points"]["significance"].as_f64().unwrap();
        let cases = fixture["change_points"]["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 3);
        for case in cases {
            let values = case["values"].as_array().unwrap();
            let values: Vec<f64> = values.iter().map(|value| value.as_f64().unwrap()).collect();
            let found = change_points(&values, significance, 1);
            assert_eq!(serde_json::json!(found), case["indices"], "{}", case["name"]);
            let distance = greatest(&values).distance;
            let expected = case["first_statistic"].as_f64().unwrap();
            assert!((distance / expected - 1.0).abs() < 1e-9, "{distance} {expected}");
        }
    }
}
