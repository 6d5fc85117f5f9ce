//! One kind of table over many datasets, for DataFusion.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, Result, ScalarValue, Statistics, project_schema};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::listing::helpers::{expr_applicable_for_cols, filter_partitioned_file};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use crate::id::DatasetId;
use crate::store::{Listed, Manifest, SCHEMA_VERSION, StoreError};

/// The column that says of which dataset a row is.
pub(super) const DATASET: &str = "dataset";

/// A dataset whose tables can be read, or why they cannot.
#[derive(Debug)]
pub(super) struct Entry {
    id: DatasetId,
    manifest: Result<Manifest, Arc<StoreError>>,
}

impl From<Listed> for Entry {
    fn from(listed: Listed) -> Self {
        Self { id: listed.id, manifest: listed.manifest.map_err(Arc::new) }
    }
}

/// One kind of table over all datasets.
#[derive(Debug)]
pub(super) struct DatasetTable {
    file: &'static str,
    schema: TableSchema,
    /// The columns that a file has, by version of the tables from 1 on: later ones have more.
    versions: Vec<SchemaRef>,
    place: ObjectStoreUrl,
    entries: Arc<[Entry]>,
}

impl DatasetTable {
    /// The files called `file` of all `entries` under `place`, with the columns of the newest of
    /// `versions`: what an earlier one has not is null.
    pub(super) fn new(
        file: &'static str,
        versions: Vec<SchemaRef>,
        place: ObjectStoreUrl,
        entries: Arc<[Entry]>,
    ) -> Self {
        let newest = versions.last().map_or_else(|| Arc::new(Schema::empty()), Arc::clone);
        let schema =
            TableSchema::builder(newest).with_table_partition_cols(vec![dataset_field()]).build();
        Self { file, schema, versions, place, entries }
    }

    fn columns(&self, version: u32) -> SchemaRef {
        let index = usize::try_from(version).unwrap_or(usize::MAX).saturating_sub(1);
        self.versions.get(index).map_or_else(|| Arc::clone(self.schema.file_schema()), Arc::clone)
    }
}

fn dataset_field() -> FieldRef {
    Arc::new(Field::new(DATASET, DataType::Utf8, false))
}

impl DatasetTable {
    /// The files of the datasets that fit the conditions on the column `dataset`, and the rows that
    /// their manifests list.
    fn files(&self, conditions: &[Expr]) -> Result<(Vec<PartitionedFile>, u64)> {
        let schema = DFSchema::try_from(Schema::new(vec![dataset_field()]))?;
        let (mut files, mut rows) = (Vec::new(), 0_u64);
        for entry in self.entries.iter() {
            let listed = entry.manifest.as_ref().map(|manifest| &manifest.files[self.file]);
            let path = format!("{}/{}", entry.id, self.file);
            // The schema that a file carries is not parsed: what parses it trusts it.
            let version = entry.manifest.as_ref().map_or(SCHEMA_VERSION, |one| one.schema_version);
            let mut file = PartitionedFile::new(path, listed.map_or(0, |listed| listed.bytes))
                .with_arrow_schema(self.columns(version));
            file.partition_values = vec![ScalarValue::Utf8(Some(entry.id.to_string()))];
            let Some(file) = filter_partitioned_file(file, conditions, &schema)? else { continue };
            let listed =
                listed.map_err(|error| DataFusionError::External(Box::new(Arc::clone(error))))?;
            rows = rows.saturating_add(listed.rows);
            files.push(file);
        }
        Ok((files, rows))
    }
}

fn is_on_dataset(condition: &Expr) -> bool {
    expr_applicable_for_cols(&[DATASET], condition)
}

#[async_trait]
impl TableProvider for DatasetTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match is_on_dataset(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (on_dataset, others): (Vec<Expr>, Vec<Expr>) =
            filters.iter().cloned().partition(is_on_dataset);
        let (files, rows) = self.files(&on_dataset)?;
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(project_schema(&self.schema(), projection)?)));
        }
        let mut source = ParquetSource::new(self.schema.clone());
        if let Some(condition) = conjunction(others) {
            let schema = DFSchema::try_from(self.schema())?;
            source = source.with_predicate(session.create_physical_expr(condition, &schema)?);
        }
        // So that joins hold the smaller table in memory. An estimate: what is counted is what was
        // read.
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = Precision::Inexact(usize::try_from(rows).unwrap_or(usize::MAX));
        let group_size = files.len().div_ceil(session.config().target_partitions());
        let groups = files.chunks(group_size).map(|group| FileGroup::new(group.to_vec()));
        let config = FileScanConfigBuilder::new(self.place.clone(), Arc::new(source))
            .with_file_groups(groups.collect())
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
