//! Makes one connection to one instance.
//!
//! In: a service, an endpoint, the time left. Out: a link that is ready for a request. Refuses: more connections than the ceiling allows, an
//! instance of an HTTP/2 service that does not speak it. Never: sends a byte of a request, so that every failure here is free of side effects;
//! makes a shared connection for one request while another one is on its way that has a stream for it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, UnixStream};
use wire::body::BoxError;
use wire::tls::client::ClientTls;

use crate::ceiling::Permit;
use crate::endpoint::{Address, Endpoint};
use crate::link::{Life, Link};
use crate::moment;
use crate::multiplex::Multiplex;
use crate::plan::protocol::Protocol;
use crate::pool::Pools;
use crate::pool::lot::Way;
use crate::service::Service;
use crate::stream::{Layer, Socket, Stream, Upgrade};

/// How often a place is looked for after an idle connection was given up for it: its task ends on the next turns of the runtime.
const TURNS_FOR_A_PLACE: usize = 4;

/// The longest wait for a place. Longer than two looks through the idle connections of another worker (`pool`), which gives one of them up.
const PLACE_MAX: Duration = Duration::from_millis(500);

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectFault {
    /// The ceiling is reached.
    Overloaded,
    /// It was refused, did not come about within the service's `connect`, or the handshake failed.
    Failed,
    /// The caller had less time than the service's `connect`; nothing is known of the instance.
    Late,
}

/// A connection, as it was come by.
pub(crate) enum Reached {
    /// Made for this request.
    New(Link),
    /// Another request of this worker has just ended on it.
    Kept(Link),
}

/// What a request may go on with.
enum Place {
    New(Permit),
    Kept(Link),
}

/// Connects to `endpoint` within `within` and the service's `connect`, and tells the endpoint how it went. At the ceiling a
/// connection that comes back is as good as a place, if `may_reuse`.
pub(crate) async fn connect(
    pools: &Rc<Pools>,
    service: &Service,
    endpoint: &Arc<Endpoint>,
    within: Duration,
    may_reuse: bool,
) -> Result<Reached, ConnectFault> {
    if service.plan().protocol == Protocol::Http2 {
        return connect_shared(pools, service, endpoint, within, may_reuse).await;
    }
    connect_one(pools, service, endpoint, (within, PLACE_MAX), may_reuse).await
}

/// A stream of a shared connection: of one that is on its way, or of one that this request makes, for others too.
async fn connect_shared(
    pools: &Rc<Pools>,
    service: &Service,
    endpoint: &Arc<Endpoint>,
    within: Duration,
    may_reuse: bool,
) -> Result<Reached, ConnectFault> {
    let asked = Instant::now();
    loop {
        // A stream may have come free while it waited for another request's connection.
        if may_reuse && let Some(link) = pools.take(endpoint, Duration::MAX) {
            return Ok(Reached::Kept(link));
        }
        let within = within.saturating_sub(asked.elapsed());
        let lot = pools.lot(endpoint);
        match lot.way(service.plan().pool.streams_max) {
            Way::Join(coming) => match tokio::time::timeout(within, coming).await {
                Err(_) => return Err(ConnectFault::Late),
                Ok(Ok(Ok(link))) => return Ok(Reached::New(link)),
                Ok(Ok(Err(fault))) => return Err(fault),
                // Whoever made it has left, or there was no stream for all: once more.
                Ok(Err(_)) => {}
            },
            Way::Make(making) => {
                let place_within = PLACE_MAX.saturating_sub(asked.elapsed());
                let reached = connect_one(pools, service, endpoint, (within, place_within), may_reuse).await;
                match &reached {
                    Ok(Reached::New(_)) => making.made(|| pools.take(endpoint, Duration::MAX)),
                    Err(fault @ ConnectFault::Failed) => making.failed(*fault),
                    // They find out themselves, each within its own time.
                    Ok(Reached::Kept(_)) | Err(ConnectFault::Late | ConnectFault::Overloaded) => drop(making),
                }
                return reached;
            }
        }
        if within.is_zero() {
            return Err(ConnectFault::Late);
        }
    }
}

async fn connect_one(
    pools: &Rc<Pools>,
    service: &Service,
    endpoint: &Arc<Endpoint>,
    (within, place_within): (Duration, Duration),
    may_reuse: bool,
) -> Result<Reached, ConnectFault> {
    let asked = Instant::now();
    let permit = match place(pools, service, endpoint, within.min(place_within), may_reuse).await.ok_or(ConnectFault::Overloaded)? {
        Place::New(permit) => permit,
        Place::Kept(link) => return Ok(Reached::Kept(link)),
    };
    let within = within.saturating_sub(asked.elapsed());
    let begun_ms = moment::now_ms();
    let limit = service.plan().timeouts.connect;
    let made = match tokio::time::timeout(within.min(limit), make(pools, service, endpoint, permit)).await {
        Ok(made) => made,
        Err(_) if within < limit => return Err(ConnectFault::Late),
        Err(_) => Err("it took too long".into()),
    };
    match made {
        Ok(link) => {
            service.measures().connects_ok.inc();
            service.connected(endpoint);
            Ok(Reached::New(link))
        }
        Err(fault) => {
            service.measures().connects_failed.inc();
            service.connect_failed(endpoint, begun_ms);
            tracing::debug!(service = service.name(), instance = endpoint.name(), %fault, "an instance could not be connected to");
            Err(ConnectFault::Failed)
        }
    }
}

