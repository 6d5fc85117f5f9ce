//! What `report --compare` and `ab` share: two datasets in, verdicts out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::report::{shown, write_text};
use crate::cli::args::{self, ReportFormat};
use crate::cli::error::CliError;
use crate::cli::location;
use crate::cli::output::{note, print};
use crate::cli::verdicts::{MAX_SHOWN, verdicts};
use crate::compare::{
    Calibration, Class, Comparison, Noted, Rules, Side, Verdict, compare, is_comparable,
    same_host_class,
};
use crate::id::DatasetId;
use crate::model::rules::{ALPHA, Exit};
use crate::model::{Case, Interleaved, Order};
use crate::query::{Dataset, Trust};
use crate::report::{
    ComparisonReport, DistributionPair, comparison_html, comparison_junit, comparison_markdown,
    failure_text,
};
use crate::store::{Manifest, Store};

/// The spec whose datasets are calibrations, before [`CALIBRATION_SINCE`].
const CALIBRATION: &str = "calibrate";
/// The first schema version that records whether a dataset is a calibration.
const CALIBRATION_SINCE: u32 = 5;
/// Distributions that a page shows.
const MAX_DISTRIBUTIONS: usize = 6;

/// What came of a comparison.
pub(super) struct Judged {
    pub code: ExitCode,
    /// The page, if the format has one.
    pub page: Option<PathBuf>,
}

/// Compares two datasets, and shows the verdicts in the format that was asked for.
pub(super) async fn judge(
    store: &Store,
    [before, after]: [DatasetId; 2],
    args: &args::Judge,
    output: Option<&Path>,
) -> Result<Judged, CliError> {
    let report = compared(store, [before, after], args).await?;
    let write_page = || -> Result<PathBuf, CliError> {
        let page_file = || location::report_file(store).with_file_name("comparison.html");
        let path = output.map_or_else(page_file, Path::to_owned);
        write_text(&path, &comparison_html(&report)?)?;
        Ok(path)
    };
    let tell = |text: String| match output {
        Some(file) => write_text(file, &text),
        None => print(&text),
    };
    let mut page = None;
    match args.format {
        None => {
            print(&verdicts(&report, MAX_SHOWN))?;
            let path = write_page()?;
            print(&format!("page    {}\n", shown(&path).display()))?;
            page = Some(path);
        }
        Some(ReportFormat::Html) => {
            let path = write_page()?;
            print(&format!("{}\n", shown(&path).display()))?;
            page = Some(path);
        }
        Some(ReportFormat::Text) => tell(verdicts(&report, usize::MAX))?,
        Some(ReportFormat::Md) => tell(comparison_markdown(&report))?,
        Some(ReportFormat::Json) => tell(as_json(&report)?)?,
        Some(ReportFormat::Junit) => tell(comparison_junit(&report)?)?,
    }
    Ok(Judged { code: exit_code(&report), page })
}

/// Compares two datasets.
pub(in crate::cli) async fn compared(
    store: &Store,
    [before, after]: [DatasetId; 2],
    args: &args::Judge,
) -> Result<ComparisonReport, CliError> {
    if before == after {
        return Err(CliError::new(format!("{} is compared with itself", before.short()))
            .hint("name two datasets: `perf-api results list`"));
    }
    let condition = args.condition.as_deref();
    let before = side(store, before, condition).await?;
    let after = side(store, after, condition).await?;
    gather(store, before, after, args).await
}

/// The samples of a dataset.
pub(super) async fn side(
    store: &Store,
    id: DatasetId,
    condition: Option<&str>,
) -> Result<Side, CliError> {
    let dataset = Dataset::open(store, id, Trust::Verify).await?;
    let samples = dataset.samples(condition).await?;
    Ok(Side { dataset: id, manifest: store.manifest(id).await?, samples })
}

