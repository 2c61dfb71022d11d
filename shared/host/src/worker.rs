//! A worker: one thread, one single-threaded runtime, the connections that were dealt to it, and the tier's state that never leaves it.
//!
//! In: connections through its lane. Out: their requests to the tier. On the way out it asks its connections to end, waits for them, and hands
//! over its records. Never: shares a connection with another worker, blocks.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use crate::deal::Dealt;
use crate::drain::{LifeWatch, Phase};
use crate::figures::Figures;
use crate::plan::HostPlan;
use crate::roster::{Census, Rest, Roster};
use crate::serve::{Hall, serve};
use crate::tier::{Control, Seat, Tier};

/// How often resting connections are looked for.
const SWEEP_EVERY: Duration = Duration::from_millis(250);

/// How long a worker's runtime may take to end once its tasks were dropped.
const END_MAX: Duration = Duration::from_secs(1);

/// What every worker is started with.
pub(crate) struct Kit<T: Tier> {
    pub(crate) tier: Arc<T>,
    pub(crate) control: Control,
    pub(crate) plan: Arc<HostPlan>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) life: LifeWatch,
}

impl<T: Tier> Clone for Kit<T> {
    fn clone(&self) -> Self {
        Self {
            tier: Arc::clone(&self.tier),
            control: self.control.clone(),
            plan: Arc::clone(&self.plan),
            figures: Arc::clone(&self.figures),
            life: self.life.clone(),
        }
    }
}

/// The two moments of a worker that others wait for.
pub(crate) struct Worker {
    /// It serves; an error means that the tier's worker could not be made.
    pub(crate) ready: oneshot::Receiver<()>,
    /// It has ended, in whatever way.
    pub(crate) ended: oneshot::Receiver<()>,
}

/// Starts the thread of a worker.
///
/// # Errors
/// When the system has no thread or descriptor left.
pub(crate) fn start<T: Tier>(index: usize, kit: Kit<T>, lane: mpsc::Receiver<Dealt>) -> io::Result<Worker> {
    let (ready_sender, ready) = oneshot::channel();
    let (ended_sender, ended) = oneshot::channel::<()>();
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        let _ended = ended_sender;
        match builder.build_local(LocalOptions::default()) {
            Ok(runtime) => {
                runtime.block_on(work(index, kit, lane, ready_sender));
                // What is still open is dropped here, and writes its record as it goes.
                runtime.shutdown_timeout(END_MAX);
            }
            Err(error) => tracing::error!(index, %error, "a worker could not start"),
        }
    })?;
    Ok(Worker { ready, ended })
}

async fn work<T: Tier>(index: usize, kit: Kit<T>, mut lane: mpsc::Receiver<Dealt>, ready: oneshot::Sender<()>) {
    let records = Rc::new(kit.control.records.buffer());
    let tick_every = kit.control.records.tick_every().min(SWEEP_EVERY);
    let roster = Rc::new(Roster::new(Rest { first: kit.plan.limits.head, idle: kit.plan.limits.idle, body: kit.plan.limits.body }));
    let clock = kit.control.clock.clone();
    let worker = Rc::new(kit.tier.worker(Seat { index, records: Rc::clone(&records), control: kit.control.clone() }, None));
    let hall = Rc::new(Hall::<T> {
        worker,
        plan: kit.plan,
        roster: Rc::clone(&roster),
        records: Rc::clone(&records),
        figures: kit.figures,
        clock,
    });
    // Nobody waits for it if the boot was given up.
    let _ = ready.send(());

    let mut tick = interval(tick_every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut closing = kit.life.clone();
    let mut cut = kit.life;
    let (mut lane_is_open, mut is_closing) = (true, false);
    loop {
        tokio::select! {
            dealt = lane.recv(), if lane_is_open => match dealt {
                Some(dealt) => drop(tokio::task::spawn_local(serve(Rc::clone(&hall), dealt))),
                None => lane_is_open = false,
            },
            _ = tick.tick() => {
                records.tick();
                roster.sweep(Instant::now());
            }
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
