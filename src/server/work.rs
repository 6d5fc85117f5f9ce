//! What takes long is done by threads of its own: queries, and pages that are made of them.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Refused;
use crate::app::{AppError, ErrorKind};

/// Pages that are made at the same time, and queries that are answered.
const MAX_AT_ONCE: usize = 2;
/// How long something waits for its turn.
const PATIENCE: Duration = Duration::from_secs(20);

/// The threads that do what takes long.
pub(super) struct Work {
    handle: Handle,
    pages: Arc<Semaphore>,
    queries: Arc<Semaphore>,
}

impl Work {
    pub(super) fn by(handle: Handle) -> Self {
        let turns = || Arc::new(Semaphore::new(MAX_AT_ONCE));
        Self { handle, pages: turns(), queries: turns() }
    }

    /// A turn to make a page.
    pub(super) async fn page_turn(&self) -> Result<OwnedSemaphorePermit, Refused> {
        turn(&self.pages).await
    }

    /// A turn to answer a query.
    pub(super) async fn query_turn(&self) -> Result<OwnedSemaphorePermit, Refused> {
        turn(&self.queries).await
    }

    /// Does something on the other threads. It goes on when nobody waits for it any more.
    pub(super) async fn run<T, E, F>(
        &self,
        make: impl FnOnce() -> F + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<AppError> + Send + 'static,
        F: Future<Output = Result<T, E>>,
    {
        let handle = self.handle.clone();
        // A future of its own thread may be anything; tasks that it starts are on the others.
        let done = self.handle.spawn_blocking(move || handle.block_on(make())).await;
        done.unwrap_or_else(|panicked| {
            let error = AppError::new(format!("a defect of this program: {panicked}"));
            Err(error.with_kind(ErrorKind::Defect).into())
        })
    }
}

async fn turn(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Refused> {
    let turn = tokio::time::timeout(PATIENCE, Arc::clone(turns).acquire_owned()).await;
    turn.ok().and_then(Result::ok).ok_or_else(|| Refused {
        status: StatusCode::SERVICE_UNAVAILABLE,
        error: AppError::new("too many requests at once").hint("retry in a moment"),
    })
}