async fn gather(
    store: &Store,
    before: Side,
    after: Side,
    args: &args::Judge,
) -> Result<ComparisonReport, CliError> {
    for side in [&before, &after] {
        if side.manifest.order == Order::Search {
            return Err(CliError::new(format!(
                "{} is a search for capacity: its trials are no repetitions of the same cases",
                side.dataset.short()
            ))
            .hint(format!(
                "`perf-api results show {}` tells what it found",
                side.dataset.short()
            )));
        }
    }
    let is_interleaved = before.manifest.interleaved.is_some()
        && before.manifest.interleaved == after.manifest.interleaved;
    let calibration = match is_interleaved {
        true => None,
        false => calibration(store, &after.manifest, &[before.dataset, after.dataset]).await?,
    };
    let rules = Rules {
        metrics: args.metrics(),
        margin: args.margin.0,
        alpha: match &after.manifest.interleaved {
            Some(interleaved) if is_interleaved => Interleaved::alpha(ALPHA, interleaved.looks),
            _ => ALPHA,
        },
        is_interleaved,
        calibration,
    };
    let comparison = compare(&before, &after, &rules);
    if comparison.cases.is_empty() && comparison.unjudged.is_empty() {
        return Err(CliError::new("the two datasets have no case in common").hint(
            "`perf-api results show DATASET` tells what each has; `--where` may leave out all",
        ));
    }
    let is_forced = !is_comparable(&comparison.noted);
    if is_forced && !args.force {
        return Err(refusal(&comparison.noted));
    }
    let distributions = distributions(store, &comparison).await?;
    Ok(ComparisonReport {
        comparison,
        before: before.manifest,
        after: after.manifest,
        is_forced,
        distributions,
        fail_on: args.fail_on.iter().map(|choice| choice.verdict()).collect(),
    })
}

/// Why two datasets are not compared, unless somebody insists.
pub(in crate::cli) fn refusal(noted: &[Noted]) -> CliError {
    let suspicious = noted.iter().filter(|one| one.class == Class::Suspicious);
    let words: Vec<String> = suspicious
        .map(|one| format!("{}: {} before, {} after", one.what, one.before, one.after))
        .collect();
    CliError::new(format!(
        "these two cannot be compared, since more differs than what is compared:\n  {}",
        words.join("\n  ")
    ))
    .hint(
        "measure both on one host, with one program and one spec; `perf-api ab` does it in one run",
    )
    .hint("`--force` compares all the same, and says so")
}

/// What the calibrations tell that were made on such a host in such a way, but for what is compared
/// itself. Sides of a run by turns are no two runs.
pub(super) async fn calibration(
    store: &Store,
    like: &Manifest,
    compared: &[DatasetId],
) -> Result<Option<Calibration>, CliError> {
    let mut sessions = Vec::new();
    for listed in store.list().await? {
        let Ok(manifest) = listed.manifest else { continue };
        let is_alike = is_calibration(&manifest)
            && manifest.interleaved.is_none()
            && !compared.contains(&listed.id)
            && manifest.launcher == like.launcher
            && manifest.load_driver == like.load_driver
            && same_host_class(&manifest.host, &like.host);
        if is_alike {
            sessions.push(side(store, listed.id, None).await?);
        }
    }
    Ok(Calibration::of(&sessions))
}

/// Whether `perf-api calibrate` made a dataset. Older ones tell it by the name of their spec alone.
fn is_calibration(manifest: &Manifest) -> bool {
    let experiment = &manifest.experiment;
    experiment.is_calibration
        || manifest.schema_version < CALIBRATION_SINCE && experiment.name == CALIBRATION
}

/// The distributions of the cases whose latency changed most.
async fn distributions(
    store: &Store,
    comparison: &Comparison,
) -> Result<Vec<DistributionPair>, CliError> {
    let mut cases: Vec<&Case> = Vec::new();
    for one in comparison.changed() {
        if one.finding.metric.is_latency() && !cases.contains(&&one.case) {
            cases.push(&one.case);
        }
    }
    cases.truncate(MAX_DISTRIBUTIONS);
    if cases.is_empty() {
        return Ok(vec![]);
    }
    let before = Dataset::open(store, comparison.before, Trust::Verify).await?;
    let after = Dataset::open(store, comparison.after, Trust::Verify).await?;
    let mut pairs = Vec::new();
    for case in cases {
        let (before, after) = (before.distribution(case).await?, after.distribution(case).await?);
        pairs.push(DistributionPair { case: case.clone(), before, after });
    }
    Ok(pairs)
}

/// The comparison as docs/comparison.schema.json describes it.
fn as_json(report: &ComparisonReport) -> Result<String, CliError> {
    let comparison = &report.comparison;
    let wrong = |error: serde_json::Error| CliError::new(error.to_string());
    let mut value = serde_json::to_value(comparison).map_err(wrong)?;
    value["version"] = json!(1);
    value["is_forced"] = json!(report.is_forced);
    value["counts"] = Verdict::ALL
        .iter()
        .map(|verdict| (verdict.as_str().to_owned(), json!(comparison.count(*verdict))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    Ok(serde_json::to_string_pretty(&value).map_err(wrong)? + "\n")
}

fn exit_code(report: &ComparisonReport) -> ExitCode {
    match failure_text(report) {
        Some(found) => {
            note(&format!("`--fail-on`: {found}"));
            Exit::FailOn.into()
        }
        None => ExitCode::SUCCESS,
    }
}
