//! Where on a ladder of places a goal stops being held: a search that tries few of them.
//!
//! After the multiple loss ratio search of FD.io (Konstantynowicz and Polak, *draft-ietf-bmwg-mlrsearch*):
//! several goals share one search, the answer is an interval, and what stands at its ends was tried
//! more than once, since a single short trial may be wrong.

/// How often a place is tried at most before it is what most of its trials say.
const MOST_TRIALS: usize = 3;
/// So many trials that agree are believed.
const AGREE: usize = 2;

/// A trial: at which place of the ladder, and whether it held each goal.
pub type Tried = (usize, Vec<bool>);

/// The interval of a goal, as places of the ladder: the highest that held it and the lowest above
/// that did not. `None` where every place tried is on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The highest place that held the goal.
    pub low: Option<usize>,
    /// The lowest place that did not.
    pub high: Option<usize>,
}

/// The next place to try on a ladder of `places`, lowest first; `None` when every goal's interval is
/// as narrow as the ladder allows and its ends are believed.
#[must_use]
pub fn next_place(tried: &[Tried], goals: usize, places: usize) -> Option<usize> {
    (0..goals).find_map(|goal| next_of_goal(tried, goal, places))
}

/// The interval of a goal as far as the trials say.
#[must_use]
pub fn interval(tried: &[Tried], goal: usize) -> Interval {
    let mut places: Vec<usize> = tried.iter().map(|(place, _)| *place).collect();
    places.sort_unstable();
    places.dedup();
    // More load is never easier: the first place that does not hold ends the search below it.
    let high = places.iter().copied().find(|&place| !votes(tried, goal, place).is_held());
    let below = places.iter().copied().filter(|&place| high.is_none_or(|high| place < high));
    Interval { low: below.max(), high }
}

fn next_of_goal(tried: &[Tried], goal: usize, places: usize) -> Option<usize> {
    let Interval { low, high } = interval(tried, goal);
    // Places that are left between the ends.
    let first = low.map_or(0, |low| low + 1);
    let end = high.unwrap_or(places);
    if first < end {
        return Some(usize::midpoint(first, end));
    }
    [low, high].into_iter().flatten().find(|&place| !votes(tried, goal, place).is_believed())
}

/// What the trials of a place say of a goal.
#[derive(Clone, Copy, Debug, Default)]
struct Votes {
    held: usize,
    missed: usize,
}

impl Votes {
    /// With a tie it is not.
    fn is_held(self) -> bool {
        self.held > self.missed
    }

    fn is_believed(self) -> bool {
        self.held.max(self.missed) >= AGREE || self.held + self.missed >= MOST_TRIALS
    }
}

fn votes(tried: &[Tried], goal: usize, place: usize) -> Votes {
    let mut votes = Votes::default();
    for (_, held) in tried.iter().filter(|(own, _)| *own == place) {
        match held.get(goal) {
            Some(true) => votes.held += 1,
            _ => votes.missed += 1,
        }
    }
    votes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Searches for goals that are held up to these places, exclusively.
    fn search(limits: &[usize], places: usize) -> Vec<Tried> {
        let mut tried = Vec::new();
        while let Some(place) = next_place(&tried, limits.len(), places) {
            tried.push((place, limits.iter().map(|&limit| place < limit).collect()));
            assert!(tried.len() < 1000, "it does not end");
        }
        tried
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_limit_after_few_trials(
            places in 1_usize..200, limits in proptest::collection::vec(0_usize..200, 1..4),
        ) {
            let tried = search(&limits, places);
            let steps = places.next_power_of_two().trailing_zeros() as usize + 4;
            prop_assert!(tried.len() <= steps * limits.len(), "{} trials", tried.len());
            for (goal, &limit) in limits.iter().enumerate() {
                let told = interval(&tried, goal);
                let limit = limit.min(places);
                prop_assert_eq!(told.low, limit.checked_sub(1));
                prop_assert_eq!(told.high, (limit < places).then_some(limit));
            }
        }
    }

    #[test]
    fn one_wrong_trial_is_outvoted() {
        // The limit is at 5; the first trial of place 4 is wrong.
        let mut tried: Vec<Tried> = Vec::new();
        let mut is_first = true;
        while let Some(place) = next_place(&tried, 1, 10) {
            let is_wrong = place == 4 && std::mem::replace(&mut is_first, place != 4);
            tried.push((place, vec![(place < 5) != is_wrong]));
        }
        assert_eq!(interval(&tried, 0), Interval { low: Some(4), high: Some(5) });
    }
}
