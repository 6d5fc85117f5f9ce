//! A dataset as Markdown, for an issue or a wiki page.

use super::Report;
use super::html::{health, host_line, what_was_measured};
use super::pull_request::{cell, inline, put};
use super::summary::{assumption, headline};
use super::text::{UNSUPPORTED, UNSUPPORTED_MEANING, capacity_text, percentile_text, rate_text};
use crate::model::{Flag, QUANTILES};

/// The percentiles that are shown, by their places in [`QUANTILES`]: p50, p95 and p99.
const SHOWN: [usize; 3] = [0, 2, 3];

/// A dataset as Markdown.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let manifest = &report.manifest;
    let mut text = format!("### {}\n\n", inline(&headline(report)));
    if let Some(assumption) = assumption(report) {
        put(&mut text, &format!("{}.\n", inline(&assumption)));
    }
    put(&mut text, &format!("{}\n", inline(&what_was_measured(manifest))));
    put(&mut text, &format!("{}. {}.\n", health(report), inline(&host_line(manifest))));
    if !report.is_verified {
        put(&mut text, "> **Warning:** this dataset was not verified against its hashes.\n");
    }
    for one in &manifest.capacities {
        let (stack, connections, slo) = (&one.stack, one.concurrency, cell(&one.slo.to_string()));
        let rate = capacity_text(one);
        put(&mut text, &format!("- {stack}, {connections} connections, keeping {slo}: {rate}"));
    }
    case_table(&mut text, report);
    let flags: Vec<Flag> = Flag::ALL.into_iter().filter(|flag| report.carried(*flag) > 0).collect();
    if !flags.is_empty() {
        put(&mut text, "\n| flag | trials | ranked | meaning |\n| --- | ---: | --- | --- |");
    }
    for flag in flags {
        let (name, trials, meaning) = (flag.as_str(), report.carried(flag), flag.meaning());
        let ranked = if flag.forbids_ranking() { "no" } else { "yes" };
        put(&mut text, &format!("| `{name}` | {trials} | {ranked} | {meaning} |"));
    }
    for trial in &report.trials {
        let Some(failure) = &trial.failure else { continue };
        let (id, case, stage) = (trial.trial, &trial.case, failure.stage.as_str());
        let reason = inline(&failure.reason);
        put(&mut text, &format!("\n- trial {id} ({case}) failed at {stage}: {reason}"));
    }
    put(
        &mut text,
        &format!(
            "\nDataset `{}`, bundle `{}`, spec {}, seed {}, {}. Figures in brackets come from trials that are not ranked. A latency after “>” is a lower bound.",
            report.dataset,
            manifest.bundle.id,
            cell(&manifest.experiment.name),
            manifest.experiment.seed,
            manifest.started
        ),
    );
    text
}

fn case_table(text: &mut String, report: &Report) {
    let names = SHOWN.map(|place| QUANTILES[place].name).join(" | ");
    put(
        text,
        &format!(
            "| app | store | workers | connections | target/s | achieved | {names} | failed | unfinished | valid |"
        ),
    );
    put(
        text,
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    );
    for one in &report.analysis.cases {
        let case = &one.case;
        let latencies = SHOWN.map(|place| percentile_text(one, place)).join(" | ");
        put(
            text,
            &format!(
                "| {} | {} | {} | {} | {} | {} | {latencies} | {} | {} | {} of {} |",
                case.stack.app,
                case.stack.store,
                case.stack.workers,
                case.concurrency,
                case.target_rps,
                rate_text(one),
                one.failed,
                one.censored,
                one.valid,
                one.trials
            ),
        );
    }
    if text.contains(UNSUPPORTED) {
        put(text, &format!("\n{UNSUPPORTED_MEANING}."));
    }
}
