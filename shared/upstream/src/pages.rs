//! The pages of services behind the operator's door of either tier.
//!
//! In: the services of the configuration that serves. Out: `/services` with every service and its instances as this process knows them, and
//! `/services/NAME/history` with the last generations of one. Refuses: a name that no service has, with the names there are. Never: changes anything.

use std::sync::Arc;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::service::Service;

/// The pages of `services`.
pub fn router(services: Vec<Arc<Service>>) -> Router {
    let of_one = services.clone();
    let all = move || {
        let snapshots: Vec<_> = services.iter().map(|service| service.snapshot()).collect();
        async move { Json(snapshots) }
    };
    let history = move |Path(name): Path<String>| {
        let page = history(&of_one, &name);
        async move { page }
    };
    Router::new().route("/services", get(all)).route("/services/{name}/history", get(history))
}

fn history(services: &[Arc<Service>], name: &str) -> Response {
    match services.iter().find(|service| service.name() == name) {
        Some(service) => Json(service.history()).into_response(),
        None => {
            let names: Vec<&str> = services.iter().map(|service| service.name()).collect();
            let told = json!({ "what": "no service has this name", "remedy": "take one of `services`", "services": names });
            (StatusCode::NOT_FOUND, Json(told)).into_response()
        }
    }
}
