//! The page of a comparison.

mod charts;

use std::collections::BTreeSet;

use askama::Template;

use self::charts::{DistributionChart, IntervalChart, distribution_chart, interval_charts};
use super::ComparisonReport;
use super::findings::{
    basis_text, case_sentence, change_text, group_sentence, interval_text, margin_text, p_text,
    smallest_text, summary, value_text,
};
use super::headline::comparison_headline;
use super::html::{ReportError, Scripts};
use crate::compare::{
    CaseFinding, Class, Comparison, Factor, Finding, GroupFinding, Known, Noted, Verdict,
};
use crate::id::DatasetId;
use crate::model::{ComponentName, Metric};
use crate::store::Manifest;
use crate::units::percent;

/// A comparison as one self-contained HTML file.
///
/// # Errors
/// When the template cannot be filled.
pub fn comparison_html(report: &ComparisonReport) -> Result<String, ReportError> {
    let comparison = &report.comparison;
    let (before, after) = (comparison.before.short(), comparison.after.short());
    let group_rows = || comparison.groups.iter();
    let is_changed = |one: &&GroupFinding| one.finding.verdict.is_change();
    let metrics = each_once(comparison.groups.iter().map(|one| one.finding.metric));
    let page = ComparisonPage {
        scripts: Scripts::new(include_str!("templates/page.js")),
        title: format!("{before} → {after}"),
        headline: comparison_headline(report),
        before,
        after,
        summary: summary(comparison),
        basis: basis_text(comparison).replace('`', ""),
        alpha: format!("{} %", percent(comparison.alpha)),
        level: format!("{} %", percent(1.0 - comparison.alpha)),
        changed: comparison.changed().into_iter().map(case_row).collect(),
        changed_groups: group_rows().filter(is_changed).map(group_row).collect(),
        groups: group_rows().map(group_row).collect(),
        matrix: matrix(comparison, &metrics),
        metrics: metrics.iter().map(|metric| metric.title()).collect(),
        intervals: interval_charts(comparison),
        distributions: (1..).zip(&report.distributions).map(distribution_chart).collect(),
        unjudged: comparison
            .unjudged
            .iter()
            .map(|one| UnjudgedRow {
                case: one.case.to_string(),
                metric: one.metric.title(),
                reason: one.reason.clone(),
            })
            .collect(),
        provenance: provenance(report),
        noted: noted(comparison),
        figures: comparison.cases.iter().map(case_row).collect(),
        report,
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "comparison.html")]
struct ComparisonPage<'a> {
    scripts: Scripts,
    title: String,
    headline: String,
    /// The datasets' ids, short.
    before: String,
    after: String,
    summary: String,
    basis: String,
    /// The false discovery rate, and the level of intervals.
    alpha: String,
    level: String,
    /// Cases that changed, the largest change first.
    changed: Vec<CaseRow>,
    changed_groups: Vec<GroupRow>,
    groups: Vec<GroupRow>,
    /// The columns of the matrix.
    metrics: Vec<&'static str>,
    matrix: Vec<MatrixRow>,
    intervals: Vec<IntervalChart>,
    distributions: Vec<DistributionChart>,
    unjudged: Vec<UnjudgedRow>,
    provenance: Vec<ProvenanceRow>,
    noted: Vec<NotedRow>,
    /// Every case with every metric.
    figures: Vec<CaseRow>,
    report: &'a ComparisonReport,
}

/// A verdict that can be read without its colour: a sign for the direction, the verdict, the change.
struct Mark {
    /// The name of its style: the verdict, or `none`.
    verdict: &'static str,
    sign: &'static str,
    word: &'static str,
    change: String,
    sentence: String,
}

struct CaseRow {
    metric: &'static str,
    case: String,
    before: String,
    after: String,
    mark: Mark,
    interval: String,
    smallest: String,
    margin: String,
    p: String,
    repetitions: String,
}

struct GroupRow {
    level: String,
    cases: usize,
    metric: &'static str,
    mark: Mark,
    interval: String,
    smallest: String,
    p: String,
}

/// A group with all its metrics.
struct MatrixRow {
    factor: &'static str,
    level: String,
    cells: Vec<Mark>,
}

struct UnjudgedRow {
    case: String,
    metric: &'static str,
    reason: String,
}

struct ProvenanceRow {
    what: String,
    before: String,
    after: String,
    differs: bool,
}

struct NotedRow {
    class: &'static str,
    is_suspicious: bool,
    what: String,
    before: String,
    after: String,
}

fn mark(finding: &Finding, sentence: String) -> Mark {
    let direction = if finding.change >= 0.0 { "▲" } else { "▼" };
    let sign = match finding.verdict {
        Verdict::Regressed | Verdict::Improved => direction,
        Verdict::Equivalent => "=",
        Verdict::Inconclusive => "?",
    };
    let word = finding.verdict.as_str();
    Mark { verdict: word, sign, word, change: change_text(finding), sentence }
}

