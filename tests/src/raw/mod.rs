//! A raw client: one blocking connection, TLS or plain, over which a test sends the very bytes that it wants and reads what comes back.
//!
//! In: bytes, lawful or not. Out: bytes, and how the connection ended. It knows no HTTP, adds nothing, repairs nothing and repeats nothing.

#![allow(clippy::panic, reason = "a client that gets no connection fails its test")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::rig::client::{Identity, terms};

/// How long any one call waits for the other side.
pub const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Bytes that one read asks for: a TLS record.
const READ_BYTES: usize = 16 * 1024;

/// One connection.
pub struct Raw {
    stream: Stream,
}

enum Stream {
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Plain(TcpStream),
}

/// How the other side left a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It said so: a `close_notify`, or a FIN.
    Closed,
    /// By a reset.
    Reset,
    /// It did not, within [`ANSWER_MAX`].
    StillOpen,
}

impl Raw {
    /// A TLS connection whose handshake is done, with one ALPN protocol (`http/1.1`, `h2`), or none where `alpn` is empty.
    #[must_use]
    #[track_caller]
    pub fn open(address: SocketAddr, identity: &Identity, alpn: &str) -> Self {
        Self::try_open(address, identity, alpn).unwrap_or_else(|fault| panic!("no TLS connection with {address}: {fault}"))
    }

    /// As [`Self::open`], for a door that may refuse.
    ///
    /// # Errors
    /// The connection or its handshake failed, or took longer than [`ANSWER_MAX`] between two bytes.
    pub fn try_open(address: SocketAddr, identity: &Identity, alpn: &str) -> io::Result<Self> {
        Self::greet(connect(address)?, identity, alpn)
    }

    /// A connection without TLS.
    #[must_use]
    #[track_caller]
    pub fn open_plain(address: SocketAddr) -> Self {
        let stream = connect(address).unwrap_or_else(|fault| panic!("no connection with {address}: {fault}"));
        Self { stream: Stream::Plain(stream) }
    }

    /// TLS over a connection that is open already, and over which something may have been said before.
    ///
    /// # Errors
    /// The handshake failed, or took longer than [`ANSWER_MAX`] between two bytes.
    pub fn greet(mut stream: TcpStream, identity: &Identity, alpn: &str) -> io::Result<Self> {
        let protocols: &[&[u8]] = if alpn.is_empty() { &[] } else { &[alpn.as_bytes()] };
        let name = ServerName::try_from(identity.server).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(terms(identity, protocols)?, name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        Ok(Self { stream: Stream::Tls(Box::new(StreamOwned::new(tls, stream))) })
    }

    /// Sends bytes, in as few TLS records as they fit in.
    ///
    /// # Errors
    /// The other side takes them no more.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tls(tls) => {
                tls.write_all(bytes)?;
                tls.flush()
            }
            Stream::Plain(plain) => plain.write_all(bytes),
        }
    }

    /// Says that nothing more will be sent: `close_notify` and a FIN. What comes back can still be read.
    ///
    /// # Errors
    /// The connection has ended before.
    pub fn finish(&mut self) -> io::Result<()> {
        if let Stream::Tls(tls) = &mut self.stream {
            tls.conn.send_close_notify();
            tls.flush()?;
        }
        self.socket().shutdown(Shutdown::Write)
    }

    /// Reads until what was read in this call is `enough`; fails the test when the connection ends before, or [`ANSWER_MAX`] passes.
    #[must_use]
    #[track_caller]
    pub fn read_until(&mut self, mut enough: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
        let (bytes, end) = self.read_while(|bytes| !enough(bytes));
        match end {
            None => bytes,
            Some(end) => panic!("{end:?}, and all that came was: {}", bytes.escape_ascii()),
        }
    }

    /// Reads to the end of the connection, or for [`ANSWER_MAX`] where it does not end.
    #[must_use]
    pub fn read_to_end(&mut self) -> (Vec<u8>, End) {
        let (bytes, end) = self.read_while(|_| true);
        (bytes, end.unwrap_or(End::StillOpen))
    }

    /// This side's address: the `client` of the connection's record.
    #[must_use]
    #[track_caller]
    pub fn local(&self) -> SocketAddr {
        self.socket().local_addr().unwrap_or_else(|fault| panic!("a connection has an address: {fault}"))
    }

    /// The socket beneath TLS, for a test that treats it ill.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Tls(tls) => &tls.sock,
            Stream::Plain(plain) => plain,
        }
    }

    /// Reads while `more` says so of what was read in this call; how the connection ended, where that came first or [`ANSWER_MAX`] passed.
    pub fn read_while(&mut self, mut more: impl FnMut(&[u8]) -> bool) -> (Vec<u8>, Option<End>) {
        let begun = Instant::now();
        let mut bytes = Vec::new();
        let mut part = [0; READ_BYTES];
        loop {
            let left = ANSWER_MAX.saturating_sub(begun.elapsed());
            if left.is_zero() || self.socket().set_read_timeout(Some(left)).is_err() {
                return (bytes, Some(End::StillOpen));
            }
            let read = match &mut self.stream {
                Stream::Tls(tls) => tls.read(&mut part),
                Stream::Plain(plain) => plain.read(&mut part),
            };
            match read {
                Ok(0) => return (bytes, Some(End::Closed)),
                Ok(read) => bytes.extend_from_slice(&part[..read]),
                Err(fault) => match fault.kind() {
                    // A FIN without `close_notify`, as rustls names it.
                    io::ErrorKind::UnexpectedEof => return (bytes, Some(End::Closed)),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return (bytes, Some(End::StillOpen)),
                    io::ErrorKind::Interrupted => {}
                    _ => return (bytes, Some(End::Reset)),
                },
            }
            if !more(&bytes) {
                return (bytes, None);
            }
        }
    }
}

/// A socket that waits for nobody longer than [`ANSWER_MAX`].
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    Ok(stream)
}
