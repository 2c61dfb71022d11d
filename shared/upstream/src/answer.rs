//! The body of a response, with the connection that it comes over.
//!
//! In: hyper's body and the connection. Out: the same frames. At its end the connection goes back to the pool; when it is dropped early,
//! falls silent, takes too long or fails, the connection is broken off. Never: keeps a request counted after its body has ended.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use wire::body::{Body, BoxError};

use crate::endpoint::Flight;
use crate::link::Link;
use crate::pool::Pools;

/// A response's body fell silent for longer than the service's `timeouts.idle`.
#[derive(Debug, thiserror::Error)]
#[error("the instance fell silent in the middle of its answer")]
pub(crate) struct Silent;

/// The whole exchange has taken longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("the time for the whole exchange ran out in the middle of the answer")]
pub(crate) struct Late;

/// A stream was reset before the end of its answer, as if all were well.
#[derive(Debug, thiserror::Error)]
#[error("the instance ended the stream before the end of its answer")]
struct Cut;

/// How long an answer's body may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The longest silence.
    pub(crate) idle: Duration,
    /// When it must have ended, if ever.
    pub(crate) ends: Option<std::time::Instant>,
}

/// What a response holds until its body has ended.
pub(crate) struct Held {
    pub(crate) link: Link,
    pub(crate) pools: Rc<Pools>,
    pub(crate) flight: Flight,
}

impl Held {
    fn finish(self) {
        drop(self.flight);
        self.link.finish(&self.pools);
    }
}

struct Answer {
    incoming: Incoming,
    held: Option<Held>,
    bounds: Bounds,
    /// Made when the body is waited for the first time; most small ones never are.
    silence: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

/// The body to hand on. One that is empty gives its connection back at once.
pub(crate) fn body(incoming: Incoming, held: Held, bounds: Bounds) -> Body {
    if incoming.is_end_stream() {
        held.finish();
        return Body::Empty;
    }
    Body::boxed(Answer { incoming, held: Some(held), bounds, silence: None, waiting: false })
}

impl Answer {
    /// Whether the whole exchange has taken too long; noticed when its client asks for more.
    fn is_late(&self) -> bool {
        self.bounds.ends.is_some_and(|ends| ends <= std::time::Instant::now())
    }

    fn finish(&mut self) {
        if let Some(held) = self.held.take() {
            held.finish();
        }
    }

    /// Ready when the instance has been silent for too long. Time counts only while somebody waits: a slow client is not the instance's fault.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Bounds { idle, ends } = self.bounds;
        let silence = self.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
        if !self.waiting {
            self.waiting = true;
            let over = Instant::now() + idle;
            silence.as_mut().reset(ends.map_or(over, |ends| over.min(ends.into())));
        }
        silence.as_mut().poll(cx)
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Poll::Ready(polled) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            ready!(self.poll_silence(cx));
            self.held = None;
            let fault: BoxError = if self.is_late() { Late.into() } else { Silent.into() };
            return Poll::Ready(Some(Err(fault)));
        };
        self.waiting = false;
        // The end itself is never too late: everything was there in time.
        if matches!(polled, Some(Ok(_))) && !self.incoming.is_end_stream() && self.is_late() {
            self.held = None;
            return Poll::Ready(Some(Err(Late.into())));
        }
        match polled {
            Some(Ok(frame)) => {
                // Whoever writes a response asks for nothing after the last byte of a known length, nor after trailers.
                if frame.is_trailers() || self.incoming.is_end_stream() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(fault)) => {
                self.held = None;
                Poll::Ready(Some(Err(fault.into())))
            }
            None => {
                // Hyper ends a body in peace when its stream is reset without an error, wherever that is: only the end that the instance has
                // marked is one (RFC 9113 §8.1).
                let is_cut = self.held.as_ref().is_some_and(|held| held.link.is_shared()) && !self.incoming.is_end_stream();
                if is_cut {
                    self.held = None;
                    return Poll::Ready(Some(Err(Cut.into())));
                }
                self.finish();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
