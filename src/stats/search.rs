//! Where on a ladder of places a goal stops being sustained: a search that tries few of them.
//!
//! After the multiple loss ratio search of FD.io (Konstantynowicz and Polak, *draft-ietf-bmwg-mlrsearch*):
//! several goals share one search, the answer is an interval, and both of its ends were tried more than
//! once, since a single short trial may be wrong.

use super::{Sustained, Votes};

/// So many trials that agree decide a place.
const MIN_AGREEING: usize = 2;

/// A trial: at which place of the ladder, and whether it sustained each goal; `None` for one that
/// says nothing of them.
pub type Tried = (usize, Option<Vec<Sustained>>);

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub struct Ladder {
    /// Places, the lowest first.
    pub places: usize,
    /// Goals that share the search.
    pub goals: usize,
    /// How often one place may be tried.
    pub most_trials: usize,
}

/// The interval of a goal, as places of the ladder: the highest that sustained it and the lowest
/// above that did not. `None` where no place tried is on that side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The highest place that sustained the goal.
    pub low: Option<usize>,
    /// The lowest place that did not, or where it is not known.
    pub high: Option<usize>,
    /// Whether it is known that the upper end did not sustain the goal.
    pub is_high_known: bool,
    /// Whether it is as narrow as the ladder allows, and its ends are believed.
    pub is_final: bool,
}

/// The next place to try; `None` when every goal's interval is final, or can get no better.
#[must_use]
pub fn next_place(tried: &[Tried], ladder: Ladder) -> Option<usize> {
    (0..ladder.goals).find_map(|goal| {
        let place = wanted(tried, goal, ladder)?;
        // What was tried as often as may be is not tried again: the other goals go on.
        (runs(tried, place) < ladder.most_trials).then_some(place)
    })
}

/// The interval of a goal as far as the trials say.
#[must_use]
pub fn interval(tried: &[Tried], goal: usize, ladder: Ladder) -> Interval {
    let (low, high) = ends(tried, goal);
    let is_final = wanted(tried, goal, ladder).is_none();
    let is_high_known =
        high.is_some_and(|place| votes(tried, goal, place).verdict() == Sustained::No);
    Interval { low, high, is_high_known, is_final }
}

fn ends(tried: &[Tried], goal: usize) -> (Option<usize>, Option<usize>) {
    let mut places: Vec<usize> = tried
        .iter()
        .filter(|(_, sustained)| sustained.is_some())
        .map(|(place, _)| *place)
        .collect();
    places.sort_unstable();
    places.dedup();
    // More load is never easier: the first place that is not sustained ends the search below it.
    let is_sustained = |place| votes(tried, goal, place).verdict() == Sustained::Yes;
    let high = places.iter().copied().find(|&place| !is_sustained(place));
    let below = places.iter().copied().filter(|&place| high.is_none_or(|high| place < high));
    (below.max(), high)
}

/// The place that a goal's interval lacks.
fn wanted(tried: &[Tried], goal: usize, ladder: Ladder) -> Option<usize> {
    let (low, high) = ends(tried, goal);
    // Places that are left between the ends.
    let first = low.map_or(0, |low| low + 1);
    let end = high.unwrap_or(ladder.places);
    if first < end {
        return Some(usize::midpoint(first, end));
    }
    let most = ladder.most_trials;
    [low, high].into_iter().flatten().find(|&place| !is_decided(votes(tried, goal, place), most))
}

fn runs(tried: &[Tried], place: usize) -> usize {
    tried.iter().filter(|(own, _)| *own == place).count()
}

/// Whether enough trials of a place agree, or no more of them may be made.
fn is_decided(votes: Votes, most_trials: usize) -> bool {
    votes.yes.max(votes.no) >= MIN_AGREEING.min(most_trials) || votes.total() >= most_trials
}

/// What the trials of a place say of a goal.
fn votes(tried: &[Tried], goal: usize, place: usize) -> Votes {
    let own = tried.iter().filter(|(one, _)| *one == place);
    own.filter_map(|(_, sustained)| sustained.as_ref())
        .filter_map(|sustained| sustained.get(goal).copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(is_sustained: bool) -> Sustained {
        if is_sustained { Sustained::Yes } else { Sustained::No }
    }

    /// Searches for goals that are sustained up to these places, exclusively.
    fn search(limits: &[usize], places: usize, most_trials: usize) -> (Vec<Tried>, Ladder) {
        let ladder = Ladder { places, goals: limits.len(), most_trials };
        let mut tried = Vec::new();
        while let Some(place) = next_place(&tried, ladder) {
            let goals = limits.iter().map(|&limit| said(place < limit));
            tried.push((place, Some(goals.collect())));
            assert!(tried.len() < 1000, "it does not end");
        }
        (tried, ladder)
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_limit_after_few_trials(
            places in 1_usize..200, most in 1_usize..5,
            limits in proptest::collection::vec(0_usize..200, 1..4),
        ) {
            let (tried, ladder) = search(&limits, places, most);
            let steps = places.next_power_of_two().trailing_zeros() as usize + 4;
            prop_assert!(tried.len() <= steps * limits.len(), "{} trials", tried.len());
            for (goal, &limit) in limits.iter().enumerate() {
                let limit = limit.min(places);
                let high = (limit < places).then_some(limit);
                let low = limit.checked_sub(1);
                let is_high_known = high.is_some();
                let expected = Interval { low, high, is_high_known, is_final: true };
                prop_assert_eq!(interval(&tried, goal, ladder), expected);
            }
        }
    }

    #[test]
    fn one_wrong_trial_is_outvoted() {
        // The limit is at 5; the first trial of place 4 is wrong.
        let ladder = Ladder { places: 10, goals: 1, most_trials: 3 };
        let mut tried: Vec<Tried> = Vec::new();
        let mut is_first = true;
        while let Some(place) = next_place(&tried, ladder) {
            let is_wrong = place == 4 && std::mem::replace(&mut is_first, place != 4);
            tried.push((place, Some(vec![said((place < 5) != is_wrong)])));
        }
        let expected =
            Interval { low: Some(4), high: Some(5), is_high_known: true, is_final: true };
        assert_eq!(interval(&tried, 0, ladder), expected);
    }

    #[test]
    fn trials_that_say_nothing_are_no_answer() {
        let ladder = Ladder { places: 10, goals: 1, most_trials: 3 };
        let mut tried: Vec<Tried> = Vec::new();
        while let Some(place) = next_place(&tried, ladder) {
            tried.push((place, None));
        }
        assert_eq!(tried.len(), 3);
        let nothing = Interval { low: None, high: None, is_high_known: false, is_final: false };
        assert_eq!(interval(&tried, 0, ladder), nothing);
    }

    #[test]
    fn disturbed_trials_end_a_search_without_an_upper_end_that_is_known() {
        let ladder = Ladder { places: 10, goals: 1, most_trials: 3 };
        let mut tried: Vec<Tried> = Vec::new();
        while let Some(place) = next_place(&tried, ladder) {
            let said = if place < 5 { Sustained::Yes } else { Sustained::Unknown };
            tried.push((place, Some(vec![said])));
        }
        let expected =
            Interval { low: Some(4), high: Some(5), is_high_known: false, is_final: true };
        assert_eq!(interval(&tried, 0, ladder), expected);
        // Three times is as often as may be.
        assert_eq!(tried.iter().filter(|(place, _)| *place == 5).count(), 3);
    }
}
