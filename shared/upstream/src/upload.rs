//! A request's body on its way to an instance, watched.
//!
//! In: the body. Out: the same frames, and what the sender must know of them: when the last one was taken, whether and since when we wait
//! for the client and not for the instance, and the body's own error. Never: buffers.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use wire::body::{Body, BoxError};

/// What is known of an upload while it runs.
#[derive(Debug)]
pub(crate) struct Progress {
    moved: Cell<Instant>,
    /// Since when everybody waits for the client.
    waiting_since: Cell<Option<Instant>>,
    ended: Cell<bool>,
    fault: RefCell<Option<BoxError>>,
    /// Whether a frame of it was taken.
    is_begun: Cell<bool>,
    /// The body, once it was given up before a frame of it was taken.
    untouched: RefCell<Option<Body>>,
}

impl Progress {
    /// When an instance that may be silent for `within` has been silent too long; later, while it is the client that everybody waits for.
    pub(crate) fn due(&self, within: Duration) -> Instant {
        let since = if self.waiting_since.get().is_some() { Instant::now() } else { self.moved.get() };
        since + within
    }

    /// When the last frame was taken, or the upload was begun.
    pub(crate) fn moved_at(&self) -> Instant {
        self.moved.get()
    }

    /// Since when it is the client that everybody waits for; `None` when we wait for the instance.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since.get()
    }

    /// Whether there may be more to upload.
    pub(crate) fn is_running(&self) -> bool {
        !self.ended.get()
    }

    /// The body anew, where it was given up before anything of it was taken.
    pub(crate) fn again(self: &Rc<Self>) -> Option<Body> {
        let body = self.untouched.borrow_mut().take()?;
        self.ended.set(false);
        self.moved();
        Some(Body::boxed(Upload { body, progress: Rc::clone(self) }))
    }

    fn moved(&self) {
        self.waiting_since.set(None);
        self.moved.set(Instant::now());
    }

    /// The error that the body itself ended in, if it did.
    pub(crate) fn take_fault(&self) -> Option<BoxError> {
        self.fault.borrow_mut().take()
    }
}

/// A body that notes its progress.
pub(crate) struct Upload {
    body: Body,
    progress: Rc<Progress>,
}

impl Upload {
    /// Watches `body`.
    pub(crate) fn watch(body: Body) -> (Body, Rc<Progress>) {
        let progress = Rc::new(Progress {
            moved: Cell::new(Instant::now()),
            waiting_since: Cell::new(None),
            ended: Cell::new(false),
            fault: RefCell::new(None),
            is_begun: Cell::new(false),
            untouched: RefCell::new(None),
        });
        (Body::boxed(Self { body, progress: Rc::clone(&progress) }), progress)
    }
}

/// What hyper is told when the client's body fails; the cause stays with us.
#[derive(Debug, thiserror::Error)]
#[error("the request's body ended in an error")]
struct Cut;

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.progress.is_begun.set(self.progress.is_begun.get() || polled.is_ready());
        match polled {
            Poll::Pending => {
                // Whoever is asked again and still has nothing has been silent since the first time.
                if self.progress.waiting_since.get().is_none() {
                    self.progress.waiting_since.set(Some(Instant::now()));
                }
                Poll::Pending
            }
            // Frames without a byte would keep a request alive for ever at no cost.
            Poll::Ready(Some(Ok(frame))) if frame.data_ref().is_some_and(Bytes::is_empty) => Poll::Ready(Some(Ok(frame))),
            Poll::Ready(Some(Err(fault))) => {
                self.progress.moved();
                *self.progress.fault.borrow_mut() = Some(fault);
                Poll::Ready(Some(Err(Cut.into())))
            }
            Poll::Ready(frame) => {
                self.progress.moved();
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Hyper drops a body once it wants no more of it: from now on we wait for the instance alone.
        self.progress.ended.set(true);
        self.progress.moved();
        if !self.progress.is_begun.get() {
            *self.progress.untouched.borrow_mut() = Some(std::mem::take(&mut self.body));
        }
    }
}
