//! `perf-api report`: a dataset as one HTML file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::compare::judge;
use crate::analysis::analyse;
use crate::cli::args::{self, ReportFormat};
use crate::cli::error::CliError;
use crate::cli::location;
use crate::cli::open::open_in_browser;
use crate::cli::output::{case_table, print};
use crate::file::write_atomically;
use crate::id::DatasetId;
use crate::model::Histogram;
use crate::query::{Dataset, Trust, Verified, verify};
use crate::report::{Report, html, markdown, report_json};
use crate::store::{Manifest, Store, TRIALS_FILE};

pub(in crate::cli) async fn report(args: &args::Report) -> Result<ExitCode, CliError> {
    if args.open && !matches!(args.judge.format, None | Some(ReportFormat::Html)) {
        return Err(CliError::new("a browser opens pages, and this format is none")
            .hint("leave out `--open` or `--format`"));
    }
    let store = location::open(&args.results)?;
    if let Some(pair) = &args.compare {
        let names = store.names().await?;
        let find = |name: &String| location::find_among(&names, name);
        let pair = [find(&pair[0])?, find(&pair[1])?];
        let judged = judge(&store, pair, &args.judge, args.output.as_deref()).await?;
        if let Some(page) = judged.page.filter(|_| args.open) {
            open_in_browser(&page.to_string_lossy());
        }
        return Ok(judged.code);
    }
    if !args.judge.is_untouched() {
        return Err(CliError::new("one dataset is shown, and nothing is compared")
            .hint("`--compare BEFORE AFTER` compares two"));
    }
    let id = location::find(&store, &args.dataset).await?;
    let report = match args.unverified {
        true => unverified(&store, id).await?,
        false => verified(&store, id).await?,
    };
    let tell = |text: String| match &args.output {
        Some(file) => write_text(file, &text),
        None => print(&text),
    };
    match args.judge.format {
        None | Some(ReportFormat::Html) => {
            let path = write(&store, &report, args.output.as_deref())?;
            print(&format!("{}\n", shown(&path).display()))?;
            if args.open {
                open_in_browser(&path.to_string_lossy());
            }
        }
        Some(ReportFormat::Text) => tell(case_table(&report.analysis.cases))?,
        Some(ReportFormat::Md) => tell(markdown(&report))?,
        Some(ReportFormat::Json) => {
            let text = report_json(&report);
            tell(text.map_err(|error| CliError::new(error.to_string()))?)?;
        }
        Some(ReportFormat::Junit) => {
            return Err(CliError::new("JUnit tells verdicts, and one dataset has none")
                .hint("`--compare BEFORE AFTER --format junit`"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Checks a dataset, and asks it everything that a report tells.
pub(in crate::cli) async fn verified(store: &Store, id: DatasetId) -> Result<Report, CliError> {
    let Verified { manifest, histograms } = verify(store, id).await?;
    let trials_parquet = store.table(id, &manifest, TRIALS_FILE).await?;
    let dataset = Dataset::open(store, id, Trust::Verify).await?;
    gather(id, manifest, &dataset, &histograms, trials_parquet).await
}

/// The same of a dataset that nobody checked.
async fn unverified(store: &Store, id: DatasetId) -> Result<Report, CliError> {
    let manifest = store.manifest(id).await?;
    // A damaged table is not offered for download.
    let trials_parquet = store.table(id, &manifest, TRIALS_FILE).await.unwrap_or_default();
    let dataset = Dataset::open(store, id, Trust::Blind).await?;
    let histograms = dataset.histograms().await?;
    let report = gather(id, manifest, &dataset, &histograms, trials_parquet).await?;
    Ok(Report { is_verified: false, ..report })
}

async fn gather(
    id: DatasetId,
    manifest: Manifest,
    dataset: &Dataset,
    histograms: &BTreeMap<u64, Histogram>,
    trials_parquet: Vec<u8>,
) -> Result<Report, CliError> {
    let (trials, timeline) = (dataset.trials().await?, dataset.timeline().await?);
    Ok(Report {
        dataset: id,
        manifest,
        is_verified: true,
        analysis: analyse(&trials, histograms, &timeline),
        trials,
        residuals: dataset.residuals().await?,
        timeline,
        resources: dataset.resources().await?,
        trials_parquet,
    })
}

/// Writes a report, by default beside the datasets.
pub(super) fn write(
    store: &Store,
    report: &Report,
    output: Option<&Path>,
) -> Result<PathBuf, CliError> {
    let path = output.map_or_else(|| location::report_file(store), Path::to_owned);
    write_text(&path, &html(report)?)?;
    Ok(path)
}

pub(super) fn write_text(path: &Path, text: &str) -> Result<(), CliError> {
    write_atomically(path, text.as_bytes()).map_err(|error| {
        CliError::new(format!("cannot write {}: {error}", path.display()))
            .hint("`--output FILE` of `perf-api report` writes it elsewhere")
    })
}

/// A path as a person would type it from here.
pub(super) fn shown(path: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path)
}
