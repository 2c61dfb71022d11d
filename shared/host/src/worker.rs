//! A worker: one thread, one single-threaded runtime, the connections that were dealt to it, and the tier's state that never leaves it.
//!
//! In: connections through its lane, newer generations of the configuration. Out: their requests to the tier. On the way out it asks its connections to end, waits for them, and hands
//! over its records. Never: shares a connection with another worker, blocks.

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::addresses::Addresses;
use crate::deal::LaneEnd;
use crate::drain::{LifeWatch, Phase};
use crate::figures::Figures;
use crate::plan::HostPlan;
use crate::proof::Proof;
use crate::reload::Generation;
use crate::roster::{Census, Rest, Roster};
use crate::serve::{Hall, Stand, serve};
use crate::tier::{Seat, Tier};

/// How often resting connections are looked for.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// How long a worker's runtime may take to end once its tasks were dropped.
const END_MAX: Duration = Duration::from_secs(1);

/// What every worker is started with.
pub(crate) struct Kit<T: Tier> {
    pub(crate) given: watch::Receiver<Arc<Generation<T>>>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) life: LifeWatch,
}

impl<T: Tier> Clone for Kit<T> {
    fn clone(&self) -> Self {
        let (figures, addresses) = (Arc::clone(&self.figures), Arc::clone(&self.addresses));
        Self { given: self.given.clone(), figures, addresses, life: self.life.clone() }
    }
}

/// What came of giving a worker a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Adoption {
    /// The generation.
    pub(crate) generation: u64,
    /// Whether the worker serves by it; otherwise it serves on by the one before.
    pub(crate) serves: bool,
}

/// What others wait for of a worker.
pub(crate) struct Worker {
    /// What came of the generation that it was given last.
    pub(crate) adopted: watch::Receiver<Adoption>,
    /// It serves; an error means that the tier's worker could not be made.
    pub(crate) ready: oneshot::Receiver<()>,
    /// It has ended, in whatever way.
    pub(crate) ended: oneshot::Receiver<()>,
}

/// Starts the thread of a worker.
///
/// # Errors
/// When the system has no thread or descriptor left.
pub(crate) fn start<T: Tier>(index: usize, kit: Kit<T>, lane: LaneEnd) -> io::Result<Worker> {
    let (ready_sender, ready) = oneshot::channel();
    let (ended_sender, ended) = oneshot::channel::<()>();
    let (adopted_sender, adopted) = watch::channel(Adoption { generation: 0, serves: false });
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        let _ended = ended_sender;
        let _told = ToldDeath(index);
        match builder.build_local(LocalOptions::default()) {
            Ok(runtime) => {
                runtime.block_on(work(index, kit, lane, (ready_sender, adopted_sender)));
                // What is still open is dropped here, and writes its record as it goes.
                runtime.shutdown_timeout(END_MAX);
            }
            Err(error) => tracing::error!(index, %error, "a worker could not start"),
        }
    })?;
    Ok(Worker { adopted, ready, ended })
}

/// Says that a worker's thread ends by a panic: in what serves all its connections, for those of requests and connections are caught.
struct ToldDeath(usize);

impl Drop for ToldDeath {
    fn drop(&mut self) {
        if thread::panicking() {
            let worker = self.0;
            tracing::error!(
                worker,
                "a worker died of a panic, and its connections with it; the process serves by the others, is not ready, and wants a restart"
            );
        }
    }
}

type News = (oneshot::Sender<()>, watch::Sender<Adoption>);

