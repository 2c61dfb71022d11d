//! Dealing: every accepted connection goes to the worker that has the fewest.
//!
//! In: listening sockets and the workers' lanes. Out: each connection once, with a [`Ticket`] that is given back when it ends. Refuses: more
//! connections than `connections_max`, or faster than `accepts_per_second_max`: they wait in the kernel's queue. At the ceiling those that rest longest
//! are asked to end. Never: spins or dies when descriptors run out; closes a queue that has connections in it.
//!
//! # What the spike found
//! - *Evenness.* Choosing the lane with the fewest open connections, starting the search behind the last one chosen, deals 64 connections that
//!   stay open 32 to 32 over two workers, always, because the count is taken at dealing and not when the worker gets round to it. Short
//!   connections go round in turns. (`tests/serving.rs`, `connections_are_dealt_evenly`.)
//! - *One queue.* A descriptor that is passed on shares the queue itself: 20 clients that had connected before the switch, and that the first
//!   process never accepted, were all served by the second one; closing the first descriptor while the second is open resets nobody.
//!   (`tests/drain.rs`, `an_inherited_queue_loses_nobody`.) With SO_REUSEPORT each process has a queue of its own, and closing it resets what
//!   waits there: measured 28 of 60.
//! - *Closing.* Accepting until `EWOULDBLOCK` and closing in the same breath loses nobody that had finished its handshake before the last look.
//!   A connection whose handshake ends between that look and close(2), some microseconds, is reset; only passing the descriptor on closes that
//!   gap, which is why a rolling upgrade inherits and why `drain.wait` exists for those in front.
//! - *Taken means known.* A worker must enter a connection into its roster in the breath in which it takes it from its lane. When the task of the
//!   connection did that itself, a worker that was asked to leave on a busy machine saw an empty lane and an empty roster, and left: up to all
//!   of 16 clients lost their request. (`tests/drain.rs`, `closing_serves_whoever_has_connected_before_it`, run 24 at once.)
//! - *The ceiling.* It is asked for after the socket has become readable, so idle listeners hold no place that a busy one could use.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{sleep, timeout};

use crate::accept_rate::AcceptRates;
use crate::ceiling::{Ceiling, Held};
use crate::drain::{LifeWatch, Phase};
use crate::figures::Figures;
use crate::listen::{Accepted, Listener};
use crate::relief::{ASK_EVERY, Asking, Relief};

/// Connections that wait for one worker's attention.
pub const LANE_CONNECTIONS_MAX: usize = 256;

/// After running out of descriptors or memory: time for some connection to end.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection waits for a worker when every lane is full. A worker that takes nothing for so long hangs.
const LANE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Between two warnings about the same listener; the metric counts every failure.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// When one listener last warned that it cannot accept.
#[derive(Debug, Default)]
struct Warnings(Option<Instant>);

impl Warnings {
    /// Whether it may warn now; then it has.
    fn may(&mut self, now: Instant) -> bool {
        let may = self.0.is_none_or(|last| now.saturating_duration_since(last) >= WARN_EVERY);
        if may {
            self.0 = Some(now);
        }
        may
    }
}

/// An accepted connection on its way to a worker.
#[derive(Debug)]
pub struct Dealt {
    /// Counts up over the life of the process.
    pub id: u64,
    /// The place of its listener in the plan.
    pub listener: usize,
    /// The socket.
    pub socket: Accepted,
    /// Its place under the ceilings.
    pub ticket: Ticket,
}

/// The place of one connection under the ceilings; dropping it gives the place back.
#[derive(Debug)]
pub struct Ticket {
    open: Arc<AtomicUsize>,
    _place: Held,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The way to one worker.
#[derive(Clone, Debug)]
pub struct Lane {
    sender: mpsc::Sender<Dealt>,
    open: Arc<AtomicUsize>,
    relief: Arc<Relief>,
}

/// The worker's end of a lane.
#[derive(Debug)]
pub struct LaneEnd {
    /// What was dealt to it.
    pub dealt: mpsc::Receiver<Dealt>,
    /// What it tells of connections that rest, and is asked about them.
    pub(crate) relief: Arc<Relief>,
}

impl Drop for LaneEnd {
    /// What a worker that is gone has told last would be believed for good, and nobody else be asked for room.
    fn drop(&mut self) {
        self.relief.tell(None);
    }
}

impl Lane {
    /// A lane, and the worker's end of it. All lanes of a process are made with the same moment.
    #[must_use]
    pub fn new(base: Instant) -> (Self, LaneEnd) {
        let (sender, dealt) = mpsc::channel(LANE_CONNECTIONS_MAX);
        let relief = Arc::new(Relief::new(base));
        (Self { sender, open: Arc::default(), relief: Arc::clone(&relief) }, LaneEnd { dealt, relief })
    }

