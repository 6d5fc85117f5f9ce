//! Questions to a dataset, asked in SQL. Each question is a `.sql` file beside this one.

mod checked;
mod functions;
mod order;
mod session;
mod statement;
mod table;
mod verify;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, StringArray, UInt64Array,
};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Float64Type, UInt64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;

pub use functions::{FUNCTIONS, Function};
#[cfg(test)]
pub(crate) use session::table_doc;
pub use session::{ColumnDoc, Limits, Rows, Session, TableDoc, Trust, table_docs};
pub use verify::{Verified, verify};

use crate::id::DatasetId;
use crate::model::{
    Bucket, Case, ComponentName, Figure, Flag, Histogram, Metric, Part, ResourceSample, Sample,
    Stack, TimelineSecond, TrialRow, Value,
};
use crate::store::{self, Declaration, Store, StoreError};
use crate::units::{Nanos, Rps};

/// What goes wrong when a dataset is asked.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The dataset cannot be had.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was to be read is not what it should be.
    #[error(transparent)]
    Refused(Arc<StoreError>),
    /// Tables could not be made known to the engine.
    #[error("cannot set up queries")]
    Setup(#[source] DataFusionError),
    /// A query that somebody typed could not be answered.
    #[error("{}", .0.strip_backtrace())]
    Sql(#[source] DataFusionError),
    /// A statement that gives nothing to show.
    #[error("`{0}` gives no columns")]
    NoColumns(String),
    /// A question could not be answered.
    #[error("cannot ask {question}.sql")]
    Ask {
        /// The name of the query.
        question: &'static str,
        /// Why not.
        source: Box<DataFusionError>,
    },
    /// An answer has not the form that was asked for.
    #[error("{question}.sql answered no usable `{column}`")]
    Answer {
        /// The name of the query.
        question: &'static str,
        /// The column.
        column: String,
    },
}

impl QueryError {
    /// Whether a table could not be read as what it should be: what was asked is not the cause.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Sql(error) => match error.find_root() {
                DataFusionError::ParquetError(_) => true,
                DataFusionError::ArrowError(error, _) => !is_computing(error),
                _ => false,
            },
            // A question of this program computes nothing that can fail on an intact table.
            Self::Ask { source, .. } => matches!(
                source.find_root(),
                DataFusionError::ParquetError(_) | DataFusionError::ArrowError(..)
            ),
            _ => false,
        }
    }
}

impl QueryError {
    /// Whether a statement is refused since it would not only read.
    #[must_use]
    pub fn is_no_query(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        match error.find_root() {
            DataFusionError::Plan(message) => ["DDL", "DML", "Statement"].iter().any(|kind| {
                message.strip_prefix(kind).is_some_and(|rest| rest.starts_with(" not supported"))
            }),
            DataFusionError::NotImplemented(message) => {
                message.starts_with("Unsupported SQL statement")
            }
            _ => false,
        }
    }

    /// What could not be computed, if reading and planning went well.
    #[must_use]
    pub fn computing(&self) -> Option<&ArrowError> {
        let Self::Sql(error) = self else { return None };
        match error.find_root() {
            DataFusionError::ArrowError(error, _) => Some(&**error).filter(|e| is_computing(e)),
            _ => None,
        }
    }
}

/// Whether computing failed, and not reading: a division by zero, a text that is no number.
fn is_computing(error: &ArrowError) -> bool {
    matches!(
        error,
        ArrowError::DivideByZero
            | ArrowError::ArithmeticOverflow(_)
            | ArrowError::CastError(_)
            | ArrowError::ComputeError(_)
            | ArrowError::ParseError(_)
            | ArrowError::NotYetImplemented(_)
    )
}

/// A query of this program.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// The name of its file, without `.sql`.
    pub name: &'static str,
    /// What is asked.
    pub sql: &'static str,
}

/// The query in a file beside this one.
macro_rules! query {
    ($name:literal) => {
        Query { name: $name, sql: include_str!(concat!($name, ".sql")) }
    };
}

/// All trials.
pub const TRIALS: Query = query!("trials");
/// The distribution of each trial.
pub const LATENCY: Query = query!("latency");
/// The seconds of each trial.
pub const TIMELINE: Query = query!("timeline");
/// What the parts of each trial used.
pub const RESOURCES: Query = query!("resources");
/// How far each trial is from its case.
pub const DRIFT: Query = query!("drift");
const SAMPLES: Query = query!("samples");
const DISTRIBUTION: Query = query!("distribution");
const ORPHAN_ROWS: Query = query!("orphan_rows");
const VERIFY: Query = query!("verify");

