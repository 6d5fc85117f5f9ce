//! The list, reports and comparisons.

use std::sync::PoisonError;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;

use super::{Refused, Served, Shared, self_contained, shown};
use crate::app::{self, AppError, ComparisonSettings, Margin};
use crate::id::DatasetId;
use crate::query::Trust;
use crate::report::{Insist, Message, comparison_html, datasets_page, html, message_page};

/// Reports that are kept: each has its script in itself, some 1.5 MB.
const MAX_REPORTS: usize = 4;

/// `GET /`
pub(super) async fn datasets(State(shared): Served) -> Result<Response, Refused> {
    let store = shared.store.clone();
    let page = shared.work.run(move || async move {
        let listed = store.list().await?;
        let names = store.names_of(&listed).await?;
        let unfinished = store.unfinished_runs().len();
        let page = datasets_page(&listed, &names, store.name(), unfinished);
        page.map_err(|error| Refused::from(AppError::from(error)))
    });
    Ok(shown(page.await?))
}

/// `GET /dataset/{name}`
pub(super) async fn dataset(
    State(shared): Served,
    Path(name): Path<String>,
) -> Result<Response, Refused> {
    let store = shared.store.clone();
    let id: Result<DatasetId, Refused> =
        shared.work.run(move || async move { Ok(store.names().await?.find(&name)?) }).await;
    let id = id?;
    if let Some(page) = kept(&shared, id) {
        return Ok(self_contained(page));
    }
    let turn = shared.work.page_turn().await?;
    // Somebody may have made it meanwhile.
    if let Some(page) = kept(&shared, id) {
        return Ok(self_contained(page));
    }
    let store = shared.store.clone();
    let page: Result<String, AppError> = shared
        .work
        .run(move || async move {
            let _turn = turn;
            Ok(html(&app::report(&store, id, Trust::Verify).await?)?)
        })
        .await;
    let page = Bytes::from(page?);
    keep(&shared, id, page.clone());
    Ok(self_contained(page))
}

fn kept(shared: &Shared, id: DatasetId) -> Option<Bytes> {
    let mut reports = shared.reports.lock().unwrap_or_else(PoisonError::into_inner);
    let place = reports.iter().position(|(own, _)| *own == id)?;
    let found = reports.remove(place);
    let page = found.1.clone();
    reports.push(found);
    Some(page)
}

fn keep(shared: &Shared, id: DatasetId, page: Bytes) {
    let mut reports = shared.reports.lock().unwrap_or_else(PoisonError::into_inner);
    reports.retain(|(own, _)| *own != id);
    if reports.len() >= MAX_REPORTS {
        reports.remove(0);
    }
    reports.push((id, page));
}

/// What is asked to be compared.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    before: String,
    after: String,
    /// `1` to compare although more differs than what is compared.
    force: Option<String>,
    margin: Option<String>,
}

/// `GET /compare`
pub(super) async fn comparison(
    State(shared): Served,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    let Ok(Query(asked)) = asked else {
        let error = AppError::new("expected two datasets: `before` and `after`");
        return Err(error.hint("choose them in the list of datasets").into());
    };
    let margin = match asked.margin.as_deref().map(str::trim) {
        None | Some("") => Margin::default(),
        Some(margin) => margin
            .parse()
            .map_err(|why| Refused::from(AppError::new(format!("the margin `{margin}`: {why}"))))?,
    };
    let is_forced = asked.force.as_deref() == Some("1");
    let turn = shared.work.page_turn().await?;
    let store = shared.store.clone();
    let page = shared.work.run(move || async move {
        let _turn = turn;
        let names = store.names().await?;
        let pair = [names.find(&asked.before)?, names.find(&asked.after)?];
        // What is suspicious is known once they were compared.
        let settings = ComparisonSettings { margin, force: true, ..ComparisonSettings::default() };
        let report = app::compare(&store, pair, &settings).await?;
        if report.is_forced && !is_forced {
            let insist = Insist {
                before: pair[0].to_string(),
                after: pair[1].to_string(),
                margin: margin.to_string(),
            };
            return doubtful(app::refusal(&report.comparison.noted), insist);
        }
        let page = comparison_html(&report).map_err(AppError::from)?;
        Ok(self_contained(page.into()))
    });
    page.await
}

/// Why two are not compared, and a way to do it all the same.
fn doubtful(refusal: AppError, insist: Insist) -> Result<Response, Refused> {
    // The button takes the place of the option.
    let hints = refusal.hints.into_iter().filter(|hint| !hint.contains("--force")).collect();
    let title = "Not compared";
    let message = Message { title, text: refusal.message, hints, insist: Some(insist) };
    let page = message_page(&message).map_err(AppError::from)?;
    Ok((StatusCode::CONFLICT, shown(page)).into_response())
}

/// Every other address.
pub(super) async fn nothing(uri: Uri) -> Refused {
    let error = AppError::new(format!("no page at {}", uri.path()));
    Refused { status: StatusCode::NOT_FOUND, error: error.hint("the list of datasets is at /") }
}
