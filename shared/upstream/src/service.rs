//! One service while it runs: its plan, its instances now, its counters.
//!
//! In: what discovery learns. Out: the newest set of instances to pick from, and a snapshot for operators.
//! Refuses: an empty answer (the last good one stays). Never: asks a name service itself, or makes a request wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use settings::clock::Clock;
use settings::live::Live;
use telemetry::metrics::Metrics;
use tokio::sync::watch;
use wire::tasks::Tasks;

use crate::ceiling::Ceiling;
use crate::config::Balance;
use crate::discover;
use crate::endpoint::{Address, Endpoint};
use crate::endpoints::{ENDPOINTS_MAX, EndpointSet, Found};
use crate::lookup::{Lookup, LookupFault};
use crate::measures::Measures;
use crate::moment;
use crate::pick::{self, Tried};
use crate::plan::{DiscoverPlan, ServicePlan};
use crate::snapshot::{EndpointSnapshot, FailureSnapshot, ServiceSnapshot};

/// A service that runs. Dropping the last handle ends its discovery and retires its instances.
#[derive(Debug)]
pub struct Service {
    plan: ServicePlan,
    endpoints: Live<EndpointSet>,
    turn: AtomicUsize,
    generation: watch::Sender<u64>,
    news: Mutex<News>,
    ceiling: Arc<Ceiling>,
    measures: Measures,
    clock: Clock,
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

/// What discovery last heard.
#[derive(Debug, Default)]
struct News {
    refreshed_at_ms: Option<u64>,
    failure: Option<(LookupFault, u64)>,
}

impl Service {
    /// Starts the service. Static and Unix instances are there at once; others after the first answer (see [`Service::wait_first`]).
    pub fn start<L: Lookup>(plan: ServicePlan, names: &Arc<L>, tasks: &Tasks, clock: &Clock, metrics: &Metrics) -> Arc<Self> {
        let measures = Measures::of(&plan.name, metrics);
        let service = Arc::new(Self {
            endpoints: Live::new(EndpointSet::default()),
            turn: AtomicUsize::new(0),
            generation: watch::Sender::new(0),
            news: Mutex::default(),
            ceiling: Ceiling::new(plan.pool.connections_max, measures.open.clone()),
            measures,
            clock: clock.clone(),
            plan,
        });
        let fixed = |address| Found { address, host: None, weight: 0 };
        match &service.plan.discover {
            DiscoverPlan::Static(addresses) => service.learn(Ok(addresses.iter().map(|address| fixed(Address::Tcp(*address))).collect())),
            DiscoverPlan::Unix(path) => service.learn(Ok(vec![fixed(Address::Unix(path.clone()))])),
            DiscoverPlan::Dns { .. } | DiscoverPlan::Srv { .. } => {
                tasks.spawn("discover", discover::keep_fresh(Arc::downgrade(&service), Arc::clone(names)));
            }
        }
        service
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
        self.endpoints.load_full()
    }

    /// Its counters.
    #[must_use]
    pub fn measures(&self) -> &Measures {
        &self.measures
    }

    /// Waits for the first instances, at most `within`; `false` when there were none by then.
    pub async fn wait_first(&self, within: Duration) -> bool {
        self.wait_generation(1, within).await
    }

    /// Waits until at least generation `number` serves, at most `within`.
    pub async fn wait_generation(&self, number: u64, within: Duration) -> bool {
        let mut seen = self.generation.subscribe();
        tokio::time::timeout(within, seen.wait_for(|generation| *generation >= number)).await.is_ok_and(|seen| seen.is_ok())
    }

    /// The service as operators see it now.
    #[must_use]
    pub fn snapshot(&self) -> ServiceSnapshot {
        let set = self.endpoints.load_full();
        let now_ms = moment::now_ms();
        let news = self.news();
        ServiceSnapshot {
            name: self.plan.name.to_string(),
            generation: set.generation(),
            refreshed_at_ms: news.refreshed_at_ms,
            failure: news.failure.map(|(fault, since_ms)| FailureSnapshot { code: fault.code, since_ms }),
            connections: self.ceiling.open(),
            endpoints: set
                .endpoints()
                .iter()
                .map(|endpoint| EndpointSnapshot {
                    address: endpoint.name().to_owned(),
                    host: endpoint.host().map(str::to_owned),
                    in_flight: endpoint.in_flight(),
                    consecutive_failures: endpoint.consecutive_failures(),
                    ejected: endpoint.is_avoided(now_ms),
                })
                .collect(),
        }
    }

    /// Takes in what a look-up gave. A failure and an empty answer leave the instances as they are.
    pub(crate) fn learn(&self, answer: Result<Vec<Found>, LookupFault>) {
        match answer.and_then(|found| if found.is_empty() { Err(LookupFault::NO_RECORDS) } else { Ok(found) }) {
            Ok(found) => {
                self.recovered();
                self.accept(found);
            }
            Err(fault) => self.failed(fault),
        }
    }

    fn accept(&self, found: Vec<Found>) {
        if found.len() > ENDPOINTS_MAX {
            tracing::warn!(
                service = self.name(),
                found = found.len(),
                used = ENDPOINTS_MAX,
                "discovery names more instances than are used"
            );
        }
        let before = self.endpoints.load_full();
        let Some(next) = EndpointSet::after(&before, found) else { return };
        let generation = next.generation();
        let leaving: Vec<Arc<Endpoint>> = before.missing_in(&next).cloned().collect();
        self.measures.generations.inc();
        self.measures.instances.set(next.endpoints().len() as i64);
        tracing::info!(service = self.name(), generation, instances = next.endpoints().len(), "the instances of a service have changed");
        // First the new set, then the farewell: nobody may pick from a set of which all are gone.
        self.endpoints.store(next);
        for endpoint in leaving {
            endpoint.leave();
        }
        self.generation.send_replace(generation);
    }

    fn recovered(&self) {
        self.measures.lookup("ok");
        let mut news = self.news();
        news.refreshed_at_ms = Some(self.clock.now_ms());
        if let Some((fault, _)) = news.failure.take() {
            tracing::info!(service = self.name(), was = fault.code, "discovery has recovered");
        }
    }

    fn failed(&self, fault: LookupFault) {
        self.measures.lookup(fault.code);
        let generation = self.endpoints.load().generation();
        let mut news = self.news();
        // Once per change: a name service that is down for an hour is one alarm, not three thousand.
        if news.failure.is_none_or(|(known, _)| known != fault) {
            tracing::warn!(service = self.name(), code = fault.code, generation, "discovery fails; the last good answer stays");
            news.failure = Some((fault, self.clock.now_ms()));
        }
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The instance for the next attempt of a request that has tried `tried`.
    pub(crate) fn pick(&self, random: impl FnMut() -> u64, tried: &Tried) -> Option<Picked> {
        let set = self.endpoints.load();
        let now_ms = moment::now_ms();
        let endpoint = match self.plan.balance {
            Balance::LeastRequest => pick::least_request(&set, random, tried, now_ms),
            Balance::RoundRobin => pick::round_robin(&set, self.turn.fetch_add(1, Ordering::Relaxed), tried, now_ms),
        }?;
        let is_trial = endpoint.claim_trial(now_ms);
        Some(Picked { endpoint: Arc::clone(endpoint), generation: set.generation(), is_trial })
    }

    pub(crate) fn ceiling(&self) -> &Arc<Ceiling> {
        &self.ceiling
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // After a reload the workers' idle connections to these instances belong to nobody.
        for endpoint in self.endpoints.load().endpoints() {
            endpoint.leave();
        }
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
