//! A stream that tells when it is gone.
//!
//! In: the stream below the guard. Out: the same stream, and a [`Gone`] that resolves when it was dropped, wherever it had got to: an upgraded
//! connection leaves hyper, and its record is written when the tunnel ends and not when HTTP did. Never: touches a byte.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// The stream.
#[derive(Debug)]
pub struct Watched<IO> {
    io: IO,
    _held: oneshot::Sender<()>,
}

/// Tells when the stream was dropped.
#[derive(Debug)]
pub struct Gone(oneshot::Receiver<()>);

impl<IO> Watched<IO> {
    /// Watches `io`.
    pub fn new(io: IO) -> (Self, Gone) {
        let (sender, receiver) = oneshot::channel();
        (Self { io, _held: sender }, Gone(receiver))
    }
}

impl Gone {
    /// Whether the stream still exists.
    pub fn is_held(&mut self) -> bool {
        matches!(self.0.try_recv(), Err(oneshot::error::TryRecvError::Empty))
    }

    /// Waits until the stream was dropped.
    pub async fn gone(self) {
        // The sender never sends; an error is the news.
        let _ = self.0.await;
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Watched<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Watched<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_drop_of_the_stream_is_told() {
        let (stream, _other) = tokio::io::duplex(1);
        let (watched, mut gone) = Watched::new(stream);
        assert!(gone.is_held());
        drop(watched);
        assert!(!gone.is_held());
        let (watched, gone) = Watched::new(());
        drop(watched);
        gone.gone().await;
    }
}
