//! The guard's side of one connection, as the corridor and the connection record see it.
//!
//! In: what the guard counts and refuses. Out: the same to whoever holds the `Arc`, and two words back to the guard: `upgraded`
//! and `settled`. It never holds bytes of the connection, and never a lock while anything waits.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::guard::fault::GuardFault;
use crate::guard::limits::GuardLimits;

/// No request on the connection has asked to leave HTTP.
const UPGRADE_NONE: u8 = 0;
/// One has asked; the guard keeps every byte behind it until the corridor has spoken.
const UPGRADE_ASKED: u8 = 1;
/// The answer was 101: the rest of the connection is not HTTP.
const UPGRADE_GRANTED: u8 = 2;

/// What the guard of one connection has seen; shared by `Arc` with the corridor and the connection record.
///
/// Counters are relaxed: each has one writer, and a reader wants a figure and not an order.
#[derive(Debug, Default)]
pub struct GuardLine {
    /// Place of the fault in [`GuardFault::ALL`] plus one; 0 while there is none.
    refusal: AtomicU8,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    heads: AtomicU64,
    upgrade: AtomicU8,
    /// What heads are measured by that the guard cannot read; in a box, for HTTP/1 has none.
    unread: OnceLock<Box<GuardLimits>>,
    quiet: AtomicBool,
    in_head: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

impl GuardLine {
    /// The first fault on this connection, if there was one. It never changes once it is there.
    ///
    /// The corridor asks when it meets [`REFUSED_METHOD`](crate::guard::REFUSED_METHOD), and when a request body fails.
    #[must_use]
    pub fn refusal(&self) -> Option<GuardFault> {
        let place = usize::from(self.refusal.load(Ordering::Acquire));
        GuardFault::ALL.get(place.checked_sub(1)?).copied()
    }

    /// Bytes read from the peer, above TLS. A refused connection may have read more than it understood.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// Bytes taken by the peer's side, above TLS.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    /// Request heads handed on: HTTP/1 heads, or HEADERS frames that opened a stream. The synthetic one is not counted.
    #[must_use]
    pub fn heads(&self) -> u64 {
        self.heads.load(Ordering::Relaxed)
    }

    /// Whether an HTTP/1 connection stands between two messages, as far as the guard knows: all that was read was whole and was handed on, nothing
    /// more has come, and nothing waits to be written. Who is served meanwhile the guard cannot know.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// Whether an HTTP/1 client is at a request head: some of it has come, and the guard, which has a deadline for the rest, keeps it.
    #[must_use]
    pub fn is_in_head(&self) -> bool {
        self.in_head.load(Ordering::Relaxed)
    }

    /// The corridor says, just before it returns a 101: what follows the request is not HTTP. The guard passes it through.
    ///
    /// Without effect when no request has asked for an upgrade (`Connection: upgrade` with `Upgrade`, RFC 9110 §7.8).
    pub fn upgraded(&self) {
        self.answer(UPGRADE_GRANTED);
    }

    /// The corridor says: the request that asked for an upgrade gets another answer than 101. The guard reads on as HTTP.
    ///
    /// It must be said on every way out of such a request, or the connection takes no further one and ends by the idle timeout.
    /// Without effect when no request has asked.
    pub fn settled(&self) {
        self.answer(UPGRADE_NONE);
    }

    fn answer(&self, word: u8) {
        if self.upgrade.compare_exchange(UPGRADE_ASKED, word, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(reader) = reader {
                reader.wake();
            }
        }
    }

    /// Records `fault` unless there already is one.
    pub(crate) fn refuse(&self, fault: GuardFault) {
        let place = fault as u8 + 1;
        // Losing the race is fine: the first fault is the one that explains the rest.
        let _ = self.refusal.compare_exchange(0, place, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The ceilings of heads that pass the guard packed, and have to be measured once they are read: those of HTTP/2.
    pub(crate) fn unread(&self) -> Option<&GuardLimits> {
        self.unread.get().map(|limits| &**limits)
    }

    /// Heads pass the guard packed on this connection.
    pub(crate) fn leave_unread(&self, limits: GuardLimits) {
        // Set once, by the one guard of the connection.
        let _ = self.unread.set(Box::new(limits));
    }

    pub(crate) fn set_quiet(&self, quiet: bool) {
        self.quiet.store(quiet, Ordering::Relaxed);
    }

    pub(crate) fn set_in_head(&self, in_head: bool) {
        self.in_head.store(in_head, Ordering::Relaxed);
    }

    pub(crate) fn count_in(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_out(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_heads(&self, heads: u64) {
        self.heads.fetch_add(heads, Ordering::Relaxed);
    }

    /// A head that asks for an upgrade is about to be handed on.
    pub(crate) fn upgrade_asked(&self) {
        self.upgrade.store(UPGRADE_ASKED, Ordering::Release);
    }

    /// Waits for the corridor's word: `true` when the connection has left HTTP.
    pub(crate) fn poll_upgrade(&self, cx: &mut Context<'_>) -> Poll<bool> {
        if let Some(granted) = self.upgrade_answer() {
            return Poll::Ready(granted);
        }
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        match reader.as_mut() {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *reader = Some(cx.waker().clone()),
        }
        drop(reader);
        // The word may have come between the look and the lock.
        self.upgrade_answer().map_or(Poll::Pending, Poll::Ready)
    }

    fn upgrade_answer(&self) -> Option<bool> {
        match self.upgrade.load(Ordering::Acquire) {
            UPGRADE_ASKED => None,
            word => Some(word == UPGRADE_GRANTED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fault_stays() {
        let line = GuardLine::default();
        assert_eq!(line.refusal(), None);
        line.refuse(GuardFault::BareLf);
        line.refuse(GuardFault::Stalled);
        assert_eq!(line.refusal(), Some(GuardFault::BareLf));
    }

    #[test]
    fn every_fault_survives_the_atomic() {
        for &fault in GuardFault::ALL {
            let line = GuardLine::default();
            line.refuse(fault);
            assert_eq!(line.refusal(), Some(fault));
        }
    }

    #[test]
    fn a_word_that_nobody_asked_for_is_forgotten() {
        let line = GuardLine::default();
        line.upgraded();
        line.upgrade_asked();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(line.poll_upgrade(&mut cx).is_pending());
        line.settled();
        assert_eq!(line.poll_upgrade(&mut cx), Poll::Ready(false));
        line.upgraded();
        assert_eq!(line.poll_upgrade(&mut cx), Poll::Ready(false), "the request was settled already");
    }
}
