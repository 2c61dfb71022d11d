//! One question in HTTP/2, over a connection of its own.
//!
//! In: a connected stream and a request. Out: the head of the answer, then its body and trailers. Refuses: heads and bodies over a ceiling, pushes.
//! Never: leaves the connection behind when it is dropped.

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::client::{Builder, ResponseFuture};
use http::response::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Uri};
use tokio::task::JoinSet;

use crate::stream::Layer;

/// The largest head of an answer, in bytes.
const HEAD_BYTES_MAX: u32 = 16 * 1024;

/// The largest body that is read, in bytes.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// A question that was asked.
pub(super) struct Question {
    answer: Option<ResponseFuture>,
    body: Option<RecvStream>,
    /// It moves the bytes, and ends with this.
    _driver: JoinSet<()>,
}

impl Question {
    /// Asks; `body` is small.
    pub(super) async fn ask(layer: Layer, request: Request<()>, body: Option<Bytes>) -> Result<Self, &'static str> {
        let mut builder = Builder::new();
        builder.max_header_list_size(HEAD_BYTES_MAX).enable_push(false).initial_window_size(BODY_BYTES_MAX as u32);
        let (sender, connection) = builder.handshake::<_, Bytes>(layer).await.map_err(broken)?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            if let Err(fault) = connection.await {
                tracing::debug!(%fault, "the connection of a check ended in an error");
            }
        });
        let mut sender = sender.ready().await.map_err(broken)?;
        let (answer, mut sending) = sender.send_request(request, body.is_none()).map_err(broken)?;
        if let Some(body) = body {
            sending.send_data(body, true).map_err(broken)?;
        }
        Ok(Self { answer: Some(answer), body: None, _driver: driver })
    }

    /// The head of the answer.
    pub(super) async fn head(&mut self) -> Result<Parts, &'static str> {
        let (head, body) = self.answer.take().ok_or("reset")?.await.map_err(broken)?.into_parts();
        self.body = Some(body);
        Ok(head)
    }

    /// The body of the answer and its trailers, after the head.
    pub(super) async fn rest(&mut self) -> Result<(Bytes, Option<HeaderMap>), &'static str> {
        let mut stream = self.body.take().ok_or("reset")?;
        let mut body = BytesMut::new();
        while let Some(chunk) = stream.data().await {
            let chunk = chunk.map_err(broken)?;
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err("malformed");
            }
            // What was taken may be sent again; a fault of the connection comes to light with the next frame.
            let _ = stream.flow_control().release_capacity(chunk.len());
            body.extend_from_slice(&chunk);
        }
        Ok((body.freeze(), stream.trailers().await.map_err(broken)?))
    }
}

/// The target of a request for `path` of `host`.
pub(super) fn authority(secure: bool, host: &HeaderValue, path: PathAndQuery) -> Option<Uri> {
    let host = Authority::try_from(host.as_bytes()).ok()?;
    let scheme = if secure { Scheme::HTTPS } else { Scheme::HTTP };
    Uri::builder().scheme(scheme).authority(host).path_and_query(path).build().ok()
}

fn broken(fault: h2::Error) -> &'static str {
    tracing::debug!(%fault, "a check broke");
    if fault.is_io() || fault.is_reset() || fault.is_remote() { "reset" } else { "malformed" }
}
