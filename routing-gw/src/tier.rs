//! routing-gw as the host sees it: how it is checked, started, and given its workers.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use contract::identity_token::IdentitySigner;
use contract::signing_keys::SigningKeys;
use host::tier::{BootError, Checked, Control, Health, Seat, Tier};
use http::{Request, Response};
use hyper::body::Incoming;
use identity::published::{self, Published};
use identity::signed::SignedCache;
use identity::signing;
use settings::clock::Clock;
use settings::files::Files;
use settings::report::Report;
use telemetry::requests::RequestMetrics;
use upstream::pages;
use upstream::plan::ServicePlan;
use upstream::pool::Pools;
use upstream::service::Service;
use wire::body::Body;
use wire::connection::Connection;
use wire::door::{Door, Trust};
use wire::limits::Limits;

use crate::account::Accounts;
use crate::config::RoutingConfig;
use crate::config::plan::RoutingPlan;
use crate::config::routes::RoutePlan;
use crate::corridor::corridor;
use crate::decision::Decisions;
use crate::facts::RouteFacts;
use crate::health;
use crate::route::Routes;
use crate::route::table::Table;
use crate::services;
use crate::split_views::SplitViews;
use crate::trusted::Trusted;
use crate::vouch::VouchCache;

/// What all workers share.
pub struct RoutingGw {
    pub(crate) door: Door,
    pub(crate) trusted: Arc<Trusted>,
    pub(crate) publishes: Vec<bool>,
    published: Option<Published>,
    keys: Option<Arc<SigningKeys>>,
    keys_file: Arc<str>,
    signers: Vec<Arc<IdentitySigner>>,
    clock: Clock,
    pub(crate) routes: Routes,
    pub(crate) health: health::Health,
    pub(crate) limits: Limits,
    pub(crate) accounts: Accounts,
    pub(crate) split_views: SplitViews,
    pub(crate) services: Vec<Arc<Service>>,
}

/// What one worker keeps for itself.
pub struct Worker {
    pub(crate) gateway: Arc<RoutingGw>,
    pub(crate) clock: Clock,
    pub(crate) vouches: Rc<VouchCache>,
    pub(crate) identities: Rc<SignedCache<IdentitySigner>>,
    pub(crate) decisions: Rc<Decisions>,
    pub(crate) pools: Rc<Pools>,
}

impl Tier for RoutingGw {
    const NAME: &'static str = "routing-gw";
    type Config = RoutingConfig;
    type Plan = RoutingPlan;
    type Worker = Worker;

    fn check(config: RoutingConfig, files: &Files, before: Option<&RoutingPlan>, report: &mut Report) -> Option<Checked<Self>> {
        config.check(files, before, report)
    }

    async fn start(plan: Arc<RoutingPlan>, before: Option<Arc<Self>>, control: Control) -> Result<Arc<Self>, BootError> {
        if plan.misses_rotations {
            tracing::warn!("reload.watch: a rotation of keys is not read by itself within a minute; reload within two minutes of each");
        }
        let trusted = Trusted::after(before.as_ref().map(|before| &before.trusted), &plan.trusted, &control).await;
        let signers = signers(&plan, before.as_ref().map_or(&[][..], |before| &before.signers))?;
        let services = services::start(&plan.services, before.as_ref().map_or(&[][..], |before| &before.services), &control).await;
        let by_name: HashMap<&str, &Arc<Service>> = services.iter().map(|service| (service.name(), service)).collect();
        let mut own_cookies: Vec<Box<str>> = plan.services.iter().filter_map(ServicePlan::cookie).map(Box::from).collect();
        own_cookies.sort_unstable();
        let own_cookies: Arc<[Box<str>]> = own_cookies.into();
        let mut facts = Vec::with_capacity(plan.routes.len());
        for route in &plan.routes {
            let Some(service) = by_name.get(route.service.as_str()) else {
                return Err(BootError::new(
                    format!("the route {:?} lost its service", route.name),
                    "report this: `check` should have found it",
                ));
            };
            facts.push(Arc::new(RouteFacts {
                name: route.name.as_str().into(),
                service: Arc::clone(service),
                requirement: route.requirement.clone(),
                timeout: route.timeout,
                body_bytes_max: route.body_bytes_max,
                slow_bodies: route.slow_bodies,
                allow_encoded_slashes: route.allow_encoded_slashes,
                claim_headers: route.claim_headers.clone(),
                own_cookies: Arc::clone(&own_cookies),
                identity: terms(route).and_then(|terms| signers.get(&terms)).cloned(),
            }));
        }
        let table = Table::build(plan.routes.iter().map(|route| (route.pattern.clone(), route.demands.clone())).collect());
        Ok(Arc::new(Self {
            door: Door::new(Trust::Tier1, control.tracing.clone()),
            health: health::Health::new(
                Self::NAME,
                control.life.clone(),
                (control.generation, control.workers),
                services.clone(),
                trusted.clone(),
            ),
            trusted,
            publishes: plan.publishes.clone(),
            published: plan.keys.as_deref().map(Published::new),
            keys: plan.keys.clone(),
            keys_file: plan.keys_file.clone(),
            signers: signers.into_values().collect(),
            clock: control.clock.clone(),
            routes: Routes::new(table, facts),
            limits: Limits::after(before.as_ref().map(|before| &before.limits), plan.in_flight_max, plan.body_bytes_max)
                .with_body_rate(plan.body_rate),
            accounts: Accounts::new(Arc::new(RequestMetrics::new(&control.metrics)), control.tracing.clone()),
            split_views: SplitViews::after(before.as_ref().map(|before| &before.split_views), &control.metrics),
            services,
        }))
    }

