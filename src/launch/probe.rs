//! Talking to what was started: is it ready, what is it, does it answer what was stored?

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use tokio::net::TcpStream;

use crate::model::{SelfReport, StoreIdentity, VALUE_BYTES, stored_value};

/// How long one question may take.
const QUESTION_LIMIT: Duration = Duration::from_secs(2);
/// More than any answer to a probe has.
const MOST_BODY_BYTES: usize = 1 << 20;

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The content type, if there is one.
    pub content_type: Option<String>,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// Asks an HTTP server for a path.
///
/// # Errors
/// When there is no whole answer within two seconds, in words.
pub async fn get(address: SocketAddr, path: &str) -> Result<HttpAnswer, String> {
    let question = ask(address, path);
    let answer = tokio::time::timeout(QUESTION_LIMIT, question).await;
    answer.map_err(|_| format!("GET {path} was not answered in {} s", QUESTION_LIMIT.as_secs()))?
}

async fn ask(address: SocketAddr, path: &str) -> Result<HttpAnswer, String> {
    let words = |error: &dyn std::fmt::Display| format!("GET {path}: {error}");
    let stream = TcpStream::connect(address).await.map_err(|error| words(&error))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|error| words(&error))?;
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get(path)
        .header(hyper::header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(|error| words(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| words(&error))?;
    let (head, body) = answer.into_parts();
    let body =
        Limited::new(body, MOST_BODY_BYTES).collect().await.map_err(|error| words(&error))?;
    connection.abort();
    let content_type = head.headers.get(hyper::header::CONTENT_TYPE);
    Ok(HttpAnswer {
        status: head.status.as_u16(),
        content_type: content_type
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
        body: body.to_bytes().to_vec(),
    })
}

/// Whether an app says that it is ready.
pub(super) async fn app_ready(address: SocketAddr, path: &str) -> Result<(), String> {
    let answer = get(address, path).await?;
    match answer.status {
        200 => Ok(()),
        status => Err(format!("GET {path} answered {status}")),
    }
}

/// What an app says of itself: a flat JSON object, values as text.
pub(super) async fn ask_about(address: SocketAddr, path: &str) -> Result<SelfReport, String> {
    let answer = get(address, path).await?;
    let fields: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("GET {path} answered no JSON object: {error}"))?;
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(fields.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// Whether a store answers PING.
pub(super) async fn store_ready(address: SocketAddr) -> Result<(), String> {
    let mut store = connect(address).await?;
    store.ping::<String>().await.map(drop).map_err(|error| error.to_string())
}

/// What a store says of itself: the fields of INFO that tell what it is.
///
/// # Errors
/// When it does not answer, in words.
pub async fn ask_info(address: SocketAddr) -> Result<SelfReport, String> {
    let mut store = connect(address).await?;
    let text: String =
        redis::cmd("INFO").query_async(&mut store).await.map_err(|error| error.to_string())?;
    let fields = text.lines().filter_map(|line| line.trim_end().split_once(':'));
    let kept = fields.filter(|(name, _)| INFO_FIELDS.contains(name));
    Ok(kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The fields of INFO that are kept: what the store is and how it is set up, nothing that varies.
const INFO_FIELDS: [&str; 12] = [
    "redis_version",
    "valkey_version",
    "dragonfly_version",
    "server_name",
    "redis_mode",
    "arch_bits",
    "multiplexing_api",
    "io_threads_active",
    "thread_count",
    "maxmemory",
    "maxmemory_policy",
    "mem_allocator",
];

/// Checks that a store is the product that its component names, by the fields of its INFO.
pub(super) fn check_identity(report: &SelfReport, identity: &StoreIdentity) -> Result<(), String> {
    let is_there = |name: &&String| report.contains_key(*name);
    if let Some(name) = identity.info_has.iter().find(|name| !is_there(name)) {
        return Err(format!("INFO has no `{name}`"));
    }
    if let Some(name) = identity.info_lacks.iter().find(is_there) {
        return Err(format!("INFO has `{name}`"));
    }
    Ok(())
}

/// Stores the value under `key` and reads it back.
///
/// # Errors
/// When the store does not take or give it, in words.
pub async fn seed(address: SocketAddr, key: &str) -> Result<(), String> {
    let mut store = connect(address).await?;
    let value = stored_value();
    store.set::<_, _, ()>(key, &value[..]).await.map_err(|error| format!("SET: {error}"))?;
    let back: Vec<u8> = store.get(key).await.map_err(|error| format!("GET: {error}"))?;
    match back == value {
        true => Ok(()),
        false => Err("it does not give back what was stored".to_owned()),
    }
}

/// Checks that an app answers the stored value byte for byte.
pub(super) async fn check_answer(address: SocketAddr, path: &str) -> Result<(), String> {
    let answer = get(address, path).await?;
    if answer.status != 200 {
        let body = String::from_utf8_lossy(&answer.body);
        let start: String = body.chars().take(200).collect();
        return Err(format!("GET {path} answered {}: {start}", answer.status));
    }
    if answer.body != stored_value() {
        let bytes = answer.body.len();
        return Err(format!(
            "GET {path} answered {bytes} bytes that are not the {VALUE_BYTES} bytes that were stored"
        ));
    }
    Ok(())
}

async fn connect(address: SocketAddr) -> Result<MultiplexedConnection, String> {
    let client =
        redis::Client::open(format!("redis://{address}")).map_err(|error| error.to_string())?;
    let config = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(QUESTION_LIMIT))
        .set_response_timeout(Some(QUESTION_LIMIT));
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    connection.await.map_err(|error| error.to_string())
}
