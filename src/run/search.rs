//! The search for the highest rate that a stack sustains: which trial of the plan is next follows
//! from those that are over.

use std::collections::BTreeMap;

use super::{Live, RunError, Runner, StackContext};
use crate::model::{
    Capacity, Limit, Measurement, Outcome, QUANTILES, Slo, Stack, Stage, Trial, TrialRecord,
};
use crate::plan::stacks;
use crate::stats::{Interval, Ladder, Pool, Sustained, Tried, interval, keeps_pace, next_place};
use crate::store::Entry;
use crate::units::Rps;

/// What the search knows of a trial.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    /// Whether it sustained each SLO; `None` when it says nothing of the stack's capacity.
    sustained: Option<Vec<Sustained>>,
    is_loader_limited: bool,
}

impl Judged {
    pub(super) fn of(record: &TrialRecord, slos: &[Slo]) -> Self {
        let sustained = match &record.outcome {
            Outcome::Measured(measured) => {
                let known = |slo| sustained(measured, slo).despite(&record.flags);
                Some(slos.iter().map(known).collect())
            }
            // What breaks under a load does not sustain it; what does not start says nothing.
            Outcome::Failed(failure) => {
                (failure.stage == Stage::Load).then(|| vec![Sustained::No; slos.len()])
            }
        };
        let is_loader_limited = record.flags.iter().any(|flag| flag.is_of_loader());
        Self { sustained, is_loader_limited }
    }
}

/// Whether a trial sustained its rate within limits: answers kept pace, each latency is below its
/// limit, and no more requests failed than may; without a limit for that, no more than in a trial that
/// is ranked.
fn sustained(measured: &Measurement, slo: &Slo) -> Sustained {
    let limits_failures = slo.limits.iter().any(|limit| matches!(limit, Limit::Errors { .. }));
    let failures_are_few = limits_failures || !measured.counts.too_many_failed();
    let of_limit = |limit: &Limit| match limit {
        Limit::Latency { figure, below } => {
            let quantile = QUANTILES.iter().find(|one| one.name == *figure);
            let pool = Pool::new(&[&measured.latency]);
            let ends = quantile.and_then(|one| pool.quantile_ends(one.share));
            Sustained::of_latency(ends, *below)
        }
        Limit::Errors { below_ppm } => {
            let failed = u128::from(measured.counts.failed_total()) * 1_000_000;
            let most = u128::from(measured.counts.planned.max(1)) * u128::from(*below_ppm);
            if failed < most { Sustained::Yes } else { Sustained::No }
        }
    };
    let keeps_pace = keeps_pace(&measured.timeline) && failures_are_few;
    Sustained::of_limits(keeps_pace, slo.limits.iter().map(of_limit))
}

/// The trials of one search: by rate, lowest first, and then by repetition.
type Rungs<'plan> = BTreeMap<Rps, Vec<&'plan Trial>>;

impl Runner<'_, '_> {
    /// Searches every stack, and writes down what each can sustain.
    pub(super) async fn search(&mut self) -> Result<(), RunError> {
        let plan = self.request.plan;
        let mut capacities = Vec::new();
        for stack in stacks(&plan.experiment) {
            for &concurrency in &plan.experiment.concurrency {
                let mut rungs = Rungs::new();
                let own = plan.trials.iter().filter(|trial| {
                    trial.case.stack == stack && trial.case.concurrency == concurrency
                });
                own.for_each(|trial| rungs.entry(trial.case.target_rps).or_default().push(trial));
                let tried = self.search_stack(&rungs).await?;
                capacities.extend(self.capacities(&stack, concurrency, &rungs, &tried));
            }
        }
        self.journal.append(&Entry::Searched { capacities })?;
        Ok(())
    }

    fn ladder(&self, rungs: &Rungs<'_>) -> Ladder {
        let experiment = &self.request.plan.experiment;
        Ladder {
            places: rungs.len(),
            goals: experiment.slos.len(),
            most_trials: usize::try_from(experiment.repetitions).unwrap_or(usize::MAX),
        }
    }

    async fn search_stack(&mut self, rungs: &Rungs<'_>) -> Result<Vec<Tried>, RunError> {
        let Some(&first) = rungs.values().flatten().next() else { return Ok(vec![]) };
        let stack = &first.case.stack;
        let context = StackContext { stack, placement: self.placement(stack)?, first };
        let mut running: Option<Live> = None;
        loop {
            let tried = self.tried(rungs);
            let next = next_place(&tried, self.ladder(rungs)).and_then(|place| {
                let mut repetitions = rungs.values().nth(place)?.iter();
                repetitions.find(|trial| !self.executed.contains_key(&trial.id)).copied()
            });
            let Some(trial) = next.filter(|_| !self.is_given_up(stack)) else {
                if let Some(live) = running {
                    self.stop(live).await?;
                }
                return Ok(tried);
            };
            running = self.execute(&context, trial, running).await?;
        }
    }

    /// The trials that are over, as places of the ladder, in the order of rates.
    fn tried(&self, rungs: &Rungs<'_>) -> Vec<Tried> {
        let mut tried = Vec::new();
        for (place, trials) in rungs.values().enumerate() {
            let judged = trials.iter().filter_map(|trial| self.judged.get(&trial.id));
            tried.extend(judged.map(|judged| (place, judged.sustained.clone())));
        }
        tried
    }

    fn capacities(
        &self,
        stack: &Stack,
        concurrency: u32,
        rungs: &Rungs<'_>,
        tried: &[Tried],
    ) -> Vec<Capacity> {
        let rate = |place: usize| rungs.keys().nth(place).copied();
        let slos = self.request.plan.experiment.slos.iter().enumerate();
        slos.map(|(goal, slo)| {
            let Interval { low, high, is_high_known, is_final } =
                interval(tried, goal, self.ladder(rungs));
            let above = high.and_then(|place| rungs.values().nth(place));
            let mut judged = above.into_iter().flatten().filter_map(|one| self.judged.get(&one.id));
            Capacity {
                stack: stack.clone(),
                concurrency,
                slo: slo.clone(),
                low_rps: low.and_then(rate),
                high_rps: high.and_then(rate),
                is_final,
                is_high_unknown: high.is_some() && !is_high_known,
                is_loader_limited: !is_high_known && judged.any(|one| one.is_loader_limited),
                trials: tried.len() as u64,
            }
        })
        .collect()
    }
}