/// The queries that a report is made from, each asked once of its dataset.
pub const SHOWN: [Query; 5] = [TRIALS, LATENCY, TIMELINE, RESOURCES, DRIFT];

/// How far a trial is from the others of its case.
#[derive(Clone, Debug, PartialEq)]
pub struct Residual {
    /// Its place in the order of execution.
    pub position: u64,
    /// Its case.
    pub case: Case,
    /// Its median latency over the geometric mean of its case's.
    pub ratio: f64,
}

/// A dataset that can be asked.
pub struct Dataset {
    session: Session,
}

impl Dataset {
    /// Opens the tables of a dataset.
    ///
    /// # Errors
    /// When its manifest cannot be had.
    pub async fn open(store: &Store, id: DatasetId, trust: Trust) -> Result<Self, QueryError> {
        Ok(Self { session: Session::open_one(store, id, trust, Limits::of(1)).await? })
    }

    async fn ask(&self, query: Query) -> Result<Answers, QueryError> {
        Answers::new(query, &self.session.ask(query).await?)
    }

    /// Every trial, in the order of cases and blocks.
    ///
    /// # Errors
    /// When the dataset cannot be read.
    pub async fn trials(&self) -> Result<Vec<TrialRow>, QueryError> {
        let answers = self.ask(TRIALS).await?;
        answers.read(&store::trials(Duration::ZERO), trial_of_case)
    }

    /// The latencies of each measured trial.
    ///
    /// # Errors
    /// When the dataset cannot be read, or its buckets are out of order.
    pub async fn histograms(&self) -> Result<BTreeMap<u64, Histogram>, QueryError> {
        let answer = |_| QueryError::Answer { question: LATENCY.name, column: "low_ns".to_owned() };
        verify::histograms(&self.session).await?.map_err(answer)
    }

    /// The seconds of each trial, by trial.
    ///
    /// # Errors
    /// When the dataset cannot be read.
    pub async fn timeline(&self) -> Result<Vec<(u64, TimelineSecond)>, QueryError> {
        self.ask(TIMELINE).await?.read(&store::timeline(), |_| Ok(Default::default()))
    }

    /// What the parts of each trial had used from moment to moment, by trial and part.
    ///
    /// # Errors
    /// When the dataset cannot be read.
    pub async fn resources(&self) -> Result<Vec<(u64, ResourceSample)>, QueryError> {
        let empty = ResourceSample {
            part: Part::Loader,
            offset: Nanos(0),
            cpu: Nanos(0),
            memory_bytes: 0,
            throttled: None,
        };
        self.ask(RESOURCES).await?.read(&store::resources(), |_| Ok((0, empty)))
    }

    /// What each trial tells a comparison, in the order of cases and blocks; only those for which
    /// `condition` holds, in SQL, where there is one.
    ///
    /// # Errors
    /// When the dataset cannot be read, or the condition is none.
    pub async fn samples(&self, condition: Option<&str>) -> Result<Vec<Sample>, QueryError> {
        let Some(condition) = condition else { return self.ask(SAMPLES).await?.rows(sample) };
        let batches = self.session.ask_where(SAMPLES, condition).await?;
        Answers::new(SAMPLES, &batches)?.rows(sample)
    }

    /// The latencies of a case over its valid trials.
    ///
    /// # Errors
    /// When the dataset cannot be read.
    pub async fn distribution(&self, case: &Case) -> Result<Histogram, QueryError> {
        let Case { stack, concurrency, target_rps } = case;
        // A component's name has no character that SQL would take for its own.
        let condition = format!(
            "app = '{}' AND store = '{}' AND workers = {} AND concurrency = {concurrency} AND target_rps = {target_rps}",
            stack.app, stack.store, stack.workers
        );
        let batches = self.session.ask_where(DISTRIBUTION, &condition).await?;
        let buckets = Answers::new(DISTRIBUTION, &batches)?.rows(|row| {
            Ok(Bucket {
                low: Nanos(row.count("low_ns")?),
                high: Nanos(row.count("high_ns")?),
                count: row.count("count")?,
                censored: row.count("censored")?,
                served: 0,
            })
        });
        Ok(Histogram { buckets: buckets? })
    }

