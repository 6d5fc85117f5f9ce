//! The plan: the trials of an experiment in their order. Seeded, pure, and the same on every machine.
//!
//! The design is a randomised complete block design (source: Montgomery 2017, *Design and
//! Analysis of Experiments*, ch. 4): a block is one repetition of every case, so that drift of the
//! host affects every case alike. The stack is restarted in each block, which makes the repetition, not
//! the request, the independent unit.

mod spec;
mod values;

use std::time::Duration;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

pub use spec::{
    DURATION, KnownComponents, MAX_REQUESTS, Overrides, adapt, capacity_spec, check, embedded,
};
pub use values::{Source, SpecError};

use crate::id::TrialId;
use crate::model::{Case, Experiment, Order, Plan, Stack, Trial};
use crate::units::Rps;

/// Plans the trials of an experiment in an order. The id of a trial does not depend on the order.
#[must_use]
pub fn plan(experiment: &Experiment, order: Order) -> Plan {
    let load_points = load_points(experiment);
    let stacks: Vec<(usize, Stack)> = stacks(experiment).into_iter().enumerate().collect();
    let points: Vec<Point> = load_points.iter().copied().enumerate().collect();
    let runs = match order {
        Order::RandomisedBlocks => (0..experiment.repetitions)
            .flat_map(|block| shuffled(experiment.seed, block, &stacks, &points))
            .collect(),
        Order::Blocked | Order::Search => (0..experiment.repetitions)
            .flat_map(|block| stacks.iter().map(move |stack| (block, stack.clone())))
            .map(|(block, stack)| (block, stack, points.clone()))
            .collect(),
        Order::Sequential => stacks
            .iter()
            .flat_map(|stack| (0..experiment.repetitions).map(move |block| (block, stack.clone())))
            .map(|(block, stack)| (block, stack, points.clone()))
            .collect::<Vec<StackRun>>(),
    };
    let mut trials: Vec<Trial> = Vec::new();
    for (block, (stack_index, stack), points) in runs {
        for (point_index, (concurrency, target_rps)) in points {
            let case_index = stack_index * load_points.len() + point_index;
            let id = case_index * to_usize(experiment.repetitions) + to_usize(block);
            trials.push(Trial {
                id: TrialId(to_u32(id)),
                position: to_u32(trials.len()),
                block,
                case: Case { stack: stack.clone(), concurrency, target_rps },
            });
        }
    }
    Plan { experiment: experiment.clone(), order, trials }
}

/// A load point: its index, connections and target rate.
type Point = (usize, (u32, Rps));

/// The load points of a stack in a block, in their order.
type StackRun = (u32, (usize, Stack), Vec<Point>);

/// A block in random order: the stacks, and each one's load points.
fn shuffled(seed: u64, block: u32, stacks: &[(usize, Stack)], points: &[Point]) -> Vec<StackRun> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // A stream for each block, so that the order of a block does not depend on the number of blocks.
    rng.set_stream(u64::from(block));
    let mut stacks = stacks.to_vec();
    stacks.shuffle(&mut rng);
    let run = |stack| {
        let mut points = points.to_vec();
        points.shuffle(&mut rng);
        (block, stack, points)
    };
    stacks.into_iter().map(run).collect()
}

/// The stacks of an experiment, in the order of its factors.
#[must_use]
pub fn stacks(experiment: &Experiment) -> Vec<Stack> {
    let mut stacks = Vec::new();
    for app in &experiment.apps {
        for store in &experiment.stores {
            for &workers in &experiment.workers {
                stacks.push(Stack { app: app.clone(), store: store.clone(), workers });
            }
        }
    }
    stacks
}

fn load_points(experiment: &Experiment) -> Vec<(u32, Rps)> {
    let concurrency = experiment.concurrency.iter();
    concurrency
        .flat_map(|&concurrency| experiment.qps.iter().map(move |&qps| (concurrency, qps)))
        .collect()
}