    fn worker(self: &Arc<Self>, seat: Seat, before: Option<&Rc<Worker>>) -> Worker {
        // Where all sign anew, what was signed before takes no room.
        let stays = |signer: &Arc<IdentitySigner>| self.signers.iter().any(|other| Arc::ptr_eq(other, signer));
        let said = before.filter(|before| before.gateway.signers.iter().any(stays));
        Worker {
            gateway: self.clone(),
            clock: seat.control.clock.clone(),
            // What was believed by other keys is known by them, and counts for nothing under these.
            vouches: before.map_or_else(Rc::default, |before| before.vouches.clone()),
            identities: said.map_or_else(Rc::default, |before| before.identities.clone()),
            decisions: before.map_or_else(|| Rc::new(Decisions::new(rand::random())), |before| before.decisions.clone()),
            pools: before.map_or_else(Pools::new, |before| before.pools.clone()),
        }
    }

    fn serve(
        worker: &Rc<Worker>,
        connection: &Rc<Connection>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + 'static {
        corridor(worker.clone(), connection.clone(), request)
    }

    fn readiness(&self) -> Vec<Health> {
        self.with_keys(services::health(&self.services))
    }

    fn succession_readiness(&self) -> Vec<Health> {
        self.with_keys(services::health_of_successor(&self.services))
    }

    fn admin(self: &Arc<Self>) -> axum::Router {
        pages::router(self.services.clone())
    }
}

impl RoutingGw {
    /// The answer of a listener that publishes this tier's keys, at `now` (Unix seconds), where it has one.
    pub(crate) fn published<B>(&self, request: &Request<B>, now: u64) -> Option<Response<Body>> {
        published::answer(self.published.as_ref()?, request, now)
    }

    fn with_keys(&self, services: Vec<Health>) -> Vec<Health> {
        let now = self.clock.now_s();
        let signing = self.keys.as_ref().map(|keys| {
            let (ready, detail) = signing::health(keys, &self.keys_file, now);
            Health { name: "signing keys".to_owned(), ready, detail }
        });
        self.trusted.health(now).into_iter().chain(signing).chain(services).collect()
    }
}

/// Who vouches for callers to services: for each audience and choice of claims one, in their order.
type Signers<'a> = BTreeMap<(&'a str, Vec<&'a str>), Arc<IdentitySigner>>;

/// All that this tier says of callers to services, each once; what it said before by the same keys is the same signer, so that it stays said.
fn signers<'a>(plan: &'a RoutingPlan, before: &[Arc<IdentitySigner>]) -> Result<Signers<'a>, BootError> {
    let mut signers = Signers::new();
    let Some(keys) = &plan.keys else { return Ok(signers) };
    for route in &plan.routes {
        let Some(terms) = terms(route) else { continue };
        if let Entry::Vacant(vacant) = signers.entry(terms) {
            let (audience, claims) = vacant.key();
            let claims = claims.iter().map(|claim| (*claim).into()).collect();
            let wanted = IdentitySigner::new(Arc::clone(keys), plan.name.clone(), (*audience).to_owned(), claims).map_err(|fault| {
                BootError::new(format!("the route {:?} cannot vouch: {fault}", route.name), "report this: `check` should have found it")
            })?;
            let known = before.iter().find(|signer| ***signer == wanted).cloned();
            vacant.insert(known.unwrap_or_else(|| Arc::new(wanted)));
        }
    }
    Ok(signers)
}

/// For whom a route vouches, and which claims it tells.
fn terms(route: &RoutePlan) -> Option<(&str, Vec<&str>)> {
    let audience = route.identity.as_deref()?;
    let mut claims: Vec<&str> = route.claim_headers.iter().map(|(_, claim)| &**claim).collect();
    claims.sort_unstable();
    claims.dedup();
    Some((audience, claims))
}
