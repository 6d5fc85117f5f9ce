//! The verdicts of a comparison in the format that was asked for.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::args::ReportFormat;
use super::output::{note, print};
use super::pages::{report_file, shown, write_text};
use super::verdicts::{MAX_SHOWN, verdicts};
use crate::app::{AppError, ComparisonReport};
use crate::compare::Verdict;
use crate::model::rules::Exit;
use crate::report::{comparison_html, comparison_junit, comparison_markdown, failure_text};
use crate::store::Store;

/// What came of a comparison.
pub(super) struct Shown {
    pub code: ExitCode,
    /// The page, if the format has one.
    pub page: Option<PathBuf>,
}

/// Shows a comparison, and writes its page or the file that was asked for.
pub(super) fn show_comparison(
    store: &Store,
    report: &ComparisonReport,
    format: Option<ReportFormat>,
    output: Option<&Path>,
) -> Result<Shown, AppError> {
    let write_page = || -> Result<PathBuf, AppError> {
        let page_file = || report_file(store).with_file_name("comparison.html");
        let path = output.map_or_else(page_file, Path::to_owned);
        write_text(&path, &comparison_html(report)?)?;
        Ok(path)
    };
    let put = |text: String| match output {
        Some(file) => write_text(file, &text),
        None => print(&text),
    };
    let mut page = None;
    match format {
        None => {
            print(&verdicts(report, MAX_SHOWN))?;
            let path = write_page()?;
            print(&format!("page    {}\n", shown(&path).display()))?;
            page = Some(path);
        }
        Some(ReportFormat::Html) => {
            let path = write_page()?;
            print(&format!("{}\n", shown(&path).display()))?;
            page = Some(path);
        }
        Some(ReportFormat::Text) => put(verdicts(report, usize::MAX))?,
        Some(ReportFormat::Md) => put(comparison_markdown(report))?,
        Some(ReportFormat::Json) => put(as_json(report)?)?,
        Some(ReportFormat::Junit) => put(comparison_junit(report)?)?,
    }
    Ok(Shown { code: exit_code(report), page })
}

/// The comparison as docs/comparison.schema.json describes it.
fn as_json(report: &ComparisonReport) -> Result<String, AppError> {
    let comparison = &report.comparison;
    let wrong = |error: serde_json::Error| AppError::new(error.to_string());
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
