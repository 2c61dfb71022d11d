//! One connection, from the socket to its record.
//!
//! In: a socket that was dealt to this worker. Out: its requests go to the tier, and one record tells how it ended. Refuses: Unix peers that are
//! not listed, proxies that do not tell whose connection it is, addresses that have too many connections, handshakes that fail or last too long; the
//! framing guard refuses the rest. Never: lets a panic or a failure reach another
//! connection; writes no record, or two.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use prometheus_client::metrics::counter::Counter;
use rustls_pki_types::CertificateDer;
use settings::clock::Clock;
use telemetry::record::buffer::RecordBuffer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout_at;
use wire::connection::{Connection, PeerAddress, Protocol, TlsFacts};
use wire::forwarded::is_in;
use wire::proxy_protocol::{self, Told};
use wire::tls::facts::facts;
use wire::tls::server::ServerTls;

use crate::addresses::{Addresses, OfAddress};
use crate::converse::converse;
use crate::deal::{Dealt, Ticket};
use crate::figures::Figures;
use crate::listen::Accepted;
use crate::plan::HostPlan;
use crate::plan_limits::LimitsPlan;
use crate::plan_listener::UNMAPPED_UID;
use crate::proof::Proof;
use crate::roster::{Open, Roster};
use crate::story::{Ending, Story};
use crate::tier::Tier;

/// What all connections of one worker share.
pub(crate) struct Hall<T: Tier> {
    pub(crate) stand: RefCell<Stand<T>>,
    pub(crate) roster: Rc<Roster>,
    pub(crate) records: Rc<RecordBuffer>,
    pub(crate) figures: Arc<Figures>,
    /// The requests of this worker.
    pub(crate) requests: Counter,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) clock: Clock,
}

/// The generation that this worker serves by. A request takes what it needs when it begins and keeps it to its end; a connection keeps nothing of it,
/// for it may last longer than many generations.
pub(crate) struct Stand<T: Tier> {
    pub(crate) worker: Rc<T::Worker>,
    pub(crate) plan: Arc<HostPlan>,
}

impl<T: Tier> Hall<T> {
    /// What a request that begins now is served by.
    pub(crate) fn worker(&self) -> Rc<T::Worker> {
        Rc::clone(&self.stand.borrow().worker)
    }

    /// What every answer to a request that begins now says of TLS, where its listener is to say so.
    pub(crate) fn hsts(&self, listener: usize) -> Option<HeaderValue> {
        self.stand.borrow().plan.listeners.get(listener).and_then(|plan| plan.hsts.clone())
    }

    /// What a connection that begins now is let in by.
    pub(crate) fn plan(&self) -> Arc<HostPlan> {
        Arc::clone(&self.stand.borrow().plan)
    }
}

/// A connection that was let in, on its way to the first request.
struct Entrant {
    id: u64,
    listener: usize,
    opened: Instant,
    open: Rc<Open>,
    story: Story,
    /// Its place among the connections of its address; given back once the peer has proved who it is.
    of_address: Option<OfAddress>,
}

/// Takes a connection into the roster, at once, and serves it to its end once it is polled: a worker that is asked to leave between the two
/// must know of it. Its place under the ceilings is given back after its record was written.
pub(crate) fn serve<T: Tier>(hall: Rc<Hall<T>>, dealt: Dealt) -> impl Future<Output = ()> + 'static {
    let Dealt { id, listener, socket, ticket } = dealt;
    let open = hall.roster.enter(id, listener, Arc::default());
    let plan = hall.plan();
    let name = plan.listeners.get(listener).map(|plan| Arc::clone(&plan.name));
    let story = Story::begin(&hall, id, (listener, name), Rc::clone(&open));
    let entrant = Entrant { id, listener, opened: Instant::now(), open, story, of_address: None };
    let place = Place { hall: Rc::clone(&hall), id, _ticket: ticket };
    async move {
        admit(&hall, plan, entrant, socket).await;
        drop(place);
    }
}

