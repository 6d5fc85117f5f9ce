//! The end of a run: its figures, its report, what failed, and the exit code.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::compare::side;
use super::measure::place_flag;
use super::report::{shown, verified, write};
use crate::cli::error::CliError;
use crate::cli::location;
use crate::cli::output::{Channel, capacity_table, case_table, note};
use crate::id::DatasetId;
use crate::model::rules::Exit;
use crate::model::{Flag, MAX_LINE_CHARS, Stage, TrialRow, one_line};
use crate::report::Report;
use crate::run::{MAX_FAILURES, Recorded, RunSummary};
use crate::store::Store;

/// More rows than this are for the report, not for the terminal.
const MAX_ROWS: usize = 40;
/// More reasons of failed trials than this are for the report.
const MAX_REASONS: usize = 5;
/// More lines of a component's log than this are for the report.
const MAX_LOG_LINES: usize = 5;

/// How the end of a run is shown.
#[derive(Clone, Copy)]
pub(super) struct Ending<'run> {
    /// Whether trials that cannot be ranked count as failed.
    pub is_strict: bool,
    /// Where figures go: elsewhere than a machine-readable result.
    pub channel: Channel,
    /// Where results are, as typed.
    pub results: &'run str,
}

/// Shows what came of a run, and writes its report.
pub(super) async fn conclude(
    store: &Store,
    summary: RunSummary,
    ending: Ending<'_>,
) -> Result<ExitCode, CliError> {
    let Ending { channel, results, .. } = ending;
    let report = verified(store, summary.dataset).await?;
    if report.analysis.cases.len() <= MAX_ROWS {
        channel.print(&case_table(&report.analysis.cases))?;
    }
    channel.print(&format!("\ndataset {}\n", summary.dataset))?;
    if report.manifest.has_measured() {
        let path = write(store, &report, None).map_err(|error| {
            error.hint("the dataset is safe: `perf-api report --output FILE` shows it")
        })?;
        channel.print(&format!("report  {}\n", shown(&path).display()))?;
    }
    let capacities = &report.manifest.capacities;
    if !capacities.is_empty() {
        channel.print(&capacity_table(capacities))?;
    }
    note_failures(&report.trials);
    let Recorded { measured, failed, given_up } = summary.recorded;
    for stack in given_up {
        note(&format!("{stack} was given up after {MAX_FAILURES} failures in a row"));
    }
    let total = measured + failed;
    let left_out = note_left_out(total, |flag| report.carried(flag));
    if !report.manifest.has_measured() {
        note_nothing_measured(store, &report, results);
    }
    Ok(exit_code(&Trials { total, failed, left_out }, "", ending.is_strict))
}

/// Says what failed on either side of a comparison, and gives the exit code for it.
pub(super) async fn conclude_sides(
    store: &Store,
    sides: &[(DatasetId, &str)],
    is_strict: bool,
) -> Result<ExitCode, CliError> {
    let mut worst = ExitCode::SUCCESS;
    for &(id, name) in sides {
        let samples = side(store, id, None).await?.samples;
        let failed = samples.iter().filter(|sample| sample.failure.is_some()).count();
        let carried =
            |flag: Flag| samples.iter().filter(|sample| sample.flags.contains(&flag)).count();
        let left_out = match is_strict {
            true => note_left_out(samples.len(), carried),
            false => 0,
        };
        let trials = Trials { total: samples.len(), failed, left_out };
        let code = exit_code(&trials, &format!(" {name}"), is_strict);
        worst = if code == ExitCode::SUCCESS { worst } else { code };
    }
    Ok(worst)
}

/// How many trials of a run cannot be used.
struct Trials {
    total: usize,
    failed: usize,
    left_out: usize,
}

fn exit_code(trials: &Trials, side: &str, is_strict: bool) -> ExitCode {
    let Trials { total, failed, left_out } = *trials;
    if failed > 0 {
        note(&format!("{failed} of {total} trials{side} failed"));
        return Exit::TrialsFailed.into();
    }
    if is_strict && left_out > 0 {
        note(&format!("`--strict`: trials{side} that cannot be ranked count as failed"));
        return Exit::TrialsFailed.into();
    }
    ExitCode::SUCCESS
}

/// Says which flags keep trials out of rankings. Gives 0 when there is none.
fn note_left_out(total: usize, carried: impl Fn(Flag) -> usize) -> usize {
    let mut left_out = 0;
    for flag in Flag::ALL.into_iter().filter(|flag| flag.forbids_ranking()) {
        let trials = carried(flag);
        if trials > 0 {
            let (name, meaning) = (flag.as_str(), flag.meaning());
            note(&format!("{trials} of {total} trials: {name}: {meaning}"));
        }
        left_out += trials;
    }
    if left_out > 0 {
        note("figures in brackets are of such trials alone, and are not ranked");
    }
    left_out
}

/// Says why trials failed, each reason once, with the last lines of the component's log below it.
fn note_failures(trials: &[TrialRow]) {
    let mut reasons: BTreeMap<(String, &str, &str), (usize, &str)> = BTreeMap::new();
    for trial in trials {
        let Some(failure) = &trial.failure else { continue };
        if failure.stage != Stage::GivenUp {
            let key = (trial.case.stack.to_string(), failure.stage.as_str(), &*failure.reason);
            let (count, log) = reasons.entry(key).or_default();
            *count += 1;
            *log = &failure.log;
        }
    }
    let more = reasons.len().saturating_sub(MAX_REASONS);
    for ((stack, stage, reason), (count, log)) in reasons.into_iter().take(MAX_REASONS) {
        let trials = if count == 1 { "trial" } else { "trials" };
        note(&format!(
            "{stack}: {count} {trials} failed at {stage}: {}",
            one_line(reason, MAX_LINE_CHARS)
        ));
        let lines: Vec<&str> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(MAX_LOG_LINES)..] {
            note(&format!("    log: {}", one_line(line, MAX_LINE_CHARS)));
        }
    }
    if more > 0 {
        note(&format!("and {more} more reasons: see the report"));
    }
}

fn note_nothing_measured(store: &Store, report: &Report, results: &str) {
    let id = report.dataset.short();
    let page = location::report_file(store);
    note(&format!(
        "no trial was measured: the dataset is kept, and neither `latest` nor {} changed",
        shown(&page).display()
    ));
    note(&format!(
        "`perf-api report {id} --output failed.html{}` shows it",
        place_flag("results", results)
    ));
}
