//! Where results are, from what was typed and from the environment.

use std::path::PathBuf;

use url::Url;

use super::environment::{state_dir, variables_with};
use super::output::note;
use crate::app::AppError;
use crate::id::{ContentHash, DatasetId};
use crate::store::{Location, Names, Store};

/// Beginnings of URLs. A folder of such a name can be given as `./s3:`.
const SCHEMES: [&str; 6] = ["s3:", "s3a:", "gs:", "az:", "file:", "https:"];
/// Beginnings of the environment variables that hold settings and credentials of object stores.
const SETTINGS: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// The place that `--results` names: a folder, or a URL.
pub(super) fn location(results: &str) -> Result<Location, AppError> {
    if !results.contains("://") && !SCHEMES.iter().any(|scheme| results.starts_with(scheme)) {
        return Ok(Location::Folder(PathBuf::from(results)));
    }
    let wrong = |why: String| {
        AppError::new(format!("`{results}` is not a dataset store: {why}")).hint(
            "a place is a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX",
        )
    };
    let url = Url::parse(results).map_err(|error| wrong(error.to_string()))?;
    if !results.contains("://") {
        return Err(wrong("expected two slashes after the colon".to_owned()));
    }
    if url.scheme() == "file" {
        let folder = url.to_file_path().map_err(|()| wrong("it is not a path".to_owned()))?;
        return Ok(Location::Folder(folder));
    }
    let settings = variables_with(&SETTINGS);
    let own = ContentHash::of(url.as_str().trim_end_matches('/').as_bytes()).to_string();
    let work = state_dir()?.join(&own[..12]);
    Ok(Location::Objects { url, settings, work })
}

/// Results that are there.
pub(super) fn open(results: &str) -> Result<Store, AppError> {
    Ok(Store::open(&location(results)?)?)
}

/// Results that are written, made when they do not exist.
pub(super) fn create(results: &str) -> Result<Store, AppError> {
    Ok(Store::create(&location(results)?)?)
}

/// The dataset that a name stands for.
pub(super) async fn find(store: &Store, name: &str) -> Result<DatasetId, AppError> {
    find_among(&store.names().await?, name)
}

/// The dataset that a name stands for, with a warning where `latest` may be another.
pub(super) fn find_among(names: &Names, name: &str) -> Result<DatasetId, AppError> {
    if name.starts_with("latest") && names.unreadable() > 0 {
        warn_of_unreadable(names.unreadable());
    }
    Ok(names.find(name)?)
}

pub(super) fn warn_of_unreadable(count: usize) {
    note(&format!(
        "warning: `latest` ignores {count} whose manifest cannot be read: `perf-api results list`"
    ));
}
