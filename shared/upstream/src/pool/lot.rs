//! What one worker has to one instance: idle HTTP/1.1 connections, shared HTTP/2 connections, and the requests that wait for one of them.
//!
//! In: connections that are at rest. Out: the one that a request should take. Never: closes one itself; a caller that is handed one does.
//!
//! Which idle connection is taken. By default the one used last: it is the least likely to be dead, and those that are too many are not used
//! and end by their idle time. An instance that serves by several workers, and says so (`Endpoint::breadth`), deals connections to them and not
//! requests; there the last one used would be used again and again, and with it one worker. So the one is taken that has rested longest among
//! the hottest: as many as were busy at once lately, but no fewer than the instance has workers. The others stay cold and end as before.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::connect::ConnectFault;
use crate::link::Link;
use crate::multiplex::{Multiplex, Seat};

/// How long a number of connections that were busy at once is remembered; at most twice as long.
const PEAK_WINDOW: Duration = Duration::from_secs(5);

/// After a connection for breadth could not be made.
const WIDEN_PAUSE: Duration = Duration::from_secs(1);

/// The connections of one worker to one instance.
#[derive(Debug, Default)]
pub(crate) struct Lot {
    /// The one that rests longest first.
    pub(super) idle: RefCell<Vec<Idle>>,
    pub(super) shared: RefCell<Vec<Rc<Multiplex>>>,
    /// Requests that wait for a connection; as many as the ceilings let wait.
    pub(super) waiting: RefCell<VecDeque<oneshot::Sender<Link>>>,
    /// Shared connections that are being made.
    pub(super) coming: RefCell<Vec<Rc<Coming>>>,
    /// HTTP/1.1 connections, idle and busy.
    open: Rc<Cell<usize>>,
    peak: Peak,
    widen_at: Cell<Option<Instant>>,
    widening: Cell<bool>,
}

/// A connection at rest.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) link: Link,
    pub(super) since: Instant,
}

impl Idle {
    pub(super) fn is_fit(&self, now: Instant) -> bool {
        self.link.is_fit(now) && now.duration_since(self.since) < self.link.pool.idle
    }
}

/// One HTTP/1.1 connection in the count of its lot.
#[derive(Debug)]
pub(crate) struct Member(Rc<Cell<usize>>);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A shared connection on its way, and who waits for a stream on it beside the one that makes it.
#[derive(Debug, Default)]
pub(crate) struct Coming {
    waiting: RefCell<Vec<oneshot::Sender<Result<Link, ConnectFault>>>>,
}

/// The making of a shared connection; whoever still waits when it is dropped looks again.
pub(crate) struct Making {
    lot: Rc<Lot>,
    coming: Rc<Coming>,
}

impl Making {
    /// It is there: everybody who waits gets a stream, as long as there are any.
    pub(crate) fn made(self, mut stream: impl FnMut() -> Option<Link>) {
        for one in self.coming.waiting.take() {
            let Some(link) = stream() else { return };
            // Whoever has left gives its stream back by that.
            let _ = one.send(Ok(link));
        }
    }

    /// It could not be made, and nobody who waits need try the same.
    pub(crate) fn failed(self, fault: ConnectFault) {
        self.coming.waiting.take().into_iter().for_each(|one| drop(one.send(Err(fault))));
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.lot.coming.borrow_mut().retain(|one| !Rc::ptr_eq(one, &self.coming));
        self.coming.waiting.take();
    }
}

/// How a request comes by a shared connection that is not there yet.
pub(crate) enum Way {
    /// Another request makes one; this tells when it is there.
    Join(oneshot::Receiver<Result<Link, ConnectFault>>),
    /// It makes one itself.
    Make(Making),
}

impl Lot {
    /// One more HTTP/1.1 connection, until it is dropped.
    pub(crate) fn join(&self) -> Member {
        self.open.set(self.open.get() + 1);
        Member(Rc::clone(&self.open))
    }

    /// The idle connection that a request should take, that has rested for less than `rested_max`; those that are unfit go to `unfit`.
    pub(super) fn take(&self, now: Instant, breadth: usize, rested_max: Duration, mut unfit: impl FnMut(Link)) -> Option<Link> {
        let mut idle = self.idle.borrow_mut();
        let breadth = idle.first().map_or(breadth, |one| breadth.min(one.link.pool.idle_max));
        // With this one, for it is about to be busy.
        let busy = self.open.get().saturating_sub(idle.len()) + 1;
        let hot = if breadth > 1 { self.peak.at_least(busy, now).max(breadth) + 1 - busy } else { 1 };
        loop {
            // Sorted by their rest, so that those that are fresh enough stand at the end.
            let fresh = idle.partition_point(|one| now.duration_since(one.since) >= rested_max);
            let place = idle.len().saturating_sub(hot).max(fresh);
            if place >= idle.len() {
                return None;
            }
            let one = idle.remove(place);
            if one.link.is_fit(now) {
                return Some(one.link);
            }
            unfit(one.link);
        }
    }

