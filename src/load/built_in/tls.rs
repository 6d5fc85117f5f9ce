//! TLS to a server whose certificate a given CA has signed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::answer::{Failure, io_text};

/// The client side of TLS for one server.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    server: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Tls {
    /// For the host of a URL, and the certificates of its CA in PEM.
    pub fn new(host: &str, ca: &str) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            let certificate =
                certificate.map_err(|error| format!("the CA is not valid PEM: {error}"))?;
            roots.add(certificate).map_err(|error| format!("the CA is not valid: {error}"))?;
        }
        if roots.is_empty() {
            return Err("the CA has no certificate: expected `-----BEGIN CERTIFICATE-----`".into());
        }
        let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Each handshake costs the same, and threads share no sessions.
        config.resumption = Resumption::disabled();
        // An IPv6 address has brackets in a URL alone.
        let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let server = ServerName::try_from(name).map_err(|error| format!("{host}: {error}"))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), server })
    }

    pub async fn handshake(&self, stream: TcpStream) -> Result<Stream, Failure> {
        let handshake = self.connector.connect(self.server.clone(), stream).await;
        match handshake {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) => Err(failure(&error).unwrap_or_else(|| Failure::Tls(io_text(&error)))),
        }
    }
}

/// The failure of an error of TLS, without names and times, so that failures of one kind are counted
/// together; `None` of another error.
pub(super) fn failure(error: &io::Error) -> Option<Failure> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(Failure::Tls(match error {
        rustls::Error::InvalidCertificate(reason) => {
            let reason = format!("{reason:?}");
            let name = reason.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            // Some reasons exist with and without their context.
            format!("invalid peer certificate: {}", name.trim_end_matches("Context"))
        }
        error => error.to_string(),
    }))
}

/// The bytes of a connection.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Calls a method of the stream in either form.
macro_rules! of_stream {
    ($stream:expr, $method:ident, $($argument:expr),*) => {
        match $stream.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Tls(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        of_stream!(self, poll_read, context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        of_stream!(self, poll_write, context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_stream!(self, poll_flush, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_stream!(self, poll_shutdown, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        of_stream!(self, poll_write_vectored, context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::super::assignment::{Assignment, Connections, Pool};
    use super::super::engine::offer;
    use super::super::engine::tests::{GOOD, load, measure};
    use super::*;

    /// A CA and its certificate in PEM.
    fn ca(name: &str) -> (Issuer<'static, KeyPair>, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        (Issuer::new(params, key), pem)
    }

    /// The certificate of a server with a name, valid until the end of a year.
    fn config(ca: &Issuer<'static, KeyPair>, name: &str, year: i32) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        let certificate = params.signed_by(&key, ca).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into());
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        config.with_single_cert(vec![certificate], key).unwrap()
    }

    /// Answers every request over TLS.
    fn server(config: ServerConfig) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = Arc::new(config);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let session = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(session, stream.unwrap());
                std::thread::spawn(move || {
                    while let Ok(1..) = stream.read(&mut [0; 4096]) {
                        stream.write_all(GOOD.as_bytes()).unwrap();
                    }
                });
            }
        });
        format!("https://{address}/path")
    }

    fn secure(url: String, ca: &str) -> Assignment {
        let mut load = load(url, 50, 500);
        load.connections.limit = 25;
        Assignment { ca: Some(ca.to_owned()), ..load }
    }

    #[test]
    fn requests_are_answered_over_tls() {
        let (issuer, ca) = ca("a");
        for is_kept_alive in [true, false] {
            let mut load = secure(server(config(&issuer, "127.0.0.1", 4000)), &ca);
            load.connections = Connections { limit: 25, pool: Pool::Fixed, is_kept_alive };
            let measured = measure(&load);
            assert_eq!(measured.counts.completed, 25, "{:?}", measured.counts);
            let opened = measured.opened.unwrap();
            assert_eq!((opened.count, opened.reconnects), (25, 0));
            assert!(opened.tls_handshake.unwrap().p50.0 > 0);
        }
    }

    #[test]
    fn a_certificate_that_is_not_valid_fails_every_request_by_one_kind() {
        let ((issuer, ca), (other, _)) = (ca("a"), ca("b"));
        let cases = [
            (config(&other, "127.0.0.1", 4000), "UnknownIssuer"),
            (config(&issuer, "localhost", 4000), "NotValidForName"),
            (config(&issuer, "127.0.0.1", 2000), "Expired"),
        ];
        for (config, reason) in cases {
            let counts = measure(&secure(server(config), &ca)).counts;
            let kind = format!("TLS: invalid peer certificate: {reason}");
            assert_eq!(counts.failed, [(kind, 25)].into(), "{reason}");
        }
    }

    #[test]
    fn a_server_without_tls_fails_every_request() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                // It stays open, so that the client ends the connection.
                std::thread::spawn(move || stream.read(&mut [0; 4096]));
            }
        });
        let (_, ca) = ca("a");
        let counts = measure(&secure(url, &ca)).counts;
        let kind = "TLS: received corrupt message of type InvalidContentType".to_owned();
        assert_eq!(counts.failed, [(kind, 25)].into());
    }

    #[test]
    fn a_ca_without_a_valid_certificate_is_refused() {
        let refused = |ca: Option<&str>| {
            let url = "https://127.0.0.1:1/".to_owned();
            let load = Assignment { ca: ca.map(str::to_owned), ..load(url, 1, 1) };
            offer(&load).unwrap_err().to_string()
        };
        assert_eq!(
            refused(None),
            "https://127.0.0.1:1/: an https URL needs the certificate of a CA"
        );
        assert!(refused(Some("x")).starts_with("the CA has no certificate"));
        let not_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(refused(Some(not_der)).starts_with("the CA is not valid: "));
        let not_base64 = "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n";
        assert!(refused(Some(not_base64)).starts_with("the CA is not valid PEM: "));
    }
}
