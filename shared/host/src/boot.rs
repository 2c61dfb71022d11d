//! From a plan to a process that serves, and back to nothing.
//!
//! In: a checked plan, inherited sockets, what asks it to leave. Out: `ready`, then nothing until the drain is done. The order: bind, then the
//! tier's own start, then workers, admin, accepting; so that a taken port is told before anybody waits for an issuer. A successor waits for the
//! tier's readiness before it accepts. Refuses: to serve with less than the plan says. Never: accepts before the tier can answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use settings::clock::Clock;
use telemetry::metrics::Metrics;
use telemetry::record::Records;
use telemetry::traces::{Resource, Tracing};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout, timeout_at};
use wire::fetch::Fetcher;
use wire::fetch::otlp::OtlpClient;
use wire::resolver::Names;
use wire::tasks::Tasks;

use crate::accept_rate::AcceptRates;
use crate::addresses::Addresses;
use crate::admin::{self, Admin};
use crate::bind::{self, Socket};
use crate::ceiling::Ceiling;
use crate::certificates::Certificates;
use crate::deal::{Dealer, Lane};
use crate::descriptors;
use crate::drain::{self, Departure, Life, LifeWatch};
use crate::figures::Figures;
use crate::handover::{self, Handover, Succession};
use crate::inherit::Inherited;
use crate::load::{Loaded, Loader};
use crate::notify::Notifier;
use crate::orders::{Order, Orders};
use crate::plan::HostPlan;
use crate::plan_listener::ListenerPlan;
use crate::reload::{Crew, Generation, Reloader, Start};
use crate::standing::Standing;
use crate::succession::origin::Origin;
use crate::succession::predecessor::Predecessor;
use crate::succession::{Heritage, Successor};
use crate::tier::{Aside, BootError, Control, Tier};
use crate::worker::{self, Kit, Worker};

/// How long the tier's own start may take; the waits inside it have shorter bounds of their own.
pub(crate) const START_MAX: Duration = Duration::from_secs(60);

/// How long a worker may take to make its state.
const WORKER_START_MAX: Duration = Duration::from_secs(10);

/// How long the last records and spans may take to reach their sinks.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// What a life begins with.
pub struct Boot<T: Tier> {
    /// What was read and found good.
    pub loaded: Loaded<T>,
    /// Reads it again.
    pub loader: Loader<T>,
    /// Sockets that were open before this process.
    pub inherited: Inherited,
    /// How the process was started; without that it cannot be upgraded.
    pub origin: Option<Origin>,
    /// The way to the service manager.
    pub notifier: Notifier,
    /// When the process was started.
    pub begun: Instant,
}

/// Where a process can be reached; ports are the real ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Name and address of each listener, in the order of the plan.
    pub listeners: Vec<(Arc<str>, String)>,
    /// The operator's door.
    pub admin: String,
}

/// Lives one life on the current runtime, which becomes the control runtime. `ready` is told where the process can be reached.
///
/// # Errors
/// What kept it from serving; a process that waits to hand over to this one was told.
pub async fn live<T: Tier>(mut boot: Boot<T>, orders: Orders, ready: impl FnOnce(&Places)) -> Result<Departure, BootError> {
    let mut predecessor = boot.inherited.predecessor();
    let outcome = lead(boot, &mut predecessor, orders, ready).await;
    if let (Err(error), Some(predecessor)) = (&outcome, predecessor) {
        predecessor.failed(error);
    }
    outcome
}

