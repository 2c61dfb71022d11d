//! A client of the front door or of the link: one TLS connection, one HTTP version, as a test wants it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::rig::reply::Reply;

/// How long a whole exchange may take before a test fails.
pub const EXCHANGE_MAX: Duration = Duration::from_secs(30);

/// The version to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    H1,
    /// HTTP/2.
    H2,
}

/// What a client shows and whom it believes.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The authority's certificate in PEM.
    pub ca_pem: String,
    /// A certificate chain and key in PEM, if the client shows one.
    pub leaf: Option<(String, String)>,
    /// The name it asks for and verifies.
    pub server: &'static str,
}

/// What TLS needs to know, for one connection or many.
///
/// # Errors
/// The identity is not in PEM.
pub fn terms(identity: &Identity, alpn: &[&[u8]]) -> std::io::Result<Arc<rustls::ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(identity.ca_pem.as_bytes()) {
        let certificate = certificate.map_err(std::io::Error::other)?;
        roots.add(certificate).map_err(std::io::Error::other)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(std::io::Error::other)?;
    let builder = builder.with_root_certificates(roots);
    let mut config = match &identity.leaf {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>().map_err(std::io::Error::other)?;
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(std::io::Error::other)?;
            builder.with_client_auth_cert(chain, key).map_err(std::io::Error::other)?
        }
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

/// Opens a TLS connection.
///
/// # Errors
/// The handshake failed.
pub async fn handshake(address: SocketAddr, identity: &Identity, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
    greet(TcpStream::connect(address).await?, terms(identity, alpn)?, identity.server).await
}

/// Makes TLS with who is called `server` of a connection that is open already.
///
/// # Errors
/// The handshake failed.
pub async fn greet(stream: TcpStream, terms: Arc<rustls::ClientConfig>, server: &'static str) -> std::io::Result<TlsStream<TcpStream>> {
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(server).map_err(std::io::Error::other)?;
    TlsConnector::from(terms).connect(name, stream).await
}

/// The same over a connection that was opened before, and that the other side may not have accepted yet.
///
/// # Errors
/// The handshake failed.
pub async fn over(
    stream: std::net::TcpStream,
    identity: &Identity,
    version: Version,
) -> Result<Line, Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nonblocking(true)?;
    Line::on(TcpStream::from_std(stream)?, identity, version).await
}

/// A connection that sends one request after the other.
pub enum Line {
    /// HTTP/1.1.
    H1(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    /// HTTP/2.
    H2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Line {
    /// Opens a connection; it is driven on the runtime that this runs on.
    ///
    /// # Errors
    /// The connection or its handshake failed.
    pub async fn open(
        address: SocketAddr,
        identity: &Identity,
        version: Version,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Self::on(TcpStream::connect(address).await?, identity, version).await
    }

    async fn on(stream: TcpStream, identity: &Identity, version: Version) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let alpn: &[u8] = if version == Version::H1 { b"http/1.1" } else { b"h2" };
        let io = TokioIo::new(greet(stream, terms(identity, &[alpn])?, identity.server).await?);
        let handle = tokio::runtime::Handle::current();
        Ok(match version {
            Version::H1 => {
                let (sender, connection) = hyper::client::conn::http1::handshake(io).await?;
                handle.spawn(connection.with_upgrades());
                Self::H1(sender)
            }
            Version::H2 => {
                let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
                handle.spawn(connection);
                Self::H2(sender)
            }
        })
    }

    /// Sends a request and gives the head of the answer.
    ///
    /// # Errors
    /// The connection broke before the answer.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error> {
        match self {
            Self::H1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::H2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// The connection broke before the end of the answer, or it took longer than [`EXCHANGE_MAX`].
    pub async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
        let whole = async {
            let response = self.send(request).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Reply { status: head.status, headers: head.headers, body })
        };
        Ok(tokio::time::timeout(EXCHANGE_MAX, whole).await??)
    }

    /// As [`Self::exchange`], for a client that never repeats what it has sent, and tells it apart from what it has not.
    pub async fn offer(&mut self, request: Request<Full<Bytes>>) -> Offer {
        let whole = async {
            let ready = match self {
                Self::H1(sender) => sender.ready().await,
                Self::H2(sender) => sender.ready().await,
            };
            if ready.is_err() {
                return Offer::Unsent;
            }
            let sent = match self {
                Self::H1(sender) => sender.try_send_request(request).await,
                Self::H2(sender) => sender.try_send_request(request).await,
            };
            let (head, body) = match sent {
                Ok(response) => response.into_parts(),
                // It is handed back if no byte of it was written.
                Err(fault) if fault.message().is_some() => return Offer::Unsent,
                Err(fault) => return Offer::Broken(format!("{:?}", fault.error())),
            };
            match body.collect().await {
                Ok(body) => Offer::Answered(Reply { status: head.status, headers: head.headers, body: body.to_bytes() }),
                Err(fault) => Offer::Broken(format!("{fault:?}")),
            }
        };
        tokio::time::timeout(EXCHANGE_MAX, whole).await.unwrap_or_else(|_| Offer::Broken(format!("no answer within {EXCHANGE_MAX:?}")))
    }
}

/// What became of a request that was offered to a connection.
pub enum Offer {
    /// It has its whole answer.
    Answered(Reply),
    /// The other side takes no more on this connection, and nothing of it was sent.
    Unsent,
    /// It was sent, or may have been, and has no answer.
    Broken(String),
}
