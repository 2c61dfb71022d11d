//! routing-gw as the host sees it: how it is checked, started, and given its workers.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use contract::assertion::Verifier;
use host::tier::{BootError, Checked, Control, Health, Seat, Tier};
use http::{Request, Response};
use hyper::body::Incoming;
use settings::clock::Clock;
use settings::files::Files;
use settings::live::Live;
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
use crate::route::Routes;
use crate::route::table::Table;
use crate::vouch::VouchCache;
use crate::{keys, services};

/// How long the start waits for first answers of discovery; a service without any is told by `/readyz`, not by a start that never ends.
const FIRST_ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// What all workers share.
pub struct RoutingGw {
    pub(crate) door: Door,
    pub(crate) verifier: Live<Verifier>,
    pub(crate) routes: Routes,
    pub(crate) limits: Limits,
    pub(crate) accounts: Accounts,
    pub(crate) services: Vec<Arc<Service>>,
}

/// What one worker keeps for itself.
pub struct Worker {
    pub(crate) gateway: Arc<RoutingGw>,
    pub(crate) clock: Clock,
    pub(crate) vouches: VouchCache,
    pub(crate) decisions: Decisions,
    pub(crate) pools: Rc<Pools>,
}

impl Tier for RoutingGw {
    const NAME: &'static str = "routing-gw";
    type Config = RoutingConfig;
    type Plan = RoutingPlan;
    type Worker = Worker;

    fn check(config: RoutingConfig, files: &Files, _: Option<&RoutingPlan>, report: &mut Report) -> Option<Checked<Self>> {
        config.check(files, report)
    }

    async fn start(plan: Arc<RoutingPlan>, _: Option<Arc<Self>>, control: Control) -> Result<Arc<Self>, BootError> {
        let verifier = keys::watch(&plan.vouch, &control)?;
        let services: Vec<Arc<Service>> = plan.services.iter().map(|service| services::start(service, &control)).collect();
        for service in &services {
            service.wait_first(FIRST_ANSWERS_WITHIN).await;
        }
        let mut facts = Vec::with_capacity(plan.routes.len());
        for route in &plan.routes {
            let Some(service) = services.iter().find(|service| service.name() == route.service) else {
                return Err(BootError::new(
                    format!("the route {:?} lost its service", route.name),
                    "report this: `check` should have found it",
                ));
            };
            facts.push(Arc::new(RouteFacts {
                name: route.name.as_str().into(),
                service: service.clone(),
                requirement: route.requirement.clone(),
                timeout: route.timeout,
                claim_headers: route.claim_headers.clone(),
            }));
        }
        let table = Table::build(plan.routes.iter().map(|route| (route.pattern.clone(), route.demands.clone())).collect());
        Ok(Arc::new(Self {
            door: Door::new(Trust::Tier1, control.tracing.clone()),
            verifier,
            routes: Routes::new(table, facts),
            limits: Limits::new(plan.in_flight_max, plan.body_bytes_max),
            accounts: Accounts::new(Arc::new(RequestMetrics::new(&control.metrics)), control.tracing.clone()),
            services,
        }))
    }

    fn worker(self: &Arc<Self>, seat: Seat, _: Option<&Rc<Worker>>) -> Worker {
        Worker {
            gateway: self.clone(),
            clock: seat.control.clock.clone(),
            vouches: VouchCache::default(),
            decisions: Decisions::new(rand::random()),
            pools: Pools::new(),
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

    fn admin(self: &Arc<Self>) -> axum::Router {
        services::page(self.services.clone())
    }
}
