//! The PROXY protocol: how a load balancer in front tells whose connection it passes on (haproxy.org, proxy-protocol.txt, versions 1 and 2).
//!
//! In: a connection whose peer is believed to tell, before anything else was read from it. Out: the source that was told, or that the connection
//! is the proxy's own. Refuses: a connection that does not begin with a header, one that is malformed, of another transport than TCP, or longer
//! than its ceiling, and one that ends inside. Never: reads a byte behind the header; those are the client's and TLS's. Never bounds time: the
//! caller does.
//!
//! The parser is our own and not the crate `ppp`: that one parses what was read, and cannot tell how many bytes may be read without taking one of
//! the client's; and a proxy is believed blindly, so that what it says must have one form (no leading zeros, no second space).

mod v1;
mod v2;

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of a header of version 2 at most, its vectors (TLVs) included. HAProxy and AWS write some hundred.
pub const V2_BYTES_MAX: usize = 4096;

/// Bytes of a header of version 1 at most, its CRLF included (§2.1).
pub const V1_BYTES_MAX: usize = 107;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The connection comes from here, by the proxy.
    Source(SocketAddr),
    /// The proxy speaks for itself (`LOCAL`, as health checks do), or cannot tell (`UNKNOWN`): the socket's own address counts.
    Own,
}

/// What is known once some bytes have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The header is whole, and ends with the last byte.
    Whole(Told),
    /// At least so many bytes more belong to it; 1 or more.
    More(usize),
}

/// Why a connection has no believable header. The codes are those of connection records.
#[derive(Debug, thiserror::Error)]
pub enum ProxyFault {
    /// It begins as something else.
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    /// It has no lawful form.
    #[error("the PROXY header is malformed")]
    Malformed,
    /// It says that it is longer than [`V2_BYTES_MAX`], or has no end within [`V1_BYTES_MAX`].
    #[error("the PROXY header is too large")]
    TooLarge,
    /// The connection ended or broke inside it.
    #[error("the connection ended inside its PROXY header")]
    Truncated(#[source] io::Error),
}

impl ProxyFault {
    /// The stable code for connection records and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "proxy-header-missing",
            Self::Malformed => "proxy-header-malformed",
            Self::TooLarge => "proxy-header-too-large",
            Self::Truncated(_) => "proxy-header-truncated",
        }
    }
}

/// Fewer bytes than this has no header of either version.
const LEAST: usize = v1::LEAST;

/// Reads what has come so far, which holds no byte more than an earlier `More` asked for.
///
/// # Errors
/// It is no header, or none that is believed.
pub fn parse(bytes: &[u8]) -> Result<Parsed, ProxyFault> {
    let begins_as = |prefix: &[u8]| bytes.iter().zip(prefix).all(|(byte, expected)| byte == expected);
    match (begins_as(v1::PREFIX), begins_as(v2::SIGNATURE)) {
        (false, false) => Err(ProxyFault::Missing),
        _ if bytes.len() < LEAST => Ok(Parsed::More(LEAST - bytes.len())),
        (true, _) => v1::parse(bytes),
        (false, true) => v2::parse(bytes),
    }
}

/// Reads a header and nothing behind it.
///
/// # Errors
/// There is none, it is not lawful, or the connection ended inside it.
pub async fn receive<IO: AsyncRead + Unpin>(io: &mut IO) -> Result<Told, ProxyFault> {
    // On the stack of a future it would be held for the whole life of the connection.
    let mut bytes = Vec::with_capacity(V1_BYTES_MAX);
    let mut more = LEAST;
    loop {
        let at = bytes.len();
        bytes.resize(at + more, 0);
        // Every portion is judged, so that what is no header is refused before it is long enough for one.
        let read = io.read(&mut bytes[at..]).await.map_err(ProxyFault::Truncated)?;
        if read == 0 {
            return Err(ProxyFault::Truncated(io::ErrorKind::UnexpectedEof.into()));
        }
        bytes.truncate(at + read);
        match parse(&bytes)? {
            Parsed::Whole(told) => return Ok(told),
            Parsed::More(number) => more = number,
        }
    }
}

#[cfg(test)]
mod tests;
