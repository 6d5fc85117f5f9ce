//! Read access to tables whose hashes are checked before use.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::OnceCell;

use super::{StoreError, TableFile};
use crate::id::ContentHash;

/// Files up to this size are kept in memory after reading, so that the used bytes are the hashed ones. Larger
/// files are hashed as a stream, and read again.
const MAX_KEPT_BYTES: u64 = 64 << 20;
/// The total size of files in memory. The oldest are dropped first, and hashed again on use.
const KEPT_BYTES: u64 = 256 << 20;

/// Read-only tables of datasets. Each is compared with the hash in its manifest before any byte is returned.
#[derive(Debug)]
pub struct VerifiedObjects {
    objects: Arc<dyn ObjectStore>,
    place: String,
    listed: BTreeMap<Path, TableFile>,
    read: Mutex<Seen>,
    /// The first error of a file. Readers convert errors to text; this keeps the original.
    refused: OnceLock<Arc<StoreError>>,
}

/// Files that have been read and verified.
#[derive(Debug, Default)]
struct Seen {
    files: BTreeMap<Path, Arc<OnceCell<Option<Bytes>>>>,
    oldest_first: VecDeque<(Path, u64)>,
    kept: u64,
}

impl VerifiedObjects {
    /// Tables in `objects` with the entries of their manifests. `place` is for error messages.
    #[must_use]
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        place: String,
        listed: BTreeMap<Path, TableFile>,
    ) -> Self {
        Self { objects, place, listed, read: Mutex::default(), refused: OnceLock::new() }
    }

    /// The first verification error, if there is one.
    #[must_use]
    pub fn refused(&self) -> Option<Arc<StoreError>> {
        self.refused.get().cloned()
    }

    /// The manifest entry of a file, and its bytes if it is small; an error when its hash differs.
    async fn checked(&self, location: &Path) -> Result<(&TableFile, Option<Bytes>)> {
        let listed = self.listed.get(location).ok_or_else(|| Error::NotFound {
            path: location.to_string(),
            source: "no manifest lists it".into(),
        })?;
        let cell = self.cell(location, listed);
        let read = || read_checked(self.objects.as_ref(), location, listed, &self.place);
        let bytes = cell.get_or_try_init(read).await.map_err(|error| {
            let error = Arc::clone(self.refused.get_or_init(|| Arc::new(error)));
            Error::Generic { store: "results", source: Box::new(error) }
        })?;
        Ok((listed, bytes.clone()))
    }

    fn cell(&self, location: &Path, listed: &TableFile) -> Arc<OnceCell<Option<Bytes>>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = read.files.get(location) {
            return Arc::clone(cell);
        }
        if listed.bytes <= MAX_KEPT_BYTES {
            read.kept += listed.bytes;
            read.oldest_first.push_back((location.clone(), listed.bytes));
            while read.kept > KEPT_BYTES {
                let Some((oldest, bytes)) = read.oldest_first.pop_front() else { break };
                read.kept -= bytes;
                read.files.remove(&oldest);
            }
        }
        Arc::clone(read.files.entry(location.clone()).or_default())
    }
}

/// Reads a file and compares it with its manifest entry. Returns its bytes if it is small.
pub(super) async fn read_checked(
    objects: &dyn ObjectStore,
    location: &Path,
    listed: &TableFile,
    place: &str,
) -> Result<Option<Bytes>, StoreError> {
    let object = || format!("{place}/{location}");
    let read = || StoreError::object("read", object());
    let corrupt = |message: String| StoreError::Corrupt { object: object(), message };
    let head = GetOptions { head: true, ..GetOptions::default() };
    let size = objects.get_opts(location, head).await.map_err(read())?.meta.size;
    if size != listed.bytes {
        let message = format!("it has {size} bytes: its manifest lists {}", listed.bytes);
        return Err(corrupt(message));
    }
    let got = objects.get_opts(location, GetOptions::default()).await.map_err(read())?;
    let (hash, bytes) = match got.payload {
        _ if size <= MAX_KEPT_BYTES => {
            let bytes = got.bytes().await.map_err(read())?;
            (ContentHash::of(&bytes), Some(bytes))
        }
        // Read directly: the stream of a local file has small chunks.
        GetResultPayload::File(file, path) => {
            let hash = ContentHash::of_reader(file).map_err(StoreError::io("read", &path))?;
            (hash, None)
        }
        GetResultPayload::Stream(mut chunks) => {
            let mut hasher = ContentHash::hasher();
            while let Some(chunk) = chunks.try_next().await.map_err(read())? {
                hasher.update(&chunk);
            }
            (hasher.finish(), None)
        }
    };
    if hash != listed.sha256 {
        return Err(corrupt("its hash differs from its manifest".to_owned()));
    }
    Ok(bytes)
}

impl fmt::Display for VerifiedObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "verified {}", self.place)
    }
}

#[async_trait]
impl ObjectStore for VerifiedObjects {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (listed, bytes) = self.checked(location).await?;
        let Some(bytes) = bytes else {
            return self.objects.get_opts(location, options).await;
        };
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: Default::default(),
            size: listed.bytes,
            e_tag: None,
            version: None,
        };
        let range = match &options.range {
            Some(range) => range
                .as_range(listed.bytes)
                .map_err(|source| Error::Generic { store: "results", source: Box::new(source) })?,
            None => 0..listed.bytes,
        };
        let piece = slice(&bytes, &range)?;
        let payload = GetResultPayload::Stream(futures::stream::iter([Ok(piece)]).boxed());
        Ok(GetResult { payload, meta, range, attributes: Default::default() })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match self.checked(location).await? {
            (_, Some(bytes)) => ranges.iter().map(|range| slice(&bytes, range)).collect(),
            (_, None) => self.objects.get_ranges(location, ranges).await,
        }
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only("put"))
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only("put_multipart"))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        locations.map(|_| Err(read_only("delete"))).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(read_only("copy"))
    }
}

/// A slice of a file; an error when a corrupt footer points past its end.
fn slice(bytes: &Bytes, range: &Range<u64>) -> Result<Bytes> {
    let ends = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
    match ends {
        Some((start, end)) if start <= end && end <= bytes.len() => Ok(bytes.slice(start..end)),
        _ => Err(Error::Generic {
            store: "results",
            source: format!("bytes {range:?} of a file of {}", bytes.len()).into(),
        }),
    }
}

fn read_only(operation: &str) -> Error {
    Error::NotSupported { source: format!("{operation}: a sealed dataset is read-only").into() }
}
