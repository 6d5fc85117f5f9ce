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

use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, StringArray, UInt64Array,
};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;

pub use functions::{FUNCTIONS, Function};
pub use session::{ColumnDoc, Limits, Rows, Session, TableDoc, Trust, table_docs};
pub use verify::{Verified, verify};

use crate::id::DatasetId;
use crate::model::{
    Bucket, Case, ComponentName, Figure, Flag, Histogram, LatencyFigure, Metric, Part, QUANTILES,
    ResourceSample, RowFailure, Sample, Stack, TimelineLatency, TimelineSecond, TrialRow,
};
use crate::store::{Store, StoreError};
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
    #[error("cannot ask {question}")]
    Ask {
        /// The file of the question.
        question: &'static str,
        /// Why not.
        source: Box<DataFusionError>,
    },
    /// An answer has not the form that was asked for.
    #[error("{question} answered no usable `{column}`")]
    Answer {
        /// The file of the question.
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

/// The questions whose answers are drawn, by name; each is asked of one dataset.
pub const SHOWN: [(&str, &str); 6] = [
    ("cases", include_str!("cases.sql")),
    ("distribution", include_str!("distribution.sql")),
    ("trials", include_str!("trials.sql")),
    ("timeline", include_str!("timeline.sql")),
    ("resources", include_str!("resources.sql")),
    ("drift", include_str!("drift.sql")),
];

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

    async fn ask(&self, question: &'static str, sql: &str) -> Result<Answers, QueryError> {
        Answers::new(question, &self.session.ask(question, sql).await?)
    }

    /// Every trial, in the order of cases and blocks.
    ///
    /// # Errors
    /// When the dataset cannot be read.
    pub async fn trials(&self) -> Result<Vec<TrialRow>, QueryError> {
        self.ask("trials.sql", include_str!("trials.sql")).await?.rows(trial_row)
    }

    /// The latencies of each measured trial.
    ///
    /// # Errors
    /// When the dataset cannot be read, or its buckets are out of order.
    pub async fn histograms(&self) -> Result<BTreeMap<u64, Histogram>, QueryError> {
        let answer =
            |_| QueryError::Answer { question: "latency.sql", column: "low_ns".to_owned() };
        verify::histograms(&self.session).await?.map_err(answer)
    }

    /// The seconds of each trial, by trial.
    ///
    /// # Errors
    /// When the dataset cannot be read.
    pub async fn timeline(&self) -> Result<Vec<(u64, TimelineSecond)>, QueryError> {
        let answers = self.ask("timeline.sql", include_str!("timeline.sql")).await?;
        answers.rows(|row| {
            let nanos = |column| Ok::<_, QueryError>(row.maybe_count(column)?.map(Nanos));
            let latency = match (
                nanos("latency_p50_ns")?,
                nanos("latency_p95_ns")?,
                nanos("latency_p99_ns")?,
                nanos("latency_max_ns")?,
            ) {
                (Some(p50), Some(p95), Some(p99), Some(max)) => {
                    Some(TimelineLatency { p50, p95, p99, max })
                }
                _ => None,
            };
            let second = TimelineSecond {
                second: row.small_count("second")?,
                planned: row.count("planned")?,
                completed: row.count("completed")?,
                failed: row.count("failed")?,
                latency,
            };
            Ok((row.count("trial")?, second))
        })
    }

    /// What the parts of each trial had used from moment to moment, by trial and part.
    ///
    /// # Errors
    /// When the dataset cannot be read.
    pub async fn resources(&self) -> Result<Vec<(u64, ResourceSample)>, QueryError> {
        let answers = self.ask("resources.sql", include_str!("resources.sql")).await?;
        answers.rows(|row| {
            let part = row.text("part")?;
            let part = Part::ALL.into_iter().find(|known| known.as_str() == part);
            let sample = ResourceSample {
                part: part.ok_or_else(|| row.unusable("part"))?,
                offset: Nanos(row.count("offset_ns")?),
                cpu: Nanos(row.count("cpu_ns")?),
                memory_bytes: row.count("memory_bytes")?,
                throttled: row.maybe_count("throttled_ns")?.map(Nanos),
            };
            Ok((row.count("trial")?, sample))
        })
    }

    /// What each trial tells a comparison, in the order of cases and blocks; only those for which
    /// `condition` holds, in SQL, where there is one.
    ///
    /// # Errors
    /// When the dataset cannot be read, or the condition is none.
    pub async fn samples(&self, condition: Option<&str>) -> Result<Vec<Sample>, QueryError> {
        let (question, sql) = ("samples.sql", include_str!("samples.sql"));
        let Some(condition) = condition else { return self.ask(question, sql).await?.rows(sample) };
        let batches = self.session.ask_where(question, sql, condition).await?;
        Answers::new(question, &batches)?.rows(sample)
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
        let (question, sql) = ("distribution.sql", include_str!("distribution.sql"));
        let batches = self.session.ask_where(question, sql, &condition).await?;
        let buckets = Answers::new(question, &batches)?.rows(|row| {
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
        let answers = self.ask("drift.sql", include_str!("drift.sql")).await?;
        answers.rows(|row| {
            Ok(Residual {
                position: row.count("position")?,
                case: row.case()?,
                ratio: row.number("ratio")?.unwrap_or(1.0),
            })
        })
    }
}

fn trial_row(row: &Row<'_>) -> Result<TrialRow, QueryError> {
    let mut latency = [None; QUANTILES.len()];
    for (figure, (_, name)) in latency.iter_mut().zip(QUANTILES) {
        let bound = format!("latency_{name}_is_bound");
        if let Some(value) = row.maybe_count(&format!("latency_{name}_ns"))? {
            let high = row.maybe_count(&format!("latency_{name}_high_ns"))?.map(Nanos);
            let is_bound = row.truth(&bound)?;
            *figure = Some(LatencyFigure { value: Nanos(value), is_bound, high });
        }
    }
    let failure = match row.has("failure_stage")? {
        true => Some(RowFailure {
            stage: row.text("failure_stage")?,
            reason: row.text("failure_reason")?,
            log: row.text("failure_log")?,
        }),
        false => None,
    };
    Ok(TrialRow {
        trial: row.count("trial")?,
        position: row.count("position")?,
        block: row.count("block")?,
        case: row.case()?,
        is_valid: row.truth("is_valid")?,
        flags: row.text("flags")?,
        failure,
        planned: row.maybe_count("planned")?,
        sent: row.maybe_count("sent")?,
        completed: row.maybe_count("completed")?,
        drained: row.maybe_count("drained")?,
        failed: row.maybe_count("failed")?,
        censored: row.maybe_count("censored")?,
        achieved_rps: row.number("achieved_rps")?,
        latency,
        app_cpu_s: row.number("app_cpu_s")?,
        store_cpu_s: row.number("store_cpu_s")?,
        loader_cpu_s: row.number("loader_cpu_s")?,
        app_throttled_s: row.number("app_throttled_s")?,
        app_peak_memory_bytes: row.maybe_count("app_peak_memory_bytes")?,
        store_peak_memory_bytes: row.maybe_count("store_peak_memory_bytes")?,
    })
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
    fn new(question: &'static str, batches: &[RecordBatch]) -> Result<Self, QueryError> {
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
        Ok(Self { question, batches })
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
