//! What one request has of a connection to an instance: the whole of it (HTTP/1.1), or one stream (HTTP/2, `multiplex`).
//!
//! In: a connected stream, or a seat. Out: a sender of one request at a time. Never: is given to two users; outlives its instance's place in the
//! set for more than the request under way.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use wire::body::Body;

use crate::ceiling::Ceiling;
use crate::endpoint::Endpoint;
use crate::gate::Pass;
use crate::health::standing::Standing;
use crate::multiplex::Seat;
use crate::plan::pool::PoolPlan;
use crate::pool::Pools;
use crate::pool::lot::Member;
use crate::stream::{Stream, Upgrade};

/// The largest head of a response, in bytes.
const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;

/// The most that is read ahead of a response's consumer on one connection, in bytes.
const READ_BYTES_MAX: usize = 128 * 1024;

/// How long a connection whose response has ended may take to finish its request before it is closed; or a stream, before it is reset.
const LINGER: Duration = Duration::from_secs(1);

/// A connection in somebody's hands. Dropping it breaks off the request under way; [`Link::close`] ends it in order.
#[derive(Debug)]
pub(crate) struct Link {
    way: Way,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) ceiling: Arc<Ceiling>,
    pub(crate) pool: PoolPlan,
}

#[derive(Debug)]
enum Way {
    Whole(Box<Whole>),
    Stream(Seat),
}

/// A connection of HTTP/1.1.
#[derive(Debug)]
struct Whole {
    sender: SendRequest<Body>,
    upgrade: Arc<Upgrade>,
    life: Life,
    task: Task,
    _member: Member,
}

/// How long a connection may be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    expires: Instant,
    leavings: u32,
}

impl Life {
    /// Of a connection that was asked for when the instance had begun to leave `leavings` times, and that is used for `age` and up to a tenth
    /// less: `random` spreads the ends of connections that were begun together.
    pub(crate) fn new(age: Duration, leavings: u32, random: u64) -> Self {
        let spread = 1.0 - (random >> 40) as f64 / f64::from(1 << 24) / 10.0;
        Self { expires: Instant::now() + age.mul_f64(spread), leavings }
    }

    /// Whether it may be used for another request. An instance that leaves is sent nothing over what was there before: whoever must use it all
    /// the same may meet its successor over a new connection, and that one is kept.
    pub(crate) fn goes_on(&self, endpoint: &Endpoint, now: Instant) -> bool {
        let is_of_a_former_life = endpoint.standing() == Standing::Draining && self.leavings != endpoint.checked().leavings();
        !endpoint.is_gone() && !is_of_a_former_life && now < self.expires
    }
}

/// The task that moves the connection's bytes; breaks the connection off when dropped.
#[derive(Debug)]
struct Task(Option<AbortHandle>);

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

impl Link {
    /// Begins HTTP/1.1 on a stream.
    pub(crate) async fn begin(
        stream: Stream,
        endpoint: &Arc<Endpoint>,
        upgrade: Arc<Upgrade>,
        ceiling: &Arc<Ceiling>,
        pool: PoolPlan,
        (life, member): (Life, Member),
    ) -> hyper::Result<Self> {
        let (sender, connection) = http1::Builder::new()
            .max_header_size(RESPONSE_HEAD_BYTES_MAX)
            .max_buf_size(READ_BYTES_MAX)
            .handshake::<_, Body>(TokioIo::new(stream))
            .await?;
        let task = tokio::task::spawn_local(async move {
            if let Err(fault) = connection.with_upgrades().await {
                tracing::debug!(%fault, "a connection to an instance ended in an error");
            }
        });
        let whole = Whole { sender, upgrade, life, task: Task(Some(task.abort_handle())), _member: member };
        Ok(Self { way: Way::Whole(Box::new(whole)), endpoint: Arc::clone(endpoint), ceiling: Arc::clone(ceiling), pool })
    }

    /// One stream of a shared connection.
    pub(crate) fn shared(seat: Seat) -> Self {
        let on = seat.on();
        let (endpoint, ceiling, pool) = (Arc::clone(on.endpoint()), Arc::clone(on.ceiling()), on.pool());
        Self { way: Way::Stream(seat), endpoint, ceiling, pool }
    }

    /// Whether others use the same connection.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.way, Way::Stream(_))
    }

    /// From now on it is kept by these terms.
    pub(crate) fn follow(&mut self, pool: PoolPlan) {
        self.pool = pool;
        if let Way::Stream(seat) = &self.way {
            seat.follow(pool);
        }
    }

    /// Whether it may serve another request.
    pub(crate) fn is_fit(&self, now: Instant) -> bool {
        match &self.way {
            Way::Whole(whole) => whole.sender.is_ready() && whole.life.goes_on(&self.endpoint, now),
            Way::Stream(seat) => seat.on().is_fit(now),
        }
    }

    /// Sends a request and waits for the head of its response.
    ///
    /// # Errors
    /// As hyper has them; the request is in it where nothing of it was written.
    pub(crate) async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        match &mut self.way {
            Way::Whole(whole) => whole.sender.try_send_request(request).await,
            Way::Stream(seat) => seat.send(request).await,
        }
    }

    /// The request on it has waited in vain.
    pub(crate) fn suspect(&self) {
        if let Way::Stream(seat) = &self.way {
            seat.suspect();
        }
    }

    /// The instance has agreed to speak another protocol over it: it counts as one request under way, with its place at the service, until its
    /// bytes end.
    pub(crate) fn upgraded(self, pass: Option<Pass>) {
        if let Way::Whole(whole) = &self.way {
            whole.upgrade.begin(pass);
        }
        self.close();
    }

    /// Ends the connection in order: TLS says goodbye, an upgrade that is being handed over is. A stream of a shared one only ends itself.
    pub(crate) fn close(self) {
        if let Way::Whole(mut whole) = self.way {
            whole.task.0 = None;
        }
    }

    /// The response has ended: back to the pool, at once or as soon as the request has ended too.
    pub(crate) fn finish(self, pools: &Rc<Pools>) {
        let is_done = match &self.way {
            Way::Whole(whole) => whole.sender.is_ready() || whole.sender.is_closed(),
            Way::Stream(seat) => seat.upload().is_none(),
        };
        if is_done {
            pools.put(self);
            return;
        }
        // An answer that came before the end of the request. Many servers read on and the connection stays good; those that do not
        // must not hold the client's body for ever.
        let pools = Rc::downgrade(pools);
        let mut link = self;
        tokio::task::spawn_local(async move {
            let is_good = match &mut link.way {
                Way::Whole(whole) => matches!(tokio::time::timeout(LINGER, whole.sender.ready()).await, Ok(Ok(()))),
                Way::Stream(seat) => {
                    if let Some(upload) = seat.upload()
                        && tokio::time::timeout(LINGER, upload.over()).await.is_err()
                    {
                        // That ends this stream alone.
                        upload.end();
                        upload.over().await;
                    }
                    true
                }
            };
            if let (true, Some(pools)) = (is_good, pools.upgrade()) {
                pools.put(link);
            }
        });
    }
}
