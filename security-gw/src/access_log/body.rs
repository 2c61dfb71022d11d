//! The body of an answer, followed to its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use wire::body::{Body, BoxError};

use crate::access_log::{End, Record};

/// The body and the record that waits for its end.
pub(super) struct Followed {
    inner: Body,
    record: Record,
}

impl Followed {
    pub(super) fn new(inner: Body, mut record: Record) -> Self {
        // hyper does not poll a body that says it has ended.
        if inner.is_end_stream() {
            record.end = End::Complete;
        }
        Self { inner, record }
    }
}

impl http_body::Body for Followed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            None => self.record.end = End::Complete,
            Some(Err(_)) => self.record.end = End::UpstreamAborted,
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.record.body_out += data.len() as u64;
                }
                if self.inner.is_end_stream() {
                    self.record.end = End::Complete;
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
