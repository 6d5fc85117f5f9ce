//! Pages and other files that a command writes, and the browser that shows them.

use std::path::{Path, PathBuf};

use super::output::note;
use crate::app::{AppError, Report};
use crate::file::write_atomically;
use crate::model::with_causes;
use crate::process::start_detached;
use crate::report::html;
use crate::store::{Location, Store};

/// The program that opens an address or a file as its person chose.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// Where a report of these results goes when nothing else is said: beside a folder's datasets.
pub(super) fn report_file(store: &Store) -> PathBuf {
    match store.location() {
        Location::Folder(folder) => folder.join("report.html"),
        Location::Objects { .. } => PathBuf::from("report.html"),
    }
}

/// Writes a report, by default beside the datasets.
pub(super) fn write_report(
    store: &Store,
    report: &Report,
    output: Option<&Path>,
) -> Result<PathBuf, AppError> {
    let path = output.map_or_else(|| report_file(store), Path::to_owned);
    write_text(&path, &html(report)?)?;
    Ok(path)
}

pub(super) fn write_text(path: &Path, text: &str) -> Result<(), AppError> {
    write_atomically(path, text.as_bytes()).map_err(|error| {
        AppError::new(format!("cannot write {}: {error}", path.display()))
            .hint("`--output FILE` of `perf-api report` writes it elsewhere")
    })
}

/// A path as a person would type it from here.
pub(super) fn shown(path: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path)
}

/// Opens an address or a file in the browser. Where nothing opens it, a note says so.
pub(super) fn open_in_browser(target: &str) {
    if let Err(error) = start_detached(Path::new(OPENER), target) {
        note(&format!("cannot open {target}: {}", with_causes(&error)));
    }
}
