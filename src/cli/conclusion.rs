//! The end of a run: its figures, its report, what failed, and the exit code.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::args::{RunArgs, place_flag};
use super::output::{Channel, capacity_table, case_table, note};
use super::pages::{report_file, shown, write_report};
use crate::app::{AppError, Measured, Report, SideTrials};
use crate::model::rules::Exit;
use crate::model::{Flag, MAX_LINE_CHARS, Stage, TrialRow, one_line};
use crate::run::MAX_FAILURES;
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

impl<'run> Ending<'run> {
    /// How the end of a run with such arguments is shown.
    pub(super) fn of(args: &'run RunArgs) -> Self {
        let (is_strict, results) = (args.strict, &*args.places.results);
        Self { is_strict, channel: Channel::Output, results }
    }
}

/// Shows what came of a run, and writes its report.
pub(super) fn conclude(measured: &Measured, ending: Ending<'_>) -> Result<ExitCode, AppError> {
    let Measured { store, recorded, report } = measured;
    let Ending { channel, results, .. } = ending;
    if report.analysis.cases.len() <= MAX_ROWS {
        channel.print(&case_table(&report.analysis.cases))?;
    }
    channel.print(&format!("\ndataset {}\n", report.dataset))?;
    if report.manifest.has_measured() {
        let path = write_report(store, report, None).map_err(|error| {
            error.hint("the dataset is safe: `perf-api report --output FILE` shows it")
        })?;
        channel.print(&format!("report  {}\n", shown(&path).display()))?;
    }
    let capacities = &report.manifest.capacities;
    if !capacities.is_empty() {
        channel.print(&capacity_table(capacities))?;
    }
    note_failures(&report.trials);
    for stack in &recorded.given_up {
        note(&format!("{stack} was given up after {MAX_FAILURES} failures in a row"));
    }
    let (total, failed) = (recorded.measured + recorded.failed, recorded.failed);
    let forbidding = Flag::ALL.into_iter().filter(|flag| flag.forbids_ranking());
    let carried = forbidding.map(|flag| (flag, report.carried(flag)));
    let left_out: Vec<(Flag, usize)> = carried.filter(|(_, trials)| *trials > 0).collect();
    note_left_out(total, &left_out);
    if !report.manifest.has_measured() {
        note_nothing_measured(store, report, results);
    }
    Ok(exit_code(&SideTrials { total, failed, left_out }, "", ending.is_strict))
}

/// Notes what failed on one side of a comparison, and gives the exit code for it.
pub(super) fn conclude_side(trials: &SideTrials, name: &str, is_strict: bool) -> ExitCode {
    if is_strict {
        note_left_out(trials.total, &trials.left_out);
    }
    exit_code(trials, &format!(" {name}"), is_strict)
}

/// The first exit code that is no success.
pub(super) fn first_failure(codes: &[ExitCode]) -> ExitCode {
    codes.iter().copied().find(|code| *code != ExitCode::SUCCESS).unwrap_or(ExitCode::SUCCESS)
}

fn exit_code(trials: &SideTrials, side: &str, is_strict: bool) -> ExitCode {
    let SideTrials { total, failed, left_out } = trials;
    if *failed > 0 {
        note(&format!("{failed} of {total} trials{side} failed"));
        return Exit::TrialsFailed.into();
    }
    if is_strict && !left_out.is_empty() {
        note(&format!("`--strict`: trials{side} that cannot be ranked count as failed"));
        return Exit::TrialsFailed.into();
    }
    ExitCode::SUCCESS
}

/// Notes which flags keep trials out of rankings.
fn note_left_out(total: usize, left_out: &[(Flag, usize)]) {
    for (flag, trials) in left_out {
        let (name, meaning) = (flag.as_str(), flag.meaning());
        note(&format!("{trials} of {total} trials: {name}: {meaning}"));
    }
    if !left_out.is_empty() {
        note("figures in brackets come only from such trials and are not ranked");
    }
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
    let page = report_file(store);
    note(&format!(
        "no trial was measured: the dataset is kept, and neither `latest` nor {} changed",
        shown(&page).display()
    ));
    note(&format!(
        "`perf-api report {id} --output failed.html{}` shows it",
        place_flag("results", results)
    ));
}
