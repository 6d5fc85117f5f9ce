//! Datasets as tables: `datasets`, `trials`, `latency`, `timeline` and `resources`, over every
//! dataset at hand or over one.
//!
//! A condition on the column `dataset` chooses which files are opened; other conditions and the
//! columns that are asked for choose what is read of them. Whatever is read is hashed first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use serde::Serialize;

use super::table::{DATASET, DatasetTable, Entry};
use super::{Query, QueryError, checked, functions, is_computing, statement};
use crate::id::DatasetId;
use crate::store::{
    Condition, FILE_NAMES, Listed, Manifest, Names, SCHEMA_VERSION, Store, StoreError, Table,
    VerifiedObjects, arrow_schemas, tables, unit_of,
};

/// Under this name the tables' files are known to DataFusion, wherever they are.
const PLACE: &str = "results://datasets";
/// What queries of a person at the terminal may hold in memory before they use the disk.
const MEMORY_BYTES: usize = 4 << 30;

/// What the queries of a session may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many threads' worth of tasks read. With one, the order of sums, and so each digit, is
    /// always the same.
    pub partitions: usize,
    /// What they may hold in memory, in bytes.
    pub memory_bytes: usize,
    /// Whether they use the disk for what is beyond that; an error otherwise.
    pub may_spill: bool,
}

impl Limits {
    /// Those of a person at the terminal, who can end what takes too long.
    #[must_use]
    pub const fn of(partitions: usize) -> Self {
        Self { partitions, memory_bytes: MEMORY_BYTES, may_spill: true }
    }
}

/// Whether what is read is compared with its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Everything is hashed before it is used; a damaged dataset is an error once it is read.
    Verify,
    /// Nothing is hashed, and datasets without a readable manifest are left out.
    Blind,
}

/// Datasets as tables of a DataFusion session.
pub struct Session {
    pub(super) context: SessionContext,
    verified: Option<Arc<VerifiedObjects>>,
    /// How many datasets have a manifest that cannot be had: `latest` knows nothing of them.
    pub unreadable: usize,
    /// Datasets that are left out, since their manifest cannot be had and nobody minds.
    pub left_out: Vec<(DatasetId, Condition)>,
}

impl Session {
    /// Every dataset of a store.
    ///
    /// # Errors
    /// When the place cannot be listed.
    pub async fn open(store: &Store, trust: Trust, limits: Limits) -> Result<Self, QueryError> {
        let listed = store.list().await?;
        let names = store.names_of(&listed).await?;
        Self::of(store, listed, names, trust, limits).map_err(QueryError::Setup)
    }

    /// One dataset.
    ///
    /// # Errors
    /// When its manifest cannot be had.
    pub async fn open_one(
        store: &Store,
        id: DatasetId,
        trust: Trust,
        limits: Limits,
    ) -> Result<Self, QueryError> {
        let listed = vec![Listed { id, manifest: Ok(store.manifest(id).await?) }];
        Self::of(store, listed, Names::default(), trust, limits).map_err(QueryError::Setup)
    }