/// Learns who is at the other end, and whether they may be.
async fn admit<T: Tier>(hall: &Rc<Hall<T>>, plan: Arc<HostPlan>, mut entrant: Entrant, socket: Accepted) {
    match socket {
        Accepted::Tcp(stream, peer) => {
            entrant.story.peer.set(Some(PeerAddress::Tcp(peer)));
            match TcpStream::from_std(stream).and_then(|stream| stream.set_nodelay(true).map(|()| stream)) {
                Ok(mut stream) => {
                    entrant.story.local.set(stream.local_addr().ok());
                    let told = match told(&plan, &entrant, &mut stream, peer).await {
                        Ok(told) => told,
                        Err(ending) => return entrant.story.end(ending, None),
                    };
                    if !is_in(told.ip(), &plan.infrastructure) {
                        entrant.of_address = hall.addresses.take(told.ip(), plan.limits.connections_per_address_max);
                        if entrant.of_address.is_none() {
                            return entrant.story.end(Ending::refused("too-many-of-address"), None);
                        }
                    }
                    greet(hall, plan, entrant, stream).await;
                }
                Err(error) => entrant.story.end(Ending::failed("socket-failed"), Some(&error)),
            }
        }
        Accepted::Unix(stream) => match UnixStream::from_std(stream).and_then(|stream| Ok((stream.peer_cred()?, stream))) {
            Ok((cred, stream)) => {
                let uid = cred.uid();
                entrant.story.peer.set(Some(PeerAddress::Unix { uid, pid: cred.pid() }));
                // The kernel shows this id for every user that has none here: it proves nobody.
                let may = plan.listeners.get(entrant.listener).is_some_and(|own| own.uids.contains(&uid));
                if uid != UNMAPPED_UID && may {
                    greet(hall, plan, entrant, stream).await;
                } else {
                    entrant.story.end(Ending::refused("peer-not-allowed"), None);
                }
            }
            Err(error) => entrant.story.end(Ending::failed("socket-failed"), Some(&error)),
        },
    }
}

/// Whose connection it is: the socket's peer's, unless that is a proxy that tells.
async fn told(plan: &HostPlan, entrant: &Entrant, stream: &mut TcpStream, peer: SocketAddr) -> Result<SocketAddr, Ending> {
    let proxies = plan.listeners.get(entrant.listener).map_or(&[][..], |own| &own.proxies);
    if !is_in(peer.ip(), proxies) {
        return Ok(peer);
    }
    let header = tokio::select! {
        biased;
        header = timeout_at(entrant.shaken_by(plan), proxy_protocol::receive(stream)) => header,
        why = entrant.open.stopped() => return Err(Ending::calm(why)),
    };
    match header {
        Err(_) => Err(Ending::refused("proxy-header-timeout")),
        Ok(Err(fault)) => Err(Ending::refused(fault.code())),
        Ok(Ok(Told::Own)) => Ok(peer),
        Ok(Ok(Told::Source(source))) => {
            entrant.story.proxy.set(Some(peer));
            entrant.story.peer.set(Some(PeerAddress::Tcp(source)));
            Ok(source)
        }
    }
}

impl Entrant {
    /// By when PROXY header and handshake must be done.
    fn shaken_by(&self, plan: &HostPlan) -> tokio::time::Instant {
        (self.opened + plan.limits.handshake).into()
    }
}

/// The place of a connection in the roster and under the ceilings.
struct Place<T: Tier> {
    hall: Rc<Hall<T>>,
    id: u64,
    _ticket: Ticket,
}

impl<T: Tier> Drop for Place<T> {
    fn drop(&mut self) {
        self.hall.roster.leave(self.id);
    }
}

