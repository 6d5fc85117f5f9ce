//! The location of results: a folder, or a prefix in an object store, with one interface.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

use super::StoreError;

/// The location of results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder.
    Folder(PathBuf),
    /// A prefix in an object store.
    Objects {
        /// `s3://bucket/prefix`, `gs://…` or `az://…`.
        url: Url,
        /// Settings and credentials, by the names of the `object_store` crate (`aws_region`, …).
        settings: Vec<(String, String)>,
        /// The folder on this machine for journals of runs and for the lock.
        work: PathBuf,
    },
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Objects { url, .. } => f.write_str(url.as_str().trim_end_matches('/')),
        }
    }
}

/// The retries for an object store. They are short, so that a typo in a host name is reported soon.
fn retry() -> RetryConfig {
    RetryConfig { max_retries: 4, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() }
}

/// The objects of a folder.
pub(super) fn open_folder(folder: &Path) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let place = |source| StoreError::Place { url: folder.display().to_string(), source };
    let objects = object_store::local::LocalFileSystem::new_with_prefix(folder).map_err(place)?;
    Ok(Arc::new(objects))
}

/// The objects behind a URL, with paths relative to its prefix.
pub(super) fn open_url(
    url: &Url,
    settings: &[(String, String)],
) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let place = |source| StoreError::Place { url: url.to_string(), source };
    let (scheme, prefix) = ObjectStoreScheme::parse(url).map_err(|error| place(error.into()))?;
    let objects = client(&scheme, url, settings).map_err(place)?;
    Ok(Arc::new(PrefixStore::new(objects, prefix)))
}

#[cfg(feature = "cloud")]
fn client(
    scheme: &ObjectStoreScheme,
    url: &Url,
    settings: &[(String, String)],
) -> Result<Box<dyn ObjectStore>, object_store::Error> {
    /// Builds a client with the settings that it knows.
    macro_rules! build {
        ($builder:ty) => {{
            let builder = <$builder>::new().with_url(url.as_str()).with_retry(retry());
            let known = |builder: $builder, (name, value): &(String, String)| match name
                .to_ascii_lowercase()
                .parse()
            {
                Ok(name) => builder.with_config(name, value),
                Err(_) => builder,
            };
            Ok(Box::new(settings.iter().fold(builder, known).build()?))
        }};
    }
    match scheme {
        ObjectStoreScheme::AmazonS3 => build!(object_store::aws::AmazonS3Builder),
        ObjectStoreScheme::GoogleCloudStorage => {
            build!(object_store::gcp::GoogleCloudStorageBuilder)
        }
        ObjectStoreScheme::MicrosoftAzure => build!(object_store::azure::MicrosoftAzureBuilder),
        _ => Err(refused("expected a folder, s3://, gs:// or az://")),
    }
}

#[cfg(not(feature = "cloud"))]
fn client(
    _scheme: &ObjectStoreScheme,
    _url: &Url,
    _settings: &[(String, String)],
) -> Result<Box<dyn ObjectStore>, object_store::Error> {
    Err(refused("this program was built without its feature `cloud`"))
}

fn refused(why: &'static str) -> object_store::Error {
    object_store::Error::Generic { store: "results", source: why.into() }
}

/// The path of an object in a location.
pub(super) fn object_path(parts: &[&str]) -> ObjectPath {
    parts.iter().copied().collect()
}
