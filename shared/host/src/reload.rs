//! A newer generation of the configuration, beside the one that serves: the whole of it, or nothing.
//!
//! In: somebody who asks, or a file that has changed. Out: one [`Outcome`] for all who asked before the reading began. The order: read and check where
//! blocking is allowed; start the tier's new generation beside the old one; give it to every worker; then publish its number. Refuses: a file with a
//! complaint, a generation that cannot be started, a process that leaves; the former generation goes on. Never: two reloads at a time.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use settings::sight::Sights;
use telemetry::metrics::{Labels, Metrics};
use telemetry::names::{label, metric};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use wire::fetch::Fetcher;

use crate::accept_rate::AcceptRates;
use crate::answer::{text, whole};
use crate::boot::START_MAX;
use crate::ceiling::Ceiling;
use crate::change::changed;
use crate::descriptors;
use crate::drain::Phase;
use crate::load::{Loaded, Loader, Refused};
use crate::notify::Notifier;
use crate::plan::HostPlan;
use crate::plan_limits::LimitsPlan;
use crate::standing::{Standing, StandingWatch};
use crate::tier::{Aside, Control, Tier};
use crate::worker::Adoption;

/// How long reading and checking may take; files may lie on a network that hangs.
const LOAD_MAX: Duration = Duration::from_secs(60);

/// How long a worker may take to adopt a generation. One that takes longer hangs, which is told, again and again.
const ADOPT_MAX: Duration = Duration::from_secs(10);

/// Those who may wait for a reload; more are told that nobody takes their wish.
const ASKS_MAX: usize = 64;

/// What came of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The generation that serves after it.
    pub generation: u64,
    /// Whether and why that is a new one.
    pub verdict: Verdict,
}

/// Whether there is a new generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All workers serve by what was read.
    Adopted,
    /// What was read is what serves.
    Unchanged,
    /// The former generation goes on; every complaint, one a line.
    Refused(Vec<String>),
}

/// A way to ask for a reload; cheap to clone.
#[derive(Clone, Debug)]
pub struct Bell {
    asks: mpsc::Sender<Ask>,
}

#[derive(Debug)]
struct Ask {
    why: String,
    answer: Option<oneshot::Sender<Outcome>>,
}

impl Bell {
    /// Asks, and waits for nothing. Somebody else's wish that nobody has taken up yet is as good.
    pub fn ring(&self, why: &str) {
        let _ = self.asks.try_send(Ask { why: why.to_owned(), answer: None });
    }

    /// Asks, and waits for what comes of it. `None` when too many ask, or the process ends.
    pub async fn ask(&self, why: String) -> Option<Outcome> {
        let (answer, answered) = oneshot::channel();
        self.asks.try_send(Ask { why, answer: Some(answer) }).ok()?;
        answered.await.ok()
    }
}

/// One generation, on its way to the workers.
pub(crate) struct Generation<T: Tier> {
    pub(crate) tier: Arc<T>,
    pub(crate) host: Arc<HostPlan>,
    pub(crate) control: Control,
}

/// The workers as the reload sees them.
pub(crate) struct Crew<T: Tier> {
    /// Every worker looks here.
    pub(crate) given: watch::Sender<Arc<Generation<T>>>,
    /// What came of the generation that each worker was given.
    pub(crate) adopted: Vec<watch::Receiver<Adoption>>,
}

/// Reads the configuration again whenever there is a reason to.
pub(crate) struct Reloader<T: Tier> {
    loader: Loader<T>,
    crew: Crew<T>,
    control: Control,
    standing: watch::Sender<Standing<T>>,
    connections: Arc<Ceiling>,
    accepts: Arc<AcceptRates>,
    notifier: Arc<Notifier>,
    asks: mpsc::Receiver<Ask>,
    /// What serves was read from files that looked like this.
    served: Sights,
    /// What was read last.
    known: Sights,
    /// The number of the generation that was made last; a number is never given twice.
    last: u64,
    reloads: Family<Labels<1>, Counter>,
    failed: Gauge,
    aside: Gauge,
    generation: Gauge,
}

