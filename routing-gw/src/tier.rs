//! routing-gw as the host sees it: how it is checked, started, and given its workers.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use contract::assertion::Verifier;
use host::tier::{BootError, Checked, Control, Health, Seat, Tier};
use http::{Request, Response};
use hyper::body::Incoming;
use settings::clock::Clock;
use settings::files::Files;
use settings::report::Report;
use telemetry::requests::RequestMetrics;
use upstream::pool::Pools;
use upstream::service::Service;
use wire::body::Body;
use wire::connection::Connection;
use wire::door::{Door, Trust};
use wire::limits::Limits;

use crate::account::Accounts;
use crate::config::RoutingConfig;
use crate::config::plan::RoutingPlan;
use crate::corridor::corridor;
use crate::decision::Decisions;
use crate::facts::RouteFacts;
use crate::health;
use crate::route::Routes;
use crate::route::table::Table;
use crate::services;
use crate::split_views::SplitViews;
use crate::vouch::VouchCache;

/// What all workers share.
pub struct RoutingGw {
    pub(crate) door: Door,
    pub(crate) verifier: Arc<Verifier>,
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
        // The same keys are the same verifier, so that what workers know by it stays known.
        let known = before.as_ref().map(|before| &before.verifier).filter(|known| ***known == *plan.verifier);
        let verifier = known.unwrap_or(&plan.verifier).clone();
        let services = services::start(&plan.services, before.as_ref().map_or(&[][..], |before| &before.services), &control).await;
        let by_name: HashMap<&str, &Arc<Service>> = services.iter().map(|service| (service.name(), service)).collect();
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
                allow_encoded_slashes: route.allow_encoded_slashes,
                claim_headers: route.claim_headers.clone(),
            }));
        }
        let table = Table::build(plan.routes.iter().map(|route| (route.pattern.clone(), route.demands.clone())).collect());
        Ok(Arc::new(Self {
            door: Door::new(Trust::Tier1, control.tracing.clone()),
            verifier,
            routes: Routes::new(table, facts),
            health: health::Health::new(Self::NAME, control.life.clone(), control.generation, services.clone()),
            limits: Limits::after(before.as_ref().map(|before| &before.limits), plan.in_flight_max, plan.body_bytes_max),
            accounts: Accounts::new(Arc::new(RequestMetrics::new(&control.metrics)), control.tracing.clone()),
            split_views: SplitViews::after(before.as_ref().map(|before| &before.split_views), &control.metrics),
            services,
        }))
    }

    fn worker(self: &Arc<Self>, seat: Seat, before: Option<&Rc<Worker>>) -> Worker {
        // Under other keys nothing that was believed before counts.
        let same_keys = before.filter(|before| Arc::ptr_eq(&before.gateway.verifier, &self.verifier));
        Worker {
            gateway: self.clone(),
            clock: seat.control.clock.clone(),
            vouches: same_keys.map_or_else(Rc::default, |before| before.vouches.clone()),
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
        services::health(&self.services)
    }

    fn succession_readiness(&self) -> Vec<Health> {
        services::health_of_successor(&self.services)
    }

    fn admin(self: &Arc<Self>) -> axum::Router {
        services::page(self.services.clone())
    }
}
