//! One service of one configuration while it runs: its plan, and its hold on the instances.
//!
//! In: a plan, and what served before it. Out: an instance for each attempt, and a snapshot for operators.
//! Never: asks a name service itself, or makes a request wait.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use settings::clock::Clock;
use telemetry::metrics::Metrics;
use wire::resolver::families::Family;
use wire::tasks::Tasks;

use crate::affinity::Affinity;
use crate::budget::Budget;
use crate::ceiling::Ceiling;
use crate::config::balance::Balance;
use crate::discover::file::{self, Place};
use crate::endpoint::{Address, Endpoint};
use crate::endpoints::{EndpointSet, Found};
use crate::guard::Guard;
use crate::instances::{Instances, Lease, Terms};
use crate::levels::Level;
use crate::lookup::Lookup;
use crate::measures::Measures;
use crate::observed::Observed;
use crate::pick::tried::Tried;
use crate::pick::{self, Asked, PickFault};
use crate::plan::ServicePlan;
use crate::plan::discover::DiscoverPlan;
use crate::snapshot::{EjectionSnapshot, EndpointSnapshot, FailureSnapshot, HistorySnapshot, LevelSnapshot, ServiceSnapshot};
use crate::trip::Trip;
use crate::{discover, health, moment, outlier, sticky};

/// A service that runs. Dropping the last handle ends its discovery and retires its instances, unless a later configuration of the service goes on
/// with them.
#[derive(Debug)]
pub struct Service {
    plan: ServicePlan,
    instances: Lease,
}

/// An instance for one attempt.
#[derive(Debug)]
pub(crate) struct Picked {
    pub(crate) endpoint: Arc<Endpoint>,
    /// The generation of the set that it was picked from.
    pub(crate) generation: u64,
    /// The first attempt after a penalty.
    pub(crate) is_trial: bool,
}

impl Service {
    /// Starts a service that was not there before; see [`Service::after`].
    pub fn start<L: Lookup>(plan: ServicePlan, names: &Arc<L>, tasks: &Tasks, clock: &Clock, metrics: &Metrics) -> Arc<Self> {
        Self::after(None, plan, names, tasks, clock, metrics)
    }

