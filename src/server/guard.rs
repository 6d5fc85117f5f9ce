//! Which requests are answered: those of a browser of this machine, or of one that forwards a port to it,
//! from a page of this server. Pages of other sites in that browser reach the address and are refused.
//!
//! A page of another site whose own name resolves to this address (DNS rebinding) still sends that name,
//! so the host name is checked. The port is not: a forwarded port is another one.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Shared;

/// The policy of an answer that has no policy of its own: it may do nothing.
const STRICTEST: &str = "default-src 'none'; frame-ancestors 'none'";

/// Decides which requests the server answers.
pub(super) struct Guard {
    /// Host names beside those of the loopback address.
    allowed: Vec<String>,
}

impl Guard {
    /// The guard of a server that answers to these host names beside those of the loopback address.
    pub(super) fn new(allowed: Vec<String>) -> Self {
        Self { allowed }
    }

    /// Whether `authority`, such as `localhost:8321`, has a host name of this server.
    fn is_own(&self, authority: &str) -> bool {
        is_loopback(host_name(authority)) || self.is_allowed(authority)
    }

    fn is_allowed(&self, authority: &str) -> bool {
        self.allowed.iter().any(|name| name.eq_ignore_ascii_case(host_name(authority)))
    }

    /// Why a request is not answered; `None` for one that is.
    fn refusal(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let value = |name: HeaderName| {
            let mut values = headers.get_all(name).iter();
            let first = values.next().and_then(|value| value.to_str().ok());
            first.filter(|_| values.next().is_none())
        };
        let Some(host) = value(HOST) else {
            return Some("this server expects one `Host` header".to_owned());
        };
        let asked = uri.authority().map_or(host, |authority| authority.as_str());
        if let Some(foreign) = [asked, host].into_iter().find(|one| !self.is_own(one)) {
            return Some(refused_host(host_name(foreign)));
        }
        // A proxy in front of an allowed host may speak HTTPS.
        let schemes: &[&str] =
            if self.is_allowed(host) { &["http://", "https://"] } else { &["http://"] };
        let is_own_origin =
            |origin: &str| schemes.iter().any(|scheme| origin.strip_prefix(scheme) == Some(host));
        if headers.contains_key(ORIGIN) && !value(ORIGIN).is_some_and(is_own_origin) {
            return Some("this server does not answer pages of another origin".to_owned());
        }
        // Browsers send the origin of a request, and pages cannot change it. A link from another site is
        // allowed, since following it leaves the page of that site.
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let is_own_site = matches!(site, None | Some(b"same-origin" | b"none"));
        let mode = headers.get("sec-fetch-mode").map(HeaderValue::as_bytes);
        let is_link = [Method::GET, Method::HEAD].contains(method) && mode == Some(b"navigate");
        (!is_own_site && !is_link)
            .then(|| "this server does not answer requests of another site's pages".to_owned())
    }
}

fn refused_host(name: &str) -> String {
    // The name is whatever a client sent.
    let name: String = name.chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect();
    format!(
        "this server does not answer requests for the host `{name}`: it expects localhost, 127.0.0.1 or [::1], on any port\nhint: `perf-api serve --allow-host {name}` allows it"
    )
}

/// No host name has more (RFC 1035).
const MAX_NAME_CHARS: usize = 255;

/// The name of an authority without its port: `[::1]` of `[::1]:8321`. What is no port stays, so that the
/// name is a known one only when the rest is right.
fn host_name(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => authority,
    }
}

/// Whether a name always stands for this machine.
fn is_loopback(name: &str) -> bool {
    let address = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse().map(IpAddr::V6),
        None => name.parse().map(IpAddr::V4),
    };
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Parses a host name as in a URL: without scheme, port or path.
///
/// # Errors
/// When the text is empty, too long, or has another character.
pub fn parse_host(text: &str) -> Result<String, String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let is_name = !text.is_empty() && text.len() <= MAX_NAME_CHARS && text.chars().all(is_part);
    match is_name {
        true => Ok(text.to_owned()),
        false => {
            Err("a host is a name such as `lab.example.org`, without scheme and port".to_owned())
        }
    }
}

/// Answers allowed requests alone, and sends the security headers with every answer.
pub(super) async fn guard(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let refusal = shared.guard.refusal(request.method(), request.uri(), request.headers());
    let mut response = match refusal {
        Some(message) => (StatusCode::FORBIDDEN, message + "\n").into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(STRICTEST));
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a request with these headers is answered.
    fn is_answered(method: &Method, headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let guard = Guard::new(vec!["lab.example.org".to_owned()]);
        guard.refusal(method, &Uri::from_static("/sql"), &map).is_none()
    }

    #[test]
    fn names_of_this_machine_and_allowed_ones_are_answered_on_any_port() {
        let good = [
            "127.0.0.1:8321",
            "127.0.0.1",
            "localhost:9000",
            "LOCALHOST",
            "[::1]:80",
            "[::1]",
            "127.1.2.3:1",
            "lab.example.org",
            "Lab.Example.org:8443",
        ];
        for host in good {
            assert!(is_answered(&Method::GET, &[("host", host)]), "{host}");
        }
        let bad = [
            "evil.example:8321",
            "localhost.evil:8321",
            "evil.lab.example.org",
            "10.0.0.1:8321",
            "::1",
            "localhost:",
            "localhost:x",
            "localhost:99999",
            "user@localhost",
            "",
        ];
        for host in bad {
            assert!(!is_answered(&Method::GET, &[("host", host)]), "{host}");
        }
        assert!(!is_answered(&Method::GET, &[]));
        assert!(!is_answered(&Method::GET, &[("host", good[0]), ("host", good[1])]));
        let guard = Guard::new(vec![]);
        let local = HeaderMap::from_iter([(HOST, HeaderValue::from_static("localhost"))]);
        let proxied = Uri::from_static("http://evil.example/");
        let refusal = guard.refusal(&Method::GET, &proxied, &local).unwrap();
        assert!(refusal.contains("serve --allow-host evil.example`"), "{refusal}");
    }

    #[test]
    fn an_allowed_host_is_a_plain_name() {
        assert!(parse_host("lab.example.org").is_ok());
        for bad in ["", "lab:80", "http://lab", "a/b", "a b", "é"] {
            assert!(parse_host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pages_of_others_are_not_answered() {
        let host = ("host", "localhost:8321");
        let origin = |origin| is_answered(&Method::POST, &[host, ("origin", origin)]);
        assert!(origin("http://localhost:8321"));
        for bad in ["null", "http://127.0.0.1:8321", "https://localhost:8321", "http://evil", ""] {
            assert!(!origin(bad), "{bad}");
        }
        let allowed =
            |origin| is_answered(&Method::POST, &[("host", "lab.example.org"), ("origin", origin)]);
        assert!(allowed("http://lab.example.org") && allowed("https://lab.example.org"));
        assert!(!allowed("https://example.org"));
        let from = |method: &Method, site, mode| {
            is_answered(method, &[host, ("sec-fetch-site", site), ("sec-fetch-mode", mode)])
        };
        assert!(from(&Method::POST, "same-origin", "cors"));
        assert!(from(&Method::GET, "none", "navigate"));
        assert!(from(&Method::GET, "cross-site", "navigate"), "a link");
        assert!(!from(&Method::POST, "cross-site", "navigate"), "a form");
        assert!(!from(&Method::GET, "same-site", "no-cors"), "a picture");
    }
}
