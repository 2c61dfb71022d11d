//! One HTTP/1.1 connection to an instance, as its present user holds it.
//!
//! In: a connected stream. Out: a sender of one request at a time. Never: is given to two users; outlives its instance's place in the set
//! for more than the request under way.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use wire::body::Body;

use crate::ceiling::Ceiling;
use crate::endpoint::Endpoint;
use crate::health::standing::Standing;
use crate::plan::pool::PoolPlan;
use crate::pool::Pools;
use crate::stream::{Stream, Upgrade};

/// The largest head of a response, in bytes.
const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;

/// The most that is read ahead of a response's consumer on one connection, in bytes.
const READ_BYTES_MAX: usize = 128 * 1024;

/// How long a connection whose response has ended may take to finish its request before it is closed.
const LINGER: Duration = Duration::from_secs(1);

/// A connection in somebody's hands. Dropping it breaks it off; [`Link::close`] ends it in order.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) sender: SendRequest<Body>,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) upgrade: Arc<Upgrade>,
    pub(crate) ceiling: Arc<Ceiling>,
    pub(crate) pool: PoolPlan,
    expires: Instant,
    leavings: u32,
    task: Task,
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
    /// Begins HTTP on a stream that was asked for when the instance had begun to leave `leavings` times. `random` spreads the ends of connections
    /// that were begun together.
    pub(crate) async fn begin(
        stream: Stream,
        endpoint: &Arc<Endpoint>,
        upgrade: Arc<Upgrade>,
        ceiling: &Arc<Ceiling>,
        pool: PoolPlan,
        (leavings, random): (u32, u64),
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
        let spread = 1.0 - (random >> 40) as f64 / f64::from(1 << 24) / 10.0;
        Ok(Self {
            sender,
            endpoint: Arc::clone(endpoint),
            upgrade,
            ceiling: Arc::clone(ceiling),
            pool,
            expires: Instant::now() + pool.age.mul_f64(spread),
            leavings,
            task: Task(Some(task.abort_handle())),
        })
    }

    /// Whether it may serve another request.
    pub(crate) fn is_fit(&self, now: Instant) -> bool {
        self.sender.is_ready() && !self.endpoint.is_gone() && !self.is_of_a_former_life() && now < self.expires
    }

    /// An instance that leaves is sent nothing over what was there before: whoever must use it all the same may meet its successor over a new
    /// connection, and that one is kept.
    fn is_of_a_former_life(&self) -> bool {
        self.endpoint.standing() == Standing::Draining && self.leavings != self.endpoint.checked().leavings()
    }

    /// Ends the connection in order: TLS says goodbye, an upgrade that is being handed over is.
    pub(crate) fn close(mut self) {
        self.task.0 = None;
    }

    /// The response has ended: back to the pool, at once or as soon as the request has ended too.
    pub(crate) fn finish(mut self, pools: &Rc<Pools>) {
        if self.sender.is_ready() || self.sender.is_closed() {
            pools.put(self);
            return;
        }
        // An answer that came before the end of the request. Many servers read on and the connection stays good; those that do not
        // must not hold the client's body for ever.
        let pools = Rc::downgrade(pools);
        tokio::task::spawn_local(async move {
            let ready = tokio::time::timeout(LINGER, self.sender.ready()).await;
            if let (Ok(Ok(())), Some(pools)) = (ready, pools.upgrade()) {
                pools.put(self);
            }
        });
    }
}
