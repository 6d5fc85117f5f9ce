//! Questions to a dataset, asked in SQL. Each question is a `.sql` file beside this one.

mod functions;
mod session;
mod table;
mod verify;

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, StringArray, UInt64Array,
};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;

pub use functions::{FUNCTIONS, Function};
pub use session::{ColumnDoc, Limits, Rows, Session, TableDoc, Trust, table_docs};
pub use verify::verify;

use crate::id::DatasetId;
use crate::model::{Bucket, Case, ComponentName, Figure, Flag, Histogram, Metric, Sample, Stack};
use crate::store::{Store, StoreError};
use crate::units::Nanos;

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

/// One case over its repetitions.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseSummary {
    /// The case.
    pub case: Case,
    /// How many trials it has.
    pub trials: u64,
    /// How many of them are valid. The figures are theirs; where there are none, those of the trials
    /// that were measured.
    pub valid: u64,
    /// Mean of the achieved rate over repetitions, requests per second.
    pub achieved_rps: Option<f64>,
    /// Standard deviation of the achieved rate; `None` for fewer than two repetitions.
    pub achieved_rps_stddev: Option<f64>,
    /// The 95th percentile of the merged distributions, or its lower bound.
    pub p95: Option<Nanos>,
    /// Whether `p95` is a lower bound.
    pub p95_is_bound: bool,
    /// Standard deviation of the repetitions' own p95, in nanoseconds.
    pub p95_stddev_ns: Option<f64>,
    /// Requests that were planned, over all repetitions.
    pub planned: u64,
    /// Requests that were completed.
    pub completed: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that were cut off by the deadline.
    pub censored: u64,
}

impl CaseSummary {
    /// Whether it may be ranked: at least one of its trials is valid.
    #[must_use]
    pub fn is_ranked(&self) -> bool {
        self.valid > 0
    }
}

/// A trial that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedTrial {
    /// Its number.
    pub trial: u64,
    /// What was executed.
    pub case: Case,
    /// At which step it failed.
    pub stage: String,
    /// Why.
    pub reason: String,
    /// The last lines that its parts wrote.
    pub log: String,
}

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

/// How many trials carry a set of flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagCount {
    /// The flags, separated by commas.
    pub flags: String,
    /// The trials.
    pub trials: u64,
}

impl FlagCount {
    /// Whether `flag` is among them.
    #[must_use]
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.split(',').any(|name| name == flag.as_str())
    }
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
        Ok(Answers { question, batches: self.session.ask(question, sql).await? })
    }

    /// Every case over its repetitions, in the order of factors.
    ///
    /// # Errors
    /// When the dataset cannot be read.
    pub async fn cases(&self) -> Result<Vec<CaseSummary>, QueryError> {
        let answers = self.ask("cases.sql", include_str!("cases.sql")).await?;
        answers.rows(|row| {
            Ok(CaseSummary {
                case: row.case()?,
                trials: row.count("trials")?,
                valid: row.count("valid")?,
                achieved_rps: row.number("achieved_rps_mean")?,
                achieved_rps_stddev: row.number("achieved_rps_stddev")?,
                p95: row.maybe_count("p95_ns")?.map(Nanos),
                p95_is_bound: row.truth("p95_is_bound")?,
                p95_stddev_ns: row.number("p95_stddev_ns")?,
                planned: row.maybe_count("planned")?.unwrap_or(0),
                completed: row.maybe_count("completed")?.unwrap_or(0),
                failed: row.maybe_count("failed")?.unwrap_or(0),
                censored: row.maybe_count("censored")?.unwrap_or(0),
            })
        })
    }

    /// The trials that failed.
    ///
    /// # Errors
    /// When the dataset cannot be read.
    pub async fn failures(&self) -> Result<Vec<FailedTrial>, QueryError> {
        let answers = self.ask("failures.sql", include_str!("failures.sql")).await?;
        answers.rows(|row| {
            Ok(FailedTrial {
                trial: row.count("trial")?,
                case: row.case()?,
                stage: row.text("failure_stage")?,
                reason: row.text("failure_reason")?,
                log: row.text("failure_log")?,
            })
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
        Answers { question, batches }.rows(sample)
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
        let buckets = Answers { question, batches }.rows(|row| {
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

    /// How many trials carry which flags.
    ///
    /// # Errors
    /// When the dataset cannot be read.
    pub async fn flags(&self) -> Result<Vec<FlagCount>, QueryError> {
        let answers = self.ask("flags.sql", include_str!("flags.sql")).await?;
        answers
            .rows(|row| Ok(FlagCount { flags: row.text("flags")?, trials: row.count("trials")? }))
    }
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
    let block = row.count("block")?;
    Ok(Sample {
        case: row.case()?,
        block: u32::try_from(block).map_err(|_| row.unusable("block"))?,
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
        let factor = |column: &str| {
            let count = self.count(column)?;
            u32::try_from(count).map_err(|_| self.unusable(column))
        };
        Ok(Case {
            stack: Stack {
                app: self.component("app")?,
                store: self.component("store")?,
                workers: factor("workers")?,
            },
            concurrency: factor("concurrency")?,
            target_rps: factor("target_rps")?,
        })
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
        datafusion::arrow::compute::cast(values, kind).map_err(|_| self.unusable(column))
    }

    fn unusable(&self, column: &str) -> QueryError {
        QueryError::Answer { question: self.question, column: column.to_owned() }
    }
}
