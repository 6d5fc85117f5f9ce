//! A comparison as Markdown for a pull request: short, with the details folded.

use std::fmt::Write;

use super::ComparisonReport;
use super::findings::{
    basis_text, broken_sentence, case_sentence, change_text, failure_text, group_sentence,
    interval_text, smallest_text, summary, value_text,
};
use super::headline::comparison_headline;
use crate::compare::{CaseFinding, Verdict};

/// Cases that are shown unfolded.
const MAX_SHOWN: usize = 20;

/// A comparison as Markdown.
#[must_use]
pub fn comparison_markdown(report: &ComparisonReport) -> String {
    let comparison = &report.comparison;
    let listed = report.listed();
    let mut text = format!("### perf-api: {}\n\n", inline(&comparison_headline(report)));
    let (before, after) = (comparison.before.short(), comparison.after.short());
    put(&mut text, &format!("`{before}` → `{after}` · {}\n", summary(comparison)));
    for alarm in &comparison.alarms {
        put(&mut text, &format!("> **Warning:** {}\n", inline(alarm)));
    }
    if report.is_forced {
        put(
            &mut text,
            "> **Warning:** the two are not comparable, and were compared with `--force`: see the differences below.\n",
        );
    }
    if let Some(found) = failure_text(report) {
        put(&mut text, &format!("**Failed** by `--fail-on`: {found}.\n"));
    }
    for one in &comparison.broken {
        put(&mut text, &format!("- {}", inline(&broken_sentence(one))));
    }
    let groups = comparison.groups.iter().filter(|one| report.lists(one));
    for group in groups {
        let verdict = group.finding.verdict.as_str();
        put(&mut text, &format!("- **{verdict}**: {}", inline(&group_sentence(group))));
    }
    if !listed.is_empty() {
        text.push('\n');
        case_table(&mut text, &listed[..listed.len().min(MAX_SHOWN)]);
    }
    put(&mut text, "\n<details><summary>Details</summary>\n");
    put(&mut text, &format!("{}\n", basis_text(comparison)));
    if listed.len() > MAX_SHOWN {
        case_table(&mut text, &listed[MAX_SHOWN..]);
        text.push('\n');
    }
    for one in &listed {
        put(&mut text, &format!("- {}", inline(&case_sentence(one))));
    }
    if !comparison.noted.is_empty() {
        put(&mut text, "\n| difference | before | after | class |\n| --- | --- | --- | --- |");
    }
    for one in &comparison.noted {
        let class = one.class.as_str();
        let cells = [&one.what, &one.before, &one.after].map(|text| cell(text));
        put(&mut text, &format!("| {} | {class} |", cells.join(" | ")));
    }
    for one in &comparison.unjudged {
        let reason = inline(&one.reason);
        put(&mut text, &format!("- not judged: {} of {}: {reason}", one.metric.title(), one.case));
    }
    put(&mut text, "\n</details>");
    text
}

fn case_table(text: &mut String, cases: &[&CaseFinding]) {
    put(text, "| verdict | metric | case | before | after | change | detectable |");
    put(text, "| --- | --- | --- | ---: | ---: | ---: | ---: |");
    for one in cases {
        let finding = &one.finding;
        let metric = finding.metric;
        put(
            text,
            &format!(
                "| {} | {metric} | {} | {} | {} | {} {} | {} |",
                marked(finding.verdict),
                one.case,
                value_text(metric, one.before),
                value_text(metric, one.after),
                change_text(finding),
                interval_text(finding),
                smallest_text(finding),
            ),
        );
    }
}

fn marked(verdict: Verdict) -> String {
    let word = verdict.as_str();
    if verdict.is_change() { format!("**{word}**") } else { word.to_owned() }
}

pub(super) fn put(text: &mut String, line: &str) {
    let _ = writeln!(text, "{line}");
}

/// Text on one line, with neither tags nor the end of a code span.
pub(super) fn inline(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    flat.replace('<', "&lt;").replace('`', "'")
}

/// Text of a dataset, which may be anybody's, as code: nothing in it is a link, an image or a mention.
pub(super) fn cell(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("`{}`", flat.replace('`', "'").replace('|', "\\|"))
}