    /// A stream of a shared connection: of the one with the fewest under way among the first `breadth` that have room, then among the next, so
    /// that those that are too many are not used and end by their idle time.
    pub(super) fn seat(&self, now: Instant, breadth: usize) -> Option<Seat> {
        let shared = self.shared.borrow();
        let breadth = shared.first().map_or(breadth, |one| breadth.min(one.pool().idle_max));
        let roomy = shared.iter().enumerate().filter(|(_, one)| one.is_fit(now) && one.has_room());
        roomy.min_by_key(|(place, one)| (place / breadth.max(1), one.streams())).map(|(_, one)| one.sit())
    }

    /// Joins those that wait for a connection that is being made, at most `streams_max` for one, or begins to make one.
    pub(crate) fn way(self: &Rc<Self>, streams_max: usize) -> Way {
        let mut coming = self.coming.borrow_mut();
        // One stream is for the request that makes it.
        if let Some(one) = coming.iter().find(|one| one.waiting.borrow().len() + 1 < streams_max) {
            let (sender, receiver) = oneshot::channel();
            let mut waiting = one.waiting.borrow_mut();
            waiting.retain(|one| !one.is_closed());
            waiting.push(sender);
            return Way::Join(receiver);
        }
        let one = Rc::new(Coming::default());
        coming.push(Rc::clone(&one));
        Way::Make(Making { lot: Rc::clone(self), coming: one })
    }

    /// Claims the making of one more connection for breadth, where there are fewer than `breadth`; [`Lot::widened`] must follow.
    pub(crate) fn may_widen(&self, breadth: usize, now: Instant) -> bool {
        let too_few = self.open.get() + self.shared.borrow().len() < breadth;
        too_few && self.widen_at.get().is_none_or(|at| at <= now) && !self.widening.replace(true)
    }

    /// The claim ends; after a failure there is a pause.
    pub(crate) fn widened(&self, made: bool, now: Instant) {
        self.widening.set(false);
        self.widen_at.set((!made).then(|| now + WIDEN_PAUSE));
    }

    /// Requests that wait for a connection that comes back.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.borrow().iter().filter(|one| !one.is_closed()).count()
    }

    /// Gives the free streams of a shared connection to the requests that have waited longest.
    pub(crate) fn offer(&self, one: &Rc<Multiplex>) {
        while one.has_room() {
            let Some(waiting) = self.waiting.borrow_mut().pop_front() else { return };
            if !waiting.is_closed() {
                // It waits still, so it takes the stream.
                let _ = waiting.send(Link::shared(one.sit()));
            }
        }
    }

    /// Whether it can be forgotten.
    pub(super) fn is_empty(&self) -> bool {
        self.open.get() == 0
            && self.shared.borrow().is_empty()
            && self.coming.borrow().is_empty()
            && self.waiting.borrow().iter().all(oneshot::Sender::is_closed)
            && !self.widening.get()
    }
}

/// The most connections that were busy at once in this window of time and the one before.
#[derive(Debug, Default)]
struct Peak {
    began: Cell<Option<Instant>>,
    now: Cell<usize>,
    before: Cell<usize>,
}

impl Peak {
    /// Notes that so many are busy, and tells the most.
    fn at_least(&self, busy: usize, at: Instant) -> usize {
        let age = self.began.get().map(|began| at.duration_since(began));
        if age.is_none_or(|age| age >= PEAK_WINDOW) {
            let is_next = age.is_some_and(|age| age < PEAK_WINDOW * 2);
            self.before.set(if is_next { self.now.get() } else { 0 });
            self.now.set(0);
            self.began.set(Some(at));
        }
        self.now.set(self.now.get().max(busy));
        self.now.get().max(self.before.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_forgotten_after_two_windows() {
        let (peak, start) = (Peak::default(), Instant::now());
        assert_eq!(peak.at_least(9, start), 9);
        assert_eq!(peak.at_least(2, start + PEAK_WINDOW), 9, "the window before counts");
        assert_eq!(peak.at_least(1, start + PEAK_WINDOW * 2), 2);
        assert_eq!(peak.at_least(1, start + PEAK_WINDOW * 5), 1, "nothing was asked for meanwhile");
    }

    #[test]
    fn one_connection_for_breadth_is_made_at_a_time_and_none_soon_after_a_failure() {
        let (lot, now) = (Lot::default(), Instant::now());
        assert!(lot.may_widen(2, now));
        assert!(!lot.may_widen(2, now), "one is being made");
        lot.widened(false, now);
        assert!(!lot.may_widen(2, now) && lot.may_widen(2, now + WIDEN_PAUSE));
        lot.widened(true, now);
        let members = (lot.join(), lot.join());
        assert!(!lot.may_widen(2, now), "there are two");
        drop(members);
        assert!(lot.may_widen(2, now));
    }
}
