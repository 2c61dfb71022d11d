//! What becomes of one connection, told in exactly one record.
//!
//! In: its facts as they become known, and its end. Out: a connection record when it is dropped, whatever ended it: its peer, a deadline, a
//! refusal, a panic, the process. Never: writes twice, or not at all.

use std::cell::{Cell, OnceCell};
use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use telemetry::connection_record::{ConnectionRecord, Peer, TlsRecord};
use telemetry::record::buffer::RecordBuffer;
use wire::connection::{Connection, PeerAddress};
use wire::guard::line::GuardLine;

use crate::figures::{CountedOpen, Figures};
use crate::roster::Open;
use crate::serve::Hall;
use crate::tier::Tier;

/// How a connection ended.
///
/// The words of `end`: `closed` (by the client, or by `Connection: close`), `client-gone` (in the middle of something), `idle`, `no-request`,
/// `displaced` (it rested, and others waited for its place), `drained`, `reconfigured` (its listener lets in others now), `upgraded` (its tunnel ended), `refused` and `failed` (with a reason), `cut` (by the end of the process).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) end: &'static str,
    pub(crate) reason: Option<&'static str>,
}

impl Ending {
    /// It came to its end.
    pub(crate) fn calm(end: &'static str) -> Self {
        Self { end, reason: None }
    }

    /// We turned it away.
    pub(crate) fn refused(reason: &'static str) -> Self {
        Self { end: "refused", reason: Some(reason) }
    }

    /// Something broke.
    pub(crate) fn failed(reason: &'static str) -> Self {
        Self { end: "failed", reason: Some(reason) }
    }

    /// What the metric tells: the reason where there is one.
    fn word(self) -> &'static str {
        self.reason.unwrap_or(self.end)
    }
}

/// The record to be.
pub(crate) struct Story {
    pub(crate) peer: Cell<Option<PeerAddress>>,
    /// The socket's other end, where that has told by a PROXY header who the peer is.
    pub(crate) proxy: Cell<Option<SocketAddr>>,
    pub(crate) local: Cell<Option<SocketAddr>>,
    connection: OnceCell<Rc<Connection>>,
    ending: Cell<Ending>,
    id: u64,
    listener: usize,
    listener_name: Arc<str>,
    time_ms: u64,
    opened: Instant,
    open: Rc<Open>,
    line: Arc<GuardLine>,
    records: Rc<RecordBuffer>,
    figures: Arc<Figures>,
    _counted: Option<CountedOpen>,
}

impl Story {
    /// A connection has come to this worker, from the listener of this place and name.
    pub(crate) fn begin<T: Tier>(hall: &Hall<T>, id: u64, (listener, name): (usize, Option<Arc<str>>), open: Rc<Open>) -> Self {
        Self {
            peer: Cell::new(None),
            proxy: Cell::new(None),
            local: Cell::new(None),
            connection: OnceCell::new(),
            // Whoever drops a story without an end cut it short.
            ending: Cell::new(Ending::calm("cut")),
            id,
            listener,
            listener_name: name.unwrap_or_else(|| Arc::from("unknown")),
            time_ms: hall.clock.now_ms(),
            opened: Instant::now(),
            line: open.line(),
            open,
            records: Rc::clone(&hall.records),
            figures: Arc::clone(&hall.figures),
            _counted: hall.figures.opened(listener),
        }
    }

    /// The guard's side of the connection.
    pub(crate) fn line(&self) -> Arc<GuardLine> {
        Arc::clone(&self.line)
    }

    /// The facts are complete.
    pub(crate) fn known(&self, connection: &Rc<Connection>) {
        // Set once, by the one place that makes connections.
        let _ = self.connection.set(Rc::clone(connection));
    }

    /// It has ended; the record is written now.
    pub(crate) fn end(self, ending: Ending, cause: Option<&dyn Error>) {
        self.ending.set(ending);
        if let Some(cause) = cause {
            tracing::debug!(connection = self.id, listener = &*self.listener_name, end = ending.word(), cause = %cause, "a connection ended");
        }
    }

    fn write(&self) {
        // Without a peer the socket was dead before it could be asked who it is.
        let Some(peer) = self.peer.get() else { return };
        let connection = self.connection.get();
        let tls = connection.and_then(|connection| Some((connection, connection.tls.as_ref()?)));
        let record = ConnectionRecord {
            time_ms: self.time_ms,
            connection: self.id,
            listener: &self.listener_name,
            peer: match peer {
                PeerAddress::Tcp(address) => Peer::Tcp(address),
                PeerAddress::Unix { uid, pid } => Peer::Unix { uid, pid },
            },
            proxy: self.proxy.get(),
            client: None,
            local: self.local.get(),
            protocol_version: connection.map(|connection| connection.protocol.version()),
            tls: tls.map(|(connection, facts)| TlsRecord {
                version: facts.version,
                cipher: facts.cipher,
                curve: facts.group,
                alpn: Some(match connection.protocol {
                    wire::connection::Protocol::Http1 => "http/1.1",
                    wire::connection::Protocol::Http2 => "h2",
                }),
                server_name: facts.sni.as_deref(),
                peer_names: facts.peer.as_ref().map_or(&[], |peer| peer.names.as_slice()),
                peer_fingerprint: facts.peer.as_ref().map(|peer| &peer.fingerprint),
            }),
            requests: self.open.requests.get(),
            bytes_in: self.line.bytes_in(),
            bytes_out: self.line.bytes_out(),
            duration: self.opened.elapsed(),
            end: self.ending.get().end,
            reason: self.ending.get().reason,
        };
        record.write(&self.records);
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        self.figures.ended(self.listener, self.ending.get().word());
        self.write();
    }
}
