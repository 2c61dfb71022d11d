//! A request body that is counted while it streams, and cut off at its ceiling or when its client is too slow.
//!
//! In: a body. Out: the same frames, without reserved fields in the trailers. Refuses: the first frame over the ceiling, trailers over theirs, a client
//! that is too slow, and all behind it. Never: holds a byte back.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use crate::body::{Body, BoxError, scrub_trailers};
use crate::body_rate::{BodyRate, Pace, TooSlow};
use crate::guard::line::GuardLine;

/// Bytes of a request body, counted while it streams.
#[derive(Debug, Default)]
pub struct BodyCount {
    /// Bytes read.
    pub bytes: Cell<u64>,
    /// The answer has begun: from here on the body may be one side of a conversation, and no rate is asked of it.
    pub answered: Cell<bool>,
}

/// The body and its account.
#[derive(Debug)]
pub struct Counted {
    inner: Body,
    count: Rc<BodyCount>,
    bytes_max: u64,
    pace: Option<Pace>,
    trailers: Option<TrailerCeiling>,
}

/// What the guard would let through as one trailer section.
#[derive(Clone, Copy, Debug)]
struct TrailerCeiling {
    bytes: usize,
    fields: usize,
}

/// The body went over its ceiling.
#[derive(Debug, thiserror::Error)]
#[error("the request body is larger than {bytes_max} bytes")]
pub struct Exceeded {
    bytes_max: u64,
}

/// The trailers went over their ceiling.
#[derive(Debug, thiserror::Error)]
#[error("the request's trailers are larger than {bytes} bytes, or are more than {fields}")]
pub struct TrailersExceeded {
    bytes: usize,
    fields: usize,
}

/// `: ` and CRLF.
const FIELD_BYTES: usize = 4;
/// The empty line behind the last field.
const SECTION_END_BYTES: usize = 2;

impl TrailerCeiling {
    /// Measures trailers as HTTP/1.1 will have them.
    fn check(self, trailers: &HeaderMap) -> Result<(), TrailersExceeded> {
        let fields = trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES);
        if trailers.len() > self.fields || fields.sum::<usize>() + SECTION_END_BYTES > self.bytes {
            return Err(TrailersExceeded { bytes: self.bytes, fields: self.fields });
        }
        Ok(())
    }
}

impl Counted {
    /// Counts into `count` and fails beyond `bytes_max`.
    #[must_use]
    pub fn new(inner: Body, count: Rc<BodyCount>, bytes_max: u64) -> Self {
        Self { inner, count, bytes_max, pace: None, trailers: None }
    }

    /// Fails too when the client is slower than `rate` asks, as long as the answer has not begun.
    #[must_use]
    pub fn paced(mut self, rate: BodyRate) -> Self {
        self.pace = Some(Pace::new(rate));
        self
    }

    /// Fails too when its trailers are beyond what the guard of `line` lets through, where they pass that guard packed: those of HTTP/2. The next
    /// tier reads them as HTTP/1.1, and its guard would end a connection of the link for them.
    #[must_use]
    pub fn with_trailers_of(mut self, line: &GuardLine) -> Self {
        self.trailers = line.unread().map(|limits| TrailerCeiling { bytes: limits.trailer_bytes_max, fields: limits.headers_max });
        self
    }

    /// Whether the client, which has nothing for us now, is too slow.
    fn is_too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(pace) = self.pace.as_mut().filter(|_| !self.count.answered.get()) else { return false };
        pace.poll_too_slow(cx, self.count.bytes.get()).is_ready()
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending if self.is_too_slow(cx) => {
                self.inner = Body::Empty;
                return Poll::Ready(Some(Err(Box::new(TooSlow))));
            }
            Poll::Pending => return Poll::Pending,
        };
        if let Some(pace) = &mut self.pace {
            pace.came();
        }
        if let Some(Ok(frame)) = &mut frame {
            scrub_trailers(frame);
            let exceeded = frame.trailers_ref().zip(self.trailers).and_then(|(trailers, ceiling)| ceiling.check(trailers).err());
            if let Some(exceeded) = exceeded {
                self.inner = Body::Empty;
                return Poll::Ready(Some(Err(Box::new(exceeded))));
            }
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
    use std::time::Duration;

    use http::{HeaderName, HeaderValue};
    use http_body_util::BodyExt;

    use super::*;
    use crate::guard::limits::GuardLimits;

    /// Has nothing, and says no end.
    struct Silent;

    impl http_body::Body for Silent {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Pending
        }
    }

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

    /// Whether trailers pass that HTTP/2 brought: fields of so many bytes in all, as they are written.
    fn pass(line: &GuardLine, fields: usize, section_bytes: usize) -> bool {
        let mut trailers = HeaderMap::new();
        for number in 1..fields {
            trailers.append(HeaderName::from_bytes(format!("x-{number}").as_bytes()).expect("name"), HeaderValue::from_static(""));
        }
        let written: usize = trailers.keys().map(|name| name.as_str().len() + ": \r\n".len()).sum();
        let rest = section_bytes.saturating_sub(written + "x: \r\n\r\n".len());
        trailers.append("x", HeaderValue::from_str(&"1".repeat(rest)).expect("value"));
        let body = Body::boxed(Body::Empty.with_trailers(std::future::ready(Some(Ok(trailers)))));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        match runtime.block_on(Counted::new(body, Rc::default(), 10).with_trailers_of(line).collect()) {
            Ok(collected) => collected.trailers().is_some_and(|trailers| trailers.len() == fields),
            Err(fault) => !fault.is::<TrailersExceeded>(),
        }
    }

    #[test]
    fn trailers_that_pass_the_guard_packed_have_its_ceilings() {
        let line = GuardLine::default();
        line.leave_unread(GuardLimits { trailer_bytes_max: 4096, headers_max: 100, ..GuardLimits::default() });
        for (fields, section_bytes, passes) in [(1, 100, true), (1, 4096, true), (1, 4097, false), (100, 4096, true), (101, 4096, false)] {
            assert_eq!(pass(&line, fields, section_bytes), passes, "{fields} fields, {section_bytes} bytes");
            assert!(pass(&GuardLine::default(), fields, section_bytes), "the guard itself has measured those of HTTP/1");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_too_slow_is_cut_off_until_its_answer_begins() {
        let rate = BodyRate { grace: Duration::from_secs(20), bytes_per_second: 240, whole: Duration::from_secs(3600) };
        for answered in [false, true] {
            let count = Rc::new(BodyCount::default());
            count.answered.set(answered);
            let silent = Body::boxed(Silent);
            let mut body = Counted::new(silent, Rc::clone(&count), 10).paced(rate);
            let frame = tokio::time::timeout(Duration::from_secs(21), body.frame()).await;
            match frame {
                Ok(Some(Err(fault))) => assert!(fault.is::<TooSlow>() && !answered),
                other => assert!(answered && other.is_err(), "{other:?}"),
            }
        }
    }

    #[test]
    fn a_body_is_counted_and_cut_off_above_its_ceiling() {
        check(10, 10, true);
        check(11, 10, false);
    }
}
