//! One HTTP/2 connection to an instance, shared by the requests of one worker (RFC 9113).
//!
//! In: a connected stream. Out: seats, each for one request at a time. Refuses: a peer that does not begin with its SETTINGS, before anything of
//! a request is sent. Never: gives out more seats than the peer or the service's `streams_max` allow; outlives its last stream once it is
//! no longer in the pool.
//!
//! PING. A silent connection is asked whether it lives every five minutes, and not more often: gRPC servers take more for abuse and close
//! (gRFC A8, `too_many_pings`). One on which a request waited in vain while no other was answered is given no new ones at once
//! ([`Seat::suspect`]), which finds a dead peer sooner than any PING.
//!
//! Windows. What an instance sends beyond what was read waits in the window of its own stream. The connection's window holds those of all streams
//! full at once, so that no reader, however slow, stops the answers of the others.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use wire::body::{Body, BoxError};

use crate::carried::{Asked, Carriage, Carried};
use crate::ceiling::Ceiling;
use crate::endpoint::Endpoint;
use crate::link::Life;
use crate::outgoing;
use crate::plan::pool::PoolPlan;
use crate::pool::lot::Lot;
use crate::stream::Stream;

/// What an instance may send on one stream before it was read, in bytes; as much as is read ahead over HTTP/1.1.
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;

/// The largest window (RFC 9113 §6.9.1).
const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;

/// What one stream may hold of what it writes, in bytes.
const SEND_BYTES_MAX: usize = 64 * 1024;

/// The largest head of a response, in bytes as RFC 9113 §6.5.2 counts them.
const RESPONSE_HEAD_BYTES_MAX: u32 = 64 * 1024;

/// A connection that has been silent for so long is asked whether it lives.
const PING_EVERY: Duration = Duration::from_secs(310);

/// How long the answer to a PING may take.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// No stream may be opened before the peer's SETTINGS have said how many; it is also how their coming is told.
const STREAMS_BEFORE_SETTINGS: usize = 0;

/// The window of a connection of so many streams, in bytes.
fn connection_window(streams_max: usize) -> u32 {
    u32::try_from(streams_max).map_or(WINDOW_BYTES_MAX, |streams| streams.saturating_mul(STREAM_WINDOW_BYTES).min(WINDOW_BYTES_MAX))
}

type Connection = http2::Connection<TokioIo<Stream>, Body, Local>;

/// A connection that several requests share.
pub(crate) struct Multiplex {
    sender: RefCell<SendRequest<Body>>,
    /// `None` once it has ended.
    connection: Rc<RefCell<Option<Connection>>>,
    endpoint: Arc<Endpoint>,
    ceiling: Arc<Ceiling>,
    pool: Cell<PoolPlan>,
    /// As many streams as its window is for, whatever a later configuration allows.
    streams_max: usize,
    life: Life,
    scheme: http::uri::Scheme,
    /// Where hyper's next task finds its body.
    asked: Asked,
    streams: Cell<usize>,
    /// Since when no stream is under way; of meaning while none is.
    rests_since: Cell<Instant>,
    answered_at: Cell<Instant>,
    /// It takes no more requests.
    is_spent: Cell<bool>,
    /// Whether its place was wanted at the last look.
    was_wanted: Cell<bool>,
    /// Where requests wait for a stream of it.
    lot: RefCell<Weak<Lot>>,
    task: AbortHandle,
}

impl fmt::Debug for Multiplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multiplex").field("endpoint", &self.endpoint.name()).field("streams", &self.streams).finish_non_exhaustive()
    }
}

