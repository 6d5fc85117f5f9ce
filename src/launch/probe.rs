//! Probes of a started component: is it ready, which product is it, does it answer with the stored value?

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{self, HeaderName};
use hyper_util::rt::TokioIo;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use tokio::net::TcpStream;

use crate::model::{
    HttpPaths, Limits, SelfReport, StoreIdentity, one_line, stored_value, with_causes,
};
use crate::units::HumanDuration;

/// The maximum size of an answer to a probe.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Characters of a header or a body in a message.
const MAX_SHOWN_CHARS: usize = 200;

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The target of a redirect, if it is one.
    pub location: Option<String>,
    /// The content encoding, if there is one.
    pub content_encoding: Option<String>,
    /// The content type, if there is one.
    pub content_type: Option<String>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// The answer on one line, for messages.
impl fmt::Display for HttpAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        for (name, value) in [
            ("Location", &self.location),
            ("Content-Encoding", &self.content_encoding),
            ("Content-Type", &self.content_type),
        ] {
            if let Some(value) = value {
                write!(f, ", {name} `{}`", one_line(value, MAX_SHOWN_CHARS))?;
            }
        }
        match self.body.len() {
            0 => f.write_str(", no body"),
            1 => write!(f, ", 1 byte: {}", shown(&self.body)),
            count => write!(f, ", {count} bytes: {}", shown(&self.body)),
        }
    }
}

/// The beginning of a body on one line, as text or as escaped bytes.
fn shown(body: &[u8]) -> String {
    let start = &body[..body.len().min(4 * MAX_SHOWN_CHARS)];
    match std::str::from_utf8(start) {
        Err(error) if error.error_len().is_some() || error.valid_up_to() == 0 => {
            let cut = start.len().min(MAX_SHOWN_BYTES);
            let more = if cut < body.len() { "…" } else { "" };
            format!("{}{more}", start[..cut].escape_ascii())
        }
        // A truncated text may end in the middle of a character.
        _ => one_line(&String::from_utf8_lossy(start), MAX_SHOWN_CHARS),
    }
}

/// Bytes of a binary body in a message.
const MAX_SHOWN_BYTES: usize = 32;

/// Sends a GET request.
///
/// # Errors
/// A message, when there is no complete answer within the default of `limits.answer`.
pub async fn get(address: SocketAddr, path: &str) -> Result<HttpAnswer, String> {
    get_within(address, path, Limits::default().answer.0).await
}

async fn get_within(
    address: SocketAddr,
    path: &str,
    limit: Duration,
) -> Result<HttpAnswer, String> {
    let answer = tokio::time::timeout(limit, ask(address, path)).await;
    answer.map_err(|_| format!("GET {path} at {address} {}", unanswered(limit)))?
}

/// The message for a timeout, with the key that changes the limit.
fn unanswered(limit: Duration) -> String {
    let limit = HumanDuration(limit);
    format!("was not answered within {limit} (`limits.answer` in its component.toml)")
}

