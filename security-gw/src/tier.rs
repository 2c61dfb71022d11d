//! security-gw as the host sees it: how it is checked, started, and given its workers.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use contract::assertion::Signer;
use host::tier::{BootError, Checked, Control, Health, Seat, Tier};
use http::{Request, Response};
use hyper::body::Incoming;
use identity::cache::{TOKENS_MAX_DEFAULT, TokenCache};
use identity::issuers::Issuers;
use settings::clock::Clock;
use settings::files::Files;
use settings::report::Report;
use telemetry::requests::RequestMetrics;
use telemetry::traces::Tracing;
use upstream::pool::Pools;
use upstream::service::Service;
use wire::body::Body;
use wire::connection::Connection;
use wire::door::{Door, Trust};
use wire::limits::Limits;

use crate::access_log::AccessLog;
use crate::assert::AssertionCache;
use crate::authenticate::Authenticate;
use crate::config::{SecurityConfig, SecurityPlan};
use crate::corridor::corridor;

/// How long the start waits for the first keys and the first replicas; what is missing then is told by `/readyz`.
const FIRST_ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// What all workers share.
pub struct SecurityGw {
    pub(crate) door: Door,
    pub(crate) redirects: Vec<Option<String>>,
    pub(crate) limits: Limits,
    pub(crate) authenticate: Authenticate,
    pub(crate) signer: Arc<Signer>,
    pub(crate) link: Arc<Service>,
    pub(crate) link_timeout: Duration,
    requests: Arc<RequestMetrics>,
    tracing: Arc<Tracing>,
    issuers: Arc<Issuers>,
}

/// What one worker keeps for itself.
pub struct Worker {
    pub(crate) gateway: Arc<SecurityGw>,
    pub(crate) clock: Clock,
    pub(crate) access_log: AccessLog,
    pub(crate) tokens: TokenCache,
    pub(crate) assertions: AssertionCache,
    pub(crate) pools: Rc<Pools>,
}

impl Tier for SecurityGw {
    const NAME: &'static str = "security-gw";
    type Config = SecurityConfig;
    type Plan = SecurityPlan;
    type Worker = Worker;

    fn check(config: SecurityConfig, files: &Files, _: Option<&SecurityPlan>, report: &mut Report) -> Option<Checked<Self>> {
        config.check(files, report)
    }

    async fn start(plan: Arc<SecurityPlan>, _: Option<Arc<Self>>, control: Control) -> Result<Arc<Self>, BootError> {
        if plan.link.plaintext {
            tracing::warn!("link.allow_plaintext: identities travel to tier 2 unprotected");
        }
        let issuers = Issuers::start(plan.issuers.clone(), control.fetcher.clone(), &control.tasks, &control.clock, &control.metrics);
        let link = Service::start(plan.link.service.clone(), &control.names, &control.tasks, &control.clock, &control.metrics);
        issuers.wait_first(FIRST_ANSWERS_WITHIN).await;
        link.wait_first(FIRST_ANSWERS_WITHIN).await;
        let trust = Trust::Edge { proxies: plan.proxies.clone(), trace: plan.trace.clone() };
        Ok(Arc::new(Self {
            door: Door::new(trust, control.tracing.clone()),
            redirects: plan.redirects.clone(),
            limits: Limits::new(plan.in_flight_max, plan.body_bytes_max),
            authenticate: Authenticate::new(plan.rules.clone(), issuers.clone()),
            signer: plan.link.signer.clone(),
            link,
            link_timeout: plan.link.timeout,
            requests: Arc::new(RequestMetrics::new(&control.metrics)),
            tracing: control.tracing.clone(),
            issuers,
        }))
    }

    fn worker(self: &Arc<Self>, seat: Seat, _: Option<&Rc<Worker>>) -> Worker {
        Worker {
            gateway: self.clone(),
            clock: seat.control.clock.clone(),
            access_log: AccessLog::new(seat.records.clone(), self.requests.clone(), self.tracing.clone()),
            tokens: TokenCache::new(TOKENS_MAX_DEFAULT),
            assertions: AssertionCache::default(),
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
        let issuers =
            self.issuers.health().into_iter().map(|(name, ready, detail)| Health { name: format!("issuer {name}"), ready, detail });
        let replicas = self.link.snapshot();
        let detail = match &replicas.failure {
            None => format!("{} replicas of routing-gw", replicas.endpoints.len()),
            Some(failure) => format!("discovery fails ({}); {} replicas stay in use", failure.code, replicas.endpoints.len()),
        };
        let link = Health { name: "link".to_owned(), ready: !replicas.endpoints.is_empty(), detail };
        issuers.chain([link]).collect()
    }
}
