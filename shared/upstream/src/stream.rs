//! The bytes to and from one instance: TCP or a Unix socket, plain or under TLS.
//!
//! In: a connected socket and what must live as long as it. Out: tokio's reading and writing. Never: buffers.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use crate::ceiling::Permit;
use crate::endpoint::Endpoint;
use crate::gate::Pass;

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A socket, under TLS or not.
#[derive(Debug)]
pub(crate) enum Layer {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Layer {
    /// Whether HTTP/2 may begin on it: both ends have agreed on it in TLS, or there is no TLS and we know it before (RFC 9113 §3.2, §3.3).
    pub(crate) fn speaks_h2(&self) -> bool {
        match self {
            Plain(_) => true,
            Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

/// A connection to an instance with its place below the ceiling. Whoever owns the bytes, after an upgrade too, holds the place.
#[derive(Debug)]
pub(crate) struct Stream {
    layer: Layer,
    _hold: Hold,
}

impl Stream {
    pub(crate) fn new(layer: Layer, permit: Permit, upgrade: Arc<Upgrade>) -> Self {
        Self { layer, _hold: Hold { _permit: permit, upgrade } }
    }

    /// Whether it is under TLS.
    pub(crate) fn is_secured(&self) -> bool {
        matches!(self.layer, Layer::Tls(_))
    }
}

const UPGRADED: u8 = 1;
const ENDED: u8 = 2;

/// Whether a connection was upgraded, shared by the request that asked and by the bytes that outlive it.
#[derive(Debug)]
pub(crate) struct Upgrade {
    state: AtomicU8,
    endpoint: Arc<Endpoint>,
    in_flight: Gauge,
    /// The place of the upgraded request at its service, until the bytes end.
    pass: OnceLock<Pass>,
}

impl Upgrade {
    pub(crate) fn new(endpoint: &Arc<Endpoint>, in_flight: Gauge) -> Arc<Self> {
        Arc::new(Self { state: AtomicU8::new(0), endpoint: Arc::clone(endpoint), in_flight, pass: OnceLock::new() })
    }

    /// Counts the connection as one request under way from now until its bytes end, and holds its place at the service.
    pub(crate) fn begin(&self, pass: Option<Pass>) {
        if let Some(pass) = pass {
            let _ = self.pass.set(pass);
        }
        self.endpoint.begin();
        self.in_flight.inc();
        if self.state.fetch_or(UPGRADED, Ordering::AcqRel) & ENDED != 0 {
            self.count_out();
        }
    }

    fn end(&self) {
        if self.state.fetch_or(ENDED, Ordering::AcqRel) & UPGRADED != 0 {
            self.count_out();
        }
    }

    fn count_out(&self) {
        self.endpoint.end();
        self.in_flight.dec();
    }
}

#[derive(Debug)]
struct Hold {
    _permit: Permit,
    upgrade: Arc<Upgrade>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.upgrade.end();
    }
}

/// Calls one method of whichever variant is there.
macro_rules! forward {
    ($self:expr, $one:ident, $two:ident, $call:ident ( $($argument:expr),* )) => {
        match $self {
            $one(inner) => Pin::new(inner).$call($($argument),*),
            $two(inner) => Pin::new(inner).$call($($argument),*),
        }
    };
}

use Layer::{Plain, Tls};
use Socket::{Tcp, Unix};

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        forward!(self.get_mut(), Tcp, Unix, poll_read(cx, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self.get_mut(), Tcp, Unix, poll_write(cx, bytes))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        forward!(self.get_mut(), Tcp, Unix, poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.get_mut(), Tcp, Unix, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.get_mut(), Tcp, Unix, poll_shutdown(cx))
    }
}

impl AsyncRead for Layer {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        forward!(self.get_mut(), Plain, Tls, poll_read(cx, buffer))
    }
}

impl AsyncWrite for Layer {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self.get_mut(), Plain, Tls, poll_write(cx, bytes))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        forward!(self.get_mut(), Plain, Tls, poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Plain(socket) => socket.is_write_vectored(),
            Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.get_mut(), Plain, Tls, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.get_mut(), Plain, Tls, poll_shutdown(cx))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().layer).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().layer).poll_write(cx, bytes)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().layer).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.layer.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().layer).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().layer).poll_shutdown(cx)
    }
}
