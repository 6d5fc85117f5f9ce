//! Verdicts on the terminal: the headline, the cases that changed, the groups, then the counts.

use super::output::{table, visible};
use crate::app::ComparisonReport;
use crate::compare::{Class, Factor, GroupFinding, Verdict};
use crate::model::Metric;
use crate::report::{
    basis_text, broken_sentence, change_text, comparison_headline, group_sentence, interval_text,
    smallest_text, summary, value_text,
};

/// Cases that are shown beside a page, which has all.
pub(super) const MAX_SHOWN: usize = 40;

/// A comparison for the terminal, with at most so many cases.
pub(super) fn verdicts(report: &ComparisonReport, max_shown: usize) -> String {
    let comparison = &report.comparison;
    let mut text = format!("{}\n\n", visible(&comparison_headline(report)));
    let side = |id: crate::id::DatasetId, manifest: &crate::store::Manifest| {
        format!("{}  {}, {}", id.short(), visible(&manifest.experiment.name), manifest.started)
    };
    text.push_str(&format!("before  {}\n", side(comparison.before, &report.before)));
    text.push_str(&format!("after   {}\n", side(comparison.after, &report.after)));
    for one in comparison.noted.iter().filter(|one| one.class != Class::Harmless) {
        let sign = if one.class == Class::Suspicious { "warning: " } else { "" };
        let [what, before, after] = [&one.what, &one.before, &one.after].map(|text| visible(text));
        text.push_str(&format!("{sign}{what}: {before} → {after}\n"));
    }
    for alarm in &comparison.alarms {
        text.push_str(&format!("warning: {alarm}\n"));
    }
    for one in comparison.broken.iter() {
        text.push_str(&format!("{}\n", broken_sentence(one)));
    }
    text.push_str(&cases(report, max_shown));
    text.push_str(&groups(report));
    text.push_str(&format!("\n{}\n{}\n\n", basis_text(comparison), summary(comparison)));
    text
}

/// The cases that changed, and those with a verdict that fails the job.
fn cases(report: &ComparisonReport, max_shown: usize) -> String {
    let listed = report.listed();
    if listed.is_empty() {
        return String::new();
    }
    let header =
        ["verdict", "metric", "case", "before", "after", "change", "interval", "detectable"];
    let rows: Vec<Vec<String>> = listed
        .iter()
        .take(max_shown)
        .map(|one| {
            let metric = one.finding.metric;
            vec![
                one.finding.verdict.as_str().to_owned(),
                metric.to_string(),
                one.case.to_string(),
                value_text(metric, one.before),
                value_text(metric, one.after),
                change_text(&one.finding),
                interval_text(&one.finding),
                smallest_text(&one.finding),
            ]
        })
        .collect();
    let left = listed.len().saturating_sub(max_shown);
    let more = if left > 0 { format!("and {left} more: see the page\n") } else { String::new() };
    format!("\n{}{more}", table(&header, &rows, 3))
}

/// The groups that are listed in a sentence each, and those of the apps in any case.
fn groups(report: &ComparisonReport) -> String {
    let comparison = &report.comparison;
    let of_interest = [Metric::Rate, Metric::P50, Metric::P95, Metric::P99];
    let is_shown = |group: &&GroupFinding| {
        report.lists(group)
            || group.factor == Factor::App && of_interest.contains(&group.finding.metric)
    };
    let mut shown: Vec<&GroupFinding> = comparison.groups.iter().filter(is_shown).collect();
    shown.sort_by_key(|group| (group.factor, group.finding.verdict));
    let mut text = String::new();
    if !shown.is_empty() {
        text.push_str("\nGroups of cases:\n");
    }
    for group in &shown {
        let verdict = group.finding.verdict.as_str();
        text.push_str(&format!("  {verdict:<12}  {}\n", group_sentence(group)));
    }
    let count = |verdict| {
        let own = comparison.groups.iter().filter(|group| !is_shown(group));
        own.filter(|group| group.finding.verdict == verdict).count()
    };
    let (same, unclear) = (count(Verdict::Equivalent), count(Verdict::Inconclusive));
    if same + unclear > 0 {
        text.push_str(&format!(
            "  of {} other groups {same} are equivalent and {unclear} inconclusive\n",
            same + unclear
        ));
    }
    text
}
