//! The web server of `perf-api serve`: its routes, and what its handlers share.

mod console;
mod guard;
mod live;
mod pages;
mod work;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use self::guard::Guard;
pub use self::guard::parse_host;
use self::work::Work;
use crate::app::{AppError, ErrorKind};
use crate::id::DatasetId;
use crate::report::{Message, ServedPage, message_page};
use crate::store::{Store, StoreError};

/// The time limit for open answers when the server shuts down.
const GRACE: Duration = Duration::from_secs(1);
/// Nobody types a longer query.
const MAX_BODY_BYTES: usize = 64 << 10;
/// Live views at the same time: each reads the journal for itself.
const MAX_VIEWS: usize = 16;

/// What every answer needs.
pub struct Shared {
    store: Store,
    /// How the place of the results was typed.
    results: String,
    guard: Guard,
    work: Work,
    /// Reports that were made, the latest asked last.
    reports: Mutex<Vec<(DatasetId, Bytes)>>,
    views: Arc<Semaphore>,
    /// Becomes true when the server ends.
    ending: watch::Receiver<bool>,
    end: watch::Sender<bool>,
}

impl Shared {
    /// Results that are served to requests for these hosts, beside those of the loopback address, with
    /// what is slow done by `work`.
    #[must_use]
    pub fn new(store: Store, results: String, hosts: Vec<String>, work: Handle) -> Self {
        let (end, ending) = watch::channel(false);
        Self {
            store,
            results,
            guard: Guard::new(hosts),
            work: Work::by(work),
            reports: Mutex::default(),
            views: Arc::new(Semaphore::new(MAX_VIEWS)),
            ending,
            end,
        }
    }
}

/// Answers requests until `ended` completes, then finishes for a moment what was asked before.
///
/// # Errors
/// When the socket cannot be served.
pub async fn serve_until(
    listener: TcpListener,
    shared: Shared,
    ended: impl Future<Output = ()> + Send + 'static,
) -> Result<(), AppError> {
    let shared = Arc::new(shared);
    let mut ending = shared.ending.clone();
    let stopped = Arc::clone(&shared);
    tokio::spawn(async move {
        ended.await;
        // Somebody holds the receiver, since `shared` does.
        let _ = stopped.end.send(true);
    });
    let mut ending_too = ending.clone();
    let end = async move {
        let _ = ending_too.wait_for(|is_ending| *is_ending).await;
    };
    let server = axum::serve(listener, router(shared)).with_graceful_shutdown(end);
    let patience = async move {
        let _ = ending.wait_for(|is_ending| *is_ending).await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = server => {
            served.map_err(|error| AppError::new(format!("cannot serve: {error}")))
        }
        () = patience => Ok(()),
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(pages::datasets))
        .route("/dataset/{name}", get(pages::dataset))
        .route("/compare", get(pages::comparison))
        .route("/sql", get(console::page).post(console::answer))
        .route("/live", get(live::page))
        .route("/live/events", get(live::events))
        .fallback(pages::nothing)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&shared), guard::guard))
        .with_state(shared)
}

/// What a handler is given.
type Served = State<Arc<Shared>>;

/// What cannot be shown, and why.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    error: AppError,
}

impl From<AppError> for Refused {
    fn from(error: AppError) -> Self {
        let status = match error.kind {
            ErrorKind::Refused => StatusCode::BAD_REQUEST,
            ErrorKind::Defect => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorKind::Interrupted => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Corrupt | ErrorKind::Missing | ErrorKind::Unreadable | ErrorKind::TooNew => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
        };
        Self { status, error }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        let is_unknown = matches!(error, StoreError::Unknown { .. } | StoreError::Ambiguous { .. });
        let refused = Self::from(AppError::from(error));
        if is_unknown { Self { status: StatusCode::NOT_FOUND, ..refused } } else { refused }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let AppError { message, hints, .. } = self.error;
        let title = match self.status {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::BAD_REQUEST => "This cannot be shown",
            StatusCode::SERVICE_UNAVAILABLE => "Too many requests",
            _ => "Something is wrong",
        };
        let page = message_page(&Message { title, text: message, hints, insist: None });
        match page {
            Ok(page) => (self.status, shown(page)).into_response(),
            Err(error) => (self.status, error.to_string()).into_response(),
        }
    }
}

/// A page of the server, which may do what its policy says.
fn shown(page: ServedPage) -> Response {
    let mut response = html(page.html.into());
    // A policy is of hashes and words, all of them visible ASCII.
    if let Ok(policy) = HeaderValue::try_from(page.policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// A page that carries its policy in itself, but for who may frame it, which only a header can tell.
fn self_contained(page: Bytes) -> Response {
    let mut response = html(page);
    let policy = HeaderValue::from_static("frame-ancestors 'none'");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}

fn html(bytes: Bytes) -> Response {
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], bytes).into_response()
}
