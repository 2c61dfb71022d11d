//! What the operator's door can be asked to do: POST alone.
//!
//! In: `POST /reload`, `POST /upgrade`. Out: what came of it, once it is over: 200; 409 if what is in the way passes by itself; 422 with every
//! complaint, or with what to do; 503 when nobody can take the wish. Refuses: whatever a
//! web page can send without asking first: a request with `Origin`, or with the content type of a form. Never: acts without a line in the log that
//! names the peer.

use std::fmt;
use std::net::SocketAddr;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use serde_json::json;

use crate::handover::{Unable, UpgradeDesk};
use crate::reload::{Bell, Outcome, Verdict};

/// Who is at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Somebody on this host, by address.
    Tcp(SocketAddr),
    /// A process that the kernel told us of.
    Unix { uid: u32, pid: Option<i32> },
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { uid, pid: Some(pid) } => write!(f, "uid {uid} pid {pid}"),
            Self::Unix { uid, pid: None } => write!(f, "uid {uid}"),
        }
    }
}

/// The content types that a form or a script sends without the browser asking first (Fetch §2.2.2, "CORS-safelisted").
const FORMS: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];

/// All that can be asked for.
pub(crate) fn router(bell: &Bell, desk: &UpgradeDesk) -> Router {
    let (bell, desk) = (bell.clone(), desk.clone());
    let reload = post(move |Extension(peer): Extension<Peer>| reload(bell, peer));
    let upgrade = post(move |Extension(peer): Extension<Peer>| upgrade(desk, peer));
    Router::new().route("/reload", reload).route("/upgrade", upgrade).layer(from_fn(deliberate))
}

async fn reload(bell: Bell, peer: Peer) -> Response {
    tracing::info!(%peer, "asked to reload at the admin door");
    let Some(Outcome { generation, verdict }) = bell.ask(format!("POST /reload by {peer}")).await else {
        let body = json!({ "what": "too many wait for a reload, or the process ends", "remedy": "ask again, or see /readyz" });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    };
    match verdict {
        Verdict::Adopted => Json(json!({ "generation": generation, "outcome": "adopted" })).into_response(),
        Verdict::Unchanged => Json(json!({ "generation": generation, "outcome": "unchanged" })).into_response(),
        Verdict::Refused(complaints) => {
            let what = "the configuration was not reloaded; the former generation serves on";
            let body = json!({ "generation": generation, "what": what, "remedy": "see complaints", "complaints": complaints });
            (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
        }
    }
}

/// The generation that every process begins with.
const FIRST_GENERATION: u64 = 1;

async fn upgrade(desk: UpgradeDesk, peer: Peer) -> Response {
    tracing::info!(%peer, "asked to upgrade at the admin door");
    match desk.upgrade().await {
        Ok(pid) => Json(json!({ "pid": pid, "generation": FIRST_GENERATION })).into_response(),
        Err(Unable { is_conflict, error }) => {
            let status = if is_conflict { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
            (status, Json(json!({ "what": error.what, "remedy": error.remedy }))).into_response()
        }
    }
}

/// A page that an operator's browser shows can send a POST here, and need not be able to read the answer to do harm.
async fn deliberate(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let essence = |value: &str| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(essence);
    if headers.contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "not for web pages: send it without `Origin`\n").into_response();
    }
    if content_type.is_some_and(|written| FORMS.contains(&written.as_str())) {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not for forms: send it without a body, or with a body of JSON\n").into_response();
    }
    next.run(request).await
}
