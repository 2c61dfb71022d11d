//! A request body that is counted while it streams and cut off at its ceiling.
//!
//! In: a body. Out: the same frames, without reserved fields in the trailers. Refuses: the first frame over the ceiling, and all behind it. Never: holds a byte back.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::body::{Body, BoxError, scrub_trailers};

/// Bytes of a request body, counted while it streams.
#[derive(Debug, Default)]
pub struct BodyCount {
    /// Bytes read.
    pub bytes: Cell<u64>,
}

/// The body and its account.
#[derive(Debug)]
pub struct Counted {
    inner: Body,
    count: Rc<BodyCount>,
    bytes_max: u64,
}

/// The body went over its ceiling.
#[derive(Debug, thiserror::Error)]
#[error("the request body is larger than {bytes_max} bytes")]
pub struct Exceeded {
    bytes_max: u64,
}

impl Counted {
    /// Counts into `count` and fails beyond `bytes_max`.
    #[must_use]
    pub fn new(inner: Body, count: Rc<BodyCount>, bytes_max: u64) -> Self {
        Self { inner, count, bytes_max }
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &mut frame {
            scrub_trailers(frame);
        }
        if let Some(Ok(data)) = &frame
            && let Some(data) = data.data_ref()
        {
            let bytes = self.count.bytes.get().saturating_add(data.len() as u64);
            self.count.bytes.set(bytes);
            if bytes > self.bytes_max {
                self.inner = Body::Empty;
                return Poll::Ready(Some(Err(Box::new(Exceeded { bytes_max: self.bytes_max }))));
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn check(bytes: usize, bytes_max: u64, passes: bool) {
        let count = Rc::new(BodyCount::default());
        let body = Counted::new(Body::from(vec![b'x'; bytes]), Rc::clone(&count), bytes_max);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        assert_eq!(runtime.block_on(body.collect()).is_ok(), passes);
        assert_eq!(count.bytes.get(), bytes as u64);
    }

    #[test]
    fn trailers_hold_nothing_reserved() {
        let trailers = ["x-gw-subject", "x_gw_scopes", "x-forwarded-for", "X_Original_Url", "host", "authorization", "x-checksum"]
            .map(|name| (http::HeaderName::from_bytes(name.as_bytes()).expect("name"), http::HeaderValue::from_static("1")));
        let body = Body::boxed(Body::Empty.with_trailers(std::future::ready(Some(Ok(trailers.into_iter().collect())))));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let collected = runtime.block_on(Counted::new(body, Rc::default(), 10).collect()).expect("body");
        assert_eq!(collected.trailers().expect("trailers").keys().collect::<Vec<_>>(), ["x-checksum"]);
    }

    #[test]
    fn a_body_is_counted_and_cut_off_above_its_ceiling() {
        check(10, 10, true);
        check(11, 10, false);
    }
}
