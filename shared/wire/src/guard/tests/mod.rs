//! The guard in front of the hyper that stands behind it in the product, over an in-memory connection.
//!
//! In: the bytes that a client sends. Out: what the corridor would have seen, what the client was answered, what the line recorded.
//! Time is paused: a deadline costs nothing, and nothing sleeps.

mod hostile_h1;
mod hostile_h2;
mod late;
mod lawful;
mod properties;
mod readers;

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

use crate::guard::fault::GuardFault;
use crate::guard::limits::GuardLimits;
use crate::guard::line::GuardLine;
use crate::guard::{Guard, REFUSED_METHOD};

/// More than any test moves, so that the client's writes never wait unless a test wants them to.
const ROOM: usize = 4 * 1024 * 1024;

/// A last request: its answer ends the connection, so that the client can read to the end.
const GOODBYE: &str = "GET /goodbye HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A request as the corridor meets it.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    /// `None` when it failed.
    body: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

/// What came of a connection.
#[derive(Debug)]
struct Outcome {
    seen: Vec<Seen>,
    answer: String,
    refusal: Option<GuardFault>,
}

impl Outcome {
    /// Requests that reached the corridor as such.
    fn requests(&self) -> Vec<&Seen> {
        self.seen.iter().filter(|seen| seen.method != REFUSED_METHOD).collect()
    }
}

/// The corridor in small: reads the body, answers a refusal with its reason, anything else with 200.
async fn corridor(
    request: Request<Incoming>,
    line: Arc<GuardLine>,
    seen: Rc<RefCell<Vec<Seen>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.ok();
    let trailers = body.as_ref().and_then(|body| body.trailers().cloned());
    let body = body.map(|body| body.to_bytes());
    let failed = body.is_none() || head.method == REFUSED_METHOD;
    seen.borrow_mut().push(Seen { method: head.method, uri: head.uri, headers: head.headers, body, trailers });
    line.settled();
    let mut answer = Response::new(Full::new(Bytes::from_static(b"fine")));
    if failed {
        let fault = line.refusal();
        *answer.status_mut() = fault.map_or(StatusCode::INTERNAL_SERVER_ERROR, |fault| fault.reason().status());
        *answer.body_mut() = Full::new(fault.map_or("unknown", GuardFault::code).into());
    }
    Ok(answer)
}

/// Serves one HTTP/1 connection, guarded or by hyper alone.
fn serve_h1(io: DuplexStream, limits: Option<GuardLimits>, line: Arc<GuardLine>, seen: Rc<RefCell<Vec<Seen>>>) -> impl Future<Output = ()> {
    trait Io: AsyncRead + AsyncWrite + Unpin {}
    impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}
    let io: Box<dyn Io> = match limits {
        Some(limits) => Box::new(Guard::h1(io, limits, Arc::clone(&line))),
        None => Box::new(io),
    };
    let service = service_fn(move |request| corridor(request, Arc::clone(&line), Rc::clone(&seen)));
    async move {
        // How hyper names the end of a refused connection is its own affair.
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), service).await;
    }
}

/// Sends `parts` one by one, each when the one before was taken, and reads to the end of the connection.
async fn talk(parts: &[&[u8]], limits: Option<GuardLimits>) -> Outcome {
    let (mut client, server) = tokio::io::duplex(ROOM);
    let line = Arc::new(GuardLine::default());
    let seen = Rc::new(RefCell::new(Vec::new()));
    let mut answer = Vec::new();
    let client_side = async {
        for part in parts {
            if client.write_all(part).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        // hyper alone waits for more where it has misread a length; nobody sends more.
        let _ = tokio::time::timeout(Duration::from_secs(3600), client.read_to_end(&mut answer)).await;
        drop(client);
    };
    let server_side = serve_h1(server, limits, Arc::clone(&line), Rc::clone(&seen));
    tokio::join!(client_side, server_side);
    let seen = seen.borrow().clone();
    Outcome { seen, answer: String::from_utf8_lossy(&answer).into_owned(), refusal: line.refusal() }
}

/// `bytes` and a goodbye, guarded with the default limits.
async fn guarded(bytes: &str) -> Outcome {
    talk(&[bytes.as_bytes(), GOODBYE.as_bytes()], Some(GuardLimits::default())).await
}

/// The same to hyper alone.
async fn alone(bytes: &str) -> Outcome {
    talk(&[bytes.as_bytes(), GOODBYE.as_bytes()], None).await
}

/// Runs a test on the kind of runtime that a worker is, with its clock paused. A test that waits for what never comes fails at once, for
/// then the clock moves on.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    let bounded = async { tokio::time::timeout(Duration::from_secs(30 * 24 * 3600), test).await };
    tokio::task::LocalSet::new().block_on(&runtime, bounded).expect("everybody waits, and nothing more comes");
}
