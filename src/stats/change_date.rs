//! Which value of a series is the first after a change.
//!
//! A change point says that a series changed, and about where: its segments have three values or
//! more, so a change in the last two values is placed before them.

use super::trend::median;

/// A value belongs to a level when it is within this many standard deviations of it and not of the
/// other level.
const SPREAD_LIMIT: f64 = 3.0;
/// Without noise a value belongs to a level when it is within this share of the step between them.
const STEP_SHARE: f64 = 0.25;
/// The share of values whose deviation dates the noise: the others may be outliers.
const SPREAD_SHARE: f64 = 0.8;
/// The deviation that this share of normal values does not exceed, in standard deviations.
const SPREAD_NORMAL: f64 = 1.2816;

/// Which values may be the first after a change, in ascending order.
///
/// One when the change has a date; several when as many dates fit the values equally well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The candidates, as indices of the series; never empty.
    pub candidates: Vec<usize>,
}

impl Change {
    /// The first value after the change; `None` when several dates fit.
    #[must_use]
    pub fn date(&self) -> Option<usize> {
        match self.candidates[..] {
            [date] => Some(date),
            _ => None,
        }
    }
}

/// Dates the changes of a series, given the [change points](super::change_points) that were found.
///
/// Each change is dated between its neighbours. The levels before and after it are medians. A value
/// counts for the level that it belongs to, and for neither when it lies between them, near both or
/// far from both. A date is a candidate when no other has fewer values on the wrong side; with that
/// date the levels are computed again, and have to give it again.
#[must_use]
pub fn change_dates(values: &[f64], places: &[usize]) -> Vec<Change> {
    let end = |index: usize| places.get(index + 1).copied().unwrap_or(values.len());
    let mut start = 0;
    let mut changes = Vec::new();
    for (index, &place) in places.iter().enumerate() {
        let own = candidates(&values[start..end(index)], place - start);
        changes.push(Change { candidates: own.into_iter().map(|date| start + date).collect() });
        start = place;
    }
    changes
}

fn candidates(values: &[f64], place: usize) -> Vec<usize> {
    let mut found = best_dates(values, place);
    if let [date] = found[..] {
        found.extend(best_dates(values, date));
        found.sort_unstable();
        found.dedup();
    }
    found
}

/// The dates with the fewest values on the wrong side, for the levels left and right of `place`.
fn best_dates(values: &[f64], place: usize) -> Vec<usize> {
    let sides: Vec<i64> = Levels::of(values, place).sides(values);
    let mut best = i64::MIN;
    let mut dates = Vec::new();
    let mut score = 0;
    for date in 1..values.len() {
        // A value that passes to the left is right there as often as it was wrong.
        score += sides[date - 1];
        if score > best {
            best = score;
            dates.clear();
        }
        if score == best {
            dates.push(date);
        }
    }
    dates
}

/// The levels before and after a change.
struct Levels {
    before: f64,
    after: f64,
    /// The standard deviation about them.
    spread: f64,
}

