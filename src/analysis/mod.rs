//! What one dataset shows: each case with its intervals, where lines level off, how stacks scale with
//! their workers, and which load each stack holds.
//!
//! Trials in, estimates out: no I/O, no clock. The repetition is the unit everywhere.

mod cases;
mod sustained;

use std::collections::BTreeMap;

use serde::Serialize;

pub use cases::{CaseAnalysis, Estimate, LatencyEstimate, POINTS_PER_DECADE};
pub use sustained::{Held, Hold, LatencyLimit, PercentileEnds, held};

use crate::model::{Case, ComponentName, Histogram, QUANTILES, TrialRow};
use crate::stats::{KEPT, Knee, Pool, Usl, fit_usl, knee};
use crate::units::Rps;

/// The level of the intervals.
pub const LEVEL: f64 = 0.95;
/// A law that misses a point by more than this share is not shown.
const MAX_ERROR: f64 = 0.1;

/// What one dataset shows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Analysis {
    /// Every case over its repetitions, in the order of factors.
    pub cases: Vec<CaseAnalysis>,
    /// Where the lines of rates against targets level off.
    pub knees: Vec<LineKnee>,
    /// How stacks scale with their workers.
    pub scalings: Vec<Scaling>,
    /// The latencies between which the percentiles of each trial lie, in the order of trials.
    #[serde(skip)]
    pub ends: Vec<PercentileEnds>,
}

/// Where the rate of one stack levels off at one number of connections.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LineKnee {
    /// The line, by the case of the lowest missed target.
    #[serde(flatten)]
    pub case: Case,
    /// Where.
    #[serde(flatten)]
    pub knee: Knee,
}

/// How one app on one store scales with its workers at one load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scaling {
    /// The app.
    pub app: ComponentName,
    /// The store.
    pub store: ComponentName,
    /// Connections of the loader.
    pub concurrency: u32,
    /// The target, which every number of workers missed: what is met says nothing of scaling.
    pub target_rps: Rps,
    /// The law that fits within a tenth everywhere.
    #[serde(flatten)]
    pub law: Usl,
    /// How many numbers of workers it stands on. Through three it passes, unless a cost would be negative.
    pub points: usize,
}

/// Studies the trials of a dataset, given in the order of their cases, with the latencies of those that
/// were measured, by trial.
#[must_use]
pub fn analyse(trials: &[TrialRow], histograms: &BTreeMap<u64, Histogram>) -> Analysis {
    let cases: Vec<CaseAnalysis> = trials
        .chunk_by(|a, b| a.case == b.case)
        .map(|trials| CaseAnalysis::of(trials, histograms))
        .collect();
    let knees = knees(&cases);
    let scalings = scalings(&cases);
    let ends = trials.iter().map(|trial| ends(trial, histograms.get(&trial.trial))).collect();
    Analysis { cases, knees, scalings, ends }
}

/// Where the percentiles of a trial lie. Of a bound the distribution tells more than the figure.
fn ends(trial: &TrialRow, histogram: Option<&Histogram>) -> PercentileEnds {
    let mut ends = trial.latency.map(|figure| figure.map(|one| (one.value, Some(one.value))));
    if trial.latency.iter().flatten().any(|figure| figure.is_bound) {
        let pool = histogram.map(|own| Pool::new(&[own]));
        for (index, quantile) in QUANTILES.iter().enumerate() {
            if trial.latency[index].is_some_and(|figure| figure.is_bound) {
                ends[index] = pool.as_ref().and_then(|own| own.quantile_ends(quantile.share));
            }
        }
    }
    ends
}

/// The knee of each line of ranked cases.
fn knees(cases: &[CaseAnalysis]) -> Vec<LineKnee> {
    let is_line = |a: &CaseAnalysis, b: &CaseAnalysis| {
        a.case.stack == b.case.stack && a.case.concurrency == b.case.concurrency
    };
    let knee_of = |line: &[CaseAnalysis]| {
        let ranked: Vec<(&CaseAnalysis, f64)> = line
            .iter()
            .filter(|one| one.is_ranked())
            .filter_map(|one| Some((one, one.rate.as_ref()?.value)))
            .collect();
        let points: Vec<(Rps, f64)> =
            ranked.iter().map(|(one, rate)| (one.case.target_rps, *rate)).collect();
        let knee = knee(&points)?;
        let is_first = |(one, _): &&(&CaseAnalysis, f64)| one.case.target_rps == knee.missed_rps;
        let (first, _) = ranked.iter().find(is_first)?;
        Some(LineKnee { case: first.case.clone(), knee })
    };
    cases.chunk_by(is_line).filter_map(knee_of).collect()
}

fn scalings(cases: &[CaseAnalysis]) -> Vec<Scaling> {
    // By app, store and load; the cases of each in the order of workers.
    let mut groups: BTreeMap<_, Vec<&CaseAnalysis>> = BTreeMap::new();
    for one in cases {
        let Case { stack, concurrency, target_rps } = &one.case;
        groups.entry((&stack.app, &stack.store, concurrency, target_rps)).or_default().push(one);
    }
    let scaling = |((app, store, concurrency, target), cases): ((_, _, &u32, &Rps), Vec<_>)| {
        let points = saturated(&cases)?;
        let law = fit_usl(&points).filter(|law| law.worst_error <= MAX_ERROR)?;
        Some(Scaling {
            app: ComponentName::clone(app),
            store: ComponentName::clone(store),
            concurrency: *concurrency,
            target_rps: *target,
            law,
            points: points.len(),
        })
    };
    groups.into_iter().filter_map(scaling).collect()
}

/// (workers, rate) of cases that all missed their target; `None` when one met it or is not ranked.
fn saturated(cases: &[&CaseAnalysis]) -> Option<Vec<(f64, f64)>> {
    let point = |one: &&CaseAnalysis| {
        let rate = one.rate.as_ref().filter(|_| one.is_ranked())?.value;
        let is_missed = rate < one.case.target_rps.as_f64() * KEPT;
        is_missed.then(|| (f64::from(one.case.stack.workers), rate))
    };
    cases.iter().map(point).collect()
}
