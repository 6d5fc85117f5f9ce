//! What one dataset shows: each case with its intervals, where lines level off, how stacks scale with
//! their workers, and which load each stack sustains.
//!
//! Trials in, estimates out: no I/O, no clock. The repetition is the unit everywhere.

mod cases;
mod sustained;

use std::collections::BTreeMap;

use serde::Serialize;

pub use cases::{CaseAnalysis, Estimate, LatencyEstimate, POINTS_PER_DECADE};
pub use sustained::{Evidence, LatencyLimit, PercentileEnds, SustainedLoad, sustained_loads};

use crate::model::{Case, ComponentName, Histogram, QUANTILES, TimelineSecond, TrialRow};
use crate::stats::{Knee, LoadPoint, Pool, Sustained, Usl, Votes, fit_usl, keeps_pace, knee};
use crate::units::Rps;

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
    /// What shows whether each trial sustained its load, in the order of trials.
    #[serde(skip)]
    pub evidence: Vec<Evidence>,
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

/// Analyses the trials of a dataset, given in the order of their cases, with the latencies of those that
/// were measured, by trial, and with their seconds, in the order of trials and seconds.
#[must_use]
pub fn analyse(
    trials: &[TrialRow],
    histograms: &BTreeMap<u64, Histogram>,
    timeline: &[(u64, TimelineSecond)],
) -> Analysis {
    let paces = paces(timeline);
    let pace = |trial: &TrialRow| paces.get(&trial.trial).copied();
    let evidence = trials.iter().map(|trial| Evidence {
        keeps_pace: pace(trial),
        percentiles: ends(trial, histograms.get(&trial.trial)),
    });
    let evidence = evidence.collect();
    let case = |trials: &[TrialRow]| {
        let one = CaseAnalysis::of(trials, histograms);
        let used = trials.iter().filter(|trial| trial.is_used(one.is_ranked()));
        let kept =
            used.filter_map(pace).map(|kept| if kept { Sustained::Yes } else { Sustained::No });
        CaseAnalysis { is_missed: kept.collect::<Votes>().verdict() == Sustained::No, ..one }
    };
    let cases: Vec<CaseAnalysis> = trials.chunk_by(|a, b| a.case == b.case).map(case).collect();
    let knees = knees(&cases);
    let scalings = scalings(&cases);
    Analysis { cases, knees, scalings, evidence }
}

/// Whether answers kept pace with the schedule, by trial.
fn paces(timeline: &[(u64, TimelineSecond)]) -> BTreeMap<u64, bool> {
    let own = timeline.chunk_by(|(a, _), (b, _)| a == b);
    let pace = |own: &[(u64, TimelineSecond)]| {
        let seconds: Vec<TimelineSecond> = own.iter().map(|(_, second)| second.clone()).collect();
        (own[0].0, keeps_pace(&seconds))
    };
    own.map(pace).collect()
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
        let ranked = line.iter().filter(|one| one.is_ranked());
        let point = |one: &CaseAnalysis| {
            Some(LoadPoint {
                target_rps: one.case.target_rps,
                achieved_rps: one.rate.as_ref()?.value,
                is_missed: one.is_missed,
            })
        };
        let points: Vec<LoadPoint> = ranked.clone().filter_map(point).collect();
        let knee = knee(&points)?;
        let first = ranked.clone().find(|one| one.case.target_rps == knee.missed_rps)?;
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
        one.is_missed.then(|| (f64::from(one.case.stack.workers), rate))
    };
    cases.iter().map(point).collect()
}