/// The life; `predecessor` is taken once it is told that this process serves.
async fn lead<T: Tier>(
    boot: Boot<T>,
    predecessor: &mut Option<Predecessor>,
    mut orders: Orders,
    ready: impl FnOnce(&Places),
) -> Result<Departure, BootError> {
    let Boot { loaded: Loaded { checked, shown, sights }, loader, inherited, origin, notifier, begun } = boot;
    if let (Some(_), Some(aside)) = (&predecessor, checked.aside.first()) {
        return Err(outdone(aside));
    }
    let (host, plan, notifier) = (Arc::new(checked.host), Arc::new(checked.tier), Arc::new(notifier));
    descriptors::raise();
    let bound = bind::bind(&host, inherited)?;
    let places = Places {
        listeners: bound.listeners.iter().map(|socket| (Arc::clone(&socket.name), socket.listener.address())).collect(),
        admin: bound.admin.listener.address(),
    };

    let (life, watch) = Life::begin();
    let control = control(&host, watch.clone())?;
    let figures = Arc::new(Figures::register(&control.metrics, host.listeners.iter().map(|plan| Arc::clone(&plan.name))));
    admin::register::<T>(&control);
    let start = timeout(START_MAX, T::start(Arc::clone(&plan), None, control.clone()));
    let tier = tokio::select! {
        started = start => started.map_err(|_| BootError::new(format!("{} did not start within {START_MAX:?}", T::NAME), "see the log lines before this one"))??,
        why = orders.leave() => {
            tracing::info!(why, "asked to leave before it was ready");
            return Ok(Departure::Drained);
        }
    };

    let first = Generation { tier: Arc::clone(&tier), host: Arc::clone(&host), control: control.clone() };
    let (given, given_watch) = tokio::sync::watch::channel(Arc::new(first));
    let kit = Kit { given: given_watch, figures: Arc::clone(&figures), addresses: Arc::new(Addresses::default()), life: watch.clone() };
    let (lanes, workers) = crew(kit, host.workers).await?;

    if let Some(former) = &predecessor {
        // Until then the other process answers, also at the admin door.
        tokio::select! {
            readiness = becomes_ready(&*tier, host.ready_within, || former.is_gone()) => readiness?,
            why = orders.leave() => return Err(BootError::new(format!("asked to leave ({why}) before it served"), "start it anew")),
        }
    }
    let connections = Ceiling::new(descriptors::clients_max(host.limits.connections_max));
    let accepts = Arc::new(AcceptRates::new(host.listeners.iter().map(|plan| &plan.address), host.limits.accepts_per_second_max));
    let adopted: Vec<_> = workers.iter().map(|worker| worker.adopted.clone()).collect();
    let (reloader, bell, standing) = Reloader::new(Start {
        loader,
        crew: Crew { given, adopted: adopted.clone() },
        control: control.clone(),
        standing: Standing {
            generation: control.generation,
            host: Arc::clone(&host),
            plan,
            pages: tier.admin(),
            tier,
            shown: Arc::new(shown),
            aside: checked.aside.into(),
            failure: None,
        },
        sights,
        connections: Arc::clone(&connections),
        accepts: Arc::clone(&accepts),
        notifier: Arc::clone(&notifier),
    });
    control.tasks.spawn("reload", reloader.run());
    let mut certificates = Certificates::new(&control.metrics, control.clock.clone());
    certificates.take(&host);
    control.tasks.spawn("certificates", certificates.follow(standing.clone()));
    let heritage = Heritage::of(&bound)?;
    bound.set_modes()?;
    let taken = bound.taken();
    let (mut handover, desk) = Handover::new(heritage, origin, &control.metrics);
    let admin = Admin::new(standing.clone(), &places, (&lanes, adopted), control.clone(), bell.clone(), desk);
    let door = admin::open(&control.tasks, admin.router(), bound.admin.listener, host.admin.clone(), watch.clone());
    let dealer = Arc::new(Dealer::new(lanes, connections, accepts, figures));
    let acceptors = accept(dealer, bound.listeners, &watch);
    if let Some(predecessor) = predecessor.take() {
        handover::count_handed_over(&control.metrics);
        predecessor.ready(taken);
    }
    notifier.ready(&format!("serving, generation {}", control.generation));

    descriptors::warn_if_few(host.limits.connections_max);
    descriptors::warn_if_one_may_fill(&host.limits);
    host.listeners.iter().filter(|plan| plan.is_plaintext()).for_each(warn_of_plaintext);
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(tier = T::NAME, pid = std::process::id(), listeners = ?places.listeners, admin = places.admin, workers = host.workers, took_ms, "ready");
    ready(&places);

    // Whoever boots may have held it for longer than it serves.
    drop(host);
    let end = loop {
        tokio::select! {
            // Who serves is decided by the successor; an order comes to whoever it turns out to be.
            biased;
            succession = handover.happens() => break End::Succeeded(Box::new(succession)),
            order = orders.next() => match order {
                Order::Leave(why) => break End::Asked(why),
                Order::Reload(why) => bell.ring(why),
                Order::Upgrade(why) => handover.begin(why),
            },
        }
    };
    // Whoever ends a process that has handed over means the one that serves, and must not cut what this one still answers.
    let mut may_be_asked_once = matches!(end, End::Succeeded(_));
    let end = match end {
        End::Asked(why) => handover.give_up().await.map_or(End::Asked(why), |succession| End::Succeeded(Box::new(succession))),
        succeeded @ End::Succeeded(_) => succeeded,
    };
    let (mut drain, tier) = {
        let standing = standing.borrow();
        (standing.host.drain, Arc::clone(&standing.tier))
    };
    let mut follows = None;
    match end {
        End::Asked(why) => {
            drop(handover);
            notifier.stopping(why);
            tracing::info!(why, wait = ?drain.wait, deadline = ?drain.deadline, "draining");
            tier.draining();
        }
        End::Succeeded(mut succession) => {
            // From here on the successor alone accepts; it has the same queues, so nobody waits in vain and nobody needs to look elsewhere.
            notifier.main_pid(succession.successor.pid());
            succession.successor.reload();
            drain.wait = Duration::ZERO;
            tracing::info!(successor = succession.successor.pid(), deadline = ?drain.deadline, "handed over; draining");
            // Before any queue is emptied: one that stayed open here would take connections that nobody accepts.
            handover.is_over(&succession.taken);
            life.hand_over(succession.taken.clone());
            // Whoever asked for it and asks again meets the successor. It fails where the door could not be opened.
            let _ = door.closed.await;
            succession.tell();
            follows = Some((handover, Some(succession.successor)));
        }
    }
    drop(tier);
    let mut ended: Vec<_> = workers.into_iter().map(|worker| worker.ended).collect();
    let last_answers_until = tokio::time::Instant::now() + drain.deadline.max(LAST_ANSWERS_MIN);
    let asked_again = {
        let mut departs = pin!(drain::depart(&life, drain, acceptors, &mut ended));
        loop {
            tokio::select! {
                departure = &mut departs => break Ok(departure),
                why = orders.leave() => match std::mem::take(&mut may_be_asked_once) {
                    true => {
                        tracing::info!(why, "asked to leave, which it does already; asked once more it ends at once");
                        // The service may be about to end; then nobody is to be started.
                        follows = None;
                    }
                    false => break Err(why),
                },
                next = follow(&mut follows) => notifier.main_pid(next),
            }
        }
    };
    let departure = match asked_again {
        Ok(departure) => departure,
        Err(why) => {
            tracing::warn!(why, "asked a second time; ending at once");
            let departure = drain::end_at_once(&life, &mut ended).await;
            let records = control.records.flush(drain::AT_ONCE_MAX);
            if records > 0 {
                tracing::error!(records, "the sinks did not take every record within {:?}", drain::AT_ONCE_MAX);
            }
            return Ok(departure);
        }
    };
    if watch.has_successor() {
        // The last answers of the admin door, such as that of a reload.
        if timeout_at(last_answers_until, door.ended).await.is_err() {
            tracing::warn!("an operator did not take an answer before the deadline");
        }
    }
    settle(&control).await;
    tracing::info!(?departure, "ended");
    Ok(departure)
}

