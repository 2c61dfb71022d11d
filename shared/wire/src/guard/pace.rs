//! A deadline that costs nothing until something is late.
//!
//! In: when to begin, how long. Out: whether it is over, with the task woken when it is. Never: more than one timer, made when first needed
//! and used again.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// One deadline, armed and disarmed many times.
#[derive(Default)]
pub(crate) struct Deadline {
    timer: Option<Pin<Box<Sleep>>>,
    armed: bool,
}

impl Deadline {
    /// Begins to run out after `span`, unless it already runs.
    pub(crate) fn arm(&mut self, span: Duration) {
        if self.armed {
            return;
        }
        self.armed = true;
        let end = Instant::now() + span;
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(end),
            None => self.timer = Some(Box::pin(sleep_until(end))),
        }
    }

    /// What was waited for has come.
    pub(crate) fn disarm(&mut self) {
        // The timer stays where it is: at worst it wakes the task once for nothing.
        self.armed = false;
    }

    /// Whether it has run out; if it runs, the task is woken when it does.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(timer) = self.timer.as_mut().filter(|_| self.armed) else { return false };
        matches!(timer.as_mut().poll(cx), Poll::Ready(()))
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadline").field("armed", &self.armed).finish_non_exhaustive()
    }
}
