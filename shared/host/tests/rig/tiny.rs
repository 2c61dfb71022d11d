//! A tier that answers by path, and lets a test hold its answers back.

use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use host::load::{Former, Loaded, Refused};
use host::plan::HostPlan;
use host::tier::{Aside, BootError, Checked, Control, Health, Seat, Tier};
use http::{Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use serde_json::Value;
use settings::files::Files;
use settings::report::{Complaint, Report};
use tokio::sync::watch;
use wire::body::Body;
use wire::connection::Connection;

use crate::rig::LONG;

/// A tier that answers by path: `/worker` its index, `/panic`, `/slow` once the gate is open, `/stream` without end, `/upgrade` by echoing bytes; else `hello`.
pub(crate) struct Tiny {
    gate: Arc<Gate>,
    greeting: String,
    generation: u64,
}

/// The tier as meant.
#[derive(Clone)]
pub(crate) struct TinyPlan {
    pub(crate) gate: Arc<Gate>,
    /// What it answers.
    pub(crate) greeting: String,
    /// Why it cannot be started.
    pub(crate) broken: Option<String>,
}

/// As the loader of a file, from what a test has written instead of one. A greeting of `!` is a complaint, one that starts with `?` is set aside.
pub(crate) fn load((host, tier): &(HostPlan, TinyPlan), file: &Path, former: Option<&Former<Tiny>>) -> Result<Loaded<Tiny>, Refused> {
    let complaint = |what: &str| Complaint {
        file: "tiny".to_owned(),
        line: 3,
        column: 5,
        key: "greeting".to_owned(),
        what: what.to_owned(),
        remedy: "write another one".to_owned(),
    };
    // What was read is what tells one configuration from another.
    let uids: Vec<_> = host.listeners.iter().map(|listener| &listener.uids).collect();
    std::fs::write(file, format!("{:?} {:?} {uids:?} {}", host.limits, host.drain, tier.greeting)).unwrap();
    let files = Files::beside(file);
    files.read(file, 10_000).unwrap();
    let sights = files.sights();
    if tier.greeting == "!" {
        return Err(Refused { complaints: vec![complaint("it says nothing")], sights });
    }
    let mut tier = tier.clone();
    let mut aside = Vec::new();
    if tier.greeting.starts_with('?') {
        if let Some(former) = former {
            tier.greeting.clone_from(&former.tier.greeting);
        }
        aside.push(Aside {
            name: "drop-in tiny".to_owned(),
            complaints: vec![complaint("it asks")],
            detail: "its former version stays in use".to_owned(),
        });
    }
    Ok(Loaded { checked: Checked { host: host.clone(), tier, aside }, shown: Value::Null, sights })
}

/// What the tests see and steer of a tiny tier.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) open: watch::Sender<bool>,
    pub(crate) waiting: watch::Sender<usize>,
    pub(crate) drained: AtomicUsize,
    /// The tier lacks what a process before it may have.
    pub(crate) lacks: AtomicBool,
    /// Generations of the tier that somebody holds.
    pub(crate) alive: AtomicUsize,
    /// Streams that were dropped.
    pub(crate) dropped: watch::Sender<usize>,
    /// The worker that panics once at the next generation.
    pub(crate) fails: Mutex<Option<usize>>,
    /// The worker that dies of a panic when its former generation goes.
    pub(crate) dies: Mutex<Option<usize>>,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            open: watch::channel(false).0,
            waiting: watch::channel(0).0,
            drained: AtomicUsize::new(0),
            lacks: AtomicBool::new(false),
            alive: AtomicUsize::new(0),
            dropped: watch::channel(0).0,
            fails: Mutex::new(None),
            dies: Mutex::new(None),
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
    tier: Arc<Tiny>,
    /// The generations that this worker has known before.
    known: Vec<u64>,
}

impl Tier for Tiny {
    const NAME: &'static str = "tiny";
    type Config = Value;
    type Plan = TinyPlan;
    type Worker = TinyWorker;

    fn check(_: Value, _: &Files, _: Option<&TinyPlan>, _: &mut Report) -> Option<Checked<Self>> {
        None
    }

    async fn start(plan: Arc<TinyPlan>, _: Option<Arc<Self>>, control: Control) -> Result<Arc<Self>, BootError> {
        if let Some(why) = &plan.broken {
            assert_ne!(why, "panic", "a bug");
            return Err(BootError::new(why.clone(), "mend it"));
        }
        plan.gate.alive.fetch_add(1, Ordering::SeqCst);
        Ok(Arc::new(Self { gate: Arc::clone(&plan.gate), greeting: plan.greeting.clone(), generation: control.generation }))
    }

    fn worker(self: &Arc<Self>, seat: Seat, before: Option<&Rc<TinyWorker>>) -> TinyWorker {
        let fails = self.gate.fails.lock().unwrap().take_if(|index| *index == seat.index).is_some();
        assert!(!fails, "a bug");
        let known = before.map_or_else(Vec::new, |before| [&before.known[..], &[before.tier.generation]].concat());
        TinyWorker { index: seat.index, gate: Arc::clone(&self.gate), tier: Arc::clone(self), known }
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
                    if worker.tier.greeting == "hello" { "slow".to_owned() } else { worker.tier.greeting.clone() }
                }
                "/known" => format!("{:?}", worker.known),
                _ => worker.tier.greeting.clone(),
            };
            Response::new(Body::from(text.into_bytes()))
        }
    }

    fn readiness(&self) -> Vec<Health> {
        vec![Health { name: "gate".to_owned(), ready: true, detail: "is there".to_owned() }]
    }

    fn succession_readiness(&self) -> Vec<Health> {
        let ready = !self.gate.lacks.load(Ordering::Relaxed);
        vec![Health { name: "gate".to_owned(), ready, detail: "is shut".to_owned() }]
    }

    fn draining(&self) {
        self.gate.drained.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for TinyWorker {
    fn drop(&mut self) {
        let dies = self.gate.dies.lock().unwrap().take_if(|index| *index == self.index).is_some();
        assert!(!dies, "a bug");
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        self.gate.alive.fetch_sub(1, Ordering::SeqCst);
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
