//! security-gw as the host sees it: how it is checked, started, and given its workers.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use contract::assertion::Signer;
use contract::signing_keys::SigningKeys;
use host::tier::{BootError, Checked, Control, Health, Seat, Tier};
use http::{Request, Response};
use hyper::body::Incoming;
use identity::cache::{TOKENS_MAX_DEFAULT, TokenCache};
use identity::issuers::Issuers;
use identity::published::Published;
use identity::signed::SignedCache;
use identity::signing;
use settings::clock::Clock;
use settings::files::Files;
use settings::report::Report;
use telemetry::requests::RequestMetrics;
use telemetry::traces::Tracing;
use upstream::pages;
use upstream::pool::Pools;
use upstream::service::Service;
use wire::body::Body;
use wire::connection::Connection;
use wire::door::{Door, Trust};
use wire::limits::Limits;

use crate::access_log::AccessLog;
use crate::authenticate::Authenticate;
use crate::config::{SecurityConfig, SecurityPlan};
use crate::corridor::corridor;
use crate::replicas;
use crate::rule::table::Rules;

/// How long the start waits for the first keys and the first replicas; what is missing then is told by `/readyz`.
const FIRST_ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// What all workers share.
pub struct SecurityGw {
    pub(crate) door: Door,
    pub(crate) redirects: Vec<Option<String>>,
    pub(crate) any_authority: Vec<bool>,
    pub(crate) publishes: Vec<bool>,
    pub(crate) published: Published,
    pub(crate) keys: Arc<SigningKeys>,
    keys_file: Arc<str>,
    clock: Clock,
    pub(crate) rules: Rules,
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
    pub(crate) tokens: Rc<TokenCache>,
    pub(crate) assertions: Rc<SignedCache<Signer>>,
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

    async fn start(plan: Arc<SecurityPlan>, before: Option<Arc<Self>>, control: Control) -> Result<Arc<Self>, BootError> {
        let before = before.as_ref();
        if plan.link.plaintext {
            tracing::warn!("link.allow_plaintext: identities travel to tier 2 unprotected");
        }
        if plan.link.keys_rotate && !plan.rotations_are_read {
            tracing::warn!("reload.watch: a rotation of keys is not read by itself within a minute; reload within two minutes of each");
        }
        let issuers = Issuers::after(
            before.map(|before| &before.issuers),
            plan.issuers.clone(),
            control.fetcher.clone(),
            &control.tasks,
            &control.clock,
            &control.metrics,
        );
        let link = Service::after(
            before.map(|before| &before.link),
            plan.link.service.clone(),
            &control.names,
            &control.tasks,
            &control.clock,
            &control.metrics,
        );
        // What was looked for before has had its time.
        if !before.is_some_and(|before| Arc::ptr_eq(&before.issuers, &issuers)) {
            issuers.wait_first(FIRST_ANSWERS_WITHIN).await;
        }
        if !before.is_some_and(|before| before.link.plan().discover == link.plan().discover) {
            link.wait_first(FIRST_ANSWERS_WITHIN).await;
        }
        // A replica of a treaty that is not understood gets not even the first request.
        link.wait_checked(FIRST_ANSWERS_WITHIN).await;
        // The same key under the same names is the same signer, so that what workers have signed by it stays signed.
        let signer = before.map(|before| &before.signer).filter(|known| ***known == *plan.link.signer).unwrap_or(&plan.link.signer);
        let trust = Trust::Edge { proxies: plan.proxies.clone(), trace: plan.trace.clone() };
        Ok(Arc::new(Self {
            door: Door::new(trust, control.tracing.clone()),
            redirects: plan.redirects.clone(),
            any_authority: plan.any_authority.clone(),
            publishes: plan.publishes.clone(),
            published: Published::new(&plan.link.keys),
            keys: plan.link.keys.clone(),
            keys_file: plan.link.keys_file.clone(),
            clock: control.clock.clone(),
            rules: plan.rules.clone(),
            limits: Limits::after(before.map(|before| &before.limits), plan.in_flight_max, plan.body_bytes_max)
                .with_body_rate(plan.body_rate),
            authenticate: Authenticate::after(before.map(|before| &before.authenticate), issuers.clone()),
            signer: signer.clone(),
            link,
            link_timeout: plan.link.timeout,
            requests: Arc::new(RequestMetrics::new(&control.metrics)),
            tracing: control.tracing.clone(),
            issuers,
        }))
    }

    fn worker(self: &Arc<Self>, seat: Seat, before: Option<&Rc<Worker>>) -> Worker {
        // Other issuers may prove other callers.
        let same_issuers = before.filter(|before| Arc::ptr_eq(&before.gateway.issuers, &self.issuers));
        // Under other keys every assertion is signed anew, and what was signed by the former ones takes no room.
        let same_signer = before.filter(|before| Arc::ptr_eq(&before.gateway.signer, &self.signer));
        Worker {
            gateway: self.clone(),
            clock: seat.control.clock.clone(),
            access_log: AccessLog::new(seat.records.clone(), self.requests.clone(), self.tracing.clone()),
            tokens: same_issuers.map_or_else(|| Rc::new(TokenCache::new(TOKENS_MAX_DEFAULT)), |before| before.tokens.clone()),
            assertions: same_signer.map_or_else(Rc::default, |before| before.assertions.clone()),
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

    fn admin(self: &Arc<Self>) -> axum::Router {
        pages::router(vec![Arc::clone(&self.link)])
    }

    fn readiness(&self) -> Vec<Health> {
        let issuers =
            self.issuers.health().into_iter().map(|(name, ready, detail)| Health { name: format!("issuer {name}"), ready, detail });
        let (ready, detail) = signing::health(&self.keys, &self.keys_file, self.clock.now_s());
        issuers.chain([replicas::health(&self.link.snapshot()), Health { name: "signing keys".to_owned(), ready, detail }]).collect()
    }
}
