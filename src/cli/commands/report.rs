//! `perf-api report`: a dataset as one HTML file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::compare::judge;
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::cli::{args, location};
use crate::file::write_atomically;
use crate::id::DatasetId;
use crate::query::{Dataset, Trust, verify};
use crate::report::{Report, html};
use crate::store::Store;

pub(in crate::cli) async fn report(args: &args::Report) -> Result<ExitCode, CliError> {
    let store = location::open(&args.results)?;
    if let Some(pair) = &args.compare {
        let names = store.names().await?;
        let find = |name: &String| location::find_among(&names, name);
        let pair = [find(&pair[0])?, find(&pair[1])?];
        return judge(&store, pair, &args.judge, args.output.as_deref()).await;
    }
    if !args.judge.is_untouched() {
        return Err(CliError::new("one dataset is shown, and nothing is compared")
            .hint("`--compare BEFORE AFTER` compares two"));
    }
    let id = location::find(&store, &args.dataset).await?;
    let report = match args.unverified {
        true => gather(&store, id, Trust::Blind).await?,
        false => verified(&store, id).await?,
    };
    let path = write(&store, &report, args.output.as_deref())?;
    print(&format!("{}\n", shown(&path).display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Checks a dataset, and asks it everything that a report tells.
pub(in crate::cli) async fn verified(store: &Store, id: DatasetId) -> Result<Report, CliError> {
    verify(store, id).await?;
    gather(store, id, Trust::Verify).await
}

/// Asks a dataset everything that a report tells.
pub(super) async fn gather(store: &Store, id: DatasetId, trust: Trust) -> Result<Report, CliError> {
    let dataset = Dataset::open(store, id, trust).await?;
    Ok(Report {
        dataset: id,
        manifest: store.manifest(id).await?,
        is_verified: trust == Trust::Verify,
        cases: dataset.cases().await?,
        failures: dataset.failures().await?,
        flags: dataset.flags().await?,
        residuals: dataset.residuals().await?,
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
    write_atomically(path, text.as_bytes())
        .map_err(|error| CliError::new(format!("cannot write {}: {error}", path.display())))
}

/// A path as a person would type it from here.
pub(super) fn shown(path: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path)
}
