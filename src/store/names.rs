//! Names of datasets: ids and their prefixes, `latest`, and tags.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::{Listed, Location, Manifest, Store, StoreError, location, sync_dir};
use crate::id::DatasetId;

/// The folder of tags.
const REFS: &str = "refs";
/// The minimum length of an id's prefix.
const MIN_PREFIX_DIGITS: usize = 6;
/// The maximum length of a tag.
const MAX_TAG_BYTES: usize = 64;
/// The maximum size of a reference: more than an id and a line feed.
const MAX_REF_BYTES: u64 = 256;
/// References that are read concurrently.
const READ_AT_ONCE: usize = 16;

/// All names of datasets at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Names {
    /// The location of the datasets, as text.
    place: String,
    /// The ids of datasets with a measured trial, the latest first: what `latest` counts.
    by_time: Vec<DatasetId>,
    /// The number of datasets without a readable manifest.
    unreadable: usize,
    /// The ids of all datasets.
    all: Vec<DatasetId>,
    /// The datasets of tags.
    tags: BTreeMap<String, DatasetId>,
}

impl Names {
    /// Finds a dataset by a tag, `latest` (the last one with a measured trial), `latest~N` (the one N before
    /// it), or a unique prefix of at least 6 digits.
    ///
    /// # Errors
    /// When there is none or more than one, with the candidates.
    pub fn find(&self, name: &str) -> Result<DatasetId, StoreError> {
        if let Some(id) = self.tags.get(name) {
            return Ok(*id);
        }
        if let Some(back) = steps_back(name) {
            return self.by_time.get(back).copied().ok_or_else(|| self.unknown(name));
        }
        let fits =
            |id: &&DatasetId| name.len() >= MIN_PREFIX_DIGITS && id.to_string().starts_with(name);
        let found: Vec<DatasetId> = self.all.iter().filter(fits).copied().collect();
        match found[..] {
            [id] => Ok(id),
            [] => Err(self.unknown(name)),
            _ => {
                Err(StoreError::Ambiguous { name: name.to_owned(), candidates: short_list(&found) })
            }
        }
    }

    /// The ids of all datasets, sorted.
    #[must_use]
    pub fn ids(&self) -> &[DatasetId] {
        &self.all
    }

    /// The number of datasets without a readable manifest, which `latest` ignores.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// The tags of a dataset, in alphabetical order.
    #[must_use]
    pub fn tags(&self, id: DatasetId) -> Vec<String> {
        let own = self.tags.iter().filter(|(_, tagged)| **tagged == id);
        own.map(|(tag, _)| tag.clone()).collect()
    }

    fn unknown(&self, name: &str) -> StoreError {
        let candidates = match self.all.is_empty() {
            true => ", which has none yet".to_owned(),
            false => {
                let tags: String = self.tags.keys().map(|tag| format!("{tag}, ")).collect();
                let latest = match self.by_time.is_empty() && steps_back(name).is_some() {
                    true => "; no dataset has a measured trial",
                    false => "",
                };
                format!("{latest}; there are: {tags}{}", short_list(&self.all))
            }
        };
        StoreError::Unknown { name: name.to_owned(), results: self.place.clone(), candidates }
    }
}

/// A user-defined name of a dataset: letters, digits, `.`, `_` and `-`. It cannot look like the prefix of an
/// id, or be `latest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

impl FromStr for Tag {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_like_an_id = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let begins_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let is_fine = begins_well
            && text.len() <= MAX_TAG_BYTES
            && text.bytes().all(allowed)
            && !is_like_an_id
            && text != "latest";
        is_fine.then(|| Self(text.to_owned())).ok_or_else(|| StoreError::BadTag(text.to_owned()))
    }
}

impl Store {
    /// Reads all names of datasets.
    ///
    /// # Errors
    /// When the location cannot be listed.
    pub async fn names(&self) -> Result<Names, StoreError> {
        let listed = self.list().await?;
        self.names_of(&listed).await
    }

    /// The names of datasets that were listed.
    ///
    /// # Errors
    /// When the tags cannot be read.
    pub async fn names_of(&self, listed: &[Listed]) -> Result<Names, StoreError> {
        let unreadable = listed.iter().filter(|one| one.manifest.is_err()).count();
        let has_measured = |one: &&Listed| one.manifest.as_ref().is_ok_and(Manifest::has_measured);
        let mut all: Vec<DatasetId> = listed.iter().map(|one| one.id).collect();
        all.sort();
        Ok(Names {
            place: self.name.clone(),
            by_time: listed.iter().filter(has_measured).map(|one| one.id).collect(),
            unreadable,
            all,
            tags: self.tags().await?,
        })
    }

