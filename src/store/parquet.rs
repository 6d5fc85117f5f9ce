//! Tables as Parquet bytes: the same table, the same bytes.

use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, Encoding, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::parquet::schema::types::ColumnPath;

use super::StoreError;
use super::column::Table;

/// A table as a Parquet file.
pub(super) fn encode(table: &Table) -> Result<Vec<u8>, StoreError> {
    let wrap = |error: &dyn std::fmt::Display| StoreError::Encode {
        table: table.name,
        message: error.to_string(),
    };
    let batch = table.batch().map_err(|error| wrap(&error))?;
    let mut properties = WriterProperties::builder();
    for column in table.columns.iter().filter(|column| column.is_ascending) {
        // Numbers that grow: their differences are a fifth of the size.
        let path = ColumnPath::from(column.name.clone().into_owned());
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    let properties = properties
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        // The default names the version of a library, which is no part of the data.
        .set_created_by("perf-api".to_owned())
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties))
        .map_err(|error| wrap(&error))?;
    writer.write(&batch).map_err(|error| wrap(&error))?;
    writer.close().map_err(|error| wrap(&error))?;
    Ok(bytes)
}