/// What a reloader is made from.
pub(crate) struct Start<T: Tier> {
    pub(crate) loader: Loader<T>,
    pub(crate) crew: Crew<T>,
    pub(crate) control: Control,
    pub(crate) standing: Standing<T>,
    pub(crate) sights: Sights,
    pub(crate) connections: Arc<Ceiling>,
    pub(crate) accepts: Arc<AcceptRates>,
    pub(crate) notifier: Arc<Notifier>,
}

impl<T: Tier> Reloader<T> {
    /// A reloader of a process that serves by `start.standing`.
    pub(crate) fn new(start: Start<T>) -> (Self, Bell, StandingWatch<T>) {
        let Start { loader, crew, control, standing, sights, connections, accepts, notifier } = start;
        let (sender, asks) = mpsc::channel(ASKS_MAX);
        let (standing, watch) = watch::channel(standing);
        let Control { metrics, generation: last, .. } = &control;
        let reloader = Self {
            reloads: reloads(metrics),
            failed: metrics.register_gauge(metric::RELOAD_FAILED, "Whether the last reload was refused"),
            aside: metrics.register_gauge(metric::DROP_INS_ASIDE, "Drop-ins that are set aside"),
            generation: metrics.register_gauge(metric::GENERATION, "Generation of the configuration that serves"),
            last: *last,
            loader,
            crew,
            standing,
            connections,
            accepts,
            notifier,
            asks,
            served: sights.clone(),
            known: sights,
            control,
        };
        reloader.tell_aside(&watch.borrow().aside);
        (reloader, Bell { asks: sender }, watch)
    }

    /// Reloads for as long as somebody may ask.
    pub(crate) async fn run(mut self) {
        loop {
            // A process that leaves adopts nothing, so that nothing is watched for.
            let every = self.standing.borrow().host.watch.filter(|_| !self.leaves());
            let first = tokio::select! {
                ask = self.asks.recv() => match ask {
                    Some(ask) => ask,
                    None => return,
                },
                path = changed(&mut self.known, every) => Ask { why: told(&path), answer: None },
            };
            // All who ask until the reading begins are answered by it.
            let mut asks = vec![first];
            while let Ok(ask) = self.asks.try_recv() {
                asks.push(ask);
            }
            let why = asks.iter().map(|ask| ask.why.as_str()).collect::<Vec<_>>().join(", ");
            let outcome = if self.leaves() { self.turn_away(&why) } else { self.reload(&why).await };
            for answer in asks.into_iter().filter_map(|ask| ask.answer) {
                // Whoever asked may have gone.
                let _ = answer.send(outcome.clone());
            }
        }
    }

    fn leaves(&self) -> bool {
        self.control.life.now() > Phase::Serving
    }

    /// Nothing is read, and the service manager is told nothing: it was told already that the process leaves, or who takes its place.
    fn turn_away(&self, why: &str) -> Outcome {
        tracing::info!(why, "the configuration is not read again, for the process is leaving");
        let complaint = "the process is leaving; ask the one that takes its place".to_owned();
        Outcome { generation: self.standing.borrow().generation, verdict: Verdict::Refused(vec![complaint]) }
    }

    async fn reload(&mut self, why: &str) -> Outcome {
        let begun = Instant::now();
        self.notifier.reloading();
        let verdict = self.verdict(why).await;
        let generation = self.standing.borrow().generation;
        let word = match &verdict {
            Verdict::Adopted => "adopted",
            Verdict::Unchanged => "unchanged",
            Verdict::Refused(_) => "refused",
        };
        self.reloads.get_or_create(&[(label::OUTCOME, word.into())]).inc();
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let failure = match &verdict {
            Verdict::Refused(complaints) => {
                let number = complaints.len();
                tracing::error!(
                    why,
                    generation,
                    complaints = number,
                    took_ms,
                    "the configuration was not reloaded; the former generation serves on"
                );
                for complaint in complaints {
                    tracing::error!(complaint, "not reloaded");
                }
                complaints.first().map(|first| Arc::from(first.as_str()))
            }
            Verdict::Adopted | Verdict::Unchanged => {
                tracing::info!(why, generation, outcome = word, took_ms, "the configuration was reloaded");
                None
            }
        };
        self.failed.set(i64::from(failure.is_some()));
        // Also after one that was refused: the process serves as before, and a manager that waits for more would end it. One that leaves meanwhile has
        // said so, and is not ready any more.
        if !self.leaves() {
            self.notifier.ready(&match &failure {
                None => format!("serving, generation {generation}"),
                Some(complaint) => format!("serving, generation {generation}; the last reload was refused: {complaint}"),
            });
        }
        self.standing.send_modify(|standing| standing.failure = failure);
        Outcome { generation, verdict }
    }

