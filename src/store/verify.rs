//! Whether a dataset is what it says: hashes, sizes, schema and rows of its tables.
//!
//! Whether the figures in `trials` follow from `latency` is asked elsewhere: that needs statistics.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::parquet::arrow::parquet_to_arrow_schema;
use datafusion::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use object_store::{GetOptions, GetRange, ObjectStore};

use super::{FILE_NAMES, Manifest, Store, StoreError, TableFile, location, schema, verified};
use crate::id::DatasetId;

/// What a table may be at most when it is unpacked: more is a trick, or another program's work.
const MAX_UNPACKED_BYTES: i64 = 8 << 30;
/// The longest footer of a table that is read.
const MAX_FOOTER_BYTES: u64 = 32 << 20;
/// The end of a Parquet file: the length of its footer, and four letters.
const TAIL_BYTES: u64 = 8;

impl Store {
    /// Compares each file of a dataset with its hash, and gives its manifest.
    ///
    /// # Errors
    /// When one cannot be read, is missing, or is not as listed.
    pub async fn check_hashes(&self, id: DatasetId) -> Result<Manifest, StoreError> {
        let manifest = self.manifest(id).await?;
        for (name, listed) in &manifest.files {
            let path = location::object_path(&[&id.to_string(), name]);
            let place = self.name.clone();
            verified::read_checked(self.objects.as_ref(), &path, listed, &place).await?;
        }
        Ok(manifest)
    }

    /// Checks everything about a dataset that needs no statistics: its hashes, and that each table
    /// has the schema of its version, as many rows as listed, and no absurd size.
    ///
    /// # Errors
    /// When a file cannot be read, is missing, or is not what it should be.
    pub async fn check(&self, id: DatasetId) -> Result<Manifest, StoreError> {
        let manifest = self.check_hashes(id).await?;
        for (name, listed) in &manifest.files {
            let corrupt = |message| StoreError::Corrupt { object: self.shown(id, name), message };
            let footer = self.footer(id, name, listed).await?;
            let mut reader = ParquetMetaDataReader::new();
            let bytes = Bytes::from(footer);
            // The footer is the end of the file: what it points to may be before it.
            let parsed =
                reader.try_parse_sized(&bytes, listed.bytes).and_then(|()| reader.finish());
            let metadata = parsed.map_err(|error| corrupt(error.to_string()))?;
            check_table(name, &metadata, listed, manifest.schema_version).map_err(corrupt)?;
        }
        Ok(manifest)
    }

    /// The end of a table that describes it.
    async fn footer(
        &self,
        id: DatasetId,
        name: &str,
        listed: &TableFile,
    ) -> Result<Vec<u8>, StoreError> {
        let tail = self.end_of(id, name, TAIL_BYTES.min(listed.bytes)).await?;
        let length = tail.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let wanted = u64::from(length) + TAIL_BYTES;
        if wanted > MAX_FOOTER_BYTES.min(listed.bytes) {
            let message = format!("its footer has {length} bytes");
            return Err(StoreError::Corrupt { object: self.shown(id, name), message });
        }
        self.end_of(id, name, wanted).await
    }

    async fn end_of(&self, id: DatasetId, name: &str, bytes: u64) -> Result<Vec<u8>, StoreError> {
        let path = location::object_path(&[&id.to_string(), name]);
        let options = GetOptions { range: Some(GetRange::Suffix(bytes)), ..GetOptions::default() };
        let read = || StoreError::object("read", self.shown(id, name));
        let got = self.objects.get_opts(&path, options).await.map_err(read())?;
        Ok(got.bytes().await.map_err(read())?.to_vec())
    }
}

fn check_table(
    name: &str,
    metadata: &ParquetMetaData,
    listed: &TableFile,
    version: u32,
) -> Result<(), String> {
    let file = metadata.file_metadata();
    let rows: i64 = metadata.row_groups().iter().map(|group| group.num_rows()).sum();
    if u64::try_from(rows) != Ok(listed.rows) || file.num_rows() != rows {
        return Err(format!("it has {rows} rows; its manifest lists {}", listed.rows));
    }
    let sizes = metadata.row_groups().iter().map(|group| group.total_byte_size());
    let unpacked = sizes.fold(0_i64, i64::saturating_add);
    if !(0..=MAX_UNPACKED_BYTES).contains(&unpacked) {
        return Err(format!("it unpacks to {unpacked} bytes; {MAX_UNPACKED_BYTES} is the most"));
    }
    // Without the Arrow schema that the file carries: what parses it trusts it, and panics.
    let found = parquet_to_arrow_schema(file.schema_descr(), None);
    let found = found.map_err(|error| error.to_string())?;
    let index = FILE_NAMES.iter().position(|known| *known == name);
    let expected = index.and_then(|index| schema::arrow_schemas(version).into_iter().nth(index));
    same_columns(&found, &expected.ok_or("it is no table of this schema")?)
}

/// Whether a table has the columns of the schema, in order and of the same types.
fn same_columns(found: &Schema, expected: &Arc<Schema>) -> Result<(), String> {
    for (index, expected) in expected.fields().iter().enumerate() {
        let Some(found) = found.fields().get(index) else {
            return Err(format!("it has no column `{}`", expected.name()));
        };
        let text = |field: &Field| {
            let null = if field.is_nullable() { ", may be missing" } else { "" };
            format!("`{}` of type {}{null}", field.name(), field.data_type())
        };
        if text(found) != text(expected) {
            let (found, expected) = (text(found), text(expected));
            return Err(format!("it has a column {found} where {expected} belongs"));
        }
    }
    match found.fields().get(expected.fields().len()) {
        Some(extra) => Err(format!("it has a column `{}` too many", extra.name())),
        None => Ok(()),
    }
}
