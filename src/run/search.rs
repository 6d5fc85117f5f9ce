//! The search for the highest rate that a stack sustains: which trial of the plan is next follows
//! from those that are over.

use std::collections::BTreeMap;

use super::{Live, RunError, Runner, StackContext, placement};
use crate::id::TrialId;
use crate::model::{Flag, Limit, Outcome, Slo, Stack, Trial, TrialRecord};
use crate::plan::stacks;
use crate::stats::{Interval, Tried, interval, next_place};

/// A trial's rate counts as sustained when this share of its requests was answered.
const SUSTAINED: f64 = 0.99;

/// What came of a search, for a stack and a number of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The stack.
    pub stack: Stack,
    /// Connections of the loader.
    pub concurrency: u32,
    /// What was to be kept.
    pub slo: Slo,
    /// The highest rate that kept it; `None` when the lowest did not.
    pub low_rps: Option<u32>,
    /// The lowest rate above that did not; `None` when the highest did.
    pub high_rps: Option<u32>,
    /// Whether that was the loader's doing.
    pub is_loader_limited: bool,
    /// Trials of the search, which its SLOs share.
    pub trials: usize,
}

/// What the search knows of a trial.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    held: Vec<bool>,
    is_loader_limited: bool,
}

impl Judged {
    pub(super) fn of(record: &TrialRecord, slos: &[Slo]) -> Self {
        let loader = [Flag::LoaderLimited, Flag::PacerLate];
        Self {
            held: slos.iter().map(|slo| is_held(record, slo)).collect(),
            is_loader_limited: record.flags.iter().any(|flag| loader.contains(flag)),
        }
    }
}

/// Whether a trial kept to limits: its rate was sustained, and each figure is known to be below its
/// limit. A lower bound is not.
#[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
fn is_held(record: &TrialRecord, slo: &Slo) -> bool {
    let Outcome::Measured(measured) = &record.outcome else { return false };
    let counts = &measured.counts;
    let planned = counts.planned.max(1);
    let is_sustained =
        (counts.completed + counts.failed_total()) as f64 >= planned as f64 * SUSTAINED;
    let keeps = |limit: &Limit| match limit {
        Limit::Latency { figure, below } => record
            .figures
            .get(*figure)
            .is_some_and(|figure| !figure.is_bound && figure.value < *below),
        Limit::Errors { below_ppm } => {
            u128::from(counts.failed_total()) * 1_000_000
                < u128::from(planned) * u128::from(*below_ppm)
        }
    };
    is_sustained && slo.limits.iter().all(keeps)
}

/// The trials of one search: by rate, lowest first, and then by repetition.
type Ladder<'plan> = BTreeMap<u32, Vec<&'plan Trial>>;

impl Runner<'_, '_> {
    /// Searches every stack; gives what it can sustain.
    pub(super) async fn search(&mut self) -> Result<Vec<Capacity>, RunError> {
        let plan = self.request.plan;
        let mut capacities = Vec::new();
        for stack in stacks(&plan.experiment) {
            for &concurrency in &plan.experiment.concurrency {
                let mut ladder = Ladder::new();
                let own = plan.trials.iter().filter(|trial| {
                    trial.case.stack == stack && trial.case.concurrency == concurrency
                });
                own.for_each(|trial| ladder.entry(trial.case.target_rps).or_default().push(trial));
                let tried = self.search_stack(&ladder).await?;
                capacities.extend(self.capacities(&stack, concurrency, &ladder, &tried));
            }
        }
        Ok(capacities)
    }

    async fn search_stack(&mut self, ladder: &Ladder<'_>) -> Result<Vec<Tried>, RunError> {
        let goals = self.request.plan.experiment.slos.len();
        let Some(&first) = ladder.values().flatten().next() else { return Ok(vec![]) };
        let stack = &first.case.stack;
        let placement = placement(self.request.topology, self.request.plan, stack);
        let context = StackContext { stack, placement, first };
        let mut running: Option<Live> = None;
        loop {
            let tried = self.tried(ladder);
            let next = next_place(&tried, goals, ladder.len());
            let trial = next.and_then(|place| {
                let repetitions = ladder.values().nth(place)?;
                repetitions.iter().find(|trial| !self.executed.contains_key(&trial.id)).copied()
            });
            let Some(trial) = trial.filter(|_| !self.is_given_up(stack)) else {
                if let Some(live) = running {
                    self.stop(live).await?;
                }
                return Ok(tried);
            };
            running = self.execute(&context, trial, running).await?;
        }
    }

    /// The trials that are over, as places of the ladder, in the order of rates.
    fn tried(&self, ladder: &Ladder<'_>) -> Vec<Tried> {
        let judged = |id: &TrialId| self.judged.get(id).map(|judged| judged.held.clone());
        let places = ladder.values().enumerate();
        places
            .flat_map(|(place, trials)| {
                trials.iter().filter_map(move |trial| Some((place, judged(&trial.id)?)))
            })
            .collect()
    }

    fn capacities(
        &self,
        stack: &Stack,
        concurrency: u32,
        ladder: &Ladder<'_>,
        tried: &[Tried],
    ) -> Vec<Capacity> {
        let rate = |place: usize| ladder.keys().nth(place).copied();
        let slos = self.request.plan.experiment.slos.iter().enumerate();
        slos.map(|(goal, slo)| {
            let Interval { low, high } = interval(tried, goal);
            let above = high.and_then(|place| ladder.values().nth(place));
            let mut judged = above.into_iter().flatten().filter_map(|one| self.judged.get(&one.id));
            Capacity {
                stack: stack.clone(),
                concurrency,
                slo: slo.clone(),
                low_rps: low.and_then(rate),
                high_rps: high.and_then(rate),
                is_loader_limited: judged.any(|judged| judged.is_loader_limited),
                trials: tried.len(),
            }
        })
        .collect()
    }
}
