//! Questions in SQL: read only, a few at a time, each in a process of its own.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::{Refused, Served, Shared, shown};
use crate::app::{AppError, MAX_ANSWER_ROWS, MAX_ANSWER_TIME, Question, Unanswered, too_long};
use crate::process::run_self;
use crate::report::console_page;

/// How long the process of a question may take to begin and to end.
const GRACE: Duration = Duration::from_secs(5);

/// `GET /sql`
pub(super) async fn page(State(shared): Served) -> Result<Response, Refused> {
    let store = shared.store.clone();
    let page = shared.work.run(move || async move {
        let listed = store.list().await?;
        let names = store.names_of(&listed).await?;
        let page = console_page(&listed, &names, MAX_ANSWER_ROWS, MAX_ANSWER_TIME.as_secs());
        page.map_err(|error| Refused::from(AppError::from(error)))
    });
    Ok(shown(page.await?))
}

/// `POST /sql`
pub(super) async fn answer(
    State(shared): Served,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let asked = match question(&headers, body) {
        Ok(question) => ask(&shared, &question).await,
        Err(refused) => Err(refused),
    };
    asked.unwrap_or_else(|refused| {
        (refused.status, Json(Unanswered::from(&refused.error))).into_response()
    })
}

fn question(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refused> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    // A form of another site cannot be of this type.
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Refused {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            error: AppError::new("expected a question of type application/json"),
        });
    }
    let body = body.map_err(|rejected| Refused {
        status: rejected.status(),
        error: AppError::new(rejected.body_text()),
    })?;
    let wrong = |error| AppError::new(format!("the question is malformed: {error}"));
    let _: Question = serde_json::from_slice(&body).map_err(wrong)?;
    Ok(body)
}

/// Has a question answered. When nobody waits for it any more, the process that answers is ended.
async fn ask(shared: &Arc<Shared>, question: &[u8]) -> Result<Response, Refused> {
    let _turn = shared.work.query_turn().await?;
    let results = format!("--results={}", shared.results);
    let args = ["ask", results.as_str()];
    let run = run_self(&args, question);
    let Ok(answer) = tokio::time::timeout(MAX_ANSWER_TIME + GRACE, run).await else {
        return Err(too_long().into());
    };
    let answer = answer.map_err(AppError::from)?;
    let status = match answer.status.code() {
        Some(0) => StatusCode::OK,
        _ if answer.stdout.is_empty() => {
            let error =
                AppError::new("the query was stopped: it needs too much memory, or nests too deep");
            return Err(error.hint("`perf-api sql` has no such limits").into());
        }
        _ => StatusCode::BAD_REQUEST,
    };
    Ok((status, [(CONTENT_TYPE, "application/json")], answer.stdout).into_response())
}
