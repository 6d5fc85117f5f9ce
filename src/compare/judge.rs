//! From changes to verdicts: every question of a comparison at once.

use std::collections::BTreeMap;

use super::calibration::MIN_SESSIONS;
use super::effect::{Cell, pooled, to_change};
use super::{
    Basis, Broken, CaseFinding, Comparison, Doubt, Factor, Finding, GroupFinding, Known, Rules,
    Side, Unjudged, Verdict, alarm, gate,
};
use crate::model::rules::POWER;
use crate::model::{Case, Flag, Metric, Sample, Stack};
use crate::stats::{Estimated, Prior, Scatter, adjusted, fit_prior, moderate, simes, t_quantile};
use crate::units::Rps;

/// Without a calibration, only a change beyond this ratio gets a verdict.
pub const MIN_UNCALIBRATED: f64 = 1.2;
/// Fewer repetitions may agree by luck where starts are bimodal: the variance of a case is then not
/// taken to be smaller than the typical one of its target rate.
const FEW_REPETITIONS: usize = 5;
/// The margin for the share of failed requests, as a difference.
const MARGIN_OF_ERRORS: f64 = 0.001;

/// Compares two sides.
///
/// Per metric and target rate, the cases' variances are moderated (Smyth 2004). The first level of
/// hypotheses are groups of cases by each factor (no mean change) and stacks (no change in any of its
/// cases; Simes 1986). Benjamini and Hochberg's procedure is applied to all of them, over all metrics.
/// Within each rejected stack it is applied to the cases, at a level that accounts for the selection
/// (source: Benjamini and Bogomolov 2014, *Selective inference on multiple families of hypotheses*).
#[must_use]
pub fn compare(before: &Side, after: &Side, rules: &Rules) -> Comparison {
    let cells = cells(&before.samples, &after.samples, rules);
    let absent = cells.iter().filter(|cell| !cell.is_comparable());
    let unjudged = absent.map(|cell| Unjudged {
        case: cell.case.clone(),
        metric: cell.metric,
        reason: why_absent(before, after, cell),
    });
    let unjudged = unjudged.collect();
    let single = cells.iter().filter(|cell| cell.is_comparable() && !cell.is_repeated());
    let judged = judge(&families(&cells, rules), rules);
    let mut cases: Vec<CaseFinding> = judged.cases;
    cases.extend(single.map(single_repetition));
    cases.sort_by(|a, b| (a.finding.metric, &a.case).cmp(&(b.finding.metric, &b.case)));
    Comparison {
        before: before.dataset,
        after: after.dataset,
        alpha: rules.alpha,
        basis: basis(rules),
        noted: gate::noted(before, after),
        alarms: alarm::alarms(before, after, &cells, rules),
        broken: broken(before, after),
        groups: judged.groups,
        cases,
        unjudged,
    }
}

/// Whether every group of cases has a verdict on the metrics that decide.
#[must_use]
pub fn is_decided(before: &[Sample], after: &[Sample], rules: &Rules, deciding: &[Metric]) -> bool {
    let cells = cells(before, after, rules);
    let groups = judge(&families(&cells, rules), rules).groups;
    let mut own = groups.iter().filter(|group| deciding.contains(&group.finding.metric));
    // A case without a usable trial belongs to no group, and is not decided.
    let are_usable = cells
        .iter()
        .filter(|cell| deciding.contains(&cell.metric))
        .all(|cell| cell.is_comparable() && cell.is_repeated());
    are_usable
        && !groups.is_empty()
        && own.all(|group| group.finding.verdict != Verdict::Inconclusive)
}

/// After how many blocks, of at most `most`, a comparison that may end early is analysed. The analyses
/// are few, since each one spends a part of the false-positive rate.
#[must_use]
pub fn looks(most: u32) -> Vec<u32> {
    let mut looks = vec![3.min(most)];
    while let Some(&last) = looks.last()
        && last < most
    {
        looks.push((last + last.div_ceil(2)).min(most));
    }
    looks
}

