//! `perf-api ask`: one question of the console of `perf-api serve`, in a process of its own.
//!
//! What somebody types may loop without looking up, want all memory, or nest so deep that the stack
//! ends. A thread that does so cannot be stopped; a process can.

use std::io::Read;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use crate::cli::error::CliError;
use crate::cli::output::print;
use crate::cli::{args, location};
use crate::clock::Stopwatch;
use crate::model::rules::Exit;
use crate::process::limit_memory;
use crate::query::{Limits, Rows, Session, Trust};

/// Rows that an answer has.
pub(in crate::cli) const MAX_ROWS: usize = 10_000;
/// How long a question may take.
pub(in crate::cli) const MAX_TIME: Duration = Duration::from_secs(10);
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
pub(in crate::cli) struct Question {
    query: String,
    /// The name of the dataset that is asked; all of them when there is none.
    #[serde(default)]
    dataset: Option<String>,
}

/// What is answered.
#[derive(Debug, Serialize)]
struct Answer {
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
pub(in crate::cli) struct Unanswered<'a> {
    error: &'a str,
    hints: &'a [String],
}

impl<'a> From<&'a CliError> for Unanswered<'a> {
    fn from(error: &'a CliError) -> Self {
        Self { error: &error.message, hints: &error.hints }
    }
}

/// Answers the question on standard input, as JSON on standard output.
pub(in crate::cli) fn ask(args: &args::Ask) -> Result<ExitCode, CliError> {
    let watch = Stopwatch::start();
    limit_memory(PROCESS_BYTES)?;
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| CliError::new(format!("cannot read the question: {error}")))?;
    let (tell, told) = mpsc::channel();
    let results = args.results.clone();
    // Nobody waits for it after its time: the process then ends, and it with it.
    std::thread::spawn(move || tell.send(answered(&results, &text)));
    let answer = told.recv_timeout(MAX_TIME).unwrap_or_else(|error| match error {
        mpsc::RecvTimeoutError::Timeout => Err(too_long()),
        mpsc::RecvTimeoutError::Disconnected => {
            Err(CliError::new("a value is too large, or the query met a defect of this program"))
        }
    });
    let (json, code) = match answer {
        Ok(mut answer) => {
            answer.took_ms = watch.elapsed().as_millis();
            (serde_json::to_string(&answer), ExitCode::SUCCESS)
        }
        Err(error) => (serde_json::to_string(&Unanswered::from(&error)), Exit::Error.into()),
    };
    print(&json.map_err(|error| CliError::new(error.to_string()))?)?;
    Ok(code)
}

/// That a question had its time.
pub(in crate::cli) fn too_long() -> CliError {
    CliError::new(format!("the query was stopped after {} s", MAX_TIME.as_secs()))
        .hint("ask for less: one dataset, fewer rows, no product of tables")
        .hint("`perf-api sql` takes any time")
}

fn answered(results: &str, question: &str) -> Result<Answer, CliError> {
    let wrong = |error| CliError::new(format!("that is no question: {error}"));
    let question: Question = serde_json::from_str(question).map_err(wrong)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads()).enable_all().build();
    let runtime = runtime.map_err(|error| CliError::new(format!("cannot start: {error}")))?;
    runtime.block_on(answer(results, &question))
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS)
}

async fn answer(results: &str, question: &Question) -> Result<Answer, CliError> {
    let limits = Limits { partitions: threads(), memory_bytes: QUERY_BYTES, may_spill: false };
    let store = location::open(results)?;
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
        (None, _) => return Err(CliError::new("there is no query")),
        (Some(_), false) => {
            return Err(CliError::new("one question at a time: there is more than one statement"));
        }
    };
    collected(session.run(plan).await?).await
}

/// The first rows as text.
async fn collected(mut rows: Rows<'_>) -> Result<Answer, CliError> {
    let columns = rows
        .schema
        .fields()
        .iter()
        .map(|field| Column { name: field.name().clone(), kind: field.data_type().to_string() });
    let mut answer =
        Answer { columns: columns.collect(), rows: Vec::new(), is_cut: false, took_ms: 0 };
    let mut left = MAX_ANSWER_BYTES;
    while let Some(batch) = rows.batches.try_next().await? {
        let broken = |error: ArrowError| CliError::new(format!("cannot show the answer: {error}"));
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
        if answer.rows.len() >= MAX_ROWS || *left == 0 {
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
