//! The services of this tier: started on the control runtime, told by `/readyz` and `/services`.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use host::tier::{Control, Health};
use upstream::plan::ServicePlan;
use upstream::service::Service;

/// Starts discovery of a service.
pub(crate) fn start(plan: &ServicePlan, control: &Control) -> Arc<Service> {
    Service::start(plan.clone(), &control.names, &control.tasks, &control.clock, &control.metrics)
}

/// Whether a service has instances. One without any does not make the tier unready: its other services must go on being served.
pub(crate) fn health(service: &Service) -> Health {
    let snapshot = service.snapshot();
    let detail = match (&snapshot.failure, snapshot.endpoints.len()) {
        (None, count) => format!("{count} instances in generation {}", snapshot.generation),
        (Some(failure), count) => {
            format!("discovery fails ({}); {count} instances of generation {} stay in use", failure.code, snapshot.generation)
        }
    };
    Health { name: format!("service {}", snapshot.name), ready: true, detail }
}

/// `/services`: every service with its instances, as this process knows them.
pub(crate) fn page(services: Vec<Arc<Service>>) -> Router {
    let show = move || {
        let snapshots: Vec<_> = services.iter().map(|service| service.snapshot()).collect();
        async move { Json(snapshots) }
    };
    Router::new().route("/services", get(show))
}