    /// Connections that were dealt to this worker and have not ended.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The same for those who only look: a lane that is held keeps its worker waiting for connections.
    #[must_use]
    pub fn count(&self) -> OpenCount {
        OpenCount(Arc::clone(&self.open))
    }
}

/// The number of a worker's open connections.
#[derive(Clone, Debug)]
pub struct OpenCount(Arc<AtomicUsize>);

impl OpenCount {
    /// The number now.
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Deals the connections of all listeners.
#[derive(Debug)]
pub struct Dealer {
    lanes: Vec<Lane>,
    last: AtomicUsize,
    next_id: AtomicU64,
    places: Arc<Ceiling>,
    rates: Arc<AcceptRates>,
    asking: Asking,
    figures: Arc<Figures>,
}

impl Dealer {
    /// A dealer over `lanes` that has no more connections out at once than there are `places`, and takes no more per second than the `rates` allow.
    #[must_use]
    pub(crate) fn new(lanes: Vec<Lane>, places: Arc<Ceiling>, rates: Arc<AcceptRates>, figures: Arc<Figures>) -> Self {
        Self { lanes, last: AtomicUsize::new(0), next_id: AtomicU64::new(1), places, rates, asking: Asking::default(), figures }
    }

    /// Accepts from `listener`, which has this `name` and `place` in the plan, until the process closes; then empties its queue, at most until the
    /// process cuts, and closes it. A queue that a successor has taken is left as it is.
    ///
    /// # Errors
    /// When the socket cannot be watched at all.
    pub async fn accept_from(self: Arc<Self>, listener: Listener, name: Arc<str>, place: usize, mut life: LifeWatch) -> io::Result<()> {
        let socket = watch(listener)?;
        let mut warnings = Warnings::default();
        self.accept_on(&socket, place, &mut warnings, life.clone()).await?;
        if life.is_taken(&name) {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = life.reached(Phase::Cut) => {}
            () = self.empty(socket.get_ref(), place, &mut warnings) => {}
        }
        Ok(())
    }

