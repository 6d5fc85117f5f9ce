//! The headline of a comparison: what changed, the same in every format.

use std::collections::BTreeSet;

use super::ComparisonReport;
use super::charts::title;
use super::findings::{by_text, size_text};
use super::summary::grouped;
use crate::compare::{Broken, Comparison, Factor, Finding, GroupFinding, Verdict};
use crate::model::{Case, Metric};
use crate::store::Manifest;

/// What a comparison shows, in one line.
///
/// Cases that broke come first, then the largest regression, then the largest improvement when nothing
/// regressed. The largest is measured in multiples of the margin, and what clients notice (rate,
/// latency, errors) goes before CPU time and memory. The rest is counted.
#[must_use]
pub fn comparison_headline(report: &ComparisonReport) -> String {
    let comparison = &report.comparison;
    let mut parts: Vec<String> = Vec::new();
    parts.extend(broken_part(report));
    for verdict in [Verdict::Regressed, Verdict::Improved] {
        match parts.is_empty() || verdict == Verdict::Regressed {
            true => parts.extend(change_part(report, verdict)),
            false => parts.extend(more(comparison, verdict, 0)),
        }
    }
    if parts.is_empty() {
        return no_change(comparison);
    }
    capitalised(&parts.join("; "))
}

/// A sentence with a capital first letter, unless it starts with a percentile such as `p50`.
fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if !second.is_ascii_digit() => {
            first.to_uppercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

/// `Express at 2,000 requests/s broke: 5 of 5 trials failed`, and how many more cases broke.
fn broken_part(report: &ComparisonReport) -> Option<String> {
    let broke = report.comparison.broken.iter().filter(|one| one.is_regression());
    let broke: Vec<&Broken> = broke.collect();
    let first = broke.first()?;
    let Broken { failed_after, trials_after, .. } = first;
    let name = case_name(report, &first.case);
    let more = match broke.len() - 1 {
        0 => String::new(),
        1 => "; 1 more case broke".to_owned(),
        more => format!("; {more} more cases broke"),
    };
    Some(format!("{name} broke: {failed_after} of {trials_after} trials failed{more}"))
}

/// `p50 of Express at 2,000 requests/s regressed by 124 %`, and how many more figures did.
fn change_part(report: &ComparisonReport, verdict: Verdict) -> Option<String> {
    let comparison = &report.comparison;
    let cases = comparison.cases.iter().map(|one| (&one.finding, case_name(report, &one.case)));
    let groups = comparison.groups.iter().map(|one| (&one.finding, group_name(report, one)));
    let (finding, of) = largest(cases, verdict).or_else(|| largest(groups, verdict))?;
    let change = format!(
        "{} of {of} {} {} {}",
        finding.metric.title(),
        verdict.as_str(),
        by_text(finding),
        size_text(finding.metric, finding.change)
    );
    let more = more(comparison, verdict, 1).map_or_else(String::new, |more| format!("; {more}"));
    Some(change + &more)
}

/// The largest change with a verdict, the first of several.
fn largest<'a>(
    all: impl Iterator<Item = (&'a Finding, String)>,
    verdict: Verdict,
) -> Option<(&'a Finding, String)> {
    let own = all.filter(|(finding, _)| finding.verdict == verdict);
    own.reduce(|best, one| {
        let key = |finding: &Finding| (is_seen_by_clients(finding.metric), finding.size());
        let ((best_class, best_size), (class, size)) = (key(best.0), key(one.0));
        let is_larger = class.cmp(&best_class).then(size.total_cmp(&best_size)).is_gt();
        if is_larger { one } else { best }
    })
}

fn is_seen_by_clients(metric: Metric) -> bool {
    metric.is_latency() || matches!(metric, Metric::Rate | Metric::Errors)
}

/// `3 more figures regressed`, or of groups when no single case has the verdict; `named` of them are in
/// the headline already.
fn more(comparison: &Comparison, verdict: Verdict, named: usize) -> Option<String> {
    let (noun, count) = match comparison.count(verdict) {
        0 => ("group", comparison.count_groups(verdict)),
        cases => ("figure", cases),
    };
    let more = if named > 0 { " more" } else { "" };
    match count.saturating_sub(named) {
        0 => None,
        1 => Some(format!("1{more} {noun} {}", verdict.as_str())),
        count => Some(format!("{count}{more} {noun}s {}", verdict.as_str())),
    }
}

/// The headline of a comparison without a change.
fn no_change(comparison: &Comparison) -> String {
    let (judged, unjudged) = (comparison.cases.len(), comparison.unjudged.len());
    let all = judged + unjudged;
    let missing = match unjudged {
        0 => String::new(),
        count => format!(", {count} not judged"),
    };
    match comparison.count(Verdict::Equivalent) {
        _ if judged == 0 => {
            "Nothing could be judged: no case has valid trials on both sides".to_owned()
        }
        0 if all == 1 => "Inconclusive: neither a change nor equivalence is shown".to_owned(),
        0 => format!(
            "Inconclusive: neither a change nor equivalence is shown for any of {all} figures{missing}"
        ),
        same if same == all && all == 1 => "No change: equivalent within the margin".to_owned(),
        same if same == all => {
            format!("No change: all {all} figures are equivalent within the margin")
        }
        same => format!(
            "No change shown: {same} of {all} figures are equivalent, {} inconclusive{missing}",
            judged - same
        ),
    }
}

/// `Express on Redis at 2,000 requests/s`: the app, and each factor that differs among the cases.
fn case_name(report: &ComparisonReport, case: &Case) -> String {
    let comparison = &report.comparison;
    let cases = comparison.cases.iter().map(|one| &one.case);
    let cases = cases.chain(comparison.unjudged.iter().map(|one| &one.case));
    let all: BTreeSet<&Case> = cases.chain(comparison.broken.iter().map(|one| &one.case)).collect();
    let differs = |is_same: &dyn Fn(&Case) -> bool| all.iter().any(|one| !is_same(one));
    let mut name = title(&report.after, &case.stack.app);
    if differs(&|one| one.stack.store == case.stack.store) {
        name.push_str(&format!(" on {}", title(&report.after, &case.stack.store)));
    }
    if differs(&|one| one.stack.workers == case.stack.workers) {
        name.push_str(&format!(" with {}", Factor::Workers.level(case)));
    }
    if differs(&|one| one.concurrency == case.concurrency) {
        name.push_str(&format!(" over {} connections", grouped(&case.concurrency)));
    }
    if differs(&|one| one.target_rps == case.target_rps) {
        name.push_str(&format!(" at {} requests/s", grouped(&case.target_rps)));
    }
    name
}

/// `Express (8 cases together)`, `all stacks with 2 workers (8 cases together)`.
fn group_name(report: &ComparisonReport, group: &GroupFinding) -> String {
    let level = &group.level;
    let name = match group.factor {
        Factor::App => app_title(&report.after, level),
        Factor::Store => format!("all stacks {level}"),
        Factor::Workers => format!("all stacks with {level}"),
        Factor::Target => format!("all stacks at {level}"),
    };
    match group.cases {
        1 => name,
        cases => format!("{name} ({cases} cases together)"),
    }
}

fn app_title(manifest: &Manifest, name: &str) -> String {
    name.parse().map_or_else(|_| name.to_owned(), |name| title(manifest, &name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tests::{rules, side};
    use crate::compare::{Side, compare};
    use crate::units::Rps;

    const STEADY: [f64; 6] = [1.00, 1.01, 0.99, 1.00, 1.02, 0.98];

    fn report(before: Side, after: Side) -> ComparisonReport {
        let comparison = compare(&before, &after, &rules(Metric::P95));
        ComparisonReport {
            comparison,
            before: before.manifest,
            after: after.manifest,
            is_forced: false,
            distributions: vec![],
            fail_on: vec![],
        }
    }

    /// Four apps; the latency of each is multiplied.
    fn headline(factors: [f64; 4]) -> String {
        let names = ["express", "b", "c", "d"];
        let values = factors.map(|factor| STEADY.map(|value| value * factor));
        let all = |values: &[[f64; 6]; 4]| -> Side {
            let cases = names.into_iter().zip(values).map(|(name, own)| (name, &own[..]));
            side(&cases.collect::<Vec<_>>())
        };
        comparison_headline(&report(all(&[STEADY; 4]), all(&values)))
    }

    #[test]
    fn a_headline_names_the_largest_change_and_counts_the_others() {
        let headlines = [
            [1.0, 1.0, 1.0, 1.0],
            [2.24, 1.0, 1.0, 1.0],
            [1.3, 2.24, 1.0, 1.0],
            [0.5, 1.0, 1.0, 1.0],
            [0.25, 1.3, 0.5, 1.4],
        ]
        .map(headline);
        insta::assert_snapshot!(headlines.join("\n"), @r"
        No change: all 4 figures are equivalent within the margin
        p95 of Express regressed by 124 %
        p95 of b regressed by 124 %; 1 more figure regressed
        p95 of Express improved by 50.0 %
        p95 of d regressed by 40.0 %; 1 more figure regressed; 2 figures improved
        ");
    }

    #[test]
    fn without_a_change_a_headline_says_what_is_known() {
        let unsteady = [1.2, 0.8, 1.1, 0.9, 1.3, 0.85];
        let one = |values: &[f64]| side(&[("express", values)]);
        let inconclusive = report(one(&STEADY), one(&unsteady));
        let mixed = report(
            side(&[("express", &STEADY), ("b", &STEADY)]),
            side(&[("express", &STEADY), ("b", &unsteady)]),
        );
        let mut failed = one(&STEADY);
        for sample in &mut failed.samples {
            sample.is_valid = false;
            sample.failure = Some("it died".to_owned());
            sample.figures = [None; Metric::ALL.len()];
        }
        let broken = report(one(&STEADY), failed.clone());
        let nothing = report(failed.clone(), failed);
        let headlines = [inconclusive, mixed, broken, nothing].map(|one| comparison_headline(&one));
        insta::assert_snapshot!(headlines.join("\n"), @r"
        Inconclusive: neither a change nor equivalence is shown
        No change shown: 1 of 2 figures are equivalent, 1 inconclusive
        Express broke: 6 of 6 trials failed
        Nothing could be judged: no case has valid trials on both sides
        ");
    }

    #[test]
    fn a_case_is_named_by_the_factors_that_differ() {
        let two_rates = |values: &[f64]| {
            let mut own = side(&[("express", &STEADY), ("other", values)]);
            for sample in
                own.samples.iter_mut().filter(|one| one.case.stack.app.as_str() == "other")
            {
                sample.case.stack.app = "express".parse().unwrap();
                sample.case.target_rps = Rps::whole(2000);
            }
            own
        };
        let report = report(two_rates(&STEADY), two_rates(&STEADY.map(|value| value * 2.24)));
        assert_eq!(
            comparison_headline(&report),
            "p95 of Express at 2,000 requests/s regressed by 124 %"
        );
    }
}
