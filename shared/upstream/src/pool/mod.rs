//! The connections of one worker that requests may share one after the other, or at once.
//!
//! In: connections whose response has ended, and new ones of HTTP/2. Out: the one that a request should take (see `lot`). Refuses: what is
//! closed, too old, of an instance that is gone or was found to leave since, or beyond a ceiling. Never: leaves its thread.

pub(crate) mod lot;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::ceiling::Ceiling;
use crate::endpoint::Endpoint;
use crate::link::Link;
use crate::multiplex::Multiplex;
use crate::pool::lot::{Idle, Lot};

/// How often idle connections are looked through for those that must go.
const SWEEP: Duration = Duration::from_millis(200);

/// How long a connection may have rested for a request that may not be repeated. The other side may close it at the very moment at which such a
/// request is written to it, and the request would be lost: a draining routing-gw closes after one second of rest, few instances before five. A
/// new connection costs less than a lost order. (HAProxy's `http-reuse safe` never takes a resting one for a first request.)
///
/// HTTP/2 needs no such rule: who closes says by GOAWAY what it has not looked at (RFC 9113 §6.8), and that is sent again.
pub const FRESH_ENOUGH: Duration = Duration::from_millis(500);

/// The connections of one worker, to all services.
#[derive(Debug)]
pub struct Pools {
    /// By the number of the instance.
    lots: RefCell<HashMap<u64, Rc<Lot>>>,
    sweeping: Cell<bool>,
    seed: Cell<u64>,
}

