//! A request's body on its way over one stream of a shared connection, so that it can be ended alone (RFC 9113 §8.1).
//!
//! In: a body that streams, and the task that hyper runs for it. Out: the same frames; whether they are over; a way to end them. Never: touches
//! the other streams; ends what is over.
//!
//! Hyper asks a body for its first frame before it makes a task for it, and makes the task at once where there is more to come: so the body that
//! was asked last is that of the next task. A task that is ended drops its half of the stream; once nobody reads the answer either, the instance is
//! told (RST_STREAM). An error of the body alone would not do: it is not asked while the instance takes nothing.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use wire::body::{Body, BoxError};

/// The body that hyper asked last and has no task for yet.
pub(crate) type Asked = Rc<RefCell<Option<Rc<Carriage>>>>;

/// What is known of a body on its way.
#[derive(Debug, Default)]
pub(crate) struct Carriage {
    task: RefCell<Option<AbortHandle>>,
    is_over: Cell<bool>,
    is_ended: Cell<bool>,
    over: Notify,
}

impl Carriage {
    /// Whether hyper wants no more of the body.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Waits until hyper wants no more of it; for one caller.
    pub(crate) async fn over(&self) {
        while !self.is_over.get() {
            self.over.notified().await;
        }
    }

    /// Ends it, whatever it waits for.
    pub(crate) fn end(&self) {
        self.is_ended.set(true);
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    /// It goes on in `task`.
    pub(crate) fn goes_on_in(&self, task: AbortHandle) {
        if self.is_over.get() {
            return;
        }
        if self.is_ended.get() {
            task.abort();
        }
        *self.task.borrow_mut() = Some(task);
    }
}

/// A body that can be ended.
pub(crate) struct Carried {
    body: Body,
    carriage: Rc<Carriage>,
    asked: Asked,
}

impl Carried {
    /// `body`, which streams, and what can be known of it.
    pub(crate) fn watch(body: Body, asked: &Asked) -> (Body, Rc<Carriage>) {
        let carriage = Rc::new(Carriage::default());
        (Body::boxed(Self { body, carriage: Rc::clone(&carriage), asked: Rc::clone(asked) }), carriage)
    }
}

/// What hyper is told of a body that was ended.
#[derive(Debug, thiserror::Error)]
#[error("nobody waits for the request any more")]
struct Ended;

impl http_body::Body for Carried {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.carriage.is_ended.get() {
            return Poll::Ready(Some(Err(Ended.into())));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        // After it was asked, for it may have been wrapped for an attempt before this one.
        if self.carriage.task.borrow().is_none() {
            *self.asked.borrow_mut() = Some(Rc::clone(&self.carriage));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.carriage.is_over.set(true);
        self.carriage.task.take();
        self.carriage.over.notify_one();
    }
}
