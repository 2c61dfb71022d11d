//! Waiting until a part of the demo does its work.
//!
//! In: a part and its address. Out: nothing, once it answers as itself. Refuses: a part that ends, or that takes longer
//! than [`READY_SECONDS_MAX`], with the end of its log. Never: believes an open port alone.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::net::UdpSocket;
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use crate::demo::ask::ask;
use crate::demo::part::Part;
use crate::demo::place::Place;
use crate::fault::Fault;

/// How long a part may take to be ready.
pub const READY_SECONDS_MAX: u64 = 10;
/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(25);
/// How much of a log is shown when its process has failed.
const LOG_LINES_MAX: usize = 10;

/// Waits until `part`, which `child` is and which listens on `address`, is ready.
///
/// # Errors
/// When the process ends, or is not ready in time.
pub async fn await_ready(part: Part, address: SocketAddr, child: &mut Child, place: &Place) -> Result<(), Fault> {
    let deadline = Instant::now() + Duration::from_secs(READY_SECONDS_MAX);
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(failed(part, place, &format!("ended at its start ({status})")));
        }
        if is_ready(part, address).await {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(failed(part, place, &format!("was not ready within {READY_SECONDS_MAX} s")));
        }
        sleep(ASK_EVERY).await;
    }
}

async fn is_ready(part: Part, address: SocketAddr) -> bool {
    let get = async |path| ask(address, Method::GET, path, None).await.ok().filter(|(status, _)| *status == StatusCode::OK);
    match part {
        Part::SecurityGw | Part::RoutingGw => get("/readyz").await.is_some(),
        Part::Issuer => get("/.well-known/openid-configuration").await.is_some(),
        Part::Dns => answers_dns(address).await.is_some(),
        Part::Orders(_) | Part::Users(_) => {
            let seen: Option<Value> = get("/").await.and_then(|(_, body)| serde_json::from_slice(&body).ok());
            seen.is_some_and(|seen| seen["instance"] == part.to_string())
        }
    }
}

async fn answers_dns(address: SocketAddr) -> Option<()> {
    let mut question = Message::query();
    question.add_query(Query::query(Name::from_ascii("demo.").ok()?, RecordType::SOA));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.ok()?;
    socket.connect(address).await.ok()?;
    socket.send(&question.to_vec().ok()?).await.ok()?;
    let mut bytes = [0; 512];
    let length = timeout(Duration::from_millis(500), socket.recv(&mut bytes)).await.ok()?.ok()?;
    let answer = Message::from_vec(bytes.get(..length)?).ok()?;
    (answer.metadata.id == question.metadata.id && answer.metadata.authoritative).then_some(())
}

fn failed(part: Part, place: &Place, how: &str) -> Fault {
    let path = place.log(part);
    let log = fs::read_to_string(&path).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    let end = lines[lines.len().saturating_sub(LOG_LINES_MAX)..].join("\n  ");
    Fault::new(format!("{part} {how}:\n  {end}\n"), format!("see {}", path.display()))
}