fn families<'a>(cells: &'a [Cell<'a>], rules: &Rules) -> Vec<Family<'a>> {
    let family = |metric: &Metric| {
        let is_usable =
            |cell: &&Cell<'_>| cell.metric == *metric && cell.is_comparable() && cell.is_repeated();
        Family::of(*metric, cells.iter().filter(is_usable).collect(), rules)
    };
    rules.metrics.iter().map(family).collect()
}

fn basis(rules: &Rules) -> Basis {
    let sessions = rules.calibration.as_ref().map_or(0, super::Calibration::sessions);
    match sessions {
        _ if rules.is_interleaved => Basis::Interleaved,
        sessions if sessions < MIN_SESSIONS => Basis::Uncalibrated,
        sessions => Basis::Calibrated { sessions },
    }
}

/// The cases whose trials failed on a side.
fn broken(before: &Side, after: &Side) -> Vec<Broken> {
    let (old, new) = (by_case(&before.samples), by_case(&after.samples));
    let reasons =
        |own: &[&Sample]| own.iter().filter_map(|one| one.failure.clone()).collect::<Vec<_>>();
    let of_case = |(case, old): (&&Case, &Vec<&Sample>)| {
        let new = new.get(*case)?;
        let (before, after) = (reasons(old), reasons(new));
        let reason = most_frequent(if after.is_empty() { &before } else { &after })?;
        Some(Broken {
            case: (*case).clone(),
            trials_before: old.len(),
            failed_before: before.len(),
            trials_after: new.len(),
            failed_after: after.len(),
            reason,
        })
    };
    old.iter().filter_map(of_case).collect()
}

/// The most frequent reason, and of several the first in alphabetical order; `None` for no trial.
fn most_frequent(reasons: &[String]) -> Option<String> {
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let most = counts.into_iter().rev().max_by_key(|(_, count)| *count);
    most.map(|(reason, _)| reason.clone())
}

/// Every case that both sides have, with each metric.
fn cells<'a>(before: &'a [Sample], after: &'a [Sample], rules: &Rules) -> Vec<Cell<'a>> {
    let (old, new) = (by_case(before), by_case(after));
    let mut cells = Vec::new();
    for &metric in &rules.metrics {
        for (case, old) in &old {
            let Some(new) = new.get(case) else { continue };
            cells.push(Cell::of(case, metric, [old, new], rules.is_interleaved));
        }
    }
    cells
}

fn by_case(samples: &[Sample]) -> BTreeMap<&Case, Vec<&Sample>> {
    let mut cases: BTreeMap<&Case, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        cases.entry(&sample.case).or_default().push(sample);
    }
    cases
}

/// Why a case cannot be judged: which side has no usable trial, and the flags of its trials.
fn why_absent(before: &Side, after: &Side, cell: &Cell<'_>) -> String {
    let sides = [("before", before, &cell.before), ("after", after, &cell.after)];
    let reasons =
        sides.into_iter().filter(|(_, _, own)| own.values.is_empty()).map(|(name, side, _)| {
            let own = side.samples.iter().filter(|sample| sample.case == *cell.case);
            let (mut failed, mut flags) = (0, Vec::new());
            for sample in own {
                failed += usize::from(sample.failure.is_some());
                flags.extend(sample.flags.iter().filter(|flag| flag.forbids_ranking()));
            }
            flags.sort();
            flags.dedup();
            let flags: Vec<&str> = flags.into_iter().map(|flag: &Flag| flag.as_str()).collect();
            match (failed, flags.is_empty()) {
                (0, true) => format!("{name}: no figure"),
                (0, false) => format!("{name}: no valid trial ({})", flags.join(", ")),
                (failed, _) => format!("{name}: {failed} trials failed"),
            }
        });
    reasons.collect::<Vec<_>>().join("; ")
}

/// The cases of one metric, with the variance that they share.
struct Family<'a> {
    metric: Metric,
    cells: Vec<&'a Cell<'a>>,
    estimates: Vec<Estimated>,
    between_runs: Option<Scatter>,
}

