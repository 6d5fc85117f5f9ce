//! Who may ask: this machine's own browser, on a page of this server. Other pages in that browser
//! may not, though they reach the address (cross-site requests, DNS rebinding).

use std::net::SocketAddr;
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

/// What an answer may do that says nothing else: nothing.
const STRICTEST: &str = "default-src 'none'; frame-ancestors 'none'";
/// The port that an address need not name.
const HTTP_PORT: u16 = 80;

/// The names under which the server may be asked.
pub(super) struct Door {
    hosts: Vec<String>,
}

impl Door {
    /// Of a server that listens there.
    pub(super) fn at(address: SocketAddr) -> Self {
        let port = address.port();
        let mut hosts = vec![
            format!("127.0.0.1:{port}"),
            format!("localhost:{port}"),
            format!("[::1]:{port}"),
            address.to_string(),
        ];
        if port == HTTP_PORT {
            let bare = hosts.iter().filter_map(|host| host.strip_suffix(":80").map(str::to_owned));
            hosts.extend(bare.collect::<Vec<_>>());
        }
        Self { hosts }
    }

    /// Why a request is not answered; `None` for one that is.
    fn refusal(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let value = |name: HeaderName| {
            let mut values = headers.get_all(name).iter();
            let first = values.next().and_then(|value| value.to_str().ok());
            first.filter(|_| values.next().is_none())
        };
        let is_ours = |host: &str| self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host));
        let host = value(HOST).filter(|host| is_ours(host));
        let authority = uri.authority().is_none_or(|authority| is_ours(authority.as_str()));
        let Some(host) = host.filter(|_| authority) else {
            let names = self.hosts[..3].join(", ");
            return Some(format!("this server answers as {names} and under no other name"));
        };
        let is_own_origin =
            |origin: &str| origin.strip_prefix("http://").is_some_and(|own| own == host);
        if headers.contains_key(ORIGIN) && !value(ORIGIN).is_some_and(is_own_origin) {
            return Some("this server does not answer pages of another origin".to_owned());
        }
        // Browsers tell where a request comes from, and pages cannot change that. A link from elsewhere
        // is fine, since whoever follows it leaves the page that has it.
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let is_own_site = matches!(site, None | Some(b"same-origin" | b"none"));
        let mode = headers.get("sec-fetch-mode").map(HeaderValue::as_bytes);
        let is_link = [Method::GET, Method::HEAD].contains(method) && mode == Some(b"navigate");
        (!is_own_site && !is_link)
            .then(|| "this server does not answer requests of another site's pages".to_owned())
    }
}

/// Lets in who may ask, and tells every browser to be careful with what it gets.
pub(super) async fn guard(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let refusal = shared.door.refusal(request.method(), request.uri(), request.headers());
    let mut response = match refusal {
        Some(words) => (StatusCode::FORBIDDEN, words + "\n").into_response(),
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

    /// Whether a request with these headers is answered at port 8321.
    fn is_answered(method: &Method, headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let door = Door::at("127.0.0.1:8321".parse().unwrap());
        door.refusal(method, &Uri::from_static("/sql"), &map).is_none()
    }

    #[test]
    fn only_names_of_this_machine_with_the_port_are_answered() {
        let good = ["127.0.0.1:8321", "localhost:8321", "LOCALHOST:8321", "[::1]:8321"];
        for host in good {
            assert!(is_answered(&Method::GET, &[("host", host)]), "{host}");
        }
        let bad = ["evil.example:8321", "127.0.0.1", "127.0.0.1:80", "localhost.evil:8321", ""];
        for host in bad {
            assert!(!is_answered(&Method::GET, &[("host", host)]), "{host}");
        }
        assert!(!is_answered(&Method::GET, &[]));
        assert!(!is_answered(&Method::GET, &[("host", good[0]), ("host", good[1])]));
        let door = Door::at("127.0.0.1:80".parse().unwrap());
        let bare = HeaderMap::from_iter([(HOST, HeaderValue::from_static("localhost"))]);
        assert!(door.refusal(&Method::GET, &Uri::from_static("/"), &bare).is_none());
        let proxied = Uri::from_static("http://evil.example/");
        assert!(door.refusal(&Method::GET, &proxied, &bare).is_some());
    }

    #[test]
    fn pages_of_others_are_not_answered() {
        let host = ("host", "localhost:8321");
        let origin = |origin| is_answered(&Method::POST, &[host, ("origin", origin)]);
        assert!(origin("http://localhost:8321"));
        for bad in ["null", "http://127.0.0.1:8321", "https://localhost:8321", "http://evil", ""] {
            assert!(!origin(bad), "{bad}");
        }
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
