//! The search for the highest rate that a stack sustains: which trial of the plan is next follows
//! from those that are over.

use std::collections::BTreeMap;

use super::{Live, RunError, Runner, StackContext, placement};
use crate::model::{
    Capacity, Flag, Limit, Measurement, Outcome, QUANTILES, Slo, Stack, Stage, Trial, TrialRecord,
};
use crate::plan::stacks;
use crate::stats::{Interval, Ladder, Tried, interval, next_place};
use crate::store::Entry;
use crate::units::{Nanos, Rps};

/// A rate is sustained when, after the first second, answers come at this share of it.
const SUSTAINED: f64 = 0.99;

/// What the search knows of a trial.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    /// Whether it held each SLO; `None` when it says nothing of the stack's capacity.
    held: Option<Vec<bool>>,
    is_loader_limited: bool,
}

impl Judged {
    pub(super) fn of(record: &TrialRecord, slos: &[Slo]) -> Self {
        let held = match &record.outcome {
            Outcome::Measured(measured) => {
                Some(slos.iter().map(|slo| is_held(measured, slo)).collect())
            }
            // What breaks under a load does not sustain it; what does not start says nothing.
            Outcome::Failed(failure) => {
                (failure.stage == Stage::Load).then(|| vec![false; slos.len()])
            }
        };
        let loader = [Flag::LoaderLimited, Flag::PacerLate];
        let is_loader_limited = record.flags.iter().any(|flag| loader.contains(flag));
        Self { held, is_loader_limited }
    }
}

/// Whether a trial kept to limits: its rate was sustained, each latency is known to be below its
/// limit, and no more requests failed than may; without a limit for that, no more than 1 %.
fn is_held(measured: &Measurement, slo: &Slo) -> bool {
    let failures_may_rank = slo.limits.iter().any(|limit| matches!(limit, Limit::Errors { .. }))
        || !measured.counts.too_many_failed();
    let keeps = |limit: &Limit| match limit {
        Limit::Latency { figure, below } => is_below(measured, figure, *below),
        Limit::Errors { below_ppm } => {
            u128::from(measured.counts.failed_total()) * 1_000_000
                < u128::from(measured.counts.planned.max(1)) * u128::from(*below_ppm)
        }
    };
    is_sustained(measured) && failures_may_rank && slo.limits.iter().all(keeps)
}

/// Whether answers come as fast as requests are planned. The first second is left out: what is in
/// flight at its end is in flight at the end of the window as well, and no backlog.
#[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
fn is_sustained(measured: &Measurement) -> bool {
    let window = measured.window();
    let seconds = || window.iter().skip(usize::from(window.len() > 1));
    let planned: u64 = seconds().map(|second| second.planned).sum();
    let answered: u64 = seconds().map(|second| second.completed + second.failed).sum();
    answered as f64 >= planned as f64 * SUSTAINED
}

/// Whether the share that a latency figure stands for was answered within `below`, of all requests
/// of which that is known: an unfinished one that had not waited so long says nothing.
#[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
fn is_below(measured: &Measurement, figure: &str, below: Nanos) -> bool {
    let share = QUANTILES.iter().find(|one| one.name == figure).map_or(1.0, |one| one.share);
    let (mut within, mut known) = (0, 0);
    for bucket in &measured.latency.buckets {
        let is_within = bucket.high < below;
        within += if is_within { bucket.count } else { 0 };
        known += bucket.count + if is_within { 0 } else { bucket.censored };
    }
    known > 0 && within as f64 >= known as f64 * share
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
        let placement = placement(self.request.topology, self.request.plan, stack);
        let context = StackContext { stack, placement, first };
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
            tried.extend(judged.map(|judged| (place, judged.held.clone())));
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
            let Interval { low, high, is_final } = interval(tried, goal, self.ladder(rungs));
            let above = high.and_then(|place| rungs.values().nth(place));
            let mut judged = above.into_iter().flatten().filter_map(|one| self.judged.get(&one.id));
            Capacity {
                stack: stack.clone(),
                concurrency,
                slo: slo.clone(),
                low_rps: low.and_then(rate),
                high_rps: high.and_then(rate),
                is_final,
                is_loader_limited: judged.any(|judged| judged.is_loader_limited),
                trials: tried.len() as u64,
            }
        })
        .collect()
    }
}