/// TLS where the listener has it, then HTTP.
async fn greet<T: Tier, IO>(hall: &Rc<Hall<T>>, plan: Arc<HostPlan>, mut entrant: Entrant, io: IO)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(own) = plan.listeners.get(entrant.listener) else { return };
    let (tls, entry) = (own.tls.clone(), Entry { name: Arc::clone(&own.name), limits: plan.limits });
    let by = entrant.shaken_by(&plan);
    drop(plan);
    let Some(tls) = tls else {
        return begin(hall, entry, entrant, io, None, Protocol::Http1).await;
    };
    let shaken = tokio::select! {
        biased;
        // In a box, for what a handshake needs is not needed after it.
        shaken = Box::pin(shake(tls, io, by)) => shaken,
        why = entrant.open.stopped() => return entrant.story.end(Ending::calm(why), None),
    };
    match shaken {
        Ok((io, (facts, chain), protocol)) => {
            hall.figures.shaken(entrant.listener, entrant.opened.elapsed());
            if facts.peer.is_some() {
                // No stranger any more: a tier behind an address may have as many connections as there are places.
                entrant.of_address = None;
            }
            begin(hall, entry, entrant, io, Some((facts, chain)), protocol).await;
        }
        Err(fault) => entrant.story.end(Ending::refused(fault.reason), fault.source.as_ref().map(|error| error as _)),
    }
}

/// The stream is in a box, because everything that it is handed through keeps a place for it.
type Shaken<IO> = (Box<tokio_rustls::server::TlsStream<IO>>, Agreed, Protocol);

/// What a handshake has shown: its facts, and the certificates of the client as they came.
type Agreed = (TlsFacts, Vec<CertificateDer<'static>>);

/// A handshake that came to nothing.
struct Unshaken {
    reason: &'static str,
    source: Option<std::io::Error>,
}

/// The handshake within its time.
async fn shake<IO: AsyncRead + AsyncWrite + Unpin>(tls: ServerTls, io: IO, by: tokio::time::Instant) -> Result<Shaken<IO>, Unshaken> {
    let (stream, served_for) = match timeout_at(by, tls.accept(io)).await {
        Err(_) => return Err(Unshaken { reason: "handshake-timeout", source: None }),
        Ok(Err(fault)) => return Err(Unshaken { reason: fault.reason, source: Some(fault.source) }),
        Ok(Ok(accepted)) => accepted,
    };
    let session = stream.get_ref().1;
    let Some(facts) = facts(session, served_for) else { return Err(Unshaken { reason: "tls-failed", source: None }) };
    let protocol = if session.alpn_protocol() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 };
    let chain = session.peer_certificates().map(<[_]>::to_vec).unwrap_or_default();
    Ok((Box::new(stream), (facts, chain), protocol))
}

/// What a connection keeps of the plan that it was let in by.
struct Entry {
    name: Arc<str>,
    limits: LimitsPlan,
}

/// The facts are complete: the tier may have it.
async fn begin<T: Tier, IO>(hall: &Rc<Hall<T>>, entry: Entry, entrant: Entrant, io: IO, tls: Option<Agreed>, protocol: Protocol)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Entrant { id, listener, opened, open, story, of_address: _of_address } = entrant;
    let Some(peer) = story.peer.get() else { return };
    let (tls, chain) = tls.map_or_else(Default::default, |(facts, chain)| (Some(facts), chain));
    open.proves(Proof { peer, proxy: story.proxy.get(), chain });
    if let Some(proof) = open.proof_if_dismissed()
        && !hall.plan().listeners.get(listener).is_some_and(|own| proof.suffices(own, hall.clock.now_s()))
    {
        // It was let in by terms that were changed during its handshake.
        return story.end(Ending::refused("peer-not-allowed"), None);
    }
    let connection = Rc::new(Connection {
        id,
        listener,
        listener_name: entry.name,
        peer,
        proxy: story.proxy.get(),
        local: story.local.get(),
        tls,
        protocol,
        line: story.line(),
        farewell: open.farewell.clone(),
        opened,
    });
    story.known(&connection);
    open.speaks_http(protocol == Protocol::Http2);
    let (ending, error) = converse(hall, &entry.limits, &connection, &open, io).await;
    story.end(ending, error.as_deref().map(|error| error as _));
}
