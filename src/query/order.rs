//! Whether the trials of a dataset can be those of its experiment, in an order that a run can have.
//!
//! What is checked follows from what the dataset records, never from this program's own shuffle:
//! another version of it, or of a library that shuffles, orders trials in another way.

use std::collections::BTreeSet;

use crate::model::{Case, Experiment, Order, Stack, Trial};
use crate::plan::plan;

/// Where a trial stands in its plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub trial: u64,
    pub position: u64,
    pub block: u64,
    pub case: Case,
}

impl From<&Trial> for Place {
    fn from(trial: &Trial) -> Self {
        Self {
            trial: trial.id.0.into(),
            position: trial.position.into(),
            block: trial.block.into(),
            case: trial.case.clone(),
        }
    }
}

/// What is wrong with the trials of a dataset; `None` when nothing is.
pub(super) fn wrong_order(
    experiment: &Experiment,
    order: Order,
    trials: &[Place],
) -> Option<&'static str> {
    // Only the random order has another choice of positions. The numbers of trials are the same in
    // every order.
    let fixed = if order == Order::RandomisedBlocks { Order::Blocked } else { order };
    let mut matrix: Vec<Place> = plan(experiment, fixed).trials.iter().map(Place::from).collect();
    matrix.sort();
    let mut trials = trials.to_vec();
    trials.sort();
    let is_complete = match order {
        Order::Search => trials.iter().all(|one| matrix.binary_search(one).is_ok()),
        Order::Blocked | Order::Sequential => trials == matrix,
        Order::RandomisedBlocks => {
            let identity = |one: &Place| (one.trial, one.block, one.case.clone());
            trials.iter().map(identity).eq(matrix.iter().map(identity))
        }
    };
    if !is_complete {
        return Some("its trials are not those of its experiment, each with its case and block");
    }
    if order != Order::RandomisedBlocks {
        return None;
    }
    trials.sort_by_key(|one| one.position);
    if trials.iter().zip(0..).any(|(one, position)| one.position != position) {
        return Some("the positions of its trials are not 0, 1, 2 and so on, each once");
    }
    if !trials.is_sorted_by_key(|one| one.block) {
        return Some("its blocks are not executed one after the other");
    }
    let runs = || trials.chunk_by(|a, b| stack_run(a) == stack_run(b));
    let different: BTreeSet<(u64, &Stack)> = runs().map(|run| stack_run(&run[0])).collect();
    match different.len() == runs().count() {
        true => None,
        false => Some("the trials of a stack in a block are not executed one after the other"),
    }
}

/// A stack is started once in each block.
fn stack_run(place: &Place) -> (u64, &Stack) {
    (place.block, &place.case.stack)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{KnownComponents, Overrides, check, embedded};

    fn experiment() -> Experiment {
        let known = KnownComponents::of(
            &["fastapi", "express"],
            &["redis", "valkey", "dragonfly", "memcached"],
        );
        check(&embedded("full").unwrap(), &Overrides::default(), &known).unwrap()
    }

    fn places(experiment: &Experiment, order: Order) -> Vec<Place> {
        plan(experiment, order).trials.iter().map(Place::from).collect()
    }

    #[test]
    fn the_order_of_another_shuffle_is_accepted() {
        let experiment = experiment();
        let other = Experiment { seed: experiment.seed + 1, ..experiment.clone() };
        let (own, other) =
            (places(&experiment, Order::RandomisedBlocks), places(&other, Order::RandomisedBlocks));
        assert_ne!(own, other);
        for trials in [own, other] {
            assert_eq!(wrong_order(&experiment, Order::RandomisedBlocks, &trials), None);
        }
    }

    #[test]
    fn an_order_that_no_run_has_is_refused() {
        let experiment = experiment();
        let good = places(&experiment, Order::RandomisedBlocks);
        let wrong = |change: &dyn Fn(&mut Vec<Place>)| {
            let mut trials = good.clone();
            change(&mut trials);
            wrong_order(&experiment, Order::RandomisedBlocks, &trials).unwrap_or("nothing")
        };
        let last = good.len() - 1;
        let swap_positions = |trials: &mut Vec<Place>, a: usize, b: usize| {
            let (first, second) = (trials[a].position, trials[b].position);
            (trials[a].position, trials[b].position) = (second, first);
        };
        assert!(wrong(&|trials| trials.truncate(last)).contains("not those"));
        assert!(wrong(&|trials| trials[0] = trials[1].clone()).contains("not those"));
        assert!(wrong(&|trials| trials[0].case.concurrency += 1).contains("not those"));
        assert!(wrong(&|trials| trials[0].block += 1).contains("not those"));
        assert!(wrong(&|trials| trials[0].position += 1).contains("positions"));
        assert!(wrong(&|trials| swap_positions(trials, 0, last)).contains("blocks"));
        let other_stack = good.iter().position(|one| one.case.stack != good[0].case.stack).unwrap();
        assert_eq!(good[other_stack].block, 0);
        assert!(wrong(&|trials| swap_positions(trials, 0, other_stack)).contains("stack"));
    }

    #[test]
    fn an_order_without_chance_is_the_only_one() {
        let experiment = experiment();
        for order in [Order::Blocked, Order::Sequential, Order::Search] {
            let mut trials = places(&experiment, order);
            assert_eq!(wrong_order(&experiment, order, &trials), None);
            trials[0].position += 1;
            assert!(wrong_order(&experiment, order, &trials).is_some());
        }
    }
}