    /// Starts the service of a new configuration; `before` is that of the same name in the one that serves now. Of an equal plan it is the same
    /// service. Where the instances are found and reached in the same way, they stay with all that is known of them, and discovery goes on; `before`
    /// can go on serving beside it, and alone again if this one is dropped. Static and Unix instances are there at once; others after the first
    /// answer (see [`Service::wait_first`]), until which those of `before` stay in use, except where it used TLS and this one does not.
    /// Generations count on in any case.
    pub fn after<L: Lookup>(
        before: Option<&Arc<Self>>,
        plan: ServicePlan,
        names: &Arc<L>,
        tasks: &Tasks,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Arc<Self> {
        let before = before.filter(|before| before.plan.name == plan.name);
        if let Some(before) = before
            && before.plan == plan
        {
            return Arc::clone(before);
        }
        let terms = Terms::of(&plan);
        let instances = match before {
            Some(before) if before.instances.suit(&plan) => Arc::clone(&before.instances),
            Some(before) => begin(Instances::succeed(&before.instances, &plan, clock), names, tasks),
            None => begin(Instances::new(&plan, Measures::of(&plan.name, metrics), clock), names, tasks),
        };
        let instances = Lease::take(instances, terms);
        if plan.breaker.is_none() {
            instances.guard().without_breaker(instances.measures());
        }
        if plan.health.is_some() && instances.begin_checks() {
            tasks.spawn("health", health::keep_checked(Arc::downgrade(&instances), instances.terms(), instances.generations()));
        }
        if instances.begin_judging() {
            tasks.spawn("outliers", outlier::keep_judged(Arc::downgrade(&instances), instances.terms()));
        }
        Arc::new(Self { plan, instances })
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Its plan.
    #[must_use]
    pub fn plan(&self) -> &ServicePlan {
        &self.plan
    }

    /// The instances now, to keep.
    #[must_use]
    pub fn endpoints(&self) -> Arc<EndpointSet> {
        self.instances.endpoints()
    }

    /// Its counters.
    #[must_use]
    pub fn measures(&self) -> &Measures {
        self.instances.measures()
    }

    /// Waits for the first instances, at most `within`; `false` when there were none by then.
    pub async fn wait_first(&self, within: Duration) -> bool {
        self.wait_generation(self.instances.first(), within).await
    }

    /// Waits until at least generation `number` serves, at most `within`.
    pub async fn wait_generation(&self, number: u64, within: Duration) -> bool {
        let mut seen = self.instances.generations();
        tokio::time::timeout(within, seen.wait_for(|generation| *generation >= number)).await.is_ok_and(|seen| seen.is_ok())
    }

    /// Waits until every instance known now was checked once, at most `within`; `false` when one was not. True at once without checks.
    pub async fn wait_checked(&self, within: Duration) -> bool {
        if self.plan.health.is_none() {
            return true;
        }
        let mut seen = self.instances.checks();
        let all = |_: &u64| self.endpoints().endpoints().iter().all(|endpoint| endpoint.checked().was_checked());
        tokio::time::timeout(within, seen.wait_for(all)).await.is_ok_and(|seen| seen.is_ok())
    }

    /// The service as operators see it now.
    #[must_use]
    pub fn snapshot(&self) -> ServiceSnapshot {
        let set = self.instances.endpoints();
        let now_ms = moment::now_ms();
        let news = self.instances.news();
        ServiceSnapshot {
            name: self.plan.name.to_string(),
            generation: set.generation(),
            provenance: self.instances.history().get(set.generation()),
            refreshed_at_ms: news.refreshed_at_ms,
            failure: news.failure.map(|failure| FailureSnapshot {
                code: failure.fault.code,
                family: failure.family.map(Family::word),
                since_ms: failure.since_ms,
                definite: failure.fault.definite,
                kept_until_ms: news.kept_until_ms.filter(|_| !set.endpoints().is_empty()),
            }),
            connections: self.ceiling().open(),
            handed_down: set.is_handed_down(),
            levels: level_snapshots(&set, self.plan.balance.panic_percent, now_ms),
            endpoints: set
                .endpoints()
                .iter()
                .zip(set.found())
                .map(|(endpoint, found)| EndpointSnapshot {
                    address: endpoint.name().to_owned(),
                    host: endpoint.host().map(str::to_owned),
                    weight: found.weight,
                    priority: found.priority,
                    in_flight: endpoint.in_flight(),
                    consecutive_failures: endpoint.consecutive_failures(),
                    ejected: endpoint.is_avoided(now_ms),
                    ejection: EjectionSnapshot::of(endpoint, now_ms, self.instances.clock().now_ms()),
                    ejections: endpoint.record().ejections(),
                    held: endpoint.is_held(),
                    health: endpoint.checked().snapshot(),
                })
                .collect(),
        }
    }

    /// The last generations of its instances.
    #[must_use]
    pub fn history(&self) -> HistorySnapshot {
        let generation = self.instances.set().load().generation();
        HistorySnapshot { name: self.plan.name.to_string(), generation, generations: self.instances.history().all() }
    }

    /// Where a request with these headers would rather go; `now_s` is Unix time in seconds. Nothing is allocated.
    #[must_use]
    pub fn affinity(&self, headers: &HeaderMap, caller: Option<&str>, client: Option<IpAddr>, now_s: u64) -> Affinity {
        Affinity::of(&self.plan.balance, self.name(), headers, caller, client, now_s)
    }

    /// The `Set-Cookie` field for the answer to a request that went to where `trip` says: where clients are sent back to their instance, and this one
    /// had no cookie for it, or one whose life is half over.
    #[must_use]
    pub fn stick(&self, trip: &Trip, affinity: Affinity, now_s: u64) -> Option<HeaderValue> {
        let plan = self.plan.balance.sticky.as_ref()?;
        let instance = trip.instance.as_ref()?.hash();
        if affinity.wanted == Some(instance) && !affinity.is_aging {
            return None;
        }
        sticky::write(plan, self.name(), instance, now_s)
    }

    /// The instance for the next attempt of a request that has tried `tried`, would rather go where `affinity` says, and `may_try` an instance whose
    /// ejection is over.
    pub(crate) fn pick(&self, random: impl FnMut() -> u64, tried: &Tried, affinity: Affinity, may_try: bool) -> Result<Picked, PickFault> {
        let set = self.instances.set().load();
        let now_ms = moment::now_ms();
        let in_flight = u64::try_from(self.measures().in_flight.get()).unwrap_or(0);
        let asked = Asked { tried, affinity, checked: self.plan.health.is_some(), may_try, in_flight, now_ms };
        let endpoint = pick::choose(&set, &self.plan.balance, || self.instances.next_turn(), random, asked)?;
        let is_trial = endpoint.claim_trial(now_ms, self.plan.timeouts.connect);
        Ok(Picked { endpoint: Arc::clone(endpoint), generation: set.generation(), is_trial })
    }

    /// Takes in what an attempt has shown of `endpoint`.
    pub(crate) fn observe(&self, endpoint: &Arc<Endpoint>, observed: &Observed) {
        if self.plan.balance.picker == Balance::PeakEwma {
            endpoint.speed().observe(observed);
        }
        self.instances.observe(endpoint, observed, &self.plan.outliers);
    }

    /// A connection to `endpoint` that was begun at `begun_ms` could not be made.
    pub(crate) fn connect_failed(&self, endpoint: &Endpoint, begun_ms: u64) {
        self.instances.connect_failed(endpoint, begun_ms, moment::now_ms());
    }

    /// A connection to `endpoint` was made.
    pub(crate) fn connected(&self, endpoint: &Endpoint) {
        self.instances.connected(endpoint);
    }

    /// Unix time in seconds.
    pub(crate) fn unix_s(&self) -> u64 {
        self.instances.clock().now_s()
    }

    pub(crate) fn ceiling(&self) -> &Arc<Ceiling> {
        self.instances.ceiling()
    }

    pub(crate) fn budget(&self) -> &Budget {
        self.instances.budget()
    }

    pub(crate) fn guard(&self) -> &Guard {
        self.instances.guard()
    }

    #[cfg(test)]
    pub(crate) fn instances(&self) -> &Arc<Instances> {
        &self.instances
    }
}

/// The levels, counted for whoever looks.
fn level_snapshots(set: &EndpointSet, panic_percent: u32, now_ms: u64) -> Vec<LevelSnapshot> {
    set.recount(now_ms);
    let chosen = set.levels().choose(panic_percent);
    let level = |(place, level): (usize, &Level)| LevelSnapshot {
        priority: level.priority(),
        instances: level.members().len(),
        usable: level.usable() as usize,
        is_in_use: place == chosen.place,
        is_panic: place == chosen.place && chosen.is_panic,
    };
    set.levels().all().iter().enumerate().map(level).collect()
}

/// Finds the instances for the first time, and from then on again and again where they may change.
fn begin<L: Lookup>(instances: Arc<Instances>, names: &Arc<L>, tasks: &Tasks) -> Arc<Instances> {
    match instances.discover() {
        DiscoverPlan::Static(entries) => instances.learn(Ok(entries.iter().map(Found::from).collect())),
        DiscoverPlan::Unix(path) => {
            instances.learn(Ok(vec![Found { address: Address::Unix(path.clone()), host: None, weight: 0, priority: 0 }]));
        }
        DiscoverPlan::File { path, within } => {
            let place = Place { path: path.clone(), within: within.clone() };
            tasks.spawn("discover", file::keep_read(Arc::downgrade(&instances), place, instances.terms()));
        }
        DiscoverPlan::Dns { .. } | DiscoverPlan::Srv { .. } => {
            tasks.spawn("discover", discover::keep_fresh(Arc::downgrade(&instances), Arc::clone(names), instances.terms()));
        }
    }
    instances
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
