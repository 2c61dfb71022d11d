//! What a tier is to the process around it: the trait that `security-gw` and `routing-gw` implement, and what they are handed.
//!
//! In: a tier's configuration type, its rooms, its answers. Out: what the host calls, in the order of a life: `check`, `start`, `worker`,
//! `serve`, `draining`. Never: knows a room by name.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use settings::clock::Clock;
use settings::files::Files;
use settings::report::{Complaint, Report};
use telemetry::metrics::Metrics;
use telemetry::record::Records;
use telemetry::record::buffer::RecordBuffer;
use telemetry::traces::Tracing;
use wire::body::Body;
use wire::connection::Connection;
use wire::fetch::Fetcher;
use wire::resolver::Names;
use wire::tasks::Tasks;

use crate::drain::LifeWatch;
use crate::plan::HostPlan;

/// A tier: a library of rooms that the host gives connections to.
pub trait Tier: Sized + Send + Sync + 'static {
    /// The name of the program, as it stands in logs, in `/generation` and in the usage text: `security-gw`.
    const NAME: &'static str;

    /// The file as written.
    type Config: DeserializeOwned + JsonSchema;

    /// The file as meant, without what the host needs of it.
    type Plan: Send + Sync + 'static;

    /// What one worker keeps for itself: pools, caches, the record buffer. It never leaves its thread.
    type Worker: 'static;

    /// Turns the file as written into the plans of the host and of the tier. Every complaint goes into `report`; `None` when a plan could not be
    /// made. `files` reads what the configuration names, and remembers it for the watcher. `before` is the plan that serves now, if one does:
    /// a part that is set aside may stay in use as it was there.
    fn check(config: Self::Config, files: &Files, before: Option<&Self::Plan>, report: &mut Report) -> Option<Checked<Self>>;

    /// Starts what runs beside the request path: key sets, discovery. Runs on the control runtime after the listeners were bound and before
    /// anything is accepted; waits for first answers, each with a bound of its own. `before` is the generation that serves now, if one does: what
    /// the new plan leaves as it was is taken over from it, and nothing of it is changed, for it may have to go on serving.
    ///
    /// # Errors
    /// What keeps the tier from serving at all. A dependency that is merely down is no error: it shows in [`Tier::readiness`].
    fn start(
        plan: Arc<Self::Plan>,
        before: Option<Arc<Self>>,
        control: Control,
    ) -> impl Future<Output = Result<Arc<Self>, BootError>> + Send;

    /// Makes the state of one worker, on the worker's own thread, inside its runtime. `before` is what the worker had in the former generation,
    /// which requests in flight go on using: pools and caches that still hold are taken over.
    fn worker(self: &Arc<Self>, seat: Seat, before: Option<&Rc<Self::Worker>>) -> Self::Worker;

    /// Walks one request through the corridor. It always answers; a panic in it becomes the problem `internal-error`.
    fn serve(
        worker: &Rc<Self::Worker>,
        connection: &Rc<Connection>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + 'static;

    /// What the tier needs in order to serve, each with its present state.
    fn readiness(&self) -> Vec<Health>;

    /// What the tier needs before it may take the place of a process that serves: nothing may be missing that the other one has.
    fn succession_readiness(&self) -> Vec<Health> {
        self.readiness()
    }

    /// The admin pages that only this tier has; GET alone.
    fn admin(self: &Arc<Self>) -> axum::Router {
        axum::Router::new()
    }

    /// Told once, when the drain begins.
    fn draining(&self) {}
}

/// A file that was read and checked.
pub struct Checked<T: Tier> {
    /// The process as meant.
    pub host: HostPlan,
    /// The tier as meant.
    pub tier: T::Plan,
    /// Parts of the configuration that are not in the plan, because something is wrong with them that concerns nobody else.
    pub aside: Vec<Aside>,
}

/// A part of the configuration, kept in a file of its own, that was set aside whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Which: `drop-in orders.yaml`.
    pub name: String,
    /// All that is wrong with it; at least one.
    pub complaints: Vec<Complaint>,
    /// What becomes of it meanwhile: `its routes are not served`.
    pub detail: String,
}

/// What the control runtime lends to a tier.
#[derive(Clone)]
pub struct Control {
    /// Where background work runs.
    pub tasks: Tasks,
    /// The only resolver of names.
    pub names: Arc<Names>,
    /// The bounded reader of documents on the network.
    pub fetcher: Arc<Fetcher>,
    /// The registry of this process.
    pub metrics: Metrics,
    /// The only source of wall-clock time.
    pub clock: Clock,
    /// The record sinks of this process.
    pub records: Records,
    /// The trace exporter.
    pub tracing: Arc<Tracing>,
    /// The configuration generation that is being started; the first is 1.
    pub generation: u64,
    /// Where the process stands in its life.
    pub life: LifeWatch,
    /// Threads that serve; the same over the life of the process.
    pub workers: usize,
}

/// What one worker is handed for its tier.
pub struct Seat {
    /// The place of the worker, from 0.
    pub index: usize,
    /// The worker's own record buffer; the host's ticker flushes it.
    pub records: Rc<RecordBuffer>,
    /// The same as [`Tier::start`] was given.
    pub control: Control,
}

/// The state of one thing that a tier needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// What it is: `issuer demo`, `service orders`.
    pub name: String,
    /// Whether requests can be served as far as this thing goes.
    pub ready: bool,
    /// One sentence for the operator.
    pub detail: String,
}

/// Why a process could not start although its file was lawful.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {remedy}")]
pub struct BootError {
    /// What went wrong, with the address, file or name that it is about.
    pub what: String,
    /// What the operator can do.
    pub remedy: String,
}

impl BootError {
    /// An error with its remedy.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}