    /// How far the median latency of each valid trial is from that of its case, in the order of
    /// execution; of cases with several repetitions.
    ///
    /// # Errors
    /// When the dataset cannot be read.
    pub async fn residuals(&self) -> Result<Vec<Residual>, QueryError> {
        let answers = self.ask(DRIFT).await?;
        answers.rows(|row| {
            Ok(Residual {
                position: row.count("position")?,
                case: row.case()?,
                ratio: row.number("ratio")?.unwrap_or(1.0),
            })
        })
    }
}

/// A trial of which nothing but the case is known yet.
fn trial_of_case(row: &Row<'_>) -> Result<TrialRow, QueryError> {
    Ok(TrialRow::new(row.case()?))
}

/// The rows of `trials`, as they are declared, in an answer.
#[cfg(test)]
pub(crate) fn trial_rows(
    table: &Declaration<crate::model::TrialRecord, TrialRow>,
    batches: &[RecordBatch],
) -> Result<Vec<TrialRow>, QueryError> {
    Answers::new(TRIALS, batches)?.read(table, trial_of_case)
}

fn sample(row: &Row<'_>) -> Result<Sample, QueryError> {
    let mut figures = [None; Metric::ALL.len()];
    for (figure, metric) in figures.iter_mut().zip(Metric::ALL) {
        let is_bound = metric.is_latency() && row.truth(&format!("{metric}_is_bound"))?;
        // A trial that completed nothing has no CPU time for each request.
        let value = row.number(metric.as_str())?.filter(|value| value.is_finite());
        *figure = value.map(|value| Figure { value, is_bound });
    }
    let flags = row.text("flags")?;
    Ok(Sample {
        case: row.case()?,
        block: row.small_count("block")?,
        is_valid: row.truth("is_valid")?,
        flags: Flag::ALL
            .into_iter()
            .filter(|flag| flags.split(',').any(|name| name == flag.as_str()))
            .collect(),
        failure: row.has("failure_reason")?.then(|| row.text("failure_reason")).transpose()?,
        planned: row.count("planned")?,
        figures,
    })
}

/// What a question gave.
struct Answers {
    question: &'static str,
    batches: Vec<RecordBatch>,
}

impl Answers {
    /// Brings the columns into the few types that rows are read as: all of it at once, since a cast
    /// for each cell would take the square of the time.
    fn new(query: Query, batches: &[RecordBatch]) -> Result<Self, QueryError> {
        let setup = |error: ArrowError| QueryError::Setup(error.into());
        // A negative count is an error, never a missing one.
        let exact = CastOptions { safe: false, ..CastOptions::default() };
        let plain = |batch: &RecordBatch| -> Result<RecordBatch, ArrowError> {
            let columns = batch.columns().iter().map(|values| match values.data_type() {
                kind if kind.is_integer() => cast_with_options(values, &DataType::UInt64, &exact),
                kind if kind.is_floating() => cast(values, &DataType::Float64),
                DataType::Utf8View | DataType::LargeUtf8 => cast(values, &DataType::Utf8),
                _ => Ok(Arc::clone(values)),
            });
            let names = batch.schema();
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let named = names.fields().iter().map(|field| field.name()).zip(columns);
            RecordBatch::try_from_iter_with_nullable(
                named.map(|(name, values)| (name, values, true)),
            )
        };
        let batches = batches.iter().map(plain).collect::<Result<_, _>>().map_err(setup)?;
        Ok(Self { question: query.name, batches })
    }