    async fn accept_on(&self, socket: &AsyncFd<Listener>, place: usize, warnings: &mut Warnings, mut life: LifeWatch) -> io::Result<()> {
        loop {
            // The drain may interrupt the waiting, and never what comes after an accept: that would lose the connection.
            let (mut ready, permit) = tokio::select! {
                biased;
                () = life.reached(Phase::Closing) => return Ok(()),
                next = async { io::Result::Ok((socket.readable().await?, self.turn(place).await)) } => next?,
            };
            match socket.get_ref().accept() {
                Ok(accepted) => {
                    if let Some(rate) = self.rates.of(place) {
                        rate.spend(Instant::now());
                    }
                    self.deal(accepted, place, permit).await;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => self.endure(&error, place, warnings).await,
            }
            // A flood of connections must leave the control runtime time for its other work.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Takes what waits until nothing does; the caller bounds the time.
    async fn empty(&self, listener: &Listener, place: usize, warnings: &mut Warnings) {
        loop {
            let permit = self.place(place).await;
            match listener.accept() {
                Ok(accepted) => self.deal(accepted, place, permit).await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => self.endure(&error, place, warnings).await,
            }
        }
    }

    /// A place under the ceiling, once the rate allows another connection.
    async fn turn(&self, listener: usize) -> Option<Held> {
        let place = self.place(listener).await;
        let Some(rate) = self.rates.of(listener) else { return place };
        let mut wait = rate.wait(Instant::now());
        if !wait.is_zero() {
            self.figures.accept_throttles.inc();
            tracing::debug!(listener, "accepts_per_second_max is reached; accepting waits");
        }
        while !wait.is_zero() {
            sleep(wait).await;
            wait = rate.wait(Instant::now());
        }
        place
    }

    /// A place under the ceiling. Without one nothing is accepted until a connection ends: each does by its own deadlines, and those that rest are asked to.
    async fn place(&self, listener: usize) -> Option<Held> {
        if let Some(place) = self.places.try_take() {
            return Some(place);
        }
        self.figures.accept_pauses.inc();
        tracing::debug!(listener, "connections_max is reached; accepting waits until a connection ends");
        let mut place = pin!(self.places.take());
        loop {
            self.asking.ask(self.lanes.iter().map(|lane| &*lane.relief), Instant::now());
            if let Ok(place) = timeout(ASK_EVERY, place.as_mut()).await {
                return place;
            }
        }
    }

    /// An accept that failed costs that connection at most.
    async fn endure(&self, error: &io::Error, listener: usize, warnings: &mut Warnings) {
        let (reason, pause) = match error.raw_os_error() {
            Some(EMFILE | ENFILE | ENOBUFS | ENOMEM) => ("out-of-descriptors", Some(EXHAUSTED_PAUSE)),
            // The client left while it waited, or a firewall forbids it: the next one is not concerned (accept(2)).
            _ if matches!(
                error.kind(),
                io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted | io::ErrorKind::PermissionDenied
            ) =>
            {
                ("client-gone", None)
            }
            _ => ("other", Some(EXHAUSTED_PAUSE)),
        };
        self.figures.accept_failed(listener, reason);
        if let Some(pause) = pause {
            if warnings.may(Instant::now()) {
                tracing::warn!(listener, reason, %error, "a connection could not be accepted; raise the limit of open files (RLIMIT_NOFILE) or lower connections_max");
            }
            sleep(pause).await;
        }
    }

    async fn deal(&self, socket: Accepted, listener: usize, permit: Option<Held>) {
        let Some(place) = permit else { return };
        let Some(lane) = self.fewest(|_| true) else { return };
        lane.open.fetch_add(1, Ordering::Relaxed);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let dealt = Dealt { id, listener, socket, ticket: Ticket { open: Arc::clone(&lane.open), _place: place } };
        if let Err(TrySendError::Full(dealt) | TrySendError::Closed(dealt)) = lane.sender.try_send(dealt) {
            self.deal_elsewhere(dealt).await;
        }
    }

    /// The chosen worker is behind; another one with room takes it, or the first that gets room.
    async fn deal_elsewhere(&self, mut dealt: Dealt) {
        let listener = dealt.listener;
        let roomy = self.fewest(|lane| lane.sender.capacity() > 0 && !lane.sender.is_closed());
        if let Some(lane) = roomy.or_else(|| self.fewest(|lane| !lane.sender.is_closed()))
            && let Ok(Ok(room)) = timeout(LANE_WAIT_MAX, lane.sender.reserve()).await
        {
            lane.open.fetch_add(1, Ordering::Relaxed);
            dealt.ticket.open.fetch_sub(1, Ordering::Relaxed);
            dealt.ticket.open = Arc::clone(&lane.open);
            room.send(dealt);
            return;
        }
        self.figures.accept_failed(listener, "no-worker");
        tracing::error!(listener, "no worker took a connection within {LANE_WAIT_MAX:?}; it was closed");
    }

    /// The lane with the fewest connections among those that `may`, searched from behind the last one chosen.
    fn fewest(&self, may: impl Fn(&Lane) -> bool) -> Option<&Lane> {
        let number = self.lanes.len();
        let start = self.last.load(Ordering::Relaxed) + 1;
        let places = (0..number).map(|step| (start + step) % number).filter(|&place| may(&self.lanes[place]));
        let place = places.min_by_key(|&place| self.lanes[place].open())?;
        self.last.store(place, Ordering::Relaxed);
        Some(&self.lanes[place])
    }
}

/// Readiness alone: an `accept` of tokio's own would register each connection with the control runtime, only to take it out again.
#[expect(deprecated, reason = "sound here: a Listener owns one open descriptor from its making to its drop, and never exchanges it")]
fn watch(listener: Listener) -> io::Result<AsyncFd<Listener>> {
    AsyncFd::with_interest(listener, tokio::io::Interest::READABLE)
}

// errno(3); the numbers are those of Linux on every architecture that Rust knows.
const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOBUFS: i32 = 105;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_is_gone_is_not_asked_for_room() {
        let base = Instant::now();
        let ((dead, dead_end), (live, live_end)) = (Lane::new(base), Lane::new(base));
        dead_end.relief.tell(Some(base));
        live_end.relief.tell(Some(base + Duration::from_secs(1)));
        drop(dead_end);
        let asking = Asking::default();
        assert!(asking.ask([&*dead.relief, &*live.relief].into_iter(), base));
        live_end.relief.asked().await;
        drop(live_end);
        assert!(!asking.ask([&*dead.relief, &*live.relief].into_iter(), base + ASK_EVERY));
    }

    #[test]
    fn running_out_of_descriptors_is_told_once_a_minute() {
        let mut warnings = Warnings::default();
        let start = Instant::now();
        let told = (0..1200).filter(|step| warnings.may(start + EXHAUSTED_PAUSE * *step)).count();
        assert_eq!(told, 2, "in two minutes of failures");
    }
}