impl Levels {
    fn of(values: &[f64], place: usize) -> Self {
        let (left, right) = values.split_at(place);
        let (before, after) = (median(left.to_vec()), median(right.to_vec()));
        let deviations = left.iter().map(|value| (value - before).abs());
        let mut deviations: Vec<f64> =
            deviations.chain(right.iter().map(|value| (value - after).abs())).collect();
        deviations.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a length"
        )]
        let rank = (deviations.len() as f64 * SPREAD_SHARE) as usize;
        let spread = deviations.get(rank).copied().unwrap_or(0.0) / SPREAD_NORMAL;
        Self { before, after, spread }
    }

    /// 1 for each value that belongs to the level before, -1 for the level after, 0 for neither.
    fn sides(&self, values: &[f64]) -> Vec<i64> {
        let step = (self.after - self.before).abs();
        let near = SPREAD_LIMIT * self.spread;
        // How far a value may be from its level: away from the other one, and towards it.
        let outward = near.max(step / 2.0);
        let inward = near.max(step * STEP_SHARE).min(step - near);
        let belongs = |away: f64| (-outward..=inward).contains(&away) && away < step / 2.0;
        let side = |&value: &f64| {
            let away = (value - self.before) * (self.after - self.before).signum();
            i64::from(belongs(away)) - i64::from(belongs(step - away))
        };
        values.iter().map(side).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::stats::change_points;

    fn normal(random: &mut ChaCha8Rng) -> f64 {
        let (u, v): (f64, f64) = (random.random(), random.random());
        (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    fn dates(values: &[f64]) -> Vec<Option<usize>> {
        let places = change_points(values, 0.05, 1);
        change_dates(values, &places).iter().map(Change::date).collect()
    }

    #[test]
    fn a_change_in_the_last_two_values_has_the_date_of_the_first_of_them() {
        let series =
            [10.0, 10.1, 9.9, 10.2, 10.0, 9.8, 10.1, 10.0, 9.9, 10.1, 15.0, 15.1].map(f64::ln);
        assert_eq!(change_points(&series, 0.05, 1), [9], "the last good one");
        assert_eq!(dates(&series), [Some(10)]);
    }

    #[test]
    fn a_step_is_dated_wherever_it_is() {
        for length in [12, 20, 40] {
            for date in 2..=length - 2 {
                for (step, noise) in [(5.0, 0.0), (5.0, 0.1), (-5.0, 0.1), (5.0, 0.3)] {
                    let mut random = ChaCha8Rng::seed_from_u64(7);
                    let value = |index| {
                        let level = if index < date { 10.0 } else { 10.0 + step };
                        level + noise * normal(&mut random)
                    };
                    let values: Vec<f64> = (0..length).map(value).collect();
                    let found = dates(&values);
                    // With few values on one side there may be no change beyond chance.
                    let is_shown = date >= 3 && length - date >= 3;
                    let place = format!("{date} of {length}, {step} and {noise}: {found:?}");
                    assert!(!is_shown || found.contains(&Some(date)), "{place}");
                    assert!(found.iter().all(|one| one.is_none_or(|one| one == date)), "{place}");
                }
            }
        }
    }

    #[test]
    fn a_value_between_two_levels_leaves_the_date_open() {
        for between in [12.4, 12.5, 12.6, 40.0, -20.0] {
            let mut values = vec![10.0; 12];
            values.push(between);
            values.extend([15.0; 6]);
            let places = change_points(&values, 0.05, 1);
            let changes = change_dates(&values, &places);
            assert_eq!(changes, [Change { candidates: vec![12, 13] }], "{between}");
            assert_eq!(changes[0].date(), None);
        }
    }

    #[test]
    fn two_values_in_the_wrong_order_leave_the_date_open() {
        let mut values = vec![10.0; 10];
        values.extend([15.0, 10.0, 15.0, 15.0, 15.0, 15.0, 15.0]);
        let places = change_points(&values, 0.05, 1);
        assert_eq!(change_dates(&values, &places), [Change { candidates: vec![10, 12] }]);
    }

    #[test]
    fn changes_that_follow_each_other_have_their_own_dates() {
        let mut values = vec![10.0; 10];
        values.extend([15.0; 8]);
        values.extend([12.0; 8]);
        values.extend([20.0; 2]);
        let found = dates(&values);
        assert_eq!(found[..2], [Some(10), Some(18)], "{found:?}");
        assert!(found[2..].iter().all(|&one| one.is_none_or(|one| one == 26)), "{found:?}");
    }

    /// Steps of four to ten standard deviations at every place, every second series with an outlier.
    #[test]
    fn a_date_is_right_or_withheld() {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let (mut right, mut wrong, mut withheld) = (0_u32, 0_u32, 0_u32);
        for round in 0..600_usize {
            let length = 12 + round % 19;
            let date = 2 + random.random_range(0..length - 3);
            let step = random.random_range(4.0..10.0);
            let has_outlier = round % 2 == 0;
            let outlier = random.random_range(0..length);
            // Elsewhere than beside the change: there nothing tells it from the new level.
            let is_apart = outlier + 1 < date || outlier > date;
            let value = |index: usize| {
                let level = if index < date { 0.0 } else { step };
                let outlying = has_outlier && is_apart && index == outlier;
                level + normal(&mut random) + if outlying { 20.0 } else { 0.0 }
            };
            let values: Vec<f64> = (0..length).map(value).collect();
            for found in dates(&values) {
                match found {
                    None => withheld += 1,
                    Some(found) if found == date => right += 1,
                    Some(_) => wrong += 1,
                }
            }
        }
        // One series in twenty may show a change that is none, which then has a wrong date.
        assert!(wrong * 20 <= right, "{right} right, {wrong} wrong, {withheld} withheld");
        assert!(withheld < right, "{right} right, {wrong} wrong, {withheld} withheld");
    }
}