async fn ask(address: SocketAddr, path: &str) -> Result<HttpAnswer, String> {
    let failure = |error: &dyn std::error::Error| {
        format!("GET {path} at {address}: {}", one_line(&with_causes(error), MAX_SHOWN_CHARS))
    };
    let stream = TcpStream::connect(address).await.map_err(|error| failure(&error))?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|error| failure(&error))?;
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get(path)
        .header(header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(|error| failure(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| failure(&error))?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
    let body = body.map_err(|error| failure(&*error))?;
    connection.abort();
    let text = |name: HeaderName| {
        let value = head.headers.get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Ok(HttpAnswer {
        status: head.status.as_u16(),
        location: text(header::LOCATION),
        content_encoding: text(header::CONTENT_ENCODING),
        content_type: text(header::CONTENT_TYPE),
        body: body.to_bytes().to_vec(),
    })
}

/// Checks that an app is ready.
pub(super) async fn app_ready(
    address: SocketAddr,
    path: &str,
    limit: Duration,
) -> Result<(), String> {
    let answer = get_within(address, path, limit).await?;
    match answer.status {
        200 => Ok(()),
        _ => Err(format!("GET {path} at {address} answered with {answer}")),
    }
}

/// The self-report of an app: a flat JSON object, with values as text.
pub(super) async fn ask_about(
    address: SocketAddr,
    path: &str,
    limit: Duration,
) -> Result<SelfReport, String> {
    let answer = get_within(address, path, limit).await?;
    let wrong = || format!("GET {path} answered with {answer}");
    if answer.status != 200 {
        return Err(wrong());
    }
    let fields: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&answer.body).map_err(|_| wrong())?;
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(fields.into_iter().map(|(name, value)| (name, text(value))).collect())
}

/// Checks that an app's self-report has the pinned version in the field for it.
pub(super) fn check_version(
    report: &SelfReport,
    http: &HttpPaths,
    pinned: Option<&str>,
) -> Result<(), String> {
    let (Some(field), Some(pinned)) = (&http.about_version, pinned) else { return Ok(()) };
    let path = http.about.as_deref().unwrap_or_default();
    match report.get(field) {
        Some(value) if names_version(value, pinned) => Ok(()),
        Some(value) => Err(format!(
            "`{field}` of GET {path} is `{}`: expected version `{pinned}`",
            one_line(value, MAX_SHOWN_CHARS)
        )),
        None => Err(format!(
            "the answer to GET {path} has no field `{field}`: expected version `{pinned}`"
        )),
    }
}

/// Whether a text contains exactly this version, and not a longer one that contains it.
fn names_version(text: &str, version: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || ['.', '-', '+'].contains(&c);
    text.match_indices(version).any(|(start, _)| {
        let before = text[..start].chars().next_back().filter(|&c| c != 'v');
        let after = text[start + version.len()..].chars().next();
        !before.is_some_and(continues) && !after.is_some_and(continues)
    })
}

/// Checks that a store answers PING.
pub(super) async fn store_ready(address: SocketAddr, limit: Duration) -> Result<(), String> {
    let mut store = connect(address, limit).await?;
    store.ping::<String>().await.map(drop).map_err(|error| refused("PING", address, &error))
}

/// The self-report of a store: the fields of INFO that identify it.
///
/// # Errors
/// A message, when it does not answer within the default of `limits.answer`.
pub async fn ask_info(address: SocketAddr) -> Result<SelfReport, String> {
    ask_info_within(address, Limits::default().answer.0).await
}

pub(super) async fn ask_info_within(
    address: SocketAddr,
    limit: Duration,
) -> Result<SelfReport, String> {
    let mut store = connect(address, limit).await?;
    let text: String = redis::cmd("INFO")
        .query_async(&mut store)
        .await
        .map_err(|error| refused("INFO", address, &error))?;
    let fields = text.lines().filter_map(|line| line.trim_end().split_once(':'));
    let kept = fields.filter(|(name, _)| INFO_FIELDS.contains(name));
    Ok(kept.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The fields of INFO that are kept: product and configuration, no value that varies.
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

/// Checks by the fields of INFO that a store is the product that its component names.
pub(super) fn check_identity(report: &SelfReport, identity: &StoreIdentity) -> Result<(), String> {
    let is_present = |name: &&String| report.contains_key(*name);
    if let Some(name) = identity.info_has.iter().find(|name| !is_present(name)) {
        return Err(format!("INFO has no `{name}`"));
    }
    if let Some(name) = identity.info_lacks.iter().find(is_present) {
        return Err(format!("INFO has `{name}`"));
    }
    Ok(())
}

/// Stores the value under `key` and reads it back.
///
/// # Errors
/// A message, when the store does not keep it within the default of `limits.answer`.
pub async fn seed(address: SocketAddr, key: &str) -> Result<(), String> {
    seed_within(address, key, Limits::default().answer.0).await
}

pub(super) async fn seed_within(
    address: SocketAddr,
    key: &str,
    limit: Duration,
) -> Result<(), String> {
    let mut store = connect(address, limit).await?;
    let value = stored_value();
    let stored = store.set::<_, _, ()>(key, &value[..]).await;
    stored.map_err(|error| refused("SET", address, &error))?;
    let back: Vec<u8> = store.get(key).await.map_err(|error| refused("GET", address, &error))?;
    match back == value {
        true => Ok(()),
        false => Err(format!(
            "GET returned {} bytes that differ from the {} stored bytes",
            back.len(),
            value.len()
        )),
    }
}

/// Checks that an app answers with the stored value byte for byte.
pub(super) async fn check_answer(
    address: SocketAddr,
    path: &str,
    limit: Duration,
) -> Result<(), String> {
    let answer = get_within(address, path, limit).await?;
    match answer.status == 200 && answer.body == stored_value() {
        true => Ok(()),
        false => Err(format!("GET {path} answered with {answer}")),
    }
}

/// The message for a command that failed or timed out.
fn refused(command: &str, address: SocketAddr, error: &redis::RedisError) -> String {
    format!("{command} at {address}: {}", one_line(&error.to_string(), MAX_SHOWN_CHARS))
}

async fn connect(address: SocketAddr, limit: Duration) -> Result<MultiplexedConnection, String> {
    let failure = |error: redis::RedisError| refused("a connection", address, &error);
    let client = redis::Client::open(format!("redis://{address}")).map_err(failure)?;
    let config = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(limit))
        .set_response_timeout(Some(limit));
    client.get_multiplexed_async_connection_with_config(&config).await.map_err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_described_on_one_line() {
        let plain = HttpAnswer {
            status: 302,
            location: Some("/cached-value/".to_owned()),
            content_encoding: None,
            content_type: Some("text/html".to_owned()),
            body: vec![],
        };
        let expected = "status 302, Location `/cached-value/`, Content-Type `text/html`, no body";
        assert_eq!(plain.to_string(), expected);
        let mut other = HttpAnswer { status: 200, location: None, content_type: None, ..plain };
        other.content_encoding = Some("gzip".to_owned());
        other.body = b"\x1f\x8b\x08\x00rest".to_vec();
        let expected = r"status 200, Content-Encoding `gzip`, 8 bytes: \x1f\x8b\x08\x00rest";
        assert_eq!(other.to_string(), expected);
        other.content_encoding = None;
        other.body = b"{\"error\":\n\"\x1b[31m\"}".to_vec();
        let expected = r#"status 200, 18 bytes: {"error":\n"\u{1b}[31m"}"#;
        assert_eq!(other.to_string(), expected);
        other.body = "ä".repeat(5000).into_bytes();
        let expected = format!("status 200, 10000 bytes: {}…", "ä".repeat(MAX_SHOWN_CHARS));
        assert_eq!(other.to_string(), expected);
        other.body = stored_value();
        let shown = other.to_string();
        assert!(shown.starts_with(r"status 200, 1024 bytes: \x07&E"), "{shown}");
        assert!(shown.len() < 200 && !shown.contains(char::is_control), "{shown}");
    }

    #[test]
    fn a_version_is_named_whole() {
        for text in ["0.165.0", "FastAPI 0.165.0", "FastAPI v0.165.0, Starlette 1.0", "(0.165.0)"] {
            assert!(names_version(text, "0.165.0"), "{text}");
        }
        for text in ["", "FastAPI 9.9.9", "10.165.0", "0.165.01", "0.165.0.1", "0.165.0-rc1"] {
            assert!(!names_version(text, "0.165.0"), "{text}");
        }
        assert!(names_version("Python 3.11.2", "Python 3.11.2"));
    }
}
