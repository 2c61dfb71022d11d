//! What is known of one accepted connection; every request on it shares these facts.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use crate::farewell::Farewell;
use crate::guard::line::GuardLine;
use crate::tls::coverage::ServedFor;

/// The facts of one accepted connection. It lives on one worker.
#[derive(Debug)]
pub struct Connection {
    /// Counts up over the life of the process, over all listeners.
    pub id: u64,
    /// The place of the listener in the plan.
    pub listener: usize,
    /// The name of the listener, for records and metrics.
    pub listener_name: Arc<str>,
    /// Who is at the other end: of the socket, or of the connection that a believed proxy told of by a PROXY header.
    pub peer: PeerAddress,
    /// The proxy at the other end of the socket, where it has told who the peer is.
    pub proxy: Option<SocketAddr>,
    /// The address that was connected to, where there is one.
    pub local: Option<SocketAddr>,
    /// What the handshake agreed on; `None` on plain connections.
    pub tls: Option<TlsFacts>,
    /// The protocol that ALPN chose.
    pub protocol: Protocol,
    /// The framing guard's side of this connection: bytes, heads, refusals, upgrades.
    pub line: Arc<GuardLine>,
    /// Told when the process closes; a protocol that has left HTTP must pass it on by itself.
    pub farewell: Farewell,
    /// When it was accepted.
    pub opened: Instant,
}

/// The other end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    /// A TCP peer.
    Tcp(SocketAddr),
    /// A process on this host, proved by the kernel (`SO_PEERCRED`).
    Unix {
        /// Its effective user id.
        uid: u32,
        /// Its process id, where the kernel tells it.
        pid: Option<i32>,
    },
}

impl PeerAddress {
    /// The address of a TCP peer.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix { .. } => None,
        }
    }
}

/// What a TLS handshake agreed on.
#[derive(Clone, Debug)]
pub struct TlsFacts {
    /// `1.2` or `1.3`, the form of `tls.protocol.version`.
    pub version: &'static str,
    /// IANA name of the cipher suite.
    pub cipher: &'static str,
    /// Name of the key-exchange group.
    pub group: Option<&'static str>,
    /// The name that the client asked for.
    pub sni: Option<Arc<str>>,
    /// Who the peer proved to be by certificate.
    pub peer: Option<Arc<PeerIdentity>>,
    /// What the certificate covers that we served: requests for other hosts were misdirected.
    pub served_for: ServedFor,
}

/// What a verified peer certificate says; only a verifier makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// DNS names and URIs of the certificate, as written in it, DNS names first.
    pub names: Vec<String>,
    /// How many of `names` are DNS names; a URI that looks like one is none.
    pub dns: usize,
    /// SHA-256 of the certificate in DER.
    pub fingerprint: [u8; 32],
}

/// The protocol spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// The form of `network.protocol.version`.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Http1 => "1.1",
            Self::Http2 => "2",
        }
    }
}