    fn of(
        store: &Store,
        listed: Vec<Listed>,
        names: Names,
        trust: Trust,
        limits: Limits,
    ) -> Result<Self> {
        let disk = match limits.may_spill {
            true => DiskManagerMode::OsTmpDirectory,
            false => DiskManagerMode::Disabled,
        };
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(limits.memory_bytes, 1.0)
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(disk))
            .build_arc()?;
        let config = SessionConfig::new()
            .with_target_partitions(limits.partitions)
            .with_information_schema(true);
        let context = SessionContext::new_with_config_rt(config, runtime);
        let place = ObjectStoreUrl::parse(PLACE)?;
        let verified = (trust == Trust::Verify).then(|| Arc::new(verified(store, &listed)));
        let objects: Arc<dyn ObjectStore> = match &verified {
            Some(verified) => Arc::clone(verified) as _,
            None => Arc::clone(store.objects()),
        };
        context.register_object_store(place.as_ref(), objects);
        context.register_table("datasets", Arc::new(datasets(&listed, &names)?))?;
        let (left_out, used): (Vec<Listed>, Vec<Listed>) =
            listed.into_iter().partition(|one| trust == Trust::Blind && one.manifest.is_err());
        let left_out = left_out.iter().map(|one| (one.id, condition(one))).collect();
        let entries: Arc<[Entry]> = used.into_iter().map(Entry::from).collect();
        let versions: Vec<_> = (1..=SCHEMA_VERSION).map(arrow_schemas).collect();
        for (index, file) in FILE_NAMES.into_iter().enumerate() {
            let versions = versions.iter().map(|tables| Arc::clone(&tables[index])).collect();
            let table = DatasetTable::new(file, versions, place.clone(), Arc::clone(&entries));
            context.register_table(file.trim_end_matches(".parquet"), Arc::new(table))?;
        }
        let unreadable = names.unreadable();
        functions::register(&context, Arc::new(names));
        checked::register(&context);
        Ok(Self { context, verified, unreadable, left_out })
    }

    /// The plans of the statements in `sql`, separated by `;`. They may only read.
    ///
    /// # Errors
    /// When one is no SQL, names what is not there, gives no columns, or would change something.
    pub async fn plans(&self, sql: &str) -> Result<Vec<LogicalPlan>, QueryError> {
        let failed = |error| self.error(error, QueryError::Sql);
        let state = self.context.state();
        let may = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        let mut plans = Vec::new();
        for statement in statement::parse(sql).map_err(failed)? {
            let text = statement.to_string();
            let plan = state.statement_to_plan(statement).await.map_err(failed)?;
            may.verify_plan(&plan).map_err(failed)?;
            if plan.schema().fields().is_empty() {
                return Err(QueryError::NoColumns(text));
            }
            plans.push(plan);
        }
        Ok(plans)
    }

    /// Runs a plan; rows come as they are found.
    ///
    /// # Errors
    /// When it cannot be begun.
    pub async fn run(&self, plan: LogicalPlan) -> Result<Rows<'_>, QueryError> {
        let failed = |error| self.error(error, QueryError::Sql);
        let frame = self.context.execute_logical_plan(plan).await.map_err(failed)?;
        let batches = frame.execute_stream().await.map_err(failed)?;
        Ok(Rows { schema: batches.schema(), batches: batches.map_err(failed).boxed() })
    }

    /// All rows that a question of this program gives.
    pub(super) async fn ask(&self, query: Query) -> Result<Vec<RecordBatch>, QueryError> {
        let question = query.name;
        let failed = |error| {
            self.error(error, |source| QueryError::Ask { question, source: Box::new(source) })
        };
        let frame = self.context.sql(query.sql).await.map_err(failed)?;
        frame.collect().await.map_err(failed)
    }

    /// The rows of a question of this program for which a condition holds that somebody typed.
    pub(super) async fn ask_where(
        &self,
        query: Query,
        condition: &str,
    ) -> Result<Vec<RecordBatch>, QueryError> {
        let question = query.name;
        let failed = |error| {
            self.error(error, |source| QueryError::Ask { question, source: Box::new(source) })
        };
        let frame = self.context.sql(query.sql).await.map_err(failed)?;
        let condition = self.context.parse_sql_expr(condition, frame.schema());
        let condition = condition.map_err(|error| self.error(error, QueryError::Sql))?;
        let kept = frame.filter(condition).map_err(|error| self.error(error, QueryError::Sql))?;
        kept.collect().await.map_err(|error| match error.find_root() {
            DataFusionError::ArrowError(cause, _) if is_computing(cause) => {
                self.error(error, QueryError::Sql)
            }
            _ => failed(error),
        })
    }

    /// The error of a query. If a dataset was refused, that is the cause, whatever the query was.
    fn error(
        &self,
        error: DataFusionError,
        otherwise: impl FnOnce(DataFusionError) -> QueryError,
    ) -> QueryError {
        let refused = self.verified.as_ref().and_then(|verified| verified.refused());
        match refused.or_else(|| damaged_manifest(&error)) {
            Some(refused) => QueryError::Refused(refused),
            None => otherwise(error),
        }
    }
}

/// The manifest that cannot be had, if that is why a table could not be opened.
fn damaged_manifest(error: &DataFusionError) -> Option<Arc<StoreError>> {
    match error {
        DataFusionError::External(error) => error.downcast_ref::<Arc<StoreError>>().cloned(),
        DataFusionError::Context(_, error) => damaged_manifest(error),
        _ => None,
    }
}

/// The answer to a query, batch by batch.
pub struct Rows<'session> {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows.
    pub batches: BoxStream<'session, Result<RecordBatch, QueryError>>,
}

/// A table in words.
#[derive(Clone, Debug, Serialize)]
pub struct TableDoc {
    /// Its name.
    pub name: &'static str,
    /// What a row is.
    pub doc: &'static str,
    /// Its columns, in order.
    pub columns: Vec<ColumnDoc>,
}

/// A column in words.
#[derive(Clone, Debug, Serialize)]
pub struct ColumnDoc {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// The unit of its values; empty where it has none.
    pub unit: &'static str,
    /// What a value is.
    pub doc: String,
    /// Whether a value may be missing.
    pub nullable: bool,
}

/// Every table that SQL knows, in words.
#[must_use]
pub fn table_docs() -> Vec<TableDoc> {
    let datasets = dataset_columns(&[], &Names::default());
    let columns = datasets
        .iter()
        .map(|c| column_doc(c.name, c.values.data_type(), c.doc, c.may_be_missing()))
        .collect();
    let datasets = TableDoc { name: "datasets", doc: "one dataset, as its manifest says", columns };
    let tables = tables(Duration::ZERO, &[]);
    std::iter::once(datasets).chain(tables.iter().map(table_doc)).collect()
}

/// A table of datasets in words, with the column that says of which dataset a row is.
pub(crate) fn table_doc(table: &Table) -> TableDoc {
    let dataset = column_doc(DATASET, &DataType::Utf8, "the dataset's id", false);
    let columns = table.columns.iter();
    let columns = columns.map(|c| column_doc(&c.name, c.values.data_type(), &c.doc, c.nullable));
    TableDoc {
        name: table.name,
        doc: table.doc,
        columns: std::iter::once(dataset).chain(columns).collect(),
    }
}

