//! The body of an instance's answer: a short text, or any number of zero bytes that are never held at once.
//!
//! In: bytes, or a count; trailers. Out: frames. Never: holds more than one chunk.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// A download goes out in chunks of this size.
pub const CHUNK_BYTES: usize = 64 * 1024;

static ZEROS: [u8; CHUNK_BYTES] = [0; CHUNK_BYTES];

/// A body.
#[derive(Debug, Default)]
pub struct AnswerBody {
    text: Bytes,
    zeros: u64,
    trailers: Option<HeaderMap>,
}

impl AnswerBody {
    /// A body of `text`, and `trailers` behind it where there are any.
    #[must_use]
    pub fn text(text: impl Into<Bytes>, trailers: Option<HeaderMap>) -> Self {
        Self { text: text.into(), zeros: 0, trailers }
    }

    /// A body of `count` zero bytes.
    #[must_use]
    pub fn zeros(count: u64) -> Self {
        Self { text: Bytes::new(), zeros: count, trailers: None }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = if !self.text.is_empty() {
            Some(Frame::data(std::mem::take(&mut self.text)))
        } else if self.zeros > 0 {
            let length = usize::try_from(self.zeros).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            self.zeros -= length as u64;
            Some(Frame::data(Bytes::from_static(&ZEROS[..length])))
        } else {
            self.trailers.take().map(Frame::trailers)
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.text.is_empty() && self.zeros == 0 && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        // Trailers need the chunked form (RFC 9112 §7.1.2), which an exact length would rule out.
        if self.trailers.is_some() { SizeHint::new() } else { SizeHint::with_exact(self.text.len() as u64 + self.zeros) }
    }
}
