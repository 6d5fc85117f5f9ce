//! `perf-api report`: a dataset as one HTML file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::args;
use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::file::write_atomically;
use crate::id::DatasetId;
use crate::query::Dataset;
use crate::report::{Report, html};
use crate::store::Store;

pub(in crate::cli) async fn report(args: &args::Report) -> Result<ExitCode, CliError> {
    let store = Store::open(&args.results)?;
    let id = store.find(&args.dataset)?;
    let report = gather(&store, id).await?;
    let path = write(&store, &report, args.output.as_deref())?;
    print(&format!("{}\n", shown(&path).display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Asks a dataset everything that a report tells.
pub(super) async fn gather(store: &Store, id: DatasetId) -> Result<Report, CliError> {
    let manifest = store.manifest(id)?;
    store.check_files(id, &manifest)?;
    let dataset = Dataset::open(store, id).await?;
    Ok(Report {
        dataset: id,
        manifest,
        cases: dataset.cases().await?,
        failures: dataset.failures().await?,
        flags: dataset.flags().await?,
    })
}

/// Writes a report, by default beside the datasets.
pub(super) fn write(
    store: &Store,
    report: &Report,
    output: Option<&Path>,
) -> Result<PathBuf, CliError> {
    let path = output.map_or_else(|| store.root().join("report.html"), Path::to_owned);
    write_atomically(&path, html(report)?.as_bytes())
        .map_err(|error| CliError::new(format!("cannot write {}: {error}", path.display())))?;
    Ok(path)
}

/// A path as a person would type it from here.
pub(super) fn shown(path: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path)
}
