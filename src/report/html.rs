//! The page.

use askama::Template;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use sha2::{Digest, Sha256};

use super::Report;
use super::charts::{Chart, charts};
use super::text::{capacity_text, p95_text, rate_text};
use crate::model::{Check, Flag};
use crate::query::CaseSummary;
use crate::store::{Manifest, PinnedComponent};

/// Why a page could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The template failed.
    #[error("cannot fill the report's template")]
    Template(#[from] askama::Error),
}

/// A report as one self-contained HTML file.
///
/// # Errors
/// When the template cannot be filled.
pub fn html(report: &Report) -> Result<String, ReportError> {
    let manifest = &report.manifest;
    let measured: u64 = report.cases.iter().map(|case| case.valid).sum();
    let page = Page {
        scripts: Scripts::new(),
        title: format!("{} · {}", manifest.experiment.name, report.dataset.short()),
        what: what_was_measured(manifest),
        dataset: report.dataset.to_string(),
        host: host_line(manifest),
        health: health(report, measured),
        charts: charts(manifest, &report.cases, &report.residuals),
        rows: report.cases.iter().map(row).collect(),
        failures: report.failures.iter().map(failure).collect(),
        flags: flags(report),
        components: manifest
            .bundle
            .components
            .iter()
            .filter(|one| is_used(manifest, one))
            .map(|one| component(manifest, one))
            .collect(),
        doubts: manifest.checks.iter().filter(|check| check.state.is_doubtful()).collect(),
        report,
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    scripts: Scripts,
    title: String,
    what: String,
    dataset: String,
    host: String,
    health: String,
    charts: Vec<Chart>,
    rows: Vec<CaseRow>,
    failures: Vec<FailureRow>,
    flags: Vec<FlagRow>,
    components: Vec<ComponentRow>,
    /// What on the host can disturb a measurement.
    doubts: Vec<&'a Check>,
    report: &'a Report,
}

struct CaseRow {
    app: String,
    store: String,
    workers: u32,
    concurrency: u32,
    target: u32,
    achieved: String,
    p95: String,
    planned: u64,
    completed: u64,
    failed: u64,
    censored: u64,
    valid: String,
}

struct FailureRow {
    trial: u64,
    case: String,
    stage: String,
    reason: String,
    log: String,
}

struct FlagRow {
    name: String,
    meaning: &'static str,
    trials: u64,
}

struct ComponentRow {
    title: String,
    version: String,
    identity: String,
    said: String,
}

/// The scripts of a page, and what it may do.
pub(super) struct Scripts {
    /// The bundle of Plotly's script that draws charts with two axes.
    pub plotly: &'static str,
    /// What draws the charts of a page.
    pub page: &'static str,
    /// Run these scripts and no other, and ask no host for anything. (Plotly sets styles while it draws,
    /// and saves pictures through addresses of its own data.)
    pub policy: String,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let plotly = include_str!(
            "plotly/node_modules/plotly.js-cartesian-dist-min/plotly-cartesian.min.js"
        );
        let page = include_str!("templates/page.js");
        let hash = |script: &str| format!("'sha256-{}'", BASE64.encode(Sha256::digest(script)));
        let policy = format!(
            "default-src 'none'; script-src {} {}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'",
            hash(plotly),
            hash(page)
        );
        Self { plotly, page, policy }
    }
}

fn what_was_measured(manifest: &Manifest) -> String {
    let names = |wanted: &[crate::model::ComponentName]| {
        let title = |name: &crate::model::ComponentName| {
            let found = manifest.bundle.components.iter().find(|one| one.name == *name);
            found.map_or_else(|| name.to_string(), |one| one.title.clone())
        };
        wanted.iter().map(title).collect::<Vec<_>>().join(" and ")
    };
    format!("{} on {}", names(&manifest.experiment.apps), names(&manifest.experiment.stores))
}

fn host_line(manifest: &Manifest) -> String {
    let host = &manifest.host;
    let gib = host.memory_bytes.div_ceil(1 << 30);
    format!(
        "{}, {} CPUs, {gib} GiB, {}, Linux {}, {} launcher",
        host.cpu_model, host.cpus, host.os, host.kernel, manifest.launcher
    )
}

fn health(report: &Report, valid: u64) -> String {
    let total: u64 = report.cases.iter().map(|case| case.trials).sum();
    let flagged: u64 = report.flags.iter().map(|count| count.trials).sum();
    let failed = report.failures.len();
    format!("{valid} of {total} trials valid, {flagged} flagged, {failed} failed")
}

fn row(summary: &CaseSummary) -> CaseRow {
    let case = &summary.case;
    CaseRow {
        app: case.stack.app.to_string(),
        store: case.stack.store.to_string(),
        workers: case.stack.workers,
        concurrency: case.concurrency,
        target: case.target_rps,
        achieved: rate_text(summary),
        p95: p95_text(summary),
        planned: summary.planned,
        completed: summary.completed,
        failed: summary.failed,
        censored: summary.censored,
        valid: format!("{} of {}", summary.valid, summary.trials),
    }
}

fn failure(failed: &crate::query::FailedTrial) -> FailureRow {
    FailureRow {
        trial: failed.trial,
        case: failed.case.to_string(),
        stage: failed.stage.clone(),
        reason: failed.reason.clone(),
        log: failed.log.clone(),
    }
}

fn flags(report: &Report) -> Vec<FlagRow> {
    let carried = |flag: Flag| -> u64 {
        let counts = report.flags.iter();
        counts.filter(|count| count.has(flag)).map(|count| count.trials).sum()
    };
    Flag::ALL
        .into_iter()
        .map(|flag| FlagRow {
            name: flag.as_str().to_owned(),
            meaning: flag.meaning(),
            trials: carried(flag),
        })
        .filter(|row| row.trials > 0)
        .collect()
}

fn is_used(manifest: &Manifest, component: &PinnedComponent) -> bool {
    let experiment = &manifest.experiment;
    let mut used = experiment.apps.iter().chain(&experiment.stores);
    used.any(|name| *name == component.name)
}

fn component(manifest: &Manifest, component: &PinnedComponent) -> ComponentRow {
    let reports = manifest.reports.get(component.name.as_str());
    let fields = reports.into_iter().flatten().flatten();
    let mut said: Vec<String> = fields.map(|(name, value)| format!("{name} {value}")).collect();
    said.dedup();
    ComponentRow {
        title: component.title.clone(),
        version: component.version.clone().unwrap_or_default(),
        identity: component.identity.short(),
        said: said.join(" · "),
    }
}
