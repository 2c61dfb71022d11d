//! The operator's door: what the process is, whether it is ready, what it counts.
//!
//! In: GET. Out: `/livez`, `/readyz`, `/metrics`, `/config`, `/generation`, and the pages of the tier. Refuses: other methods; over TCP, a `Host`
//! that is no literal of this machine, for a web page could come here under a name of its own (DNS rebinding). Never: changes anything.

mod door;
mod upgrade;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use telemetry::metrics::{CONTENT_TYPE, Labels};
use telemetry::names::{label, metric};
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::address::Address;
use crate::boot::{BUILD, Places};
use crate::deal::{Lane, OpenCount};
use crate::drain::LifeWatch;
use crate::handover::UpgradeDesk;
use crate::plan::HostPlan;
use crate::tier::{Control, Health, Tier};

pub(crate) use door::open;

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Requests that are answered at once; more are told 503.
const REQUESTS_MAX: usize = 16;

/// What the door shows.
pub(crate) struct Admin<T: Tier> {
    tier: Arc<T>,
    control: Control,
    life: LifeWatch,
    open: Vec<OpenCount>,
    connections_max: usize,
    is_tcp: bool,
    desk: UpgradeDesk,
    config: Arc<str>,
    generation: Value,
}

impl<T: Tier> Admin<T> {
    /// The door of a process that is about to serve.
    pub(crate) fn new(
        tier: Arc<T>,
        host: &HostPlan,
        places: &Places,
        lanes: &[Lane],
        control: Control,
        life: LifeWatch,
        desk: UpgradeDesk,
        shown: String,
    ) -> Arc<Self> {
        let listeners: BTreeMap<&str, &str> = places.listeners.iter().map(|(name, address)| (&**name, address.as_str())).collect();
        let plaintext: Vec<&str> = host.listeners.iter().filter(|plan| plan.is_plaintext()).map(|plan| &*plan.name).collect();
        let generation = json!({
            "tier": T::NAME,
            "treaty": contract::TREATY,
            "build": BUILD,
            "generation": control.generation,
            "pid": std::process::id(),
            "listeners": listeners,
            "admin": places.admin,
            "allow_plaintext": plaintext,
            "workers": host.workers,
        });
        let is_tcp = matches!(host.admin.address, Address::Tcp(_));
        Arc::new(Self {
            tier,
            control,
            life,
            open: lanes.iter().map(Lane::count).collect(),
            connections_max: host.limits.connections_max,
            is_tcp,
            desk,
            config: shown.into(),
            generation,
        })
    }

    /// All pages under their protective layers.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        let page = |answer: fn(&Self) -> Response| {
            let admin = Arc::clone(self);
            get(move || std::future::ready(answer(&admin)))
        };
        let pages = Router::new()
            .route("/livez", page(|_| "ok\n".into_response()))
            .route("/readyz", page(Self::readyz))
            .route("/metrics", page(|admin| typed(CONTENT_TYPE, admin.control.metrics.encode())))
            .route("/config", page(|admin| typed("application/json", admin.config.to_string())))
            .route("/generation", page(|admin| axum::Json(&admin.generation).into_response()))
            .merge(self.tier.admin());
        let pages = pages.layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, ANSWER_MAX));
        let desk = self.desk.clone();
        // It has bounds of its own, which are longer.
        let orders = Router::new().route("/upgrade", post(move || upgrade::upgrade(desk.clone()))).layer(from_fn(no_browser));
        let pages = pages.merge(orders);
        let pages = if self.is_tcp { pages.layer(from_fn(literal_host)) } else { pages };
        pages.layer(
            ServiceBuilder::new()
                .layer(HandleErrorLayer::new(|_| std::future::ready((StatusCode::SERVICE_UNAVAILABLE, "too many requests at once\n"))))
                .layer(LoadShedLayer::new())
                .layer(GlobalConcurrencyLimitLayer::new(REQUESTS_MAX))
                .layer(CatchPanicLayer::new()),
        )
    }

    fn readyz(&self) -> Response {
        let draining = self.life.turns_away();
        let mut checks = self.tier.readiness();
        let open: usize = self.open.iter().map(OpenCount::get).sum();
        checks.push(Health { name: "connections".to_owned(), ready: true, detail: format!("{open} of {} are open", self.connections_max) });
        let ready = !draining && checks.iter().all(|check| check.ready);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, axum::Json(json!({ "ready": ready, "draining": draining, "checks": checks }))).into_response()
    }
}

/// What never changes over a life.
pub(crate) fn register<T: Tier>(control: &Control) {
    let metrics = &control.metrics;
    let labels = [(label::TIER, T::NAME.into()), (label::VERSION, BUILD.into()), (label::TREATY, contract::TREATY.to_string().into())];
    metrics.register_gauge_family::<Labels<3>>(metric::BUILD, "What runs here").get_or_create(&labels).set(1);
    let signed = |number| i64::try_from(number).unwrap_or(i64::MAX);
    metrics.register_gauge(metric::GENERATION, "Generation of the configuration that serves").set(signed(control.generation));
    metrics.register_gauge(metric::STARTED, "When the process started, in Unix seconds").set(signed(control.clock.now_s()));
}

fn typed(content_type: &'static str, text: String) -> Response {
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")], text).into_response()
}

/// Pages of other origins may send a POST here without asking first; browsers then say whose it is (RFC 6454 §7).
async fn no_browser(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "orders are not taken from web pages\n").into_response();
    }
    next.run(request).await
}

async fn literal_host(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if is_literal(host) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "come by address, not by name\n").into_response()
    }
}

/// An address or `localhost`, with or without a port.
fn is_literal(host: &str) -> bool {
    let Ok(authority) = host.parse::<axum::http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_literal;

    #[test]
    fn names_that_somebody_else_could_point_here_are_refused() {
        for host in ["127.0.0.1:9901", "127.0.0.1", "[::1]:9901", "localhost:9901", "LOCALHOST"] {
            assert!(is_literal(host), "{host}");
        }
        for host in ["evil.example:9901", "localhost.evil.example", "", "127.0.0.1.nip.io", "a b"] {
            assert!(!is_literal(host), "{host}");
        }
    }
}
