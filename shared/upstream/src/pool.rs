//! The idle connections of one worker.
//!
//! In: connections whose response has ended. Out: the one used last, which is the least likely to be dead. Refuses: what is closed, too old,
//! of an instance that is gone or was found to leave since, or beyond a ceiling. Never: leaves its thread.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::ceiling::Ceiling;
use crate::endpoint::Endpoint;
use crate::link::Link;

/// How often idle connections are looked through for those that must go.
const SWEEP: Duration = Duration::from_millis(200);

/// How long a connection may have rested for a request that may not be repeated. The other side may close it at the very moment at which such a
/// request is written to it, and the request would be lost: a draining routing-gw closes after one second of rest, few instances before five. A
/// new connection costs less than a lost order. (HAProxy's `http-reuse safe` never takes a resting one for a first request.)
pub const FRESH_ENOUGH: Duration = Duration::from_millis(500);

/// The idle connections of one worker, to all services.
#[derive(Debug)]
pub struct Pools {
    idle: RefCell<HashMap<u64, Vec<Idle>>>,
    /// Requests that wait for a connection, by the number of their instance; as many as the ceilings let wait.
    waiting: RefCell<HashMap<u64, VecDeque<oneshot::Sender<Link>>>>,
    sweeping: Cell<bool>,
    seed: Cell<u64>,
}

#[derive(Debug)]
struct Idle {
    link: Link,
    since: Instant,
}

impl Pools {
    /// An empty pool for the calling worker; it must be used inside that worker's local runtime.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::new(Self { idle: RefCell::default(), waiting: RefCell::default(), sweeping: Cell::new(false), seed: Cell::new(rand::random()) })
    }

    /// Idle connections now.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.idle.borrow().values().map(Vec::len).sum()
    }

    /// Closes all idle connections, for a drain.
    pub fn clear(&self) {
        let idle = std::mem::take(&mut *self.idle.borrow_mut());
        idle.into_values().flatten().for_each(|one| one.link.close());
    }

    /// A number for a draw; good enough to spread load, worth nothing as a secret (SplitMix64).
    pub(crate) fn random(&self) -> u64 {
        let seed = self.seed.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.seed.set(seed);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The idle connection to `endpoint` that was used last, if one is fit and has rested for less than `rested_max`.
    pub(crate) fn take(&self, endpoint: &Endpoint, rested_max: Duration) -> Option<Link> {
        let now = Instant::now();
        let mut idle = self.idle.borrow_mut();
        let stack = idle.get_mut(&endpoint.id())?;
        // The last one has rested least: what has rested too long for this request is left to others.
        while let Some(one) = stack.pop_if(|one| now.duration_since(one.since) < rested_max) {
            if one.is_fit(now) {
                return Some(one.link);
            }
            one.link.close();
        }
        None
    }

    /// The next connection to `endpoint` that comes back, for a request that may not make one.
    pub(crate) fn wait(&self, endpoint: &Endpoint) -> oneshot::Receiver<Link> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|_, queue| {
            queue.retain(|one| !one.is_closed());
            !queue.is_empty()
        });
        waiting.entry(endpoint.id()).or_default().push_back(sender);
        receiver
    }

    /// Hands a connection to the request that has waited longest for one to the same instance; gives it back when none does.
    fn hand_over(&self, mut link: Link) -> Option<Link> {
        let mut waiting = self.waiting.borrow_mut();
        let Some(queue) = waiting.get_mut(&link.endpoint.id()) else { return Some(link) };
        while let Some(one) = queue.pop_front() {
            match one.send(link) {
                Ok(()) => return None,
                Err(unwanted) => link = unwanted,
            }
        }
        Some(link)
    }

    /// Takes a connection back.
    pub(crate) fn put(self: &Rc<Self>, link: Link) {
        let now = Instant::now();
        if !link.is_fit(now) {
            link.close();
            return;
        }
        // Rather than closed for the sake of a request that would only open another one to the same place.
        let Some(link) = self.hand_over(link) else { return };
        if link.ceiling.give_one_up() {
            link.close();
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let stack = idle.entry(link.endpoint.id()).or_default();
        if stack.len() >= link.pool.idle_max {
            drop(idle);
            link.close();
            return;
        }
        stack.push(Idle { link, since: now });
        drop(idle);
        self.sweep_while_idle();
    }

    /// Breaks off one idle connection below `ceiling`, to make a place; `false` when there was none.
    pub(crate) fn evict(&self, ceiling: &Arc<Ceiling>) -> bool {
        let mut idle = self.idle.borrow_mut();
        let of_service = |stack: &Vec<Idle>| stack.first().is_some_and(|one| Arc::ptr_eq(&one.link.ceiling, ceiling));
        // The longest unused one of whichever instance comes first; dropping it gives its place back on the next turn of the runtime.
        idle.values_mut().find(|stack| of_service(stack)).map(|stack| drop(stack.remove(0))).is_some()
    }

    /// One task per worker looks through the idle connections for as long as there are any.
    fn sweep_while_idle(self: &Rc<Self>) {
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
        let mut going = Vec::new();
        let mut idle = self.idle.borrow_mut();
        idle.retain(|_, stack| {
            going.extend(stack.extract_if(.., |one| !one.is_fit(now) || one.link.ceiling.give_one_up()));
            !stack.is_empty()
        });
        let any = !idle.is_empty();
        drop(idle);
        going.into_iter().for_each(|one| one.link.close());
        self.sweeping.set(any);
        any
    }
}

impl Idle {
    fn is_fit(&self, now: Instant) -> bool {
        self.link.is_fit(now) && now.duration_since(self.since) < self.link.pool.idle
    }
}
