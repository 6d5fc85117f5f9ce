//! `perf-api report`: a dataset as one HTML file, or the comparison of two.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::{self, AppError};
use crate::cli::args::{ComparisonArgs, ReportFormat, ResultsArgs};
use crate::cli::comparison_formats::show_comparison;
use crate::cli::location;
use crate::cli::output::{case_table, print};
use crate::cli::pages::{open_in_browser, shown, write_report, write_text};
use crate::query::Trust;
use crate::report::{markdown, report_json};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Dataset: a tag, 6 or more digits of its id, `latest` or `latest~1`
    #[arg(default_value = "latest")]
    pub dataset: String,
    /// Compare two datasets: the baseline, and the one that is judged
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"], conflicts_with_all = ["dataset", "unverified"])]
    pub compare: Option<Vec<String>>,
    #[command(flatten)]
    pub comparison: ComparisonArgs,
    /// File to write [default: report.html or comparison.html with the datasets]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Open the page in a browser
    #[arg(long)]
    pub open: bool,
    /// Show the dataset without verifying its hashes; the report says so
    #[arg(long)]
    pub unverified: bool,
    #[command(flatten)]
    pub results: ResultsArgs,
}

pub(in crate::cli) async fn execute(args: &Args) -> Result<ExitCode, AppError> {
    if args.open && !matches!(args.comparison.format, None | Some(ReportFormat::Html)) {
        return Err(AppError::new("`--open` shows a page, and this format is not a page")
            .hint("leave out `--open` or `--format`"));
    }
    let store = args.results.open()?;
    if let Some(pair) = &args.compare {
        let names = store.names().await?;
        let find = |name: &String| location::find_among(&names, name);
        let pair = [find(&pair[0])?, find(&pair[1])?];
        let report = app::compare(&store, pair, &args.comparison.settings()).await?;
        let (format, output) = (args.comparison.format, args.output.as_deref());
        let shown = show_comparison(&store, &report, format, output)?;
        if let Some(page) = shown.page.filter(|_| args.open) {
            open_in_browser(&page.to_string_lossy());
        }
        return Ok(shown.code);
    }
    if !args.comparison.is_default() {
        return Err(AppError::new("options for comparisons need two datasets")
            .hint("`--compare BEFORE AFTER` compares two"));
    }
    let id = location::find(&store, &args.dataset).await?;
    let trust = if args.unverified { Trust::Blind } else { Trust::Verify };
    let report = app::report(&store, id, trust).await?;
    let put = |text: String| match &args.output {
        Some(file) => write_text(file, &text),
        None => print(&text),
    };
    match args.comparison.format {
        None | Some(ReportFormat::Html) => {
            let path = write_report(&store, &report, args.output.as_deref())?;
            print(&format!("{}\n", shown(&path).display()))?;
            if args.open {
                open_in_browser(&path.to_string_lossy());
            }
        }
        Some(ReportFormat::Text) => put(case_table(&report.analysis.cases))?,
        Some(ReportFormat::Md) => put(markdown(&report))?,
        Some(ReportFormat::Json) => {
            let text = report_json(&report);
            put(text.map_err(|error| AppError::new(error.to_string()))?)?;
        }
        Some(ReportFormat::Junit) => {
            return Err(AppError::new("JUnit lists verdicts, and a single dataset has none")
                .hint("`--compare BEFORE AFTER --format junit`"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