impl Pools {
    /// An empty pool for the calling worker; it must be used inside that worker's local runtime.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::new(Self { lots: RefCell::default(), sweeping: Cell::new(false), seed: Cell::new(rand::random()) })
    }

    /// Idle connections now.
    #[must_use]
    pub fn idle(&self) -> usize {
        let resting = |lot: &Rc<Lot>| lot.idle.borrow().len() + lot.shared.borrow().iter().filter(|one| one.streams() == 0).count();
        self.lots.borrow().values().map(resting).sum()
    }

    /// Shared connections that still take requests.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> usize {
        self.lots.borrow().values().map(|lot| lot.shared.borrow().len()).sum()
    }

    /// Closes all idle connections, for a drain; those that are shared as soon as their last stream has ended.
    pub fn clear(&self) {
        let lots: Vec<Rc<Lot>> = self.lots.borrow().values().cloned().collect();
        for lot in lots {
            let idle = lot.idle.take();
            idle.into_iter().for_each(|one| one.link.close());
            drop(lot.shared.take());
        }
    }

    /// A number for a draw; good enough to spread load, worth nothing as a secret (SplitMix64).
    pub(crate) fn random(&self) -> u64 {
        let seed = self.seed.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.seed.set(seed);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// What there is to `endpoint`.
    pub(crate) fn lot(&self, endpoint: &Endpoint) -> Rc<Lot> {
        Rc::clone(self.lots.borrow_mut().entry(endpoint.id()).or_default())
    }

    /// A connection to `endpoint` for a request, if one is fit and has rested for less than `rested_max`; a stream of a shared one whatever its rest.
    pub(crate) fn take(&self, endpoint: &Endpoint, rested_max: Duration) -> Option<Link> {
        let now = Instant::now();
        let lot = Rc::clone(self.lots.borrow().get(&endpoint.id())?);
        if let Some(seat) = lot.seat(now, endpoint.breadth()) {
            return Some(Link::shared(seat));
        }
        lot.take(now, endpoint.breadth(), rested_max, Link::close)
    }

    /// The next connection to `endpoint` that comes back, for a request that may not make one.
    pub(crate) fn wait(&self, endpoint: &Endpoint) -> oneshot::Receiver<Link> {
        let (sender, receiver) = oneshot::channel();
        let lot = self.lot(endpoint);
        let mut waiting = lot.waiting.borrow_mut();
        waiting.retain(|one| !one.is_closed());
        waiting.push_back(sender);
        receiver
    }

    /// Hands a connection to the request that has waited longest for one to the same instance; gives it back when none does.
    fn hand_over(lot: &Lot, mut link: Link) -> Option<Link> {
        loop {
            let Some(one) = lot.waiting.borrow_mut().pop_front() else { return Some(link) };
            match one.send(link) {
                Ok(()) => return None,
                Err(unwanted) => link = unwanted,
            }
        }
    }

    /// Takes a new shared connection in.
    pub(crate) fn share(self: &Rc<Self>, one: &Rc<Multiplex>) {
        let lot = self.lot(one.endpoint());
        one.belongs_to(&lot);
        lot.shared.borrow_mut().push(Rc::clone(one));
        self.sweep_while_any();
    }

    /// Takes a connection back.
    pub(crate) fn put(self: &Rc<Self>, link: Link) {
        let now = Instant::now();
        if !link.is_fit(now) {
            link.close();
            return;
        }
        let lot = self.lot(&link.endpoint);
        // Rather than closed for the sake of a request that would only open another one to the same place.
        let Some(link) = Self::hand_over(&lot, link) else { return };
        if link.is_shared() {
            // Its connection is in the pool already; the stream goes with this.
            return;
        }
        if link.ceiling.give_one_up() || lot.idle.borrow().len() >= link.pool.idle_max {
            link.close();
            return;
        }
        lot.idle.borrow_mut().push(Idle { link, since: now });
        self.sweep_while_any();
    }

    /// Breaks off one idle connection below `ceiling`, to make a place; `false` when there was none.
    pub(crate) fn evict(&self, ceiling: &Arc<Ceiling>) -> bool {
        let lots = self.lots.borrow();
        // The longest unused one of whichever instance comes first; dropping it gives its place back on the next turns of the runtime.
        for lot in lots.values() {
            let mut idle = lot.idle.borrow_mut();
            if idle.first().is_some_and(|one| Arc::ptr_eq(&one.link.ceiling, ceiling)) {
                drop(idle.remove(0));
                return true;
            }
            let mut shared = lot.shared.borrow_mut();
            if let Some(place) = shared.iter().position(|one| one.streams() == 0 && Arc::ptr_eq(one.ceiling(), ceiling)) {
                shared.remove(place).break_off();
                return true;
            }
        }
        false
    }

    /// One task per worker looks through the connections for as long as there are any.
    fn sweep_while_any(self: &Rc<Self>) {
        if self.sweeping.replace(true) {
            return;
        }
        let pools = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                if Weak::upgrade(&pools).is_none_or(|pools| !pools.sweep()) {
                    return;
                }
            }
        });
    }

    /// Closes what must go; `false` when nothing is left to look after.
    fn sweep(&self) -> bool {
        let now = Instant::now();
        let (mut going, mut leaving) = (Vec::new(), Vec::new());
        let mut lots = self.lots.borrow_mut();
        let mut any = false;
        lots.retain(|_, lot| {
            going.extend(lot.idle.borrow_mut().extract_if(.., |one| !one.is_fit(now) || one.link.ceiling.give_one_up()));
            let (mut resting, own) = (0, lot.waiting());
            leaving.extend(lot.shared.borrow_mut().extract_if(.., |one| {
                let rests = one.streams() == 0;
                resting += usize::from(rests);
                let makes_way = one.is_wanted(own) && !rests && one.ceiling().give_one_up();
                if makes_way {
                    one.retire();
                }
                makes_way
                    || !one.is_fit(now)
                    || rests && (one.has_rested(now) || resting > one.pool().idle_max || one.ceiling().give_one_up())
            }));
            any |= !lot.idle.borrow().is_empty() || !lot.shared.borrow().is_empty();
            !lot.is_empty()
        });
        drop(lots);
        going.into_iter().for_each(|one| one.link.close());
        // Those that are shared close when their last stream has ended.
        drop(leaving);
        self.sweeping.set(any);
        any
    }
}
