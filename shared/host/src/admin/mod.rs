//! The operator's door: what the process is, whether it is ready, what it counts; and what it can be asked to do.
//!
//! In: GET, and POST for what changes something. Out: `/livez`, `/readyz`, `/metrics`, `/config`, `/generation`, the pages of the tier; `/reload`,
//! `/upgrade`.
//! Refuses: other methods; over TCP, a `Host` that is no literal of this machine, for a web page could come here under a name of its own (DNS
//! rebinding); POSTs that a web page can send. Never: changes anything by GET, or without a line in the log that names the peer.

pub(crate) mod deed;
mod door;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use telemetry::metrics::{CONTENT_TYPE, Labels};
use telemetry::names::{label, metric};
use tokio::sync::watch;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::address::Address;
use crate::boot::{BUILD, Places};
use crate::deal::{Lane, OpenCount};
use crate::descriptors;
use crate::handover::UpgradeDesk;
use crate::reload::Bell;
use crate::standing::StandingWatch;
use crate::tier::{Control, Health, Tier};
use crate::worker::Adoption;

pub(crate) use door::open;

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Requests that are answered at once; more are told 503.
const REQUESTS_MAX: usize = 16;

/// The same of those that wait for what comes of a reload or an upgrade, which may take minutes.
const DEEDS_MAX: usize = 4;

/// What the door shows.
pub(crate) struct Admin<T: Tier> {
    standing: StandingWatch<T>,
    control: Control,
    bell: Bell,
    desk: UpgradeDesk,
    open: Vec<OpenCount>,
    workers: Vec<watch::Receiver<Adoption>>,
    places: Places,
    is_tcp: bool,
}

impl<T: Tier> Admin<T> {
    /// The door of a process that is about to serve.
    pub(crate) fn new(
        standing: StandingWatch<T>,
        places: &Places,
        (lanes, workers): (&[Lane], Vec<watch::Receiver<Adoption>>),
        control: Control,
        bell: Bell,
        desk: UpgradeDesk,
    ) -> Arc<Self> {
        let is_tcp = matches!(standing.borrow().host.admin.address, Address::Tcp(_));
        Arc::new(Self {
            standing,
            control,
            bell,
            desk,
            open: lanes.iter().map(Lane::count).collect(),
            workers,
            places: places.clone(),
            is_tcp,
        })
    }

    /// All pages under their protective layers.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        let page = |answer: fn(&Self) -> Response| {
            let admin = Arc::clone(self);
            get(move || std::future::ready(answer(&admin)))
        };
        let of_tier = Arc::clone(self);
        let pages = Router::new()
            .route("/livez", page(|_| "ok\n".into_response()))
            .route("/readyz", page(Self::readyz))
            .route("/metrics", page(|admin| typed(CONTENT_TYPE, admin.control.metrics.encode())))
            .route("/config", page(Self::config))
            .route("/generation", page(Self::generation))
            // Those of the generation that serves now.
            .fallback(move |request: Request| {
                let pages = of_tier.standing.borrow().pages.clone();
                pages.oneshot(request)
            })
            .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, ANSWER_MAX));
        // What is done has bounds of its own: whoever waits for it takes no place of those who ask how the process is.
        let pages = at_most(REQUESTS_MAX, pages).merge(at_most(DEEDS_MAX, deed::router(&self.bell, &self.desk)));
        let pages = if self.is_tcp { pages.layer(from_fn(literal_host)) } else { pages };
        pages.layer(CatchPanicLayer::new())
    }

    fn config(&self) -> Response {
        let shown = Arc::clone(&self.standing.borrow().shown);
        let mut text = serde_json::to_string_pretty(&*shown).unwrap_or_default();
        text.push('\n');
        typed("application/json", text)
    }

    fn generation(&self) -> Response {
        let standing = self.standing.borrow();
        let listeners: BTreeMap<&str, &str> = self.places.listeners.iter().map(|(name, address)| (&**name, address.as_str())).collect();
        let plaintext: Vec<&str> = standing.host.listeners.iter().filter(|plan| plan.is_plaintext()).map(|plan| &*plan.name).collect();
        axum::Json(json!({
            "tier": T::NAME,
            "treaty": contract::TREATY,
            "build": BUILD,
            "generation": standing.generation,
            "pid": std::process::id(),
            "listeners": listeners,
            "admin": self.places.admin,
            "allow_plaintext": plaintext,
            "workers": standing.host.workers,
        }))
        .into_response()
    }

    fn readyz(&self) -> Response {
        let draining = self.control.life.turns_away();
        let (tier, of_configuration, connections_max) = {
            let standing = self.standing.borrow();
            (Arc::clone(&standing.tier), standing.health(), standing.host.limits.connections_max)
        };
        let mut checks = tier.readiness();
        checks.extend(of_configuration);
        let open: usize = self.open.iter().map(OpenCount::get).sum();
        for (index, worker) in self.workers.iter().enumerate() {
            // The worker holds the sender for as long as its thread lives.
            if worker.has_changed().is_err() {
                let detail = "has died, and its connections with it; restart the process".to_owned();
                checks.push(Health { name: format!("worker {index}"), ready: false, detail });
            }
        }
        let connections_max = descriptors::clients_max(connections_max);
        checks.push(Health { name: "connections".to_owned(), ready: true, detail: format!("{open} of {connections_max} are open") });
        let ready = !draining && checks.iter().all(|check| check.ready);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, axum::Json(json!({ "ready": ready, "draining": draining, "checks": checks }))).into_response()
    }
}

/// Answers at most `number` requests at once.
fn at_most(number: usize, pages: Router) -> Router {
    pages.layer(
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(|_| std::future::ready((StatusCode::SERVICE_UNAVAILABLE, "too many requests at once\n"))))
            .layer(LoadShedLayer::new())
            .layer(GlobalConcurrencyLimitLayer::new(number)),
    )
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