fn case_row(one: &CaseFinding) -> CaseRow {
    let finding = &one.finding;
    let is_unknown = finding.known == Known::Nothing;
    let bounded = |value: f64, is_bound: bool| {
        let sign = if is_bound { "> " } else { "" };
        format!("{sign}{}", value_text(finding.metric, value))
    };
    CaseRow {
        metric: finding.metric.title(),
        case: one.case.to_string(),
        before: bounded(one.before, is_unknown || finding.known == Known::AtMost),
        after: bounded(one.after, is_unknown || finding.known == Known::AtLeast),
        mark: mark(finding, case_sentence(one)),
        interval: interval_text(finding),
        smallest: smallest_text(finding),
        margin: margin_text(finding),
        p: p_text(finding.adjusted_p),
        repetitions: format!("{} / {}", one.repetitions_before, one.repetitions_after),
    }
}

fn group_row(one: &GroupFinding) -> GroupRow {
    GroupRow {
        level: one.level.clone(),
        cases: one.cases,
        metric: one.finding.metric.title(),
        mark: mark(&one.finding, group_sentence(one)),
        interval: interval_text(&one.finding),
        smallest: smallest_text(&one.finding),
        p: p_text(one.finding.adjusted_p),
    }
}

/// All groups with all metrics, by factor.
fn matrix(comparison: &Comparison, metrics: &[Metric]) -> Vec<MatrixRow> {
    let mut groups: Vec<(Factor, &str)> = Vec::new();
    for one in &comparison.groups {
        let group = (one.factor, one.level.as_str());
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups.sort_by_key(|&(factor, _)| factor);
    let cell = |factor: Factor, level: &str, metric: Metric| {
        let is_it = |one: &&GroupFinding| {
            one.factor == factor && one.level == level && one.finding.metric == metric
        };
        match comparison.groups.iter().find(is_it) {
            Some(one) => mark(&one.finding, group_sentence(one)),
            None => Mark {
                verdict: "none",
                sign: "–",
                word: "not judged",
                change: String::new(),
                sentence: String::new(),
            },
        }
    };
    groups
        .into_iter()
        .map(|(factor, level)| MatrixRow {
            factor: factor_name(factor),
            level: level.to_owned(),
            cells: metrics.iter().map(|&metric| cell(factor, level, metric)).collect(),
        })
        .collect()
}

/// The metrics, each once.
fn each_once(all: impl Iterator<Item = Metric>) -> Vec<Metric> {
    all.collect::<BTreeSet<Metric>>().into_iter().collect()
}

fn factor_name(factor: Factor) -> &'static str {
    match factor {
        Factor::App => "app",
        Factor::Store => "store",
        Factor::Workers => "workers",
        Factor::Target => "target rate",
    }
}

/// Both datasets side by side, then the components of both.
fn provenance(report: &ComparisonReport) -> Vec<ProvenanceRow> {
    let comparison = &report.comparison;
    let row = |what: String, before: String, after: String| ProvenanceRow {
        differs: before != after,
        what,
        before,
        after,
    };
    let (before, after) =
        (source(comparison.before, &report.before), source(comparison.after, &report.after));
    let mut rows: Vec<ProvenanceRow> = before
        .into_iter()
        .zip(after)
        .map(|((what, before), (_, after))| row(what.to_owned(), before, after))
        .collect();
    let both = [&report.before.experiment, &report.after.experiment];
    let names: BTreeSet<&ComponentName> =
        both.into_iter().flat_map(|one| one.apps.iter().chain(&one.stores)).collect();
    for name in names {
        let (before, after) = (component(&report.before, name), component(&report.after, name));
        rows.push(row(format!("component {name}"), before, after));
    }
    rows
}

/// Where the figures of a dataset come from.
fn source(dataset: DatasetId, manifest: &Manifest) -> Vec<(&'static str, String)> {
    let experiment = &manifest.experiment;
    let host = &manifest.host;
    let gib = host.memory_bytes.div_ceil(1 << 30);
    let failed =
        manifest.failed_trials.map_or_else(String::new, |count| format!(", {count} failed"));
    vec![
        ("dataset", dataset.to_string()),
        ("spec", experiment.name.clone()),
        ("seed", experiment.seed.to_string()),
        ("repetitions", experiment.repetitions.to_string()),
        ("trials", format!("{}{failed}", manifest.trial_count())),
        ("started", manifest.started.to_string()),
        ("host", format!("{}, {} CPUs, {gib} GiB", host.cpu_model, host.cpus)),
        ("system", host.os.clone()),
        ("kernel", host.kernel.clone()),
        ("launcher", manifest.launcher.clone()),
        ("loader", manifest.load_driver.clone()),
        ("program", manifest.writer.clone()),
        ("bundle", manifest.bundle.id.to_string()),
    ]
}

/// What a component is in a dataset that measured it.
fn component(manifest: &Manifest, name: &ComponentName) -> String {
    let experiment = &manifest.experiment;
    let is_used = experiment.apps.contains(name) || experiment.stores.contains(name);
    let found = manifest.bundle.components.iter().find(|one| one.name == *name);
    match found.filter(|_| is_used) {
        Some(one) => format!(
            "{}, identity {}",
            one.version.as_deref().unwrap_or("(no version)"),
            one.identity
        ),
        None => "not measured".to_owned(),
    }
}

fn noted(comparison: &Comparison) -> Vec<NotedRow> {
    let row = |one: &Noted| NotedRow {
        class: one.class.as_str(),
        is_suspicious: one.class == Class::Suspicious,
        what: one.what.clone(),
        before: one.before.clone(),
        after: one.after.clone(),
    };
    comparison.noted.iter().map(row).collect()
}