impl<'a> Family<'a> {
    fn of(metric: Metric, cells: Vec<&'a Cell<'a>>, rules: &Rules) -> Self {
        let scatters: Vec<Scatter> = cells.iter().map(|cell| cell.scatter()).collect();
        let strengths = strengths(&cells, &scatters);
        let repetitions = cells.iter().map(|cell| cell.repetitions()).min().unwrap_or(0);
        let between_runs = match &rules.calibration {
            Some(calibration) if !rules.is_interleaved => {
                calibration.between_runs(metric, repetitions)
            }
            _ => None,
        };
        let estimate = |(cell, own): (&&Cell<'_>, &Scatter)| {
            let strength = &strengths[&cell.case.target_rps];
            let mut scatter = moderate(*own, strength.prior, strength.df);
            if cell.repetitions() < FEW_REPETITIONS {
                scatter.variance = scatter.variance.max(strength.typical);
            }
            let mut parts = vec![cell.variance_of_change(scatter)];
            parts.extend(between_runs);
            Estimated::of_parts(cell.change(), &parts)
        };
        let estimates = cells.iter().zip(&scatters).map(estimate).collect();
        Self { metric, cells, estimates, between_runs }
    }

    /// The cases, by place, for which something holds.
    fn places(&self, holds: impl Fn(&Case) -> bool) -> Vec<usize> {
        (0..self.cells.len()).filter(|&place| holds(self.cells[place].case)).collect()
    }

    fn pooled(&self, places: &[usize]) -> Option<Estimated> {
        let cells: Vec<&Cell<'_>> = places.iter().map(|&place| self.cells[place]).collect();
        pooled(&cells, self.between_runs)
    }