impl Multiplex {
    /// Begins HTTP/2 on a stream, and waits for the peer's SETTINGS. The caller bounds the time.
    ///
    /// # Errors
    /// The peer closed, or began with something else.
    pub(crate) async fn begin(
        stream: Stream,
        endpoint: &Arc<Endpoint>,
        ceiling: &Arc<Ceiling>,
        pool: PoolPlan,
        life: Life,
    ) -> Result<Rc<Self>, BoxError> {
        let scheme = if stream.is_secured() { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP };
        let (greeting, asked) = (Rc::new(Greeting::default()), Asked::default());
        let (sender, connection) = http2::Builder::new(Local { greeting: Rc::clone(&greeting), asked: Rc::clone(&asked) })
            .timer(TokioTimer::new())
            .initial_max_send_streams(STREAMS_BEFORE_SETTINGS)
            .adaptive_window(false)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(connection_window(pool.streams_max))
            .max_header_list_size(RESPONSE_HEAD_BYTES_MAX)
            .max_send_buf_size(SEND_BYTES_MAX)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .handshake::<_, Body>(TokioIo::new(stream))
            .await?;
        while connection.current_max_send_streams() == STREAMS_BEFORE_SETTINGS {
            if greeting.has_ended.get() {
                return Err("the instance does not speak HTTP/2: it closed, or began with something else than SETTINGS".into());
            }
            greeting.moved.notified().await;
        }
        greeting.is_over.set(true);
        let connection = Rc::new(RefCell::new(Some(connection)));
        let driven = Rc::clone(&connection);
        let task = tokio::task::spawn_local(async move {
            let end = poll_fn(|cx| driven.borrow_mut().as_mut().map_or(Poll::Ready(Ok(())), |driven| Pin::new(driven).poll(cx))).await;
            if let Err(fault) = end {
                tracing::debug!(%fault, "a shared connection to an instance ended in an error");
            }
            // Requests that it has not taken yet come back by this.
            let ended = driven.borrow_mut().take();
            drop(ended);
        });
        let now = Instant::now();
        Ok(Rc::new(Self {
            sender: RefCell::new(sender),
            connection,
            endpoint: Arc::clone(endpoint),
            ceiling: Arc::clone(ceiling),
            pool: Cell::new(pool),
            streams_max: pool.streams_max,
            life,
            scheme,
            asked,
            streams: Cell::new(0),
            rests_since: Cell::new(now),
            answered_at: Cell::new(now),
            is_spent: Cell::new(false),
            was_wanted: Cell::new(false),
            lot: RefCell::default(),
            task: task.abort_handle(),
        }))
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    pub(crate) fn ceiling(&self) -> &Arc<Ceiling> {
        &self.ceiling
    }

    pub(crate) fn pool(&self) -> PoolPlan {
        self.pool.get()
    }

    /// Whether it may serve another request.
    pub(crate) fn is_fit(&self, now: Instant) -> bool {
        !self.is_spent.get() && self.connection.borrow().is_some() && self.life.goes_on(&self.endpoint, now)
    }

    /// Requests under way on it.
    pub(crate) fn streams(&self) -> usize {
        self.streams.get()
    }

    /// Whether one more stream is allowed, by us and by the peer as it says now.
    pub(crate) fn has_room(&self) -> bool {
        let peer = self.connection.borrow().as_ref().map_or(0, http2::Connection::current_max_send_streams);
        self.streams.get() < peer.min(self.streams_max).min(self.pool.get().streams_max)
    }

    /// Whether it has been without a stream for as long as it is kept so.
    pub(crate) fn has_rested(&self, now: Instant) -> bool {
        now.duration_since(self.rests_since.get()) >= self.pool.get().idle
    }

    /// From now on the requests that wait in `lot` are given the streams that come free.
    pub(crate) fn belongs_to(&self, lot: &Rc<Lot>) {
        *self.lot.borrow_mut() = Rc::downgrade(lot);
    }

    /// Whether its place is wanted so badly that it should make way though it is in use: at this look and at the one before somebody has waited for a
    /// place beside the `own` requests that wait for streams of it. Connections at rest make way at the first look.
    pub(crate) fn is_wanted(&self, own: usize) -> bool {
        let is_wanted = self.ceiling.waiting() > own;
        self.was_wanted.replace(is_wanted) && is_wanted
    }

    /// It ends with the last of its streams.
    pub(crate) fn retire(&self) {
        self.is_spent.set(true);
    }

    /// Ends it at once, to make a place.
    pub(crate) fn break_off(&self) {
        self.is_spent.set(true);
        self.task.abort();
        // What hyper runs beside it ends with its last handle, on the next turns of the runtime.
        let ended = self.connection.borrow_mut().take();
        drop(ended);
    }

    /// Takes one stream.
    pub(crate) fn sit(self: &Rc<Self>) -> Seat {
        self.streams.set(self.streams.get() + 1);
        Seat { on: Rc::clone(self), since: Instant::now(), upload: RefCell::default() }
    }
}

/// One stream of a shared connection, used by one request; given back on drop.
#[derive(Debug)]
pub(crate) struct Seat {
    on: Rc<Multiplex>,
    since: Instant,
    /// The request's body, where it streams.
    upload: RefCell<Option<Rc<Carriage>>>,
}

impl Seat {
    pub(crate) fn on(&self) -> &Rc<Multiplex> {
        &self.on
    }

