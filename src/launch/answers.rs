//! Sampled comparison of answers with the expected one.
//!
//! oha checks only the status and the length of each answer. So whole answers are compared separately: one
//! per second during a load, and some in a row after it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;

use super::probe;
use crate::clock::Stopwatch;
use crate::model::stored_value;

/// The time between two comparisons during a load.
const PERIOD: Duration = Duration::from_secs(1);
/// The maximum number of answers that are compared after a load, and the time limit.
const MAX_IN_A_ROW: u64 = 50;
const MAX_TIME: Duration = Duration::from_millis(100);

/// The result of comparing answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComparedAnswers {
    /// The number of compared answers.
    pub count: u64,
    /// Of those, the number with another body or content type.
    pub wrong: u64,
    /// A message about the first wrong answer.
    pub first_wrong: Option<String>,
}

impl ComparedAnswers {
    fn add(&mut self, difference: Option<String>) {
        self.count += 1;
        self.wrong += u64::from(difference.is_some());
        self.first_wrong = self.first_wrong.take().or(difference);
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.wrong += other.wrong;
        self.first_wrong = self.first_wrong.take().or(other.first_wrong);
    }
}

/// Compares answers of one app. Dropping it ends the comparison.
#[derive(Debug)]
pub(super) struct AnswerSampler {
    address: SocketAddr,
    path: String,
    /// The content type at the start; the outer `None` when the app did not answer then.
    content_type: Option<Option<String>>,
    running: JoinSet<ComparedAnswers>,
}

impl AnswerSampler {
    /// Makes a sampler for an app that has just answered as expected. Its content type must not change.
    pub(super) async fn of(address: SocketAddr, path: &str) -> Self {
        let content_type = probe::get(address, path).await.ok().map(|answer| answer.content_type);
        Self { address, path: path.to_owned(), content_type, running: JoinSet::new() }
    }

    /// Begins to compare one answer per second for `window`.
    pub(super) fn begin(&mut self, window: Duration) {
        let (address, path) = (self.address, self.path.clone());
        let content_type = self.content_type.clone();
        self.running.spawn(async move {
            let watch = Stopwatch::start();
            let mut compared = ComparedAnswers::default();
            let mut ticks = tokio::time::interval(PERIOD);
            // The first tick is immediate. It is skipped, since a load first opens its connections.
            ticks.tick().await;
            loop {
                ticks.tick().await;
                if watch.elapsed() >= window {
                    return compared;
                }
                let difference = difference(address, &path, content_type.as_ref()).await;
                difference.into_iter().for_each(|one| compared.add(one));
            }
        });
    }

    /// Compares some answers in a row. Returns the results of these and of those since [`Self::begin`].
    pub(super) async fn finish(&mut self) -> ComparedAnswers {
        let mut compared = ComparedAnswers::default();
        while let Some(sampled) = self.running.join_next().await {
            // A sampler that panicked counts as no comparison.
            compared.merge(sampled.unwrap_or_default());
        }
        let watch = Stopwatch::start();
        for _ in 0..MAX_IN_A_ROW {
            let answer = difference(self.address, &self.path, self.content_type.as_ref()).await;
            answer.into_iter().for_each(|one| compared.add(one));
            if watch.elapsed() >= MAX_TIME {
                break;
            }
        }
        compared
    }
}

/// The difference between an answer and the expected one, in what the loader does not check. The outer
/// `None` is a request that failed otherwise, which the loader counts.
async fn difference(
    address: SocketAddr,
    path: &str,
    content_type: Option<&Option<String>>,
) -> Option<Option<String>> {
    let answer = probe::get(address, path).await.ok()?;
    let expected = stored_value();
    if answer.status != crate::model::ANSWER_STATUS || answer.body.len() != expected.len() {
        return None;
    }
    if answer.body != expected {
        return Some(Some(format!(
            "GET {path} answered with {} bytes that differ from the {} stored bytes",
            answer.body.len(),
            expected.len()
        )));
    }
    let found = answer.content_type;
    Some(content_type.filter(|expected| **expected != found).map(|expected| {
        let name =
            |one: &Option<String>| one.as_deref().unwrap_or("none").escape_debug().to_string();
        format!(
            "GET {path} answered with content type {}: expected {}, as at the start",
            name(&found),
            name(expected)
        )
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server whose answers are made by `answer` from their index.
    async fn server(answer: fn(u64) -> Vec<u8>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::new(AtomicU64::new(0));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let place = count.fetch_add(1, Ordering::Relaxed);
                let _ = stream.write_all(&answer(place)).await;
            }
        });
        address
    }

    fn http(status: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    async fn compared(answer: fn(u64) -> Vec<u8>) -> ComparedAnswers {
        let address = server(answer).await;
        AnswerSampler::of(address, "/").await.finish().await
    }

    #[tokio::test]
    async fn right_answers_are_counted() {
        let found = compared(|_| http("200 OK", "a/b", &stored_value())).await;
        assert!(found.count >= 1, "{found:?}");
        assert_eq!((found.wrong, found.first_wrong), (0, None));
    }

    #[tokio::test]
    async fn another_body_of_the_same_length_is_wrong() {
        let found = compared(|_| http("200 OK", "a/b", &[0; 1024])).await;
        assert_eq!(found.wrong, found.count);
        let message = "GET / answered with 1024 bytes that differ from the 1024 stored bytes";
        assert_eq!(found.first_wrong.as_deref(), Some(message));
    }

    #[tokio::test]
    async fn another_content_type_is_wrong() {
        let found = compared(|place| {
            http("200 OK", if place == 0 { "a/b" } else { "text/html" }, &stored_value())
        })
        .await;
        assert_eq!(found.wrong, found.count);
        let message = "GET / answered with content type text/html: expected a/b, as at the start";
        assert_eq!(found.first_wrong.as_deref(), Some(message));
    }

    #[tokio::test]
    async fn failures_that_the_loader_counts_are_not_compared() {
        let found = compared(|place| match place % 2 {
            0 => http("503 Service Unavailable", "a/b", &stored_value()),
            _ => http("200 OK", "a/b", b"short"),
        })
        .await;
        assert_eq!(found, ComparedAnswers::default());
    }
}
