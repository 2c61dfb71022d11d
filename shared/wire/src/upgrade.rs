//! Connections that stop speaking HTTP (RFC 9110 §7.8): the question is passed on, and after a 101 both ends are joined.
//!
//! In: a request that asks for an upgrade. Out: bytes both ways until both ends have closed. Never: upgrades what was not asked for.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::body::BoxError;

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

/// Writes the fields that ask the next hop for the protocol, or tell the former hop that it was granted.
pub fn name(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}

/// Carries bytes both ways until both directions have ended, or nothing moved for `idle_max`; what passed is counted into `passed` as it goes.
///
/// # Errors
/// Either end could not be taken over from HTTP, broke, or fell silent.
pub async fn join(client: OnUpgrade, instance: OnUpgrade, idle_max: Duration, passed: Rc<Passed>) -> Result<(), BoxError> {
    let (client, instance) = (client.await?, instance.await?);
    let mut client = Metered { io: TokioIo::new(client), passed: passed.clone() };
    let mut instance = TokioIo::new(instance);
    let copy = tokio::io::copy_bidirectional(&mut client, &mut instance);
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
        copied = copy => copied.map(drop).map_err(Into::into),
        () = silence => Err("nothing went through the tunnel for too long".into()),
    }
}

/// The client's end, counted.
struct Metered<IO> {
    io: IO,
    passed: Rc<Passed>,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Metered<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, out))?;
        let read = (out.filled().len() - before) as u64;
        self.passed.inbound.set(self.passed.inbound.get() + read);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Metered<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.passed.outbound.set(self.passed.outbound.get() + written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