    async fn verdict(&mut self, why: &str) -> Verdict {
        tracing::info!(why, "reading the configuration again");
        match self.load().await {
            Ok(loaded) => {
                self.known = loaded.sights.clone();
                if loaded.sights == self.served {
                    return Verdict::Unchanged;
                }
                self.adopt(loaded).await
            }
            Err(Refused { complaints, sights }) => {
                // Without sights nothing was read to its end, and what was known is what must change.
                if !sights.is_empty() {
                    self.known = sights;
                }
                Verdict::Refused(complaints.iter().map(ToString::to_string).collect())
            }
        }
    }

    async fn load(&self) -> Result<Loaded<T>, Refused> {
        let (loader, former) = (self.loader.clone(), self.standing.borrow().former());
        let name = loader.name().to_owned();
        let failed = |what: String| {
            let complaint = crate::load::about(&name, what, "see the log lines before this one");
            Refused { complaints: vec![complaint], sights: Sights::default() }
        };
        match timeout(LOAD_MAX, spawn_blocking(move || loader.load(Some(&former)))).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(failed("reading it panicked".to_owned())),
            Err(_) => Err(failed(format!("reading it took longer than {LOAD_MAX:?}"))),
        }
    }

    /// Starts the generation and gives it to every worker.
    async fn adopt(&mut self, loaded: Loaded<T>) -> Verdict {
        let Loaded { checked, shown, sights } = loaded;
        let mut host = checked.host;
        host.keep_tls_of(&self.standing.borrow().host);
        let (host, plan) = (Arc::new(host), Arc::new(checked.tier));
        self.last += 1;
        // A new issuer may be proved by the new roots alone.
        let fetcher = match self.fetcher(&host) {
            Ok(fetcher) => fetcher,
            Err(what) => return Verdict::Refused(vec![what]),
        };
        let control = Control { generation: self.last, fetcher: Arc::clone(&fetcher), ..self.control.clone() };
        let before = Arc::clone(&self.standing.borrow().tier);
        let tier = match start::<T>(Arc::clone(&plan), before, control.clone()).await {
            Ok(tier) => tier,
            Err(what) => return Verdict::Refused(vec![what]),
        };
        if let Err(what) = self.give(Generation { tier: Arc::clone(&tier), host: Arc::clone(&host), control }).await {
            return Verdict::Refused(vec![what]);
        }
        fetcher.settle();
        self.connections.set(descriptors::clients_max(host.limits.connections_max));
        self.accepts.set(host.limits.accepts_per_second_max);
        let plaintext_before: Vec<bool> = self.standing.borrow().host.listeners.iter().map(|plan| plan.is_plaintext()).collect();
        for (plan, _) in host.listeners.iter().zip(plaintext_before).filter(|(plan, was)| plan.is_plaintext() && !was) {
            crate::boot::warn_of_plaintext(plan);
        }
        let limits_before = self.standing.borrow().host.limits;
        if host.limits.connections_max != limits_before.connections_max {
            descriptors::warn_if_few(host.limits.connections_max);
        }
        let both = |limits: &LimitsPlan| (limits.connections_max, limits.connections_per_address_max);
        if both(&host.limits) != both(&limits_before) {
            descriptors::warn_if_one_may_fill(&host.limits);
        }
        self.served = sights;
        let aside: Arc<[Aside]> = checked.aside.into();
        if *self.standing.borrow().aside != *aside {
            self.tell_aside(&aside);
        }
        let generation = self.last;
        let publish = |standing: &mut Standing<T>| {
            *standing = Standing { generation, pages: tier.admin(), tier, host, plan, shown: Arc::new(shown), aside, failure: None };
        };
        self.standing.send_modify(publish);
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        if self.leaves() {
            // The former generation was told while this one was on its way.
            self.standing.borrow().tier.draining();
        }
        Verdict::Adopted
    }

    /// By what a generation of `host` fetches: where its roots or what is allowed have changed, by those alone, while what serves goes on by the former ones.
    fn fetcher(&self, host: &HostPlan) -> Result<Arc<Fetcher>, String> {
        let shared = &self.control.fetcher;
        if self.standing.borrow().host.fetch == host.fetch {
            return Ok(Arc::clone(shared));
        }
        shared.ahead(&host.fetch).map(Arc::new).map_err(|fault| format!("{} {}; {}", fault.file, fault.what, fault.remedy))
    }

    /// Gives a generation to every worker. Where one cannot serve by it, all are given the former one again.
    async fn give(&mut self, newer: Generation<T>) -> Result<(), String> {
        let generation = newer.control.generation;
        let former = self.crew.given.send_replace(Arc::new(newer));
        let failed = self.wait_for_workers(generation).await;
        if failed.is_empty() {
            return Ok(());
        }
        let of_former = former.control.generation;
        self.crew.given.send_replace(former);
        let torn = self.wait_for_workers(of_former).await;
        if !torn.is_empty() {
            // Two generations serve side by side until the next reload is adopted.
            tracing::error!(workers = ?torn, generation, "workers could not go back to the former generation; mend the file, or restart");
        }
        Err(format!("the new generation panicked in workers {failed:?}; report this, with the log lines before this one"))
    }

    /// Waits until every worker has done with `generation`, and says which do not serve by it. One that does not come to it hangs, and nothing that
    /// is said of a generation is true until that is over.
    async fn wait_for_workers(&mut self, generation: u64) -> Vec<usize> {
        let mut failed = Vec::new();
        for (worker, adopted) in self.crew.adopted.iter_mut().enumerate() {
            loop {
                match timeout(ADOPT_MAX, adopted.wait_for(|adoption| adoption.generation == generation)).await {
                    Ok(Ok(adoption)) if !adoption.serves => failed.push(worker),
                    // An error means that the worker has ended: it serves by nothing any more.
                    Ok(_) => {}
                    Err(_) => {
                        let what = format!(
                            "worker {worker} has not adopted generation {generation} within {ADOPT_MAX:?}: it hangs; restart the process"
                        );
                        tracing::error!(worker, generation, "{what}");
                        self.failed.set(1);
                        self.standing.send_modify(|standing| standing.failure = Some(what.into()));
                        continue;
                    }
                }
                break;
            }
        }
        failed
    }

    fn tell_aside(&self, aside: &[Aside]) {
        self.aside.set(i64::try_from(aside.len()).unwrap_or(i64::MAX));
        for one in aside {
            tracing::error!(
                name = one.name,
                complaints = one.complaints.len(),
                detail = one.detail,
                "a part of the configuration was set aside"
            );
            for complaint in &one.complaints {
                tracing::error!(name = one.name, %complaint, "set aside");
            }
        }
    }
}

/// Starts the newer generation of the tier. A bug in it costs that generation, and not every reload to come.
async fn start<T: Tier>(plan: Arc<T::Plan>, before: Arc<T>, control: Control) -> Result<Arc<T>, String> {
    match timeout(START_MAX, whole(T::start(plan, Some(before), control))).await {
        Ok(Ok(Ok(tier))) => Ok(tier),
        Ok(Ok(Err(error))) => Err(error.to_string()),
        Ok(Err(panic)) => Err(format!("the new generation panicked: {}; report this", text(&*panic))),
        Err(_) => Err(format!("the new generation did not start within {START_MAX:?}; see the log lines before this one")),
    }
}

fn told(path: &Path) -> String {
    format!("{} has changed", path.display())
}

fn reloads(metrics: &Metrics) -> Family<Labels<1>, Counter> {
    metrics.register_family(metric::RELOADS, "Reloads of the configuration, by outcome")
}