fn column_doc(name: &str, kind: &DataType, doc: &str, nullable: bool) -> ColumnDoc {
    ColumnDoc {
        name: name.to_owned(),
        kind: kind.to_string(),
        unit: unit_of(name),
        doc: doc.to_owned(),
        nullable,
    }
}

/// The files that the manifests list, hashed before they are used.
fn verified(store: &Store, listed: &[Listed]) -> VerifiedObjects {
    let mut files = BTreeMap::new();
    for one in listed {
        let Ok(manifest) = &one.manifest else { continue };
        for (name, file) in &manifest.files {
            files.insert(format!("{}/{name}", one.id).into(), file.clone());
        }
    }
    VerifiedObjects::new(Arc::clone(store.objects()), store.name().to_owned(), files)
}

/// A column of the table `datasets`.
struct DatasetColumn {
    name: &'static str,
    doc: &'static str,
    values: ArrayRef,
}

impl DatasetColumn {
    /// Where the manifest cannot be had, nothing is known but these.
    fn may_be_missing(&self) -> bool {
        ![DATASET, "condition", "tags"].contains(&self.name)
    }
}

/// The table `datasets`: one row for each, whatever its condition.
fn datasets(listed: &[Listed], names: &Names) -> Result<MemTable> {
    let columns = dataset_columns(listed, names);
    let fields = columns.iter().map(|column| {
        Field::new(column.name, column.values.data_type().clone(), column.may_be_missing())
            .with_metadata([("doc".to_owned(), column.doc.to_owned())].into())
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let values = columns.into_iter().map(|column| column.values).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), values)?;
    MemTable::try_new(schema, vec![vec![batch]])
}

fn dataset_columns(listed: &[Listed], names: &Names) -> Vec<DatasetColumn> {
    let mut columns = Vec::new();
    let mut add = |name, doc, values| columns.push(DatasetColumn { name, doc, values });
    let manifests = || listed.iter().map(|one| one.manifest.as_ref().ok());
    let text = |of: &dyn Fn(&Manifest) -> String| -> ArrayRef {
        Arc::new(manifests().map(|manifest| manifest.map(of)).collect::<StringArray>())
    };
    let count = |of: &dyn Fn(&Manifest) -> Option<u64>| -> ArrayRef {
        let number = |manifest| i64::try_from(of(manifest)?).ok();
        Arc::new(manifests().map(|manifest| manifest.and_then(number)).collect::<Int64Array>())
    };
    let of_each = |of: &dyn Fn(&Listed) -> String| -> ArrayRef {
        Arc::new(listed.iter().map(|one| Some(of(one))).collect::<StringArray>())
    };
    let started = manifests().map(|manifest| i64::try_from(manifest?.started.0).ok());
    add(DATASET, "the dataset's id", of_each(&|one| one.id.to_string()));
    add(
        "condition",
        "whether its manifest is intact",
        of_each(&|one| condition(one).as_str().to_owned()),
    );
    add("tags", "its tags, separated by commas", of_each(&|one| names.tags(one.id).join(",")));
    add(
        "started",
        "when the run began",
        Arc::new(started.collect::<TimestampMillisecondArray>().with_timezone("UTC")),
    );
    add("spec", "the experiment's name", text(&|m| m.experiment.name.clone()));
    add("seed", "where its random order begins", count(&|m| Some(m.experiment.seed)));
    add("trials", "how many trials it has", count(&|m| Some(m.trial_count())));
    add(
        "failed_trials",
        "how many of them failed; missing before version 2",
        count(&|m| m.failed_trials),
    );
    add("table_bytes", "the size of its tables", count(&|m| Some(m.table_bytes())));
    add("bundle", "the id of its pinned components", text(&|m| m.bundle.id.to_string()));
    add("provider", "who pinned them", text(&|m| m.bundle.provider.clone()));
    add("launcher", "where stacks ran", text(&|m| m.launcher.clone()));
    add("load_driver", "what offered the load", text(&|m| m.load_driver.clone()));
    add("cpu_model", "host: its processor", text(&|m| m.host.cpu_model.clone()));
    add("cpus", "host: its CPUs", count(&|m| Some(m.host.cpus.into())));
    add("cores", "host: its cores", count(&|m| Some(m.host.cores.into())));
    add("memory_bytes", "host: its memory", count(&|m| Some(m.host.memory_bytes)));
    add("os", "host: its system", text(&|m| m.host.os.clone()));
    add("kernel", "host: its kernel", text(&|m| m.host.kernel.clone()));
    add("arch", "host: its architecture", text(&|m| m.host.arch.clone()));
    add("writer", "the program that measured", text(&|m| m.writer.clone()));
    add("schema_version", "the version of its tables", count(&|m| Some(m.schema_version.into())));
    columns
}

fn condition(listed: &Listed) -> Condition {
    listed.manifest.as_ref().map_or_else(StoreError::condition, |_| Condition::Intact)
}