/// The expected number of executed trials: all of the plan, except for a search, which bisects its rates and
/// needs some trials more to confirm each answer.
#[must_use]
pub fn expected_trials(plan: &Plan) -> usize {
    let experiment = &plan.experiment;
    let rates = experiment.qps.len().max(1);
    match plan.order {
        Order::Search => {
            let searches = plan.trials.len() / (rates * to_usize(experiment.repetitions)).max(1);
            searches * (to_usize(rates.ilog2()) + 4 * experiment.slos.len())
        }
        _ => plan.trials.len(),
    }
}

/// The number of trials that a run will execute, as far as it is known in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialTotal {
    /// Every trial of the plan.
    Exactly(usize),
    /// A search executes as many as it needs; this is an estimate.
    About(usize),
    /// The maximum of a comparison that ends as soon as it is decided.
    AtMost(usize),
}

impl TrialTotal {
    /// The total of a plan that is executed on this number of sides.
    #[must_use]
    pub fn of(plan: &Plan, sides: u32) -> Self {
        let total = expected_trials(plan) * to_usize(sides);
        match plan.order {
            Order::Search => Self::About(total),
            _ => Self::Exactly(total),
        }
    }

    /// The total as the maximum of a run that may end earlier.
    #[must_use]
    pub fn at_most(self) -> Self {
        Self::AtMost(self.count())
    }

    /// The number.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Exactly(total) | Self::About(total) | Self::AtMost(total) => total,
        }
    }

    /// The number of remaining trials; `None` beyond an estimate.
    #[must_use]
    pub fn left(self, done: usize) -> Option<usize> {
        match self {
            Self::About(total) if done >= total => None,
            _ => Some(self.count().saturating_sub(done)),
        }
    }

    /// `15 of 40`, `15 of about 19`, `15 of at most 900`; `20` alone beyond an estimate.
    #[must_use]
    pub fn progress(self, done: usize) -> String {
        match self {
            Self::Exactly(total) => format!("{done} of {total}"),
            Self::About(total) if done > total => done.to_string(),
            Self::About(total) => format!("{done} of about {total}"),
            Self::AtMost(total) => format!("{done} of at most {total}"),
        }
    }
}

/// The estimated duration of a plan: windows, starts, warm-ups, and reading of results.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "an estimate for display")]
pub fn estimate(plan: &Plan) -> Duration {
    let all: Duration = plan
        .stack_runs()
        .map(|trials| {
            let load: Duration =
                trials.iter().map(|trial| trial_time(&plan.experiment, trial)).sum();
            STACK_START_AND_STOP + plan.experiment.warm_up.0 + load
        })
        .sum();
    all.mul_f64(expected_trials(plan) as f64 / plan.trials.len().max(1) as f64)
}

/// The estimated duration of one trial.
#[must_use]
pub fn trial_time(experiment: &Experiment, trial: &Trial) -> Duration {
    let requests = trial.case.target_rps.as_f64() * experiment.duration.0.as_secs_f64();
    experiment.duration.0 + TRIAL_OVERHEAD + READING.mul_f64(requests)
}

/// Starting and stopping a stack (measured on two cores: 1.5 s to 3 s).
pub const STACK_START_AND_STOP: Duration = Duration::from_millis(2_500);
/// The overhead of a trial without its window and requests (measured on two cores).
const TRIAL_OVERHEAD: Duration = Duration::from_millis(300);
/// Writing and reading the record of one request (measured on two cores).
const READING: Duration = Duration::from_micros(8);

fn to_usize(value: u32) -> usize {
    usize::try_from(value).expect("a 32-bit number fits the address space")
}

