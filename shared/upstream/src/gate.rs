//! How many requests one service is sent at a time, over all workers of the process, and the queue of those that wait.
//!
//! In: requests, each with the limits of its configuration, for two may serve at a time. Out: a pass, given back on drop. Refuses: the one too many
//! for the queue, at once; the one that has waited too long. Never: a lock while nobody waits; lets one overtake another that waits; loses a place
//! to a request that has gone.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;

use crate::plan::limits::LimitsPlan;

/// One that waits, in [`Gate::state`].
const WAITING: u64 = 1 << 32;

/// The places of one service.
#[derive(Debug)]
pub(crate) struct Gate {
    /// In the lower half the requests inside, in the upper half those that wait. While somebody waits it is changed under the lock alone.
    state: AtomicU64,
    requests_max: AtomicU32,
    /// Those that wait, in turn. Who has gone away stays on the list, closed and counted no more, until its turn comes or such make up more than half.
    queue: Mutex<VecDeque<oneshot::Sender<Pass>>>,
    gauge: Gauge,
}

/// Why there is no pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GateFault {
    /// As many wait already as may.
    Full,
    /// No place came free in time.
    Late,
}

/// A place; given back on drop.
#[derive(Debug)]
pub(crate) struct Pass(Option<Arc<Gate>>);

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.leave();
        }
    }
}

impl Gate {
    /// An empty one; `gauge` shows how many wait.
    pub(crate) fn new(gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { state: AtomicU64::new(0), requests_max: AtomicU32::new(0), queue: Mutex::default(), gauge })
    }

    /// A place, if there is one and nobody waits for it.
    pub(crate) fn try_enter(self: &Arc<Self>, limits: &LimitsPlan) -> Option<Pass> {
        if self.requests_max.load(Ordering::Relaxed) != limits.requests_max {
            self.resize(limits.requests_max);
        }
        let entered = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| self.entered(state));
        entered.is_ok().then(|| Pass(Some(Arc::clone(self))))
    }

    /// The next place in turn that comes free `within` the given time, after [`Gate::try_enter`] gave none.
    pub(crate) async fn wait(self: &Arc<Self>, limits: &LimitsPlan, within: Duration) -> Result<Pass, GateFault> {
        let mut place = match self.queue_up(limits.queue_max)? {
            Turn::Now(pass) => return Ok(pass),
            Turn::Later(place) => place,
        };
        match tokio::time::timeout(within, &mut place.receiver).await {
            Ok(Ok(pass)) => {
                place.is_served = true;
                Ok(pass)
            }
            Ok(Err(_)) | Err(_) => Err(GateFault::Late),
        }
    }

    /// Requests inside and requests that wait.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (u32, u32) {
        let state = self.state.load(Ordering::Acquire);
        (inside(state), waiting(state))
    }

    /// The state with one more inside, if nobody waits and there is a place.
    fn entered(&self, state: u64) -> Option<u64> {
        (waiting(state) == 0 && inside(state) < self.requests_max.load(Ordering::Relaxed)).then_some(state + 1)
    }

    fn queue_up(self: &Arc<Self>, queue_max: u32) -> Result<Turn, GateFault> {
        let mut queue = self.locked();
        // One step decides: a place that comes free after it is handed on by whoever leaves, under this lock.
        let step = |state| self.entered(state).or_else(|| (waiting(state) < queue_max).then_some(state + WAITING));
        let before = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, step).map_err(|_| GateFault::Full)?;
        if self.entered(before).is_some() {
            return Ok(Turn::Now(Pass(Some(Arc::clone(self)))));
        }
        let (sender, receiver) = oneshot::channel();
        queue.push_back(sender);
        self.gauge.inc();
        Ok(Turn::Later(Place { receiver, gate: Arc::clone(self), is_served: false }))
    }

    fn leave(self: &Arc<Self>) {
        let alone = |state| (waiting(state) == 0).then(|| state - 1);
        if self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, alone).is_ok() {
            return;
        }
        let mut queue = self.locked();
        self.state.fetch_sub(1, Ordering::AcqRel);
        self.hand_on(&mut queue);
    }

    fn resize(self: &Arc<Self>, requests_max: u32) {
        let mut queue = self.locked();
        self.requests_max.store(requests_max, Ordering::Relaxed);
        self.hand_on(&mut queue);
    }

    /// Gives all places that are free to those who have waited longest.
    fn hand_on(self: &Arc<Self>, queue: &mut VecDeque<oneshot::Sender<Pass>>) {
        let requests_max = self.requests_max.load(Ordering::Relaxed);
        let free = |state| (waiting(state) > 0 && inside(state) < requests_max).then(|| state - WAITING + 1);
        while self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, free).is_ok() {
            self.gauge.dec();
            // Those that are closed have gone and were taken off the count then.
            let next = std::iter::from_fn(|| queue.pop_front()).find(|one| !one.is_closed());
            let taken = next.map(|one| one.send(Pass(Some(Arc::clone(self)))));
            if let Some(Ok(())) = taken {
                continue;
            }
            // Nobody closes without the lock, and whoever is counted is on the list. Taken back by hand: dropped, it would ask for that lock.
            if let Some(Err(mut unwanted)) = taken {
                unwanted.0 = None;
            }
            self.state.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Takes one who goes away off the count; gives back the pass that came to it just before.
    fn forgo(&self, receiver: &mut oneshot::Receiver<Pass>) -> Option<Pass> {
        let mut queue = self.locked();
        receiver.close();
        if let Ok(pass) = receiver.try_recv() {
            return Some(pass);
        }
        let left = waiting(self.state.fetch_sub(WAITING, Ordering::AcqRel)) - 1;
        self.gauge.dec();
        // Each look at the whole list takes at least half of it out, so that one who goes away costs a step or two.
        if queue.len() / 2 >= left as usize {
            queue.retain(|one| !one.is_closed());
        }
        None
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<oneshot::Sender<Pass>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Turn {
    Now(Pass),
    Later(Place),
}

/// A place in the queue, given up on drop.
struct Place {
    receiver: oneshot::Receiver<Pass>,
    gate: Arc<Gate>,
    /// Whether its turn has come and was taken; then there is nothing to give up.
    is_served: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_served {
            return;
        }
        // A pass that came a moment too late goes to the next one, without the lock, which it asks for.
        let late = self.gate.forgo(&mut self.receiver);
        drop(late);
    }
}

fn inside(state: u64) -> u32 {
    state as u32
}

fn waiting(state: u64) -> u32 {
    (state >> 32) as u32
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
