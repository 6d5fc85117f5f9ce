//! Where results are, from what was typed and from the environment.

use std::path::{Path, PathBuf};

use url::Url;

use super::error::CliError;
use super::output::note;
use crate::id::{ContentHash, DatasetId};
use crate::store::{Location, Names, Store};

/// Beginnings of URLs. A folder of such a name can be given as `./s3:`.
const SCHEMES: [&str; 6] = ["s3:", "s3a:", "gs:", "az:", "file:", "https:"];
/// Beginnings of the environment variables that hold settings and credentials of object stores.
const SETTINGS: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// The place that `--results` names: a folder, or a URL.
pub(super) fn location(results: &str) -> Result<Location, CliError> {
    if !results.contains("://") && !SCHEMES.iter().any(|scheme| results.starts_with(scheme)) {
        return Ok(Location::Folder(PathBuf::from(results)));
    }
    let wrong = |why: String| {
        CliError::new(format!("`{results}` names no place for results: {why}")).hint(
            "a place is a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX",
        )
    };
    let url = Url::parse(results).map_err(|error| wrong(error.to_string()))?;
    if !results.contains("://") {
        return Err(wrong("two slashes belong behind the colon".to_owned()));
    }
    if url.scheme() == "file" {
        let folder = url.to_file_path().map_err(|()| wrong("it is no path".to_owned()))?;
        return Ok(Location::Folder(folder));
    }
    let is_setting = |name: &str| SETTINGS.iter().any(|beginning| name.starts_with(beginning));
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let settings = variables.filter(|(name, _)| is_setting(name)).collect();
    let own = ContentHash::of(url.as_str().trim_end_matches('/').as_bytes()).to_string();
    let work = state_dir()?.join(&own[..12]);
    Ok(Location::Objects { url, settings, work })
}

/// Results that are there.
pub(super) fn open(results: &str) -> Result<Store, CliError> {
    Ok(Store::open(&location(results)?)?)
}

/// Results that are written, made when they are not there.
pub(super) fn create(results: &str) -> Result<Store, CliError> {
    Ok(Store::create(&location(results)?)?)
}

/// The dataset that a name stands for.
pub(super) async fn find(store: &Store, name: &str) -> Result<DatasetId, CliError> {
    find_among(&store.names().await?, name)
}

/// The dataset that a name stands for, with a warning where `latest` may be another.
pub(super) fn find_among(names: &Names, name: &str) -> Result<DatasetId, CliError> {
    if name.starts_with("latest") && names.unreadable() > 0 {
        warn_of_unreadable(names.unreadable());
    }
    Ok(names.find(name)?)
}

pub(super) fn warn_of_unreadable(count: usize) {
    note(&format!(
        "warning: `latest` leaves out {count} whose manifest cannot be read: `perf-api results list`"
    ));
}

/// The folder for what a person's use of the program leaves behind (XDG Base Directory).
pub(super) fn state_dir() -> Result<PathBuf, CliError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let state = set("XDG_STATE_HOME").map(PathBuf::from);
    let home = || set("HOME").map(|home| Path::new(&home).join(".local/state"));
    let state = state.or_else(home).ok_or_else(|| {
        CliError::new("no folder for journals: neither XDG_STATE_HOME nor HOME is set")
    })?;
    Ok(state.join("perf-api"))
}

/// Where a report of these results goes when nothing else is said: beside a folder's datasets.
pub(super) fn report_file(store: &Store) -> PathBuf {
    match store.location() {
        Location::Folder(folder) => folder.join("report.html"),
        Location::Objects { .. } => PathBuf::from("report.html"),
    }
}