    /// From now on it is used by these terms.
    pub(crate) fn follow(&self, pool: PoolPlan) {
        self.on.pool.set(pool);
    }

    /// Sends a request and waits for the head of its response.
    ///
    /// # Errors
    /// As hyper has them; the request is in it where nothing of it was written.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        if matches!(request.body(), Body::Incoming(_) | Body::Boxed(_)) {
            let (body, carriage) = Carried::watch(std::mem::take(request.body_mut()), &self.on.asked);
            *request.body_mut() = body;
            *self.upload.borrow_mut() = Some(carriage);
        }
        let sent = self.on.sender.borrow_mut().try_send_request(outgoing::multiplexed(request, &self.on.scheme));
        let answer = sent.await;
        if answer.as_ref().is_err_and(|fault| fault.message().is_some()) {
            // It was not sent, and the body belongs to the next attempt.
            self.upload.take();
        }
        match &answer {
            Ok(_) => self.on.answered_at.set(Instant::now()),
            // It takes nothing more, also where it has not noticed yet.
            Err(fault) if fault.message().is_some() || is_going_away(fault.error()) => self.on.is_spent.set(true),
            Err(_) => {}
        }
        answer
    }

    /// The request's body, while hyper still wants of it.
    pub(crate) fn upload(&self) -> Option<Rc<Carriage>> {
        self.upload.borrow().as_ref().filter(|upload| !upload.is_over()).map(Rc::clone)
    }

    /// The request on it has waited in vain. Where nobody has been answered meanwhile, nothing new is sent over it.
    pub(crate) fn suspect(&self) {
        if self.on.answered_at.get() < self.since {
            self.on.is_spent.set(true);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Nobody waits for an answer any more; an upload would go on, and its stream with it.
        if let Some(upload) = self.upload() {
            upload.end();
        }
        let left = self.on.streams.get() - 1;
        self.on.streams.set(left);
        if left == 0 {
            self.on.rests_since.set(Instant::now());
        }
        if self.on.is_fit(Instant::now())
            && let Some(lot) = self.on.lot.borrow().upgrade()
        {
            lot.offer(&self.on);
        }
    }
}

/// What HTTP/2 says of a failure, if it says anything.
fn h2_fault(fault: &hyper::Error) -> Option<&h2::Error> {
    std::error::Error::source(fault)?.downcast_ref::<h2::Error>()
}

/// Whether the instance has said that it did nothing of the request (RFC 9113 §8.7): it refused the stream, or goes away and had not come to it.
/// The library gives a GOAWAY as the cause to no other streams.
pub(crate) fn is_unprocessed(fault: &hyper::Error) -> bool {
    h2_fault(fault).is_some_and(|fault| {
        fault.is_remote() && (fault.is_go_away() || fault.is_reset() && fault.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

/// Whether what the instance sent was no lawful HTTP/2: our own library has broken it off.
pub(crate) fn is_unlawful(fault: &hyper::Error) -> bool {
    h2_fault(fault).is_some_and(h2::Error::is_library)
}

fn is_going_away(fault: &hyper::Error) -> bool {
    h2_fault(fault).is_some_and(h2::Error::is_go_away)
}

/// The first moments of a connection: what runs for it tells each of its steps.
#[derive(Debug, Default)]
struct Greeting {
    moved: Notify,
    has_ended: Cell<bool>,
    is_over: Cell<bool>,
}

/// Everything that runs for a connection stays on its worker.
#[derive(Clone, Debug)]
struct Local {
    greeting: Rc<Greeting>,
    asked: Asked,
}

impl<F> Executor<F> for Local
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        let upload = self.asked.take();
        let task =
            if self.greeting.is_over.get() { tokio::task::spawn_local(future) } else { tokio::task::spawn_local(self.greet(future)) };
        if let Some(upload) = upload {
            upload.goes_on_in(task.abort_handle());
        }
    }
}

impl Local {
    /// `future`, which tells each of its steps for as long as the greeting lasts.
    fn greet<F: Future<Output = ()> + 'static>(&self, future: F) -> impl Future<Output = ()> + use<F> {
        let greeting = Rc::clone(&self.greeting);
        async move {
            let mut future = pin!(future);
            poll_fn(|cx| {
                let polled = future.as_mut().poll(cx);
                if !greeting.is_over.get() {
                    greeting.has_ended.set(polled.is_ready());
                    greeting.moved.notify_one();
                }
                polled
            })
            .await;
        }
    }
}