async fn work<T: Tier>(index: usize, kit: Kit<T>, lane: LaneEnd, (ready, adopted): News) {
    // Should this end by a panic, the lane is closed before anybody is told: what is dealt from then on goes to others.
    let (adopted, mut lane) = (adopted, lane);
    let Kit { mut given, figures, addresses, life } = kit;
    let first = Arc::clone(&given.borrow_and_update());
    let records = Rc::new(first.control.records.buffer());
    let tick_every = first.control.records.tick_every().min(SWEEP_EVERY);
    let seat = |generation: &Generation<T>| Seat { index, records: Rc::clone(&records), control: generation.control.clone() };
    let worker = Rc::new(first.tier.worker(seat(&first), None));
    let hall = Rc::new(Hall::<T> {
        stand: RefCell::new(Stand { worker, plan: Arc::clone(&first.host) }),
        roster: Rc::new(Roster::new(rest(&first.host))),
        records: Rc::clone(&records),
        requests: figures.requests_of(index),
        figures,
        addresses,
        clock: first.control.clock.clone(),
    });
    let roster = Rc::clone(&hall.roster);
    adopted.send_replace(Adoption { generation: first.control.generation, serves: true });
    drop(first);
    // Nobody waits for it if the boot was given up.
    let _ = ready.send(());

    let mut tick = interval(tick_every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut closing = life.clone();
    let mut cut = life;
    let (mut lane_is_open, mut is_closing, mut may_change) = (true, false, true);
    loop {
        tokio::select! {
            dealt = lane.dealt.recv(), if lane_is_open => match dealt {
                Some(dealt) => drop(tokio::task::spawn_local(serve(Rc::clone(&hall), dealt))),
                None => lane_is_open = false,
            },
            news = given.changed(), if may_change => match news {
                Ok(()) => {
                    let newer = Arc::clone(&given.borrow_and_update());
                    let serves = adopt(&hall, &newer, seat(&newer));
                    adopted.send_replace(Adoption { generation: newer.control.generation, serves });
                }
                Err(_) => may_change = false,
            },
            _ = tick.tick() => {
                records.tick();
                let now = Instant::now();
                roster.sweep(now);
                lane.relief.tell(roster.rests_longest_since(now));
            }
            () = lane.relief.asked() => lane.relief.tell(roster.make_room(Instant::now())),
            () = closing.reached(Phase::Closing), if !is_closing => {
                is_closing = true;
                roster.close();
            }
            () = cut.reached(Phase::Cut) => {
                let Census { handshake, in_flight, resting, tunnel } = roster.census();
                if !roster.is_empty() {
                    tracing::warn!(worker = index, handshake, in_flight, resting, tunnel, "connections that are still open are cut");
                }
                break;
            }
            () = roster.emptied(), if !lane_is_open && is_closing => break,
        }
    }
    records.flush();
}

/// Serves by a newer generation from the next request on, or by the former one again where another worker could not; those in flight keep what
/// they began with. A bug in the making costs the generation and not the worker.
fn adopt<T: Tier>(hall: &Hall<T>, newer: &Generation<T>, seat: Seat) -> bool {
    if Arc::ptr_eq(&hall.plan(), &newer.host) {
        return true;
    }
    let (index, before) = (seat.index, hall.worker());
    let Ok(worker) = catch_unwind(AssertUnwindSafe(|| newer.tier.worker(seat, Some(&before)))) else {
        hall.figures.panics.inc();
        tracing::error!(
            worker = index,
            generation = newer.control.generation,
            "a worker panicked at a new generation, and serves on by the former one"
        );
        return false;
    };
    hall.roster.rest(rest(&newer.host));
    dismiss(&hall.roster, &hall.plan(), &newer.host, hall.clock.now_s());
    let former = hall.stand.replace(Stand { worker: Rc::new(worker), plan: Arc::clone(&newer.host) });
    // After the cell was given back: what the former one held may run code of its own as it goes.
    drop(former);
    true
}

/// Who may come is asked when a connection begins, so that one that was let in by other terms has to begin again.
fn dismiss(roster: &Roster, before: &HostPlan, now: &HostPlan, now_s: u64) {
    let lets_in_as = |place: usize| match (before.listeners.get(place), now.listeners.get(place)) {
        (Some(before), Some(now)) => now.lets_in_all_of(before),
        _ => false,
    };
    if !(0..before.listeners.len()).all(lets_in_as) {
        let still = |place: usize, proof: &Proof| now.listeners.get(place).is_some_and(|plan| proof.suffices(plan, now_s));
        roster.dismiss(|place| !lets_in_as(place), still);
    }
}

fn rest(plan: &HostPlan) -> Rest {
    let limits = &plan.limits;
    Rest { first: limits.head, idle: limits.idle, body: limits.body, dismissed: plan.drain.deadline }
}