    /// The verdict on a change of some cases of one metric.
    fn finding(&self, cells: &[&Cell<'_>], evidence: &Evidence<'_>, rules: &Rules) -> Finding {
        let metric = self.metric;
        let is_uncalibrated = self.is_uncalibrated(rules);
        let margin = cells.iter().map(|cell| margin(cell, rules)).fold(0.0, f64::max);
        let Evidence { estimate, adjusted_p, level, single } = evidence;
        let same = if metric == Metric::Errors { MARGIN_OF_ERRORS } else { rules.margin.ln_1p() };
        let known = known(cells);
        let (low, high) = estimate.interval(1.0 - rules.alpha);
        let is_sure = *adjusted_p <= rules.alpha && single.is_none_or(Cell::ranks_agree);
        let is_large = estimate.value.abs() > margin;
        let (verdict, doubt) = match known {
            Known::Nothing => (Verdict::Inconclusive, Some(Doubt::Bound)),
            _ if is_uncalibrated => {
                let beyond = MIN_UNCALIBRATED.ln().max(margin);
                match is_sure && (low > beyond || high < -beyond) {
                    true => allowed(direction(metric, estimate.value), known, estimate.value),
                    false => (Verdict::Inconclusive, Some(Doubt::Uncalibrated)),
                }
            }
            _ if is_sure && is_large => {
                allowed(direction(metric, estimate.value), known, estimate.value)
            }
            // At half the level each, so that the interval that is shown lies within the margin. A host's
            // higher detection limit makes nothing equivalent, so the margin here is the one that was set.
            Known::Exactly if estimate.equivalence_p(same) <= rules.alpha / 2.0 => {
                (Verdict::Equivalent, None)
            }
            Known::Exactly if is_sure => (Verdict::Inconclusive, Some(Doubt::AroundTheMargin)),
            Known::Exactly if low <= 0.0 && high >= 0.0 => {
                (Verdict::Inconclusive, Some(Doubt::Chance))
            }
            Known::Exactly if *adjusted_p > rules.alpha => {
                (Verdict::Inconclusive, Some(Doubt::Family))
            }
            Known::Exactly => (Verdict::Inconclusive, Some(Doubt::Ranks)),
            _ => (Verdict::Inconclusive, Some(Doubt::Bound)),
        };
        let least = match is_uncalibrated {
            true => MIN_UNCALIBRATED.ln().max(margin) + estimate.smallest_seen(rules.alpha, POWER),
            false => margin + estimate.error * t_quantile(POWER, estimate.df),
        };
        let smallest = estimate.smallest_seen(*level, POWER).max(least);
        Finding {
            metric,
            change: to_change(metric, estimate.value),
            low: to_change(metric, low),
            high: to_change(metric, high),
            known,
            adjusted_p: *adjusted_p,
            margin: to_change(metric, margin),
            smallest_seen: to_change(metric, smallest),
            verdict,
            doubt,
        }
    }

    /// Whether the variance between runs is unknown. The share of failed requests does not depend on it.
    fn is_uncalibrated(&self, rules: &Rules) -> bool {
        !rules.is_interleaved && self.metric != Metric::Errors && self.between_runs.is_none()
    }
}

/// The variance that cases of one target rate share.
struct Strength {
    prior: Option<Prior>,
    /// Degrees of freedom of all of them.
    df: f64,
    /// The median of their variances.
    typical: f64,
}

/// The shared variance of each target rate, since scatter depends on the load most. Where a rate has too
/// few cases, all cases share theirs.
fn strengths(cells: &[&Cell<'_>], scatters: &[Scatter]) -> BTreeMap<Rps, Strength> {
    let mut rates: BTreeMap<Rps, Vec<Scatter>> = BTreeMap::new();
    for (cell, scatter) in cells.iter().zip(scatters) {
        rates.entry(cell.case.target_rps).or_default().push(*scatter);
    }
    // Most cases have no failed request: their variances have no common distribution.
    let has_spread = cells.first().is_some_and(|cell| cell.metric != Metric::Errors);
    let strength = |own: &[Scatter]| {
        let lenders = if own.len() < MIN_LENDERS { scatters } else { own };
        Strength {
            prior: has_spread.then(|| fit_prior(lenders)).flatten(),
            df: lenders.iter().map(|scatter| scatter.df).sum(),
            typical: median(own.iter().map(|scatter| scatter.variance).collect()),
        }
    };
    rates.iter().map(|(rate, own)| (*rate, strength(own))).collect()
}

/// Fewer variances do not show how variances are distributed.
const MIN_LENDERS: usize = 12;

/// A hypothesis of the first level.
struct Question<'a> {
    family: &'a Family<'a>,
    places: Vec<usize>,
    p: f64,
    /// The group that is tested; `None` for a stack.
    group: Option<(Factor, String, Estimated)>,
}

struct Judged {
    groups: Vec<GroupFinding>,
    cases: Vec<CaseFinding>,
}

fn judge(families: &[Family<'_>], rules: &Rules) -> Judged {
    let questions: Vec<Question<'_>> = families.iter().flat_map(questions).collect();
    let p_values: Vec<f64> = questions.iter().map(|question| question.p).collect();
    let adjusted_p = adjusted(&p_values);
    let asked = count(questions.len());
    let found = count(adjusted_p.iter().filter(|p| **p <= rules.alpha).count());
    let (mut groups, mut cases) = (Vec::new(), Vec::new());
    for (question, adjusted_p) in questions.iter().zip(adjusted_p) {
        let Question { family, places, group, .. } = question;
        // The level at which one more hypothesis would be rejected.
        let level = rules.alpha * ((found + 1.0) / asked).min(1.0);
        if let Some((factor, level_name, estimate)) = group {
            let cells: Vec<&Cell<'_>> = places.iter().map(|&place| family.cells[place]).collect();
            let evidence = Evidence { estimate: *estimate, adjusted_p, level, single: None };
            let finding = family.finding(&cells, &evidence, rules);
            let (factor, level) = (*factor, level_name.clone());
            groups.push(GroupFinding { factor, level, cases: cells.len(), finding });
            continue;
        }
        let own: Vec<f64> = places.iter().map(|&place| family.estimates[place].p()).collect();
        let share = (asked / found.max(1.0)).max(1.0);
        for (&place, own_p) in places.iter().zip(adjusted(&own)) {
            let cell = family.cells[place];
            let evidence = Evidence {
                estimate: family.estimates[place],
                adjusted_p: (own_p * share).max(adjusted_p).min(1.0),
                level: level / count(places.len()),
                single: Some(cell),
            };
            cases.push(case_finding(cell, family.finding(&[cell], &evidence, rules)));
        }
    }
    Judged { groups, cases }
}

/// The hypotheses of the first level for a metric: each group by a factor that has several levels (and
/// by app in any case), and each stack.
fn questions<'a>(family: &'a Family<'a>) -> Vec<Question<'a>> {
    let mut questions = Vec::new();
    for factor in Factor::ALL {
        let mut levels: BTreeMap<(u64, String), Vec<usize>> = BTreeMap::new();
        for (place, cell) in family.cells.iter().enumerate() {
            let number = match factor {
                Factor::Workers => cell.case.stack.workers.into(),
                Factor::Target => cell.case.target_rps.milli(),
                Factor::App | Factor::Store => 0,
            };
            levels.entry((number, factor.level(cell.case))).or_default().push(place);
        }
        if levels.len() < 2 && factor != Factor::App {
            continue;
        }
        for ((_, level), places) in levels {
            let Some(estimate) = family.pooled(&places) else { continue };
            let group = Some((factor, level, estimate));
            questions.push(Question { family, places, p: estimate.p(), group });
        }
    }
    let mut stacks: Vec<&Stack> = family.cells.iter().map(|cell| &cell.case.stack).collect();
    stacks.dedup();
    for stack in stacks {
        let places = family.places(|case| case.stack == *stack);
        let own: Vec<f64> = places.iter().map(|&place| family.estimates[place].p()).collect();
        questions.push(Question { family, places, p: simes(&own), group: None });
    }
    questions
}

/// The evidence for a change, before it is judged.
struct Evidence<'a> {
    estimate: Estimated,
    adjusted_p: f64,
    /// The level at which it alone would be rejected.
    level: f64,
    /// The case, where it is one: the ranks of its repetitions are tested as well.
    single: Option<&'a Cell<'a>>,
}

/// The margin on the scale of effects: the one that was set, or this host's detection limit if larger.
fn margin(cell: &Cell<'_>, rules: &Rules) -> f64 {
    if cell.metric == Metric::Errors {
        return MARGIN_OF_ERRORS;
    }
    let floor = match &rules.calibration {
        Some(calibration) if !rules.is_interleaved => {
            calibration.floor(cell.metric, cell.case.target_rps, cell.repetitions())
        }
        _ => None,
    };
    floor.unwrap_or(1.0).max(1.0 + rules.margin).ln()
}

/// What is known of the mean change of cases.
fn known(cells: &[&Cell<'_>]) -> Known {
    cells.iter().fold(Known::Exactly, |all, cell| match (all, cell.known()) {
        (known, Known::Exactly) | (Known::Exactly, known) => known,
        (one, other) if one == other => one,
        _ => Known::Nothing,
    })
}

fn direction(metric: Metric, effect: f64) -> Verdict {
    if (effect > 0.0) == metric.is_worse_higher() { Verdict::Regressed } else { Verdict::Improved }
}

/// A verdict, if the bounds of the change allow one in its direction.
fn allowed(verdict: Verdict, known: Known, effect: f64) -> (Verdict, Option<Doubt>) {
    let is_allowed = match known {
        Known::Exactly => true,
        Known::AtLeast => effect > 0.0,
        Known::AtMost => effect < 0.0,
        Known::Nothing => false,
    };
    match is_allowed {
        true => (verdict, None),
        false => (Verdict::Inconclusive, Some(Doubt::Bound)),
    }
}

fn case_finding(cell: &Cell<'_>, finding: Finding) -> CaseFinding {
    let natural = |effect: f64| if cell.metric == Metric::Errors { effect } else { effect.exp() };
    CaseFinding {
        case: cell.case.clone(),
        before: natural(cell.before.mean()),
        after: natural(cell.after.mean()),
        repetitions_before: cell.before.values.len(),
        repetitions_after: cell.after.values.len(),
        finding,
    }
}

/// A case with one repetition on a side: its change is shown, without a verdict.
fn single_repetition(cell: &Cell<'_>) -> CaseFinding {
    let metric = cell.metric;
    let change = to_change(metric, cell.change());
    let finding = Finding {
        metric,
        change,
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
        known: cell.known(),
        adjusted_p: 1.0,
        margin: f64::INFINITY,
        smallest_seen: f64::INFINITY,
        verdict: Verdict::Inconclusive,
        doubt: Some(Doubt::TooFewRepetitions),
    };
    case_finding(cell, finding)
}

#[expect(clippy::cast_precision_loss, reason = "there are few questions")]
fn count(count: usize) -> f64 {
    count as f64
}

/// The upper median; 0 for no value.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
