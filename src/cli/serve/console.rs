//! Questions in SQL: read only, a few at a time, and none for ever.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Refused, Served, Shared, shown};
use crate::cli::error::CliError;
use crate::clock::Stopwatch;
use crate::query::{Limits, QueryError, Rows, Session, Trust};
use crate::report::console_page;
use crate::store::Store;

/// Rows that an answer has.
const MOST_ROWS: usize = 10_000;
/// Bytes of its values.
const MOST_ANSWER_BYTES: usize = 32 << 20;
/// What a query may hold in memory.
const MEMORY_BYTES: usize = 1 << 30;
/// How long a query may take.
const MOST_TIME: Duration = Duration::from_secs(10);
/// How long one may take to notice that its time is over.
const GRACE: Duration = Duration::from_secs(2);

/// `GET /sql`
pub(super) async fn page(State(shared): Served) -> Result<Response, Refused> {
    let store = shared.store.clone();
    let page = shared.work.run(move || async move {
        let listed = store.list().await?;
        let names = store.names_of(&listed).await?;
        let page = console_page(&listed, &names, MOST_ROWS, MOST_TIME.as_secs());
        page.map_err(|error| Refused::from(CliError::from(error)))
    });
    Ok(shown(page.await?))
}

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
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

/// `POST /sql`
pub(super) async fn answer(
    State(shared): Served,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let question = match question(&headers, body) {
        Ok(question) => question,
        Err(refused) => return told(&refused),
    };
    match ask(&shared, question).await {
        Ok(answer) => Json(answer).into_response(),
        Err(refused) => told(&refused),
    }
}

fn question(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Question, Refused> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    // A form of another site cannot be of this type.
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Refused {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            error: CliError::new("a question is application/json"),
        });
    }
    let body = body.map_err(|rejected| Refused {
        status: rejected.status(),
        error: CliError::new(rejected.body_text()),
    })?;
    let wrong = |error| CliError::new(format!("that is no question: {error}"));
    Ok(serde_json::from_slice(&body).map_err(wrong)?)
}

fn told(refused: &Refused) -> Response {
    let CliError { message, hints, .. } = &refused.error;
    (refused.status, Json(json!({ "error": message, "hints": hints }))).into_response()
}

async fn ask(shared: &Arc<Shared>, question: Question) -> Result<Answer, Refused> {
    let turn = shared.work.query_turn().await?;
    let watch = Stopwatch::start();
    let store = shared.store.clone();
    let run = shared.work.run(move || async move {
        let _turn = turn;
        let answer = tokio::time::timeout(MOST_TIME, answered(&store, &question)).await;
        answer.unwrap_or_else(|_| Err(too_long()))
    });
    // Some functions do not look up from their work.
    let answer = tokio::time::timeout(MOST_TIME + GRACE, run).await;
    let mut answer = answer.unwrap_or_else(|_| Err(too_long())).map_err(|error: CliError| {
        // Whatever is wrong, it was asked.
        Refused { status: StatusCode::BAD_REQUEST, error }
    })?;
    answer.took_ms = watch.elapsed().as_millis();
    Ok(answer)
}

fn too_long() -> CliError {
    CliError::new(format!("the query was stopped after {} s", MOST_TIME.as_secs()))
        .hint("ask for less: one dataset, fewer rows, no product of tables")
        .hint("`perf-api sql` takes any time")
}

/// Asks what may be asked.
async fn answered(store: &Store, question: &Question) -> Result<Answer, CliError> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let limits = Limits { partitions: cpus, memory_bytes: MEMORY_BYTES, may_spill: false };
    let session = match &question.dataset {
        None => Session::open(store, Trust::Verify, limits).await?,
        Some(name) => {
            let id = store.names().await?.find(name)?;
            Session::open_one(store, id, Trust::Verify, limits).await?
        }
    };
    let mut plans = session.plans(&question.query).await.map_err(in_words)?;
    let plan = match (plans.pop(), plans.is_empty()) {
        (Some(plan), true) => plan,
        (None, _) => return Err(CliError::new("there is no query")),
        (Some(_), false) => {
            return Err(CliError::new("one question at a time: there is more than one statement"));
        }
    };
    collected(session.run(plan).await?).await
}

/// What a refused statement means to who typed it.
fn in_words(error: QueryError) -> CliError {
    let is_refused = match &error {
        QueryError::Sql(source) => match source.find_root() {
            DataFusionError::Plan(words) => ["DDL", "DML", "Statement"].iter().any(|kind| {
                words.strip_prefix(kind).is_some_and(|rest| rest.starts_with(" not supported"))
            }),
            _ => false,
        },
        _ => false,
    };
    let told = CliError::from(error);
    if !is_refused {
        return told;
    }
    CliError::new(format!("questions only: nothing is written, changed or set ({})", told.message))
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
    let mut left = MOST_ANSWER_BYTES;
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
        ArrayFormatter::try_new(values.as_ref(), &options).map(|shown| (values, shown))
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    for index in 0..batch.num_rows() {
        if answer.rows.len() >= MOST_ROWS || *left == 0 {
            answer.is_cut = true;
            break;
        }
        let mut row = Vec::with_capacity(columns.len());
        for (values, shown) in &columns {
            let text = match values.is_null(index) {
                true => None,
                false => {
                    let mut text = String::new();
                    write!(text, "{}", shown.value(index))
                        .map_err(|_| ArrowError::CastError(format!("no text for row {index}")))?;
                    Some(text)
                }
            };
            *left = left.saturating_sub(text.as_ref().map_or(0, String::len) + 1);
            row.push(text);
        }
        answer.rows.push(row);
    }
    Ok(())
}