/// A place below the ceiling; if need be that of an idle connection of this worker, or one that comes free soon.
async fn place(pools: &Rc<Pools>, service: &Service, endpoint: &Endpoint, within: Duration, may_reuse: bool) -> Option<Place> {
    let (ceiling, connections_max) = (service.ceiling(), service.plan().pool.connections_max);
    if let Some(permit) = ceiling.enter(connections_max) {
        return Some(Place::New(permit));
    }
    if pools.evict(ceiling) {
        for _ in 0..TURNS_FOR_A_PLACE {
            tokio::task::yield_now().await;
            if let Some(permit) = ceiling.enter(connections_max) {
                return Some(Place::New(permit));
            }
        }
    }
    // The idle connections of other workers are out of reach; they learn that one is wanted for as long as it is.
    let free = ceiling.wait(connections_max, within);
    if !may_reuse {
        return free.await.map(Place::New);
    }
    tokio::select! {
        biased;
        Ok(link) = pools.wait(endpoint) => Some(Place::Kept(link)),
        permit = free => permit.map(Place::New),
    }
}

async fn make(pools: &Rc<Pools>, service: &Service, endpoint: &Arc<Endpoint>, permit: Permit) -> Result<Link, BoxError> {
    let (ceiling, pool) = (service.ceiling(), service.plan().pool);
    let life = Life::new(pool.age, endpoint.checked().leavings(), pools.random());
    let layer = dial(endpoint, service.plan().tls.as_ref()).await?;
    let upgrade = Upgrade::new(endpoint, service.measures().in_flight.clone());
    match service.plan().protocol {
        Protocol::Http1 => {
            let member = pools.lot(endpoint).join();
            let stream = Stream::new(layer, permit, Arc::clone(&upgrade));
            Ok(Link::begin(stream, endpoint, upgrade, ceiling, pool, (life, member)).await?)
        }
        Protocol::Http2 if !layer.speaks_h2() => {
            if endpoint.tells_alpn() {
                tracing::warn!(
                    service = service.name(),
                    instance = endpoint.name(),
                    "the instance did not agree on HTTP/2 in TLS (ALPN `h2`) and gets no request; let it offer `h2`, or set `protocol: http1`"
                );
            }
            Err("the instance did not agree on HTTP/2 in TLS (ALPN `h2`)".into())
        }
        Protocol::Http2 => {
            let shared = Multiplex::begin(Stream::new(layer, permit, upgrade), endpoint, ceiling, pool, life).await?;
            pools.share(&shared);
            Ok(Link::shared(shared.sit()))
        }
    }
}

/// Makes one more connection to an instance that serves by several workers, beside the request that saw that there are too few for all of them;
/// as long as half of the places below the ceiling are free.
pub(crate) fn widen(pools: &Rc<Pools>, service: &Arc<Service>, endpoint: &Arc<Endpoint>) {
    // No more than are kept: one too many would be closed as soon as it rests, and made again.
    let breadth = endpoint.breadth().min(service.plan().pool.idle_max);
    if breadth < 2 || service.ceiling().open().saturating_mul(2) >= service.plan().pool.connections_max {
        return;
    }
    let lot = pools.lot(endpoint);
    if !lot.may_widen(breadth, tokio::time::Instant::now()) {
        return;
    }
    let (pools, service, endpoint) = (Rc::downgrade(pools), Arc::clone(service), Arc::clone(endpoint));
    tokio::task::spawn_local(async move {
        let made = match (pools.upgrade(), service.ceiling().enter(service.plan().pool.connections_max)) {
            (Some(pools), Some(permit)) => {
                let made = tokio::time::timeout(service.plan().timeouts.connect, make(&pools, &service, &endpoint, permit)).await;
                made.ok().and_then(Result::ok).map(|link| link.finish(&pools)).is_some()
            }
            _ => false,
        };
        lot.widened(made, tokio::time::Instant::now());
    });
}

/// A connected socket to `endpoint`, under TLS where there are terms for it. The caller bounds the time.
pub(crate) async fn dial(endpoint: &Endpoint, tls: Option<&ClientTls>) -> Result<Layer, BoxError> {
    let socket = match endpoint.address() {
        Address::Tcp(address) => {
            let socket = TcpStream::connect(address).await?;
            // A head and its body go out as they come; waiting to fill a segment would only add delay.
            socket.set_nodelay(true)?;
            Socket::Tcp(socket)
        }
        Address::Unix(path) => Socket::Unix(UnixStream::connect(path).await?),
    };
    Ok(match tls {
        None => Layer::Plain(socket),
        Some(tls) => Layer::Tls(Box::new(tls.connect(socket).await?)),
    })
}
