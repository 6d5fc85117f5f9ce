//! Verdicts on the terminal: what changed, then the groups, then how much there is of everything.

use super::output::{table, visible};
use crate::compare::{Class, Comparison, Factor, GroupFinding, Verdict};
use crate::model::Metric;
use crate::report::{
    ComparisonReport, basis_text, broken_sentence, change_text, group_sentence, interval_text,
    smallest_text, summary, value_text,
};

/// Changed cases that are shown; the page has all.
const MOST_SHOWN: usize = 40;

/// A comparison for the terminal.
pub(super) fn verdicts(report: &ComparisonReport) -> String {
    let comparison = &report.comparison;
    let mut text = String::new();
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
    text.push_str(&changed(comparison));
    text.push_str(&groups(comparison));
    text.push_str(&format!("\n{}\n{}\n\n", basis_text(comparison), summary(comparison)));
    text
}

fn changed(comparison: &Comparison) -> String {
    let changed = comparison.changed();
    if changed.is_empty() {
        return format!("\n{}.\n", comparison.headline());
    }
    let header =
        ["verdict", "metric", "case", "before", "after", "change", "interval", "could see"];
    let rows: Vec<Vec<String>> = changed
        .iter()
        .take(MOST_SHOWN)
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
    let left = changed.len().saturating_sub(MOST_SHOWN);
    let more = if left > 0 { format!("and {left} more: see the page\n") } else { String::new() };
    format!("\n{}{more}", table(&header, &rows, 3))
}

/// The groups that changed in a sentence each, and those of the apps in any case.
fn groups(comparison: &Comparison) -> String {
    let of_interest = [Metric::Rate, Metric::P50, Metric::P95, Metric::P99];
    let is_shown = |group: &&GroupFinding| {
        group.finding.verdict.is_change()
            || group.factor == Factor::App && of_interest.contains(&group.finding.metric)
    };
    let mut shown: Vec<&GroupFinding> = comparison.groups.iter().filter(is_shown).collect();
    shown.sort_by_key(|group| (group.factor, group.finding.verdict));
    let mut text = String::new();
    if !shown.is_empty() {
        text.push_str("\nTogether:\n");
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
