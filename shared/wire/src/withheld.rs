//! A request body whose trailers hold none of certain fields: those by which a service is told a claim of the caller.
//!
//! In: a body, and the names. Out: the same frames. Never: looks at data, or holds a frame back.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use contract::headers;
use http::header::HeaderName;
use http_body::{Frame, SizeHint};

use crate::body::{Body, BoxError};

/// The body and what its trailers may not say.
#[derive(Debug)]
pub struct Withheld {
    inner: Body,
    names: Arc<[HeaderName]>,
}

impl Withheld {
    /// Takes `names` out of the trailers of `inner`, under every spelling that a server could take for them.
    #[must_use]
    pub fn new(inner: Body, names: Arc<[HeaderName]>) -> Self {
        Self { inner, names }
    }
}

impl http_body::Body for Withheld {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            for name in &*self.names {
                headers::remove_folded(trailers, name);
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
    use http::HeaderValue;
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn a_claim_cannot_be_said_in_a_trailer() {
        let trailers = ["x-user-role", "x_user_role", "x-sum"].map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1")));
        let body = Body::boxed(Body::from(vec![b'x']).with_trailers(std::future::ready(Some(Ok(trailers.into_iter().collect())))));
        let withheld = Withheld::new(body, Arc::new([HeaderName::from_static("x-user-role")]));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let collected = runtime.block_on(withheld.collect()).expect("body");
        assert_eq!(collected.trailers().expect("trailers").keys().collect::<Vec<_>>(), ["x-sum"]);
        assert_eq!(collected.to_bytes(), "x");
    }
}