    /// Reads each row into what `empty` gives for it: column by column, as the table is declared.
    fn read<R, W>(
        &self,
        table: &Declaration<R, W>,
        empty: impl Fn(&Row<'_>) -> Result<W, QueryError>,
    ) -> Result<Vec<W>, QueryError> {
        let mut all = Vec::new();
        for batch in &self.batches {
            let row = |index| Row { question: self.question, batch, index };
            let mut rows =
                (0..batch.num_rows()).map(|i| empty(&row(i))).collect::<Result<Vec<W>, _>>()?;
            for column in table.columns.iter().filter(|column| column.is_read()) {
                let unusable = || row(0).unusable(&column.name);
                let values = batch.column_by_name(&column.name).ok_or_else(unusable)?;
                for (index, one) in rows.iter_mut().enumerate() {
                    column.put(one, value(values, index)).ok_or_else(unusable)?;
                }
            }
            all.append(&mut rows);
        }
        Ok(all)
    }

    fn rows<T>(
        &self,
        read: impl Fn(&Row<'_>) -> Result<T, QueryError>,
    ) -> Result<Vec<T>, QueryError> {
        let mut rows = Vec::new();
        for batch in &self.batches {
            for index in 0..batch.num_rows() {
                rows.push(read(&Row { question: self.question, batch, index })?);
            }
        }
        Ok(rows)
    }
}

/// A value of an answer's column; `None` where there is none, or where its type is another.
fn value(values: &ArrayRef, index: usize) -> Option<Value> {
    if values.is_null(index) {
        return None;
    }
    Some(match values.data_type() {
        DataType::UInt64 => Value::Count(values.as_primitive_opt::<UInt64Type>()?.value(index)),
        DataType::Float64 => Value::Number(values.as_primitive_opt::<Float64Type>()?.value(index)),
        DataType::Boolean => Value::Truth(values.as_boolean_opt()?.value(index)),
        _ => Value::Text(values.as_string_opt::<i32>()?.value(index).to_owned()),
    })
}

/// One row of an answer.
struct Row<'a> {
    question: &'static str,
    batch: &'a RecordBatch,
    index: usize,
}

impl Row<'_> {
    fn case(&self) -> Result<Case, QueryError> {
        Ok(Case {
            stack: Stack {
                app: self.component("app")?,
                store: self.component("store")?,
                workers: self.small_count("workers")?,
            },
            concurrency: self.small_count("concurrency")?,
            target_rps: self.rate("target_rps")?,
        })
    }

    fn small_count(&self, column: &str) -> Result<u32, QueryError> {
        u32::try_from(self.count(column)?).map_err(|_| self.unusable(column))
    }

    fn rate(&self, column: &str) -> Result<Rps, QueryError> {
        let rate = self.number(column)?.ok_or_else(|| self.unusable(column))?;
        Rps::try_from(rate).map_err(|_| self.unusable(column))
    }

    fn component(&self, column: &str) -> Result<ComponentName, QueryError> {
        self.text(column)?.parse().map_err(|_| self.unusable(column))
    }

    fn text(&self, column: &str) -> Result<String, QueryError> {
        let values = self.values(column, &DataType::Utf8)?;
        let values = values.as_any().downcast_ref::<StringArray>();
        let values = values.ok_or_else(|| self.unusable(column))?;
        Ok(values.value(self.index).to_owned())
    }

    fn truth(&self, column: &str) -> Result<bool, QueryError> {
        let values = self.values(column, &DataType::Boolean)?;
        let values = values.as_any().downcast_ref::<BooleanArray>();
        let values = values.ok_or_else(|| self.unusable(column))?;
        Ok(values.value(self.index))
    }

    fn number(&self, column: &str) -> Result<Option<f64>, QueryError> {
        let values = self.values(column, &DataType::Float64)?;
        let values = values.as_any().downcast_ref::<Float64Array>();
        let values = values.ok_or_else(|| self.unusable(column))?;
        Ok(values.is_valid(self.index).then(|| values.value(self.index)))
    }

    /// Whether there is a value.
    fn has(&self, column: &str) -> Result<bool, QueryError> {
        let values = self.batch.column_by_name(column).ok_or_else(|| self.unusable(column))?;
        Ok(values.is_valid(self.index))
    }

    fn count(&self, column: &str) -> Result<u64, QueryError> {
        self.maybe_count(column)?.ok_or_else(|| self.unusable(column))
    }

    fn maybe_count(&self, column: &str) -> Result<Option<u64>, QueryError> {
        let values = self.values(column, &DataType::UInt64)?;
        let values = values.as_any().downcast_ref::<UInt64Array>();
        let values = values.ok_or_else(|| self.unusable(column))?;
        Ok(values.is_valid(self.index).then(|| values.value(self.index)))
    }

    fn values(&self, column: &str, kind: &DataType) -> Result<ArrayRef, QueryError> {
        let values = self.batch.column_by_name(column).ok_or_else(|| self.unusable(column))?;
        if values.data_type() == kind {
            return Ok(Arc::clone(values));
        }
        cast(values, kind).map_err(|_| self.unusable(column))
    }

    fn unusable(&self, column: &str) -> QueryError {
        QueryError::Answer { question: self.question, column: column.to_owned() }
    }
}
