//! A tier that answers by path, and lets a test hold its answers back.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use host::tier::{BootError, Checked, Control, Health, Seat, Tier};
use http::{Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use serde_json::Value;
use settings::files::Files;
use settings::report::Report;
use tokio::sync::watch;
use wire::body::Body;
use wire::connection::Connection;

use crate::rig::LONG;

/// A tier that answers by path: `/worker` its index, `/panic`, `/slow` once the gate is open, `/stream` without end, `/upgrade` by echoing bytes; else `hello`.
pub(crate) struct Tiny {
    gate: Arc<Gate>,
}

/// What the tests see and steer of a tiny tier.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) open: watch::Sender<bool>,
    pub(crate) waiting: watch::Sender<usize>,
    pub(crate) drained: AtomicUsize,
    /// Streams that were dropped.
    pub(crate) dropped: watch::Sender<usize>,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            open: watch::channel(false).0,
            waiting: watch::channel(0).0,
            drained: AtomicUsize::new(0),
            dropped: watch::channel(0).0,
        })
    }

    /// Waits until `number` requests stand at the gate.
    pub(crate) fn wait_for(&self, number: usize) {
        let started = Instant::now();
        while *self.waiting.borrow() < number {
            assert!(started.elapsed() < LONG, "only {} requests came to the gate", *self.waiting.borrow());
            std::thread::yield_now();
        }
    }
}

pub(crate) struct TinyWorker {
    index: usize,
    gate: Arc<Gate>,
}

impl Tier for Tiny {
    const NAME: &'static str = "tiny";
    type Config = Value;
    type Plan = Arc<Gate>;
    type Worker = TinyWorker;

    fn check(_: Value, _: &Files, _: Option<&Arc<Gate>>, _: &mut Report) -> Option<Checked<Self>> {
        None
    }

    async fn start(plan: Arc<Arc<Gate>>, _: Option<Arc<Self>>, _: Control) -> Result<Arc<Self>, BootError> {
        Ok(Arc::new(Self { gate: Arc::clone(&plan) }))
    }

    fn worker(self: &Arc<Self>, seat: Seat, _: Option<&Rc<TinyWorker>>) -> TinyWorker {
        TinyWorker { index: seat.index, gate: Arc::clone(&self.gate) }
    }

    fn serve(worker: &Rc<TinyWorker>, _: &Rc<Connection>, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + 'static {
        let worker = Rc::clone(worker);
        async move {
            if request.uri().path() == "/upgrade" {
                return echo(request);
            }
            if request.uri().path() == "/stream" {
                return Response::new(Body::boxed(Endless(Arc::clone(&worker.gate))));
            }
            let text = match request.uri().path() {
                "/worker" => worker.index.to_string(),
                "/panic" => panic!("a bug"),
                "/slow" => {
                    worker.gate.waiting.send_modify(|number| *number += 1);
                    let _ = worker.gate.open.subscribe().wait_for(|open| *open).await;
                    "slow".to_owned()
                }
                _ => "hello".to_owned(),
            };
            Response::new(Body::from(text.into_bytes()))
        }
    }

    fn readiness(&self) -> Vec<Health> {
        vec![Health { name: "gate".to_owned(), ready: true, detail: "is there".to_owned() }]
    }

    fn draining(&self) {
        self.gate.drained.fetch_add(1, Ordering::Relaxed);
    }
}

/// Always has something to say, and tells its drop.
struct Endless(Arc<Gate>);

impl Drop for Endless {
    fn drop(&mut self) {
        self.0.dropped.send_modify(|number| *number += 1);
    }
}

impl http_body::Body for Endless {
    type Data = bytes::Bytes;
    type Error = wire::body::BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<bytes::Bytes>, Self::Error>>> {
        Poll::Ready(Some(Ok(Frame::data(bytes::Bytes::from_static(&[7; 64])))))
    }
}

/// Leaves HTTP and sends back what comes.
fn echo(request: Request<Incoming>) -> Response<Body> {
    let upgrade = hyper::upgrade::on(request);
    tokio::task::spawn_local(async move {
        let stream = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
        let (mut from, mut to) = tokio::io::split(stream);
        let _ = tokio::io::copy(&mut from, &mut to).await;
    });
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert("connection", http::HeaderValue::from_static("upgrade"));
    response.headers_mut().insert("upgrade", http::HeaderValue::from_static("echo"));
    response
}
