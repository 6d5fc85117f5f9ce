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
/// The shortest prefix that may stand for an id.
const SHORTEST_PREFIX: usize = 6;
/// The longest tag.
const LONGEST_TAG: usize = 64;
/// More than the bytes of an id and a line feed: what is longer is no reference.
const MAX_REF_BYTES: u64 = 256;
/// References that are read at the same time.
const READ_AT_ONCE: usize = 16;

/// Every name that stands for a dataset at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Names {
    /// Where the datasets are, in words.
    place: String,
    /// The ids of datasets with a measured trial, the latest first: what `latest` counts.
    by_time: Vec<DatasetId>,
    /// How many datasets have a manifest that cannot be had.
    unreadable: usize,
    /// The ids of all datasets.
    all: Vec<DatasetId>,
    /// What tags stand for.
    tags: BTreeMap<String, DatasetId>,
}

impl Names {
    /// The dataset that a name stands for: a tag, `latest` for the last one with a measured trial,
    /// `latest~N` for the one N before it, or a unique prefix of 6 digits or more.
    ///
    /// # Errors
    /// When there is none, or more than one, with the candidates.
    pub fn find(&self, name: &str) -> Result<DatasetId, StoreError> {
        if let Some(id) = self.tags.get(name) {
            return Ok(*id);
        }
        if let Some(back) = steps_back(name) {
            return self.by_time.get(back).copied().ok_or_else(|| self.unknown(name));
        }
        let fits =
            |id: &&DatasetId| name.len() >= SHORTEST_PREFIX && id.to_string().starts_with(name);
        let found: Vec<DatasetId> = self.all.iter().filter(fits).copied().collect();
        match found[..] {
            [id] => Ok(id),
            [] => Err(self.unknown(name)),
            _ => {
                Err(StoreError::Ambiguous { name: name.to_owned(), candidates: short_list(&found) })
            }
        }
    }

    /// The ids of all datasets, in their order as text.
    #[must_use]
    pub fn ids(&self) -> &[DatasetId] {
        &self.all
    }

    /// How many datasets have a manifest that cannot be had: `latest` knows nothing of them.
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

/// A name that a person gives to a dataset: letters, digits, `.`, `_` and `-`. It cannot be taken
/// for a prefix of an id, or for `latest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

impl FromStr for Tag {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_like_an_id = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let begins_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let is_fine = begins_well
            && text.len() <= LONGEST_TAG
            && text.bytes().all(allowed)
            && !is_like_an_id
            && text != "latest";
        is_fine.then(|| Self(text.to_owned())).ok_or_else(|| StoreError::BadTag(text.to_owned()))
    }
}

impl Store {
    /// Every name that stands for a dataset now.
    ///
    /// # Errors
    /// When the place cannot be listed.
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

    /// Gives a dataset a tag. A tag of another dataset moves only when `force` says so.
    ///
    /// # Errors
    /// When the tag cannot be one, names another dataset, or cannot be written.
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
            // Somebody was quicker.
            Err(object_store::Error::AlreadyExists { .. }) => {
                Err(StoreError::TagTaken { tag, dataset: "that was tagged just now".to_owned() })
            }
            put => put.map(|_| ()).map_err(StoreError::object("write", self.shown_ref(&tag))),
        }
    }

    /// Takes a tag away.
    ///
    /// # Errors
    /// When there is none of that name, or it cannot be removed.
    pub async fn untag(&self, tag: &str) -> Result<(), StoreError> {
        let Tag(tag) = tag.parse()?;
        if !self.tags().await?.contains_key(&tag) {
            return Err(StoreError::NoTag(tag));
        }
        let path = location::object_path(&[REFS, &tag]);
        let removed = self.objects.delete(&path).await;
        removed.map_err(StoreError::object("remove", self.shown_ref(&tag)))
    }

    /// What tags stand for. A file that is no reference names nothing.
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

/// The small regular files of a folder; others are no references, and not in the way.
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

/// The first ten of a list of ids, shortened.
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
        let long = "x".repeat(LONGEST_TAG + 1);
        let bad = ["", "latest", "latest~1", "abcdef", "123456", "../up", "a/b", ".x", "é", &long];
        for bad in bad {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_a_tag_a_place_in_time_or_a_unique_prefix() {
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
            let told = names.find(unknown).unwrap_err().to_string();
            assert!(told.contains("there are: old, ba7816bf8f01"), "{told}");
        }
    }
}