    /// Tags a dataset. A tag of another dataset moves only with `force`.
    ///
    /// # Errors
    /// When the tag is invalid, names another dataset, or cannot be written.
    pub async fn tag(&self, id: DatasetId, tag: &str, force: bool) -> Result<(), StoreError> {
        let Tag(tag) = tag.parse()?;
        match self.tags().await?.get(&tag) {
            Some(tagged) if *tagged == id => return Ok(()),
            Some(tagged) if !force => {
                return Err(StoreError::TagTaken { tag, dataset: tagged.short() });
            }
            _ => {}
        }
        let text = format!("{id}\n");
        if let Location::Folder(folder) = &self.location {
            let dir = folder.join(REFS);
            std::fs::create_dir_all(&dir).map_err(StoreError::io("make the folder", &dir))?;
            sync_dir(folder)?;
            let path = dir.join(&tag);
            let written = match force {
                true => crate::file::write_atomically(&path, text.as_bytes()),
                false => crate::file::write_new(&path, text.as_bytes()),
            };
            return written.map_err(StoreError::io("write", &path));
        }
        let mode = if force { PutMode::Overwrite } else { PutMode::Create };
        let path = location::object_path(&[REFS, &tag]);
        let put =
            self.objects.put_opts(&path, PutPayload::from(text), PutOptions::from(mode)).await;
        match put {
            // Another process has just set it.
            Err(object_store::Error::AlreadyExists { .. }) => Err(StoreError::TagTaken {
                tag,
                dataset: "(another process has just set it)".to_owned(),
            }),
            put => put.map(|_| ()).map_err(StoreError::object("write", self.shown_ref(&tag))),
        }
    }

    /// Removes a tag.
    ///
    /// # Errors
    /// When it does not exist or cannot be removed.
    pub async fn untag(&self, tag: &str) -> Result<(), StoreError> {
        let Tag(tag) = tag.parse()?;
        if !self.tags().await?.contains_key(&tag) {
            return Err(StoreError::NoTag(tag));
        }
        let path = location::object_path(&[REFS, &tag]);
        let removed = self.objects.delete(&path).await;
        removed.map_err(StoreError::object("remove", self.shown_ref(&tag)))
    }

    /// The datasets of all tags. Files that are not references are ignored.
    async fn tags(&self) -> Result<BTreeMap<String, DatasetId>, StoreError> {
        let texts = match &self.location {
            Location::Folder(folder) => local_refs(&folder.join(REFS)),
            Location::Objects { .. } => self.remote_refs().await?,
        };
        let parsed = texts.into_iter().filter_map(|(name, bytes)| {
            let Tag(tag) = name.parse().ok()?;
            let id = std::str::from_utf8(&bytes).ok()?.trim_end().parse().ok()?;
            Some((tag, id))
        });
        Ok(parsed.collect())
    }

    async fn remote_refs(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let refs = location::object_path(&[REFS]);
        let listed = self.objects.list_with_delimiter(Some(&refs)).await;
        let listed = listed.map_err(StoreError::object("list", self.shown_ref("")))?;
        let small = listed.objects.into_iter().filter(|object| object.size <= MAX_REF_BYTES);
        let reads = small.map(async |object| {
            let got = self.objects.get(&object.location).await?;
            let name = object.location.filename().unwrap_or_default().to_owned();
            Ok((name, got.bytes().await?.to_vec()))
        });
        let read: Result<Vec<_>, object_store::Error> =
            futures::stream::iter(reads).buffered(READ_AT_ONCE).try_collect().await;
        read.map_err(StoreError::object("read", self.shown_ref("")))
    }

    fn shown_ref(&self, tag: &str) -> String {
        format!("{}/{REFS}/{tag}", self.name)
    }
}

/// The small regular files of a folder; other entries are ignored.
fn local_refs(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = dir.read_dir().into_iter().flatten().flatten();
    let read = entries.filter_map(|entry| {
        let about = entry.metadata().ok()?;
        let is_small = about.is_file() && about.len() <= MAX_REF_BYTES;
        let name = entry.file_name().into_string().ok()?;
        is_small.then(|| std::fs::read(entry.path()).ok())?.map(|bytes| (name, bytes))
    });
    read.collect()
}

fn steps_back(name: &str) -> Option<usize> {
    let rest = name.strip_prefix("latest")?;
    match rest.strip_prefix('~') {
        Some(steps) => steps.parse().ok(),
        None => rest.is_empty().then_some(0),
    }
}

/// The first ten ids of a list, shortened.
fn short_list(ids: &[DatasetId]) -> String {
    let names: Vec<String> = ids.iter().take(10).map(DatasetId::short).collect();
    let more = if ids.len() > 10 { ", …" } else { "" };
    names.join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ContentHash;

    #[test]
    fn a_tag_is_not_like_an_id_or_a_path() {
        for good in ["example", "v1.2", "before-upgrade", "2026-11-23", "abcdefg", "A"] {
            assert!(good.parse::<Tag>().is_ok(), "{good}");
        }
        let long = "x".repeat(MAX_TAG_BYTES + 1);
        let bad = ["", "latest", "latest~1", "abcdef", "123456", "../up", "a/b", ".x", "é", &long];
        for bad in bad {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_dataset_is_found_by_tag_time_or_unique_prefix() {
        let id = |text: &[u8]| DatasetId(ContentHash::of(text));
        let names = Names {
            place: "here".to_owned(),
            by_time: vec![id(b"abc"), id(b"")],
            unreadable: 0,
            all: vec![id(b"abc"), id(b"")],
            tags: BTreeMap::from([("old".to_owned(), id(b""))]),
        };
        assert_eq!(names.find("ba7816").unwrap(), id(b"abc"));
        assert_eq!(names.find("latest").unwrap(), id(b"abc"));
        assert_eq!(names.find("latest~1").unwrap(), id(b""));
        assert_eq!(names.find("old").unwrap(), id(b""));
        assert_eq!(names.tags(id(b"")), ["old"]);
        for unknown in ["ba781", "latest~2", "latest~x", "new", "", "BA7816"] {
            let message = names.find(unknown).unwrap_err().to_string();
            assert!(message.contains("there are: old, ba7816bf8f01"), "{message}");
        }
    }
}
