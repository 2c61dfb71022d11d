//! Background work on the control runtime, each piece under a name.
//!
//! In: a future and its name. Out: nothing; the work pushes its results into a `Live` value. Never: runs on a worker.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// The control runtime as the rest of the house sees it: a place for work beside the request path.
#[derive(Clone, Debug)]
pub struct Tasks {
    handle: Handle,
}

impl Tasks {
    /// Work is put on the runtime behind `handle`.
    #[must_use]
    pub fn on(handle: Handle) -> Self {
        Self { handle }
    }

    /// Runs `work` to its end. A panic in it is logged under `name` and ends that piece of work alone.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(Caught { name, work: Some(Box::pin(work)) });
    }
}

/// Work whose panic is told under its name instead of vanishing with its join handle.
struct Caught {
    name: &'static str,
    work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Future for Caught {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(work) = self.work.as_mut() else { return Poll::Ready(()) };
        match std::panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(()),
            Err(_) => {
                self.work = None;
                tracing::error!(task = self.name, "a background task panicked and has ended; restart the process to get it back");
                Poll::Ready(())
            }
        }
    }
}
