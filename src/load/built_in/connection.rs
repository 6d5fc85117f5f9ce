//! A connection that carries one request at a time.

use std::error::Error as _;
use std::future::Future;
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::answer::{Check, Failure, io_text};
use super::assignment::Expected;
use super::opening::Opening;
use super::tls::{self, Stream, Tls};
use crate::clock::Stopwatch;

/// Where requests go, and what each of them is.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Host and port.
    authority: String,
    tls: Option<Tls>,
    request: Request<()>,
}

impl Target {
    /// The target of a URL such as `http://127.0.0.1:8000/path`. An https URL needs the certificates of a CA
    /// in PEM.
    pub fn new(url: &str, is_kept_alive: bool, ca: Option<&str>) -> Result<Self, String> {
        let uri: hyper::Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
        let host = uri.host().ok_or_else(|| format!("{url} names no host"))?;
        let (tls, port) = match (uri.scheme_str(), ca) {
            (Some("http"), _) => (None, 80),
            (Some("https"), Some(ca)) => (Some(Tls::new(host, ca)?), 443),
            (Some("https"), None) => {
                return Err(format!("{url}: an https URL needs the certificate of a CA"));
            }
            _ => return Err(format!("{url}: expected `http://` or `https://`")),
        };
        let authority = format!("{host}:{}", uri.port_u16().unwrap_or(port));
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::get(path).header(hyper::header::HOST, &authority);
        if !is_kept_alive {
            request = request.header(hyper::header::CONNECTION, "close");
        }
        let request = request.body(()).map_err(|error| format!("{url}: {error}"))?;
        Ok(Self { authority, tls, request })
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        self.request.clone().map(|()| Empty::new())
    }
}

/// An open connection.
pub(super) struct Connection<S = Stream>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    sender: http1::SendRequest<Empty<Bytes>>,
    driver: Driver<S>,
    opening: Opening,
}

/// The side of a connection that reads and writes; `None` when it is over.
struct Driver<S: AsyncRead + AsyncWrite>(Option<http1::Connection<TokioIo<S>, Empty<Bytes>>>);

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    fn poll(&mut self, context: &mut Context<'_>) {
        let Some(connection) = &mut self.0 else { return };
        // An error is reported by the request that it ends.
        if Pin::new(connection).poll(context).is_ready() {
            self.0 = None;
        }
    }

    /// Reads and writes until a part of an exchange is done.
    async fn drive<F: Future>(&mut self, part: F) -> F::Output {
        let mut part = pin!(part);
        std::future::poll_fn(|context| {
            if let Poll::Ready(output) = part.as_mut().poll(context) {
                return Poll::Ready(output);
            }
            self.poll(context);
            part.as_mut().poll(context)
        })
        .await
    }
}

impl Connection {
    pub async fn open(target: &Target) -> Result<Self, Failure> {
        let refused = |error: std::io::Error| Failure::Connect(io_text(&error));
        let watch = Stopwatch::start();
        let stream = TcpStream::connect(&target.authority).await.map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        let connect = watch.elapsed().into();
        let Some(tls) = &target.tls else {
            let opening = Opening { connect, handshake: None };
            return Self::over(Stream::Plain(stream), opening).await;
        };
        let watch = Stopwatch::start();
        let stream = tls.handshake(stream).await?;
        let opening = Opening { connect, handshake: Some(watch.elapsed().into()) };
        Self::over(stream, opening).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// The connection over an open stream.
    pub async fn over(stream: S, opening: Opening) -> Result<Self, Failure> {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| failure(&error))?;
        Ok(Self { sender, driver: Driver(Some(connection)), opening })
    }

    /// What it took to open it.
    pub fn opening(&self) -> Opening {
        self.opening
    }

    /// Sends a request and reads its answer. Calls `on_head` when the head of the answer has arrived.
    pub async fn exchange<'load>(
        &mut self,
        target: &Target,
        expected: &'load Expected,
        on_head: impl FnOnce(),
    ) -> Result<Check<'load>, Failure> {
        let Self { sender, driver, .. } = self;
        let response = driver.drive(sender.send_request(target.request())).await;
        let mut response = response.map_err(|error| failure(&error))?;
        on_head();
        let content_type = response.headers().get(hyper::header::CONTENT_TYPE);
        let content_type = content_type.map(HeaderValue::as_bytes);
        let mut check = Check::new(expected, response.status().as_u16(), content_type);
        while let Some(frame) = driver.drive(response.body_mut().frame()).await {
            let frame = frame.map_err(|error| failure(&error))?;
            if let Some(bytes) = frame.data_ref()
                && !check.add(bytes)
            {
                driver.0 = None;
                break;
            }
        }
        Ok(check)
    }

    /// Waits until another request can be sent. Returns whether one can.
    pub async fn is_ready(&mut self) -> bool {
        let Self { sender, driver, .. } = self;
        // First what the server did meanwhile: it may have closed the connection.
        std::future::poll_fn(|context| {
            driver.poll(context);
            Poll::Ready(())
        })
        .await;
        driver.drive(sender.ready()).await.is_ok() && driver.0.is_some()
    }
}

/// A failure without the moment's details, so that failures of one kind are counted together.
fn failure(error: &hyper::Error) -> Failure {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return Failure::Closed;
    }
    if let Some(io) = error.source().and_then(|source| source.downcast_ref::<std::io::Error>()) {
        if let Some(failure) = tls::failure(io) {
            return failure;
        }
        return match io.kind() {
            ErrorKind::UnexpectedEof => Failure::Closed,
            // What follows a colon may be text of the server.
            ErrorKind::InvalidInput | ErrorKind::InvalidData => {
                Failure::Invalid(io_text(io).split(':').next().unwrap_or_default().to_owned())
            }
            _ => Failure::Broken(io_text(io)),
        };
    }
    match error.is_parse() {
        true => Failure::Invalid(error.to_string()),
        false => Failure::Broken(error.to_string()),
    }
}
