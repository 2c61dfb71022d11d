//! Connections that stop speaking HTTP (RFC 9110 §7.8): the question is passed on, and after a 101 both ends are joined.
//!
//! In: a request that asks for an upgrade, which can only be to a WebSocket. Out: bytes both ways until both ends have closed; when this process
//! leaves, both ends are told so. Never: upgrades what was not asked for.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::body::BoxError;
use crate::farewell::Farewell;
use crate::upgrade::way::{Moved, Way};

mod frames;
mod way;

/// Bytes that went through a joined pair so far; read also when the pair was cut.
#[derive(Debug, Default)]
pub struct Passed {
    /// From the client.
    pub inbound: Cell<u64>,
    /// To the client.
    pub outbound: Cell<u64>,
}

/// A tunnel through which nothing went for so long is closed: both ends may have vanished without a word.
pub const TUNNEL_IDLE_MAX: Duration = Duration::from_secs(3600);

/// Once the client has answered our Close, an instance gets so long to answer its own: the client waits for nobody any more.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Writes the fields that ask the next hop for the protocol, or tell the former hop that it was granted.
pub fn name(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}

/// Carries bytes both ways until both directions have ended, or nothing moved for `idle_max`; what passed is counted into `passed` as it goes.
///
/// Once `farewell` is told, both ends get a Close with the code 1001, each at the end of the frame that is under way, and the tunnel ends when they
/// have answered. Where an end is closing already, or has said what is no frame, the tunnel is left to itself.
///
/// # Errors
/// Either end could not be taken over from HTTP, broke, or fell silent.
pub async fn join(
    client: OnUpgrade,
    instance: OnUpgrade,
    idle_max: Duration,
    passed: Rc<Passed>,
    farewell: Farewell,
) -> Result<(), BoxError> {
    let (client, instance) = (client.await?, instance.await?);
    let mut tunnel = Tunnel::new(TokioIo::new(client), TokioIo::new(instance), Rc::clone(&passed));
    let silence = async {
        let mut before = (0, 0);
        loop {
            tokio::time::sleep(idle_max).await;
            let now = (passed.inbound.get(), passed.outbound.get());
            if now == before {
                break;
            }
            before = now;
        }
    };
    tokio::select! {
        ended = tunnel.run(&farewell) => ended.map_err(Into::into),
        () = silence => Err("nothing went through the tunnel for too long".into()),
    }
}

/// Both ends and both directions.
struct Tunnel<C, I> {
    client: C,
    instance: I,
    inbound: Way,
    outbound: Way,
    passed: Rc<Passed>,
}

impl<C, I> Tunnel<C, I>
where
    C: AsyncRead + AsyncWrite + Unpin,
    I: AsyncRead + AsyncWrite + Unpin,
{
    fn new(client: C, instance: I, passed: Rc<Passed>) -> Self {
        Self { client, instance, inbound: Way::new(true), outbound: Way::new(false), passed }
    }

    /// Carries bytes to the end.
    async fn run(&mut self, farewell: &Farewell) -> io::Result<()> {
        tokio::select! {
            biased;
            () = farewell.told() => {}
            ended = poll_fn(|cx| self.poll(cx)) => return ended,
        }
        // One Close in a tunnel is enough: its answer is on its way, and the ends close by themselves.
        if self.inbound.may_be_told() && self.outbound.may_be_told() {
            self.inbound.tell();
            self.outbound.tell();
        }
        let ended = poll_fn(|cx| match self.poll(cx) {
            Poll::Pending if self.outbound.has_parted() => Poll::Ready(None),
            poll => poll.map(Some),
        });
        match ended.await {
            Some(ended) => ended,
            None => tokio::time::timeout(ANSWER_MAX, poll_fn(|cx| self.poll(cx))).await.unwrap_or(Ok(())),
        }
    }

    /// Each direction as far as it gets.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let (mut inbound, mut outbound) = (Moved::default(), Moved::default());
            let heard = (self.inbound.is_heard(), self.outbound.is_heard());
            let to_instance = self.inbound.poll(cx, &mut self.client, &mut self.instance, heard.1, &mut inbound);
            let to_client = self.outbound.poll(cx, &mut self.instance, &mut self.client, heard.0, &mut outbound);
            self.passed.inbound.set(self.passed.inbound.get() + inbound.read);
            self.passed.outbound.set(self.passed.outbound.get() + outbound.written);
            if let (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) = (to_instance, to_client) {
                return Poll::Ready(Err(error));
            }
            if self.inbound.is_over() && self.outbound.is_over() {
                return Poll::Ready(Ok(()));
            }
            // What one direction has heard may let the other one end.
            if heard == (self.inbound.is_heard(), self.outbound.is_heard()) {
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests;
