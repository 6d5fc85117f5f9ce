//! One query of the console of the web server, answered within limits.
//!
//! A query may loop without a pause, ask for all memory, or nest so deep that the stack overflows. A
//! thread that does so cannot be stopped; a process can. So each query has a process of its own.

use std::sync::mpsc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::AppError;
use crate::clock::Stopwatch;
use crate::process::limit_memory;
use crate::query::{Limits, Rows, Session, Trust};
use crate::store::{Location, Store};

/// Rows that an answer has.
pub const MAX_ANSWER_ROWS: usize = 10_000;
/// How long a question may take.
pub const MAX_ANSWER_TIME: Duration = Duration::from_secs(10);
/// Bytes of an answer's values.
const MAX_ANSWER_BYTES: usize = 32 << 20;
/// What the tables and groups of a query may hold in memory.
const QUERY_BYTES: usize = 1 << 30;
/// The address space of the process: that, the values between one step and the next, the program, and
/// what its threads reserve and do not use.
const PROCESS_BYTES: u64 = 4 << 30;
/// Each thread reserves addresses of its own for its stack and its heap.
const MAX_THREADS: usize = 8;

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    query: String,
    /// The name of the dataset that is asked; all of them when there is none.
    #[serde(default)]
    dataset: Option<String>,
}

/// What is answered.
#[derive(Debug, Serialize)]
pub struct Answer {
    columns: Vec<Column>,
    /// Values as text: a 64-bit integer has more digits than a number of JavaScript.
    rows: Vec<Vec<Option<String>>>,
    /// Whether there are more rows than these.
    is_cut: bool,
    took_ms: u128,
}

#[derive(Debug, Serialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

/// Why nothing is answered.
#[derive(Debug, Serialize)]
pub struct Unanswered<'a> {
    error: &'a str,
    hints: &'a [String],
}

impl<'a> From<&'a AppError> for Unanswered<'a> {
    fn from(error: &'a AppError) -> Self {
        Self { error: &error.message, hints: &error.hints }
    }
}

/// Answers a question, which is JSON, within its time and its memory: the limits are those of this process.
///
/// # Errors
/// When the question is malformed, cannot be answered, or takes too long.
pub fn ask(location: Location, question: String) -> Result<Answer, AppError> {
    let watch = Stopwatch::start();
    limit_memory(PROCESS_BYTES)?;
    let (send, receive) = mpsc::channel();
    // When the time is up nobody waits for the thread: the process ends, and the thread with it.
    std::thread::spawn(move || send.send(answered(&location, &question)));
    let answer = receive.recv_timeout(MAX_ANSWER_TIME).unwrap_or_else(|error| match error {
        mpsc::RecvTimeoutError::Timeout => Err(too_long()),
        mpsc::RecvTimeoutError::Disconnected => {
            Err(AppError::new("a value is too large, or the query met a defect of this program"))
        }
    });
    Ok(Answer { took_ms: watch.elapsed().as_millis(), ..answer? })
}

/// The error of a query that took too long.
#[must_use]
pub fn too_long() -> AppError {
    AppError::new(format!(
        "the query took longer than {} s and was stopped",
        MAX_ANSWER_TIME.as_secs()
    ))
    .hint("query less: one dataset, fewer rows, no cross join")
    .hint("`perf-api sql` has no time limit")
}

fn answered(location: &Location, question: &str) -> Result<Answer, AppError> {
    let wrong = |error| AppError::new(format!("the question is malformed: {error}"));
    let question: Question = serde_json::from_str(question).map_err(wrong)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads()).enable_all().build();
    let runtime = runtime.map_err(|error| AppError::new(format!("cannot start: {error}")))?;
    runtime.block_on(answer(location, &question))
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS)
}

async fn answer(location: &Location, question: &Question) -> Result<Answer, AppError> {
    let limits = Limits { partitions: threads(), memory_bytes: QUERY_BYTES, may_spill: false };
    let store = Store::open(location)?;
    let session = match &question.dataset {
        None => Session::open(&store, Trust::Verify, limits).await?,
        Some(name) => {
            let id = store.names().await?.find(name)?;
            Session::open_one(&store, id, Trust::Verify, limits).await?
        }
    };
    let mut plans = session.plans(&question.query).await?;
    let plan = match (plans.pop(), plans.is_empty()) {
        (Some(plan), true) => plan,
        (None, _) => return Err(AppError::new("the query is empty")),
        (Some(_), false) => {
            return Err(AppError::new("expected one statement, found several"));
        }
    };
    collected(session.run(plan).await?).await
}

/// The first rows as text.
async fn collected(mut rows: Rows<'_>) -> Result<Answer, AppError> {
    let columns = rows
        .schema
        .fields()
        .iter()
        .map(|field| Column { name: field.name().clone(), kind: field.data_type().to_string() });
    let mut answer =
        Answer { columns: columns.collect(), rows: Vec::new(), is_cut: false, took_ms: 0 };
    let mut left = MAX_ANSWER_BYTES;
    while let Some(batch) = rows.batches.try_next().await? {
        let broken = |error: ArrowError| AppError::new(format!("cannot show the answer: {error}"));
        add(&mut answer, &batch, &mut left).map_err(broken)?;
        if answer.is_cut {
            break;
        }
    }
    Ok(answer)
}

fn add(answer: &mut Answer, batch: &RecordBatch, left: &mut usize) -> Result<(), ArrowError> {
    let options = FormatOptions::default();
    let columns = batch.columns().iter();
    let columns = columns.map(|values| {
        // An array of the type Null has no mask, and yet nothing but nulls.
        let nulls = values.logical_nulls();
        ArrayFormatter::try_new(values.as_ref(), &options).map(|shown| (nulls, shown))
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    for index in 0..batch.num_rows() {
        if answer.rows.len() >= MAX_ANSWER_ROWS || *left == 0 {
            answer.is_cut = true;
            break;
        }
        let mut row = Vec::with_capacity(columns.len());
        for (nulls, shown) in &columns {
            let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(index));
            let text = (!is_null).then(|| shown.value(index).try_to_string()).transpose()?;
            *left = left.saturating_sub(text.as_ref().map_or(0, String::len) + 1);
            row.push(text);
        }
        answer.rows.push(row);
    }
    Ok(())
}
