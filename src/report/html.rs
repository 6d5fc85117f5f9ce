//! The page of a dataset.

use askama::Template;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use sha2::{Digest, Sha256};

use super::Report;
use super::charts::{Chart, case_charts, first_chart, safe, title, trial_charts};
use super::data::page_data;
use super::provenance::{ComponentRow, Step, chain, components, reproduce};
use super::summary::{
    Answer, Question, SustainedRow, answer, assumed, assumption, grouped, headline, limit_text,
    questions, sustained_rows,
};
use super::text::{UNSUPPORTED_MEANING, capacity_text, percentile_text, rate_text};
use crate::analysis::CaseAnalysis;
use crate::model::{Check, Flag, Order, QUANTILES, TrialRow, flag_names, rules};
use crate::query::{Query, SHOWN};
use crate::store::{Manifest, PinnedComponent};
use crate::units::{Rps, percent};

/// Why a page could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The template failed.
    #[error("cannot fill the report's template")]
    Template(#[from] askama::Error),
    /// The data is none that JSON can hold.
    #[error("cannot write the report's data")]
    Data(#[from] serde_json::Error),
}

/// A report as one self-contained HTML file.
///
/// # Errors
/// When the template cannot be filled.
pub fn html(report: &Report) -> Result<String, ReportError> {
    let manifest = &report.manifest;
    let questions = questions(report);
    let answers: Vec<Answer> = questions.iter().map(|one| answer(report, *one)).collect();
    let (command, spec) = reproduce(report);
    let page = Page {
        scripts: Scripts::new(PAGE_SCRIPT),
        title: format!("{} · {}", manifest.experiment.name, report.dataset.short()),
        headline: headline(report),
        assumption: assumption(report),
        what: what_was_measured(manifest),
        dataset: report.dataset.to_string(),
        host: host_line(manifest),
        health: health(report),
        notes: notes(report),
        assumed: assumed(report).map(|question| Assumed {
            question,
            workers: sorted(&manifest.experiment.workers),
            rows: sustained_rows(report, question),
        }),
        filters: Filters::of(report, &questions),
        chart: first_chart(manifest),
        case_charts: case_charts(manifest),
        trial_charts: trial_charts(),
        shown: &SHOWN,
        rows: report.analysis.cases.iter().map(row).collect(),
        unsupported: UNSUPPORTED_MEANING,
        limits: RuleText::new(),
        failures: report.trials.iter().filter_map(failure).collect(),
        flags: flags(report),
        chain: chain(report),
        components: components(manifest),
        command,
        spec,
        doubts: manifest.checks.iter().filter(|check| check.state.is_doubtful()).collect(),
        data: safe(&page_data(report, &answers)?),
        parquet: BASE64.encode(&report.trials_parquet),
        report,
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    scripts: Scripts,
    title: String,
    headline: String,
    /// What holds under a limit that nobody set.
    assumption: Option<String>,
    what: String,
    dataset: String,
    host: String,
    health: String,
    /// What applies to the whole run and readers have to know.
    notes: Vec<String>,
    assumed: Option<Assumed>,
    filters: Filters,
    chart: Chart,
    case_charts: Vec<Chart>,
    trial_charts: Vec<Chart>,
    shown: &'static [Query],
    rows: Vec<CaseRow>,
    /// The meaning of the mark of a percentile with too few requests.
    unsupported: &'static str,
    limits: RuleText,
    failures: Vec<FailureRow>,
    flags: Vec<FlagRow>,
    chain: Vec<Step>,
    components: Vec<ComponentRow>,
    /// The command that measures the same again, with the spec file that it names.
    command: String,
    spec: String,
    /// Settings of the host that can disturb a measurement.
    doubts: Vec<&'a Check>,
    data: String,
    parquet: String,
    report: &'a Report,
}

/// The rules that the page explains, in percent.
struct RuleText {
    sustained: String,
    failed: String,
    confidence: String,
}

impl RuleText {
    fn new() -> Self {
        Self {
            sustained: percent(rules::MIN_SUSTAINED_SHARE),
            failed: percent(rules::MAX_FAILED_SHARE),
            confidence: percent(rules::CONFIDENCE_LEVEL),
        }
    }
}

/// What is sustained under the limit that is assumed until the reader chooses another.
struct Assumed {
    question: Question,
    workers: Vec<u32>,
    rows: Vec<SustainedRow>,
}

impl Assumed {
    /// Whether a limit is the assumed one.
    fn is(&self, longest: &u64) -> bool {
        self.question.limit.is_some_and(|limit| limit.longest.0 == *longest)
    }
}

/// What a reader can choose.
struct Filters {
    apps: Vec<(String, String)>,
    stores: Vec<(String, String)>,
    workers: Vec<u32>,
    connections: Vec<(u32, String)>,
    targets: Vec<(Rps, String)>,
    percentiles: Vec<(usize, String)>,
    limits: Vec<(u64, String)>,
}

impl Filters {
    fn of(report: &Report, questions: &[Question]) -> Self {
        let manifest = &report.manifest;
        let experiment = &manifest.experiment;
        let named = |names: &[crate::model::ComponentName]| {
            names.iter().map(|name| (name.to_string(), title(manifest, name))).collect()
        };
        let limits = questions.iter().filter_map(|one| one.limit);
        let mut limits: Vec<_> = limits.map(|limit| limit.longest).collect();
        limits.sort_unstable();
        limits.dedup();
        Self {
            apps: named(&experiment.apps),
            stores: named(&experiment.stores),
            workers: sorted(&experiment.workers),
            connections: options(&experiment.concurrency),
            targets: options(&report.targets()),
            percentiles: QUANTILES
                .iter()
                .enumerate()
                .map(|(place, one)| (place, one.label()))
                .collect(),
            limits: limits.into_iter().map(|limit| (limit.0, limit_text(limit))).collect(),
        }
    }
}

struct CaseRow {
    app: String,
    store: String,
    workers: u32,
    concurrency: u32,
    target: Rps,
    achieved: String,
    percentiles: Vec<String>,
    planned: u64,
    completed: u64,
    failed: u64,
    censored: u64,
    valid: String,
    flags: String,
}

struct FailureRow {
    trial: u64,
    case: String,
    stage: &'static str,
    reason: String,
    log: String,
}

struct FlagRow {
    name: &'static str,
    meaning: String,
    trials: usize,
    is_ranked: bool,
}

/// The script of a dataset's page, in the order in which its parts need each other.
const PAGE_SCRIPT: &str = concat!(
    include_str!("templates/report/data.js"),
    include_str!("templates/report/state.js"),
    include_str!("templates/report/figures.js"),
    include_str!("templates/report/cards.js"),
    include_str!("templates/report/trials.js"),
    include_str!("templates/report/main.js"),
);

/// The scripts of a page, and its Content-Security-Policy.
pub(super) struct Scripts {
    /// The bundle of Plotly's script that draws charts with two axes.
    pub plotly: &'static str,
    /// The script that draws the charts of a page.
    pub page: &'static str,
    /// Allows these scripts and no other, and no request. (Plotly sets styles while it draws, and saves
    /// pictures through `blob:` and `data:` addresses.)
    pub policy: String,
}

impl Scripts {
    pub(super) fn new(page: &'static str) -> Self {
        let plotly = include_str!(
            "plotly/node_modules/plotly.js-cartesian-dist-min/plotly-cartesian.min.js"
        );
        let hash = |script: &str| format!("'sha256-{}'", BASE64.encode(Sha256::digest(script)));
        let policy = format!(
            "default-src 'none'; script-src {} {}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'",
            hash(plotly),
            hash(page)
        );
        Self { plotly, page, policy }
    }
}

pub(super) fn what_was_measured(manifest: &Manifest) -> String {
    let names = |wanted: &[crate::model::ComponentName]| {
        let named = |name: &crate::model::ComponentName| {
            let found = manifest.bundle.components.iter().find(|one| one.name == *name);
            let version = found.map(PinnedComponent::short_version).unwrap_or_default();
            format!("{} {version}", title(manifest, name)).trim().to_owned()
        };
        wanted.iter().map(named).collect::<Vec<_>>().join(" and ")
    };
    let experiment = &manifest.experiment;
    format!(
        "{} on {} · {} {} · {} connections · {} requests/s · {} × {}",
        names(&experiment.apps),
        names(&experiment.stores),
        grouped_list(&experiment.workers),
        if experiment.workers == [1] { "worker" } else { "workers" },
        grouped_list(&experiment.concurrency),
        match manifest.order {
            Order::Search => {
                let (low, high) = (experiment.qps.iter().min(), experiment.qps.iter().max());
                [low, high].into_iter().flatten().map(grouped).collect::<Vec<_>>().join(" to ")
            }
            _ => grouped_list(&experiment.qps),
        },
        experiment.repetitions,
        experiment.duration,
    )
}

pub(super) fn host_line(manifest: &Manifest) -> String {
    let host = &manifest.host;
    let gib = host.memory_bytes.div_ceil(1 << 30);
    format!(
        "{}, {} CPUs, {gib} GiB, {}, Linux {}, {} launcher",
        host.cpu_model, host.cpus, host.os, host.kernel, manifest.launcher
    )
}

/// `8 of 12 trials valid, 1 not ranked, 3 failed; 12 flagged cpus_shared`.
pub(super) fn health(report: &Report) -> String {
    let total = report.trials.len();
    let valid = report.trials.iter().filter(|trial| trial.is_valid).count();
    let failed = report.trials.iter().filter(|trial| trial.failure.is_some()).count();
    let left_out = total - valid - failed;
    let marks = flags(report).into_iter().filter(|row| row.is_ranked);
    let marks: Vec<String> =
        marks.map(|row| format!("{} flagged {}", row.trials, row.name)).collect();
    let marks = if marks.is_empty() { String::new() } else { format!("; {}", marks.join(", ")) };
    format!("{valid} of {total} trials valid, {left_out} not ranked, {failed} failed{marks}")
}

/// Flags that apply to a whole run, and so exclude no trial.
fn notes(report: &Report) -> Vec<String> {
    let shared = flags(report).into_iter().filter(|row| row.is_ranked);
    shared
        .map(|row| {
            let meaning = &row.meaning;
            format!(
                "In {} of {} trials {meaning}. Compare figures within this run, as ratios.",
                row.trials,
                report.trials.len()
            )
        })
        .collect()
}

fn sorted<T: Copy + Ord>(values: &[T]) -> Vec<T> {
    let mut values = values.to_vec();
    values.sort_unstable();
    values
}

/// Values in ascending order, each with its text: the options of a filter.
fn options<T: Copy + Ord + ToString>(values: &[T]) -> Vec<(T, String)> {
    sorted(values).into_iter().map(|one| (one, grouped(&one))).collect()
}

fn grouped_list<T: Copy + Ord + ToString>(values: &[T]) -> String {
    sorted(values).iter().map(grouped).collect::<Vec<_>>().join(", ")
}

fn row(one: &CaseAnalysis) -> CaseRow {
    let case = &one.case;
    CaseRow {
        app: case.stack.app.to_string(),
        store: case.stack.store.to_string(),
        workers: case.stack.workers,
        concurrency: case.concurrency,
        target: case.target_rps,
        achieved: rate_text(one),
        percentiles: (0..QUANTILES.len()).map(|place| percentile_text(one, place)).collect(),
        planned: one.planned,
        completed: one.completed,
        failed: one.failed,
        censored: one.censored,
        valid: format!("{} of {}", one.valid, one.trials),
        flags: flag_names(&one.flags).replace(',', ", "),
    }
}

fn failure(trial: &TrialRow) -> Option<FailureRow> {
    let failure = trial.failure.as_ref()?;
    Some(FailureRow {
        trial: trial.trial,
        case: trial.case.to_string(),
        stage: failure.stage.as_str(),
        reason: failure.reason.clone(),
        log: failure.log.clone(),
    })
}

fn flags(report: &Report) -> Vec<FlagRow> {
    let row = |flag: Flag| FlagRow {
        name: flag.as_str(),
        meaning: flag.meaning(),
        trials: report.carried(flag),
        is_ranked: !flag.forbids_ranking(),
    };
    Flag::ALL.into_iter().map(row).filter(|row| row.trials > 0).collect()
}
