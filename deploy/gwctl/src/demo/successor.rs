//! Who serves as a tier of the demo now: after an upgrade another process than the one that was started.
//!
//! In: the tier and its ports. Out: the id of the process that answers at its admin door. Never: guesses.

use http::{Method, StatusCode};
use rustix::process::Pid;
use serde_json::Value;

use crate::demo::ask::ask;
use crate::demo::part::Part;
use crate::demo::pids::is_alive;
use crate::demo::ports::Ports;

/// The process that serves as `part`, if that is a tier, it runs, and it is another one than `former`.
pub async fn successor(part: Part, former: Pid, ports: Ports) -> Option<Pid> {
    if !matches!(part, Part::SecurityGw | Part::RoutingGw) {
        return None;
    }
    let door = part.addresses(ports).first().copied()?;
    let (status, body) = ask(door, Method::GET, "/generation", None).await.ok()?;
    let page: Value = serde_json::from_slice(&body).ok().filter(|_| status == StatusCode::OK)?;
    let pid = page["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw)?;
    (pid != former && is_alive(pid)).then_some(pid)
}
