//! `POST /upgrade`: an operator asks for the next version, and waits until it serves.
//!
//! In: the wish. Out: 200 with the process id of the successor, or what is in the way with its remedy: 409 if that passes by itself, 422 if not.
//! Never: answers before it is known.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::handover::UpgradeDesk;

/// The generation that every process begins with.
const FIRST_GENERATION: u64 = 1;

/// Asks, waits, and tells what came of it.
pub(crate) async fn upgrade(desk: UpgradeDesk) -> Response {
    match desk.upgrade().await {
        Ok(pid) => axum::Json(json!({ "pid": pid, "generation": FIRST_GENERATION })).into_response(),
        Err(unable) => {
            let status = if unable.is_conflict { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
            (status, axum::Json(json!({ "what": unable.error.what, "remedy": unable.error.remedy }))).into_response()
        }
    }
}