/// Watches the successor, and starts another one if it breaks down while this process drains: nobody would accept. Returns once that one serves, with its
/// process id; never, if there is no successor. May be broken off: who was started then sees that this process has ended, and serves.
async fn follow(follows: &mut Option<(Handover, Option<Successor>)>) -> u32 {
    let Some((handover, successor)) = follows else { return std::future::pending().await };
    if let Some(serving) = successor {
        let how = serving.breaks_down().await;
        tracing::error!("the successor ended {how} while this process drains, and nobody accepts; another one is started");
        *successor = None;
        handover.begin("the successor ended");
    }
    let next = handover.happens().await.successor;
    let pid = next.pid();
    tracing::info!(successor = pid, "another successor serves");
    *successor = Some(next);
    pid
}

/// Why a process stops serving.
enum End {
    Asked(&'static str),
    Succeeded(Box<Succession>),
}

/// Why a process does not follow another one by less than its whole configuration: the former may serve by what was good of it before.
fn outdone(aside: &Aside) -> BootError {
    let first = aside.complaints.first().map(ToString::to_string).unwrap_or_default();
    BootError::new(format!("{} would be set aside, {}: {first}", aside.name, aside.detail), "mend it or take it out, and ask again")
}

/// How often a successor looks whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Waits until the tier has all that it needs to follow another process, or until that one `is_gone`: then there is nobody to lose anything to.
async fn becomes_ready<T: Tier>(tier: &T, within: Duration, is_gone: impl Fn() -> bool) -> Result<(), BootError> {
    let all_ready = async {
        while tier.succession_readiness().iter().any(|check| !check.ready) {
            if is_gone() {
                tracing::warn!("the process before this one has ended; this one serves with what it has");
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    };
    if timeout(within, all_ready).await.is_ok() {
        return Ok(());
    }
    let failing = tier.succession_readiness().into_iter().filter(|check| !check.ready);
    let failing: Vec<String> = failing.map(|check| format!("{}: {}", check.name, check.detail)).collect();
    Err(BootError::new(
        format!("the successor was not ready within {within:?}: {}", failing.join("; ")),
        "mend that and ask again, or raise upgrade.ready_within",
    ))
}

/// What the control runtime lends to everybody.
fn control(host: &HostPlan, life: LifeWatch) -> Result<Control, BootError> {
    let tasks = Tasks::on(Handle::current());
    let names = Arc::new(if host.dns_servers.is_empty() { Names::system(&tasks) } else { Names::servers(&host.dns_servers, &tasks) });
    let fetcher = Fetcher::new(Arc::clone(&names), &host.fetch)
        .map_err(|fault| BootError::new(format!("{} {}", fault.file, fault.what), fault.remedy))?;
    let metrics = Metrics::new();
    let records = Records::open(&host.records, &metrics)
        .map_err(|fault| BootError::new(fault.to_string(), "create the folder, and let this user write to it"))?;
    let resource = Resource { service: host.name.clone(), version: BUILD.to_owned(), instance: format!("{:016x}", rand::random::<u64>()) };
    let spawner = tasks.clone();
    let tracing =
        Tracing::start(&host.traces, &resource, Arc::new(OtlpClient::new(&fetcher, tasks.clone())), &metrics, move |name, work| {
            spawner.spawn(name, work)
        })
        .map_err(|fault| BootError::new(fault.to_string(), "see traces.otlp.endpoint"))?;
    Ok(Control {
        tasks,
        names,
        fetcher: Arc::new(fetcher),
        metrics,
        clock: Clock::system(),
        records,
        tracing: Arc::new(tracing),
        generation: 1,
        life,
        workers: host.workers,
    })
}

/// How long the last answers of the admin door may take at least, however short the drain.
const LAST_ANSWERS_MIN: Duration = Duration::from_secs(5);

/// The version of this build.
pub const BUILD: &str = env!("CARGO_PKG_VERSION");

/// Starts every worker and waits until each has made its state.
async fn crew<T: Tier>(kit: Kit<T>, number: usize) -> Result<(Vec<Lane>, Vec<Worker>), BootError> {
    let mut lanes = Vec::with_capacity(number);
    let mut workers = Vec::with_capacity(number);
    let base = Instant::now();
    for index in 0..number {
        let (lane, receiver) = Lane::new(base);
        let started = worker::start(index, kit.clone(), receiver);
        workers.push(started.map_err(|error| {
            BootError::new(format!("worker {index} cannot be started: {error}"), "write fewer workers, or raise the limit of threads")
        })?);
        lanes.push(lane);
    }
    for (index, worker) in workers.iter_mut().enumerate() {
        match timeout(WORKER_START_MAX, &mut worker.ready).await {
            Ok(Ok(())) => {}
            _ => return Err(BootError::new(format!("worker {index} did not come up"), "see the log lines before this one")),
        }
    }
    Ok((lanes, workers))
}

/// Said at every start, and when a reload opens a listener.
pub(crate) fn warn_of_plaintext(plan: &ListenerPlan) {
    let listener = &*plan.name;
    tracing::warn!(listener, "allow_plaintext: requests on this listener can be read and changed by whoever is in between");
    if plan.publish_keys {
        tracing::warn!(
            listener,
            "publish_keys over plaintext: whoever is in between can publish keys of his own, and be anybody to who fetches them"
        );
    }
}

/// One task per listener; they end when the process closes.
fn accept(dealer: Arc<Dealer>, listeners: Vec<Socket>, life: &LifeWatch) -> JoinSet<()> {
    let mut acceptors = JoinSet::new();
    for (place, Socket { name, listener, .. }) in listeners.into_iter().enumerate() {
        let (dealer, life) = (Arc::clone(&dealer), life.clone());
        acceptors.spawn(async move {
            if let Err(error) = dealer.accept_from(listener, name, place, life).await {
                tracing::error!(listener = place, %error, "a listener cannot be watched; it accepts nothing");
            }
        });
    }
    acceptors
}

/// What was recorded reaches its sinks.
async fn settle(control: &Control) {
    let spans = control.tracing.flush(FLUSH_MAX).await;
    let records = control.records.flush(FLUSH_MAX);
    if spans + records > 0 {
        tracing::error!(spans, records, "the sinks did not take everything within {FLUSH_MAX:?}");
    }
}