fn to_u32(value: usize) -> u32 {
    u32::try_from(value).expect("`check` bounds the number of trials")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn experiment(name: &str) -> Experiment {
        let known = KnownComponents::of(&["fastapi", "express"], &["redis", "dragonfly"]);
        let source = embedded(name).expect("it is embedded");
        check(&source, &Overrides::default(), &known).unwrap()
    }

    #[test]
    fn every_order_has_the_same_trials_in_its_own_order() {
        let full = experiment("full");
        let by_id = |order| {
            let mut trials = plan(&full, order).trials;
            trials.sort_by_key(|trial| trial.id);
            let cases = trials.into_iter().map(|trial| (trial.id, trial.block, trial.case));
            cases.collect::<Vec<_>>()
        };
        let orders = [Order::Blocked, Order::Sequential, Order::Search];
        assert!(orders.into_iter().all(|order| by_id(order) == by_id(Order::RandomisedBlocks)));
        let is_sorted = |order, key: fn(&Trial) -> (u32, u32)| {
            plan(&full, order).trials.iter().map(key).is_sorted()
        };
        // Block by block, and inside a block as the spec has it.
        assert!(is_sorted(Order::Blocked, |trial| (trial.block, trial.id.0)));
        assert!(!is_sorted(Order::RandomisedBlocks, |trial| (trial.block, trial.id.0)));
        // One stack after another: 16 load points with 5 repetitions each.
        assert!(is_sorted(Order::Sequential, |trial| (trial.id.0 / 80, trial.block)));
        assert!(!is_sorted(Order::Blocked, |trial| (trial.id.0 / 80, trial.block)));
    }

    #[test]
    fn the_reference_matrix_has_960_trials() {
        let plan = plan(&experiment("full"), Order::RandomisedBlocks);
        assert_eq!(plan.trials.len(), 960);
        assert_eq!(plan.stack_runs().count(), 2 * 2 * 3 * 5);
        let hours = estimate(&plan).as_secs_f64() / 3600.0;
        assert!((5.3..6.5).contains(&hours), "{hours}");
    }

    #[test]
    fn the_order_is_the_one_it_always_was() {
        let plan = plan(&experiment("full"), Order::RandomisedBlocks);
        let ids: Vec<u32> = plan.trials.iter().take(8).map(|trial| trial.id.0).collect();
        insta::assert_debug_snapshot!(ids);
    }

    #[test]
    fn progress_never_counts_beyond_its_total() {
        let full = plan(&experiment("full"), Order::RandomisedBlocks);
        let total = TrialTotal::of(&full, 2);
        assert_eq!((total.progress(15), total.left(15)), ("15 of 1920".to_owned(), Some(1905)));
        let at_most = total.at_most();
        assert_eq!(at_most.progress(15), "15 of at most 1920");
        // An estimate, which a search may exceed.
        let search = TrialTotal::of(&plan(&experiment("quick"), Order::Search), 1);
        let TrialTotal::About(about) = search else { panic!("{search:?}") };
        assert_eq!(search.progress(about), format!("{about} of about {about}"));
        assert_eq!(search.left(about), None);
        assert_eq!(search.progress(about + 6), (about + 6).to_string());
    }

    #[test]
    fn a_block_is_one_repetition_of_every_case() {
        let plan = plan(&experiment("full"), Order::RandomisedBlocks);
        for block in plan.trials.chunk_by(|a, b| a.block == b.block) {
            let cases: BTreeSet<&Case> = block.iter().map(|trial| &trial.case).collect();
            assert_eq!((block.len(), cases.len()), (192, 192));
        }
    }

    proptest! {
        #[test]
        fn every_trial_is_there_once_and_fewer_repetitions_change_nothing_before(
            seed in any::<u64>(), repetitions in 2_u32..6,
        ) {
            let long = Experiment { seed, repetitions, ..experiment("full") };
            let short = Experiment { repetitions: repetitions - 1, ..long.clone() };
            let (long, short) = (plan(&long, Order::RandomisedBlocks), plan(&short, Order::RandomisedBlocks));
            let ids: BTreeSet<TrialId> = long.trials.iter().map(|trial| trial.id).collect();
            prop_assert_eq!(ids.len(), long.trials.len());
            for (a, b) in long.trials.iter().zip(&short.trials) {
                prop_assert_eq!((a.block, &a.case), (b.block, &b.case));
            }
        }
    }
}
