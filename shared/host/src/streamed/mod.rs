//! The body of one HTTP/2 answer, which its client may leave standing.
//!
//! In: an answer's body, hyper's polls, the looks of the roster's sweep. Out: the body's frames, in slices. Refuses: a client that takes nothing for
//! `limits.body`: the body is dropped at once, and with it what it holds of instances and places; hyper gets an error should it ever ask again.
//! Never: a timer per stream, an end to a body that is itself waiting for an instance.
//!
//! hyper asks for a frame only while the client's window is open, and answers to PING come from a client that never opens it as well. What
//! tells is whether hyper owes us a poll: it does after a frame, and after a wake, and not while the body is pending.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use wire::body::{Body, BoxError};

use crate::answer::{flat, text};
use crate::roster::{Flight, Open};

/// What is handed to hyper at once. A client is at it as long as it takes this much within `limits.body`.
const SLICE_BYTES_MAX: usize = 16 * 1024;

/// Why a body broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client took nothing of the answer for too long")]
pub(crate) struct StreamStalled;

/// The body as hyper has it.
pub(crate) struct Streamed {
    open: Rc<Open>,
    key: u64,
    stream: Rc<Stream>,
}

/// The same as the sweep sees it.
struct Stream(RefCell<State>);

type Item = Option<Result<Frame<Bytes>, BoxError>>;

struct State {
    /// What is given back when the stream stalls.
    held: Option<(Body, Flight)>,
    /// A frame that was taken from the body and not by hyper yet.
    ahead: Option<Item>,
    /// Since the last look.
    polled: bool,
    /// When the sweep last found it polled.
    since: Option<Instant>,
    /// Whether the body itself is what is waited for, by `waker`.
    pending: bool,
    waker: Option<Waker>,
    stalled: bool,
}

impl Streamed {
    /// Takes the body under the eye of the connection's sweep.
    pub(crate) fn new(open: &Rc<Open>, body: Body, flight: Flight) -> Self {
        let stream = Rc::new(Stream(RefCell::new(State {
            held: Some((body, flight)),
            ahead: None,
            polled: true,
            since: None,
            pending: false,
            waker: None,
            stalled: false,
        })));
        let key = open.streams.enter(Rc::clone(&stream));
        Self { open: Rc::clone(open), key, stream }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.open.streams.leave(self.key, self.stream.0.borrow().stalled);
    }
}

impl Stream {
    /// Whether the client has let it stand for `body_max`; then nothing is held for it any more.
    fn has_stalled(&self, now: Instant, body_max: Duration) -> bool {
        let mut state = self.0.borrow_mut();
        let polled = std::mem::take(&mut state.polled);
        let since = *state.since.get_or_insert(now);
        if polled {
            state.since = Some(now);
        }
        if polled || state.held.is_none() || now.saturating_duration_since(since) < body_max {
            return false;
        }
        if state.pending && state.look_ahead() {
            // Either the instance is still silent, or hyper owes a poll from now on: a window can also be closed behind a body that waits.
            state.since = Some(now);
            return false;
        }
        state.give_up();
        true
    }
}

impl State {
    /// Asks the body in hyper's place. `false` if it panicked.
    fn look_ahead(&mut self) -> bool {
        let (Some((body, _)), Some(waker)) = (&mut self.held, &self.waker) else { return true };
        let mut cx = Context::from_waker(waker);
        match catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(&mut cx))) {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(item)) => {
                self.ahead = Some(item);
                self.pending = false;
                // The body's own wake may have been spent on a poll that found the window closed, or not have come yet.
                waker.wake_by_ref();
            }
            Err(panic) => {
                tracing::error!(panic = text(&*panic), "a body panicked and was ended");
                return false;
            }
        }
        true
    }

    fn give_up(&mut self) {
        let given_up = (self.held.take(), self.ahead.take());
        self.stalled = true;
        // The sweep looks after all connections; the end of one body must not end it.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(given_up))) {
            tracing::error!(panic = text(&*panic), "a body panicked while it was dropped");
        }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Item> {
        self.polled = true;
        if let Some(item) = self.ahead.take() {
            return Poll::Ready(item);
        }
        let Some((body, _)) = &mut self.held else { return Poll::Ready(Some(Err(StreamStalled.into()))) };
        let item = Pin::new(body).poll_frame(cx);
        self.pending = item.is_pending();
        if self.pending {
            match &mut self.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        item
    }

    /// Keeps for later what is more than one slice.
    fn slice(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_data() {
            Ok(mut data) if data.len() > SLICE_BYTES_MAX => {
                let slice = data.split_to(SLICE_BYTES_MAX);
                self.ahead = Some(Some(Ok(Frame::data(data))));
                Frame::data(slice)
            }
            Ok(data) => Frame::data(data),
            Err(other) => other,
        }
    }

    fn ahead_bytes(&self) -> u64 {
        match &self.ahead {
            Some(Some(Ok(frame))) => frame.data_ref().map_or(0, |data| data.len() as u64),
            _ => 0,
        }
    }
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = self.stream.0.borrow_mut();
        state.next(cx).map(|item| item.map(|frame| frame.map(|frame| state.slice(frame)).map_err(flat)))
    }

    fn is_end_stream(&self) -> bool {
        let state = self.stream.0.borrow();
        // What was given up still has its error to tell.
        state.ahead.is_none() && state.held.as_ref().is_some_and(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.stream.0.borrow();
        let mut hint = state.held.as_ref().map_or_else(SizeHint::default, |(body, _)| body.size_hint());
        let ahead = state.ahead_bytes();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint.set_lower(hint.lower().saturating_add(ahead));
        hint
    }
}

/// The HTTP/2 answers of one connection whose bodies hyper still holds; at most `streams_max`, and those that were reset and not dropped yet.
#[derive(Default)]
pub(crate) struct Streams {
    next: Cell<u64>,
    held: RefCell<HashMap<u64, Rc<Stream>>>,
    stalled: Cell<usize>,
}

impl Streams {
    /// One more; the key takes it out again.
    fn enter(&self, stream: Rc<Stream>) -> u64 {
        let key = self.next.replace(self.next.get().wrapping_add(1));
        self.held.borrow_mut().insert(key, stream);
        key
    }

    /// hyper is done with it.
    fn leave(&self, key: u64, stalled: bool) {
        if stalled {
            self.stalled.set(self.stalled.get().saturating_sub(1));
        }
        self.held.borrow_mut().remove(&key);
    }

    /// How many were given up and are still held by hyper.
    pub(crate) fn stalled(&self) -> usize {
        self.stalled.get()
    }

    /// Gives up what stands.
    pub(crate) fn sweep(&self, now: Instant, body_max: Duration) {
        let stalled = self.held.borrow().values().filter(|stream| stream.has_stalled(now, body_max)).count();
        self.stalled.set(self.stalled.get() + stalled);
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").field("held", &self.held.borrow().len()).field("stalled", &self.stalled).finish()
    }
}

#[cfg(test)]
mod tests;
