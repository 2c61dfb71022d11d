//! `send` over real sockets, against instances that behave as a test says.

mod budget;
mod health;
mod instance;
mod limits;
mod multiplexed;
mod outliers;
mod pools;
mod probes;
mod repeat;
mod streams;
mod tls;
mod uploads;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use settings::clock::Clock;
use settings::report::Report;
use settings::units::Span;
use telemetry::metrics::Metrics;
use tokio::sync::mpsc;
use wire::body::{Body, BoxError};
use wire::resolver::families::Family;
use wire::tasks::Tasks;

use super::send;
use crate::config::ServiceConfig;
use crate::config::balance::Balance;
use crate::config::discover::DiscoverConfig;
use crate::errand::Errand;
use crate::fault::SendFault;
use crate::lookup::{Addresses, Lookup, LookupFault, Targets};
use crate::plan::ServicePlan;
use crate::pool::Pools;
use crate::service::Service;
use crate::trip::Trip;

const LONG: Duration = Duration::from_secs(10);

/// Runs a test as a worker runs: on one thread, in a local runtime, and never for ever.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).expect("runtime");
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), test).await.expect("the test hangs") });
}

/// Waits for a condition that another task brings about.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, wait).await.unwrap_or_else(|_| panic!("never came true: {what}"));
}

struct NoNames;

impl Lookup for NoNames {
    async fn addresses(&self, _: &str) -> Result<Addresses, LookupFault> {
        Err(LookupFault::TIMEOUT)
    }
    async fn addresses_in(&self, name: &str, _: Family) -> Result<Addresses, LookupFault> {
        self.addresses(name).await
    }

    async fn targets(&self, _: &str) -> Result<Targets, LookupFault> {
        Err(LookupFault::TIMEOUT)
    }
}

/// A worker with its pool and one service in front of scripted instances. Round robin, so that the first request goes to the instance
/// with the lowest address.
struct Bench {
    pools: Rc<Pools>,
    service: Arc<Service>,
}

impl Bench {
    fn at(addresses: &[impl ToString]) -> Self {
        Self::with(addresses, |_| {})
    }

    fn with(addresses: &[impl ToString], change: impl FnOnce(&mut ServiceConfig)) -> Self {
        Self::planned(addresses, change, |_| {})
    }

    fn planned(addresses: &[impl ToString], change: impl FnOnce(&mut ServiceConfig), plan_more: impl FnOnce(&mut ServicePlan)) -> Self {
        let mut config = ServiceConfig::new(DiscoverConfig::Static { addresses: addresses.iter().map(ToString::to_string).collect() });
        config.balance = Balance::RoundRobin;
        config.timeouts.first_byte = Some(Span::secs(5));
        change(&mut config);
        let mut report = Report::new();
        let plan = config.check("services.orders", &settings::files::Files::of(std::path::Path::new("/")), &mut report);
        let mut plan = plan.unwrap_or_else(|| panic!("{}", report.print()));
        plan_more(&mut plan);
        let tasks = Tasks::on(tokio::runtime::Handle::current());
        let service = Service::start(plan, &Arc::new(NoNames), &tasks, &Clock::system(), &Metrics::new());
        Self { pools: Pools::new(), service }
    }

    async fn send(&self, request: Request<Body>) -> (Result<Response<Body>, SendFault>, Trip) {
        let mut trip = Trip::default();
        let sent = send(&self.pools, &self.service, request, Errand::default(), &mut trip).await;
        (sent, trip)
    }

    /// A GET whose answer is read to its end.
    async fn get(&self) -> (u16, String, Trip) {
        let (sent, trip) = self.send(request(Method::GET, Body::Empty)).await;
        let (status, text, _) = read(sent.expect("an answer")).await;
        (status, text, trip)
    }

    fn in_flight(&self) -> u32 {
        self.service.endpoints().endpoints().iter().map(|endpoint| endpoint.in_flight()).sum()
    }

    fn open(&self) -> usize {
        self.service.ceiling().open()
    }
}

fn request(method: Method, body: Body) -> Request<Body> {
    Request::builder().method(method).uri("http://ignored.example/a?b=c").header("host", "orders.demo").body(body).expect("request")
}

fn post(text: &'static str) -> Request<Body> {
    request(Method::POST, Body::from(Bytes::from_static(text.as_bytes())))
}

async fn read(response: Response<Body>) -> (u16, String, Option<HeaderMap>) {
    let status = response.status().as_u16();
    let collected = response.into_body().collect().await.expect("a whole body");
    let trailers = collected.trailers().cloned();
    (status, String::from_utf8(collected.to_bytes().to_vec()).expect("text"), trailers)
}

/// A body of unknown length that a test feeds.
struct Fed(mpsc::Receiver<Result<Frame<Bytes>, BoxError>>);

fn fed() -> (mpsc::Sender<Result<Frame<Bytes>, BoxError>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Body::boxed(Fed(receiver)))
}

fn data(text: &'static str) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx)
    }
}
