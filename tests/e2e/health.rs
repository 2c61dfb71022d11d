//! Which instance works, through both real tiers: active checks take an instance out and back, and answers that are bad do.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tests::rig::Rig;
use tests::rig::scene::Scene;
use tests::rig::wait::until;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::BINARIES;

/// An instance that answers checks and requests as the test says.
struct Scripted {
    address: SocketAddr,
    says: Arc<Says>,
}

struct Says {
    /// The status of `/healthz`.
    check: AtomicU16,
    /// The status of everything else.
    request: AtomicU16,
    requests: AtomicUsize,
}

/// The runtime of the scripted instances; they end with it.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

impl Scripted {
    fn start(runtime: &Runtime) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let says = Arc::new(Says { check: 200.into(), request: 200.into(), requests: 0.into() });
        runtime.spawn(Self::serve(listener, Arc::clone(&says)));
        Self { address, says }
    }

    async fn serve(listener: TcpListener, says: Arc<Says>) {
        while let Ok((stream, _)) = listener.accept().await {
            let says = Arc::clone(&says);
            tokio::runtime::Handle::current().spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let status = if request.uri().path() == "/healthz" {
                        &says.check
                    } else {
                        says.requests.fetch_add(1, Ordering::SeqCst);
                        &says.request
                    };
                    let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
                    *response.status_mut() = StatusCode::from_u16(status.load(Ordering::SeqCst)).expect("a status");
                    async move { Ok::<_, Infallible>(response) }
                });
                let _ended = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    fn count(&self) -> usize {
        self.says.requests.load(Ordering::SeqCst)
    }
}

/// The demo's scene, where `orders` are these instances, and this is said of them.
fn scene(addresses: &[SocketAddr], options: &str) -> Scene {
    let listed: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    Scene::default().routing(
        "orders: { discover: { kind: srv, name: _http._tcp.orders.demo }, ttl: { min: 200ms, max: 1s } }",
        &format!("orders: {{ discover: {{ kind: static, addresses: [{}] }}, balance: round_robin, {options} }}", listed.join(", ")),
    )
}

/// What `/services` shows of one instance.
fn shown(rig: &Rig, address: SocketAddr) -> Value {
    let page = rig.routing.page("/services");
    let services = page.as_array().or_else(|| page["services"].as_array()).unwrap_or_else(|| panic!("{page}"));
    let orders = services.iter().find(|service| service["name"] == "orders").unwrap_or_else(|| panic!("{page}"));
    let endpoints = orders["endpoints"].as_array().expect("endpoints");
    endpoints.iter().find(|one| one["address"] == address.to_string()).unwrap_or_else(|| panic!("{page}")).clone()
}

fn stands(rig: &Rig, address: SocketAddr, state: &str) {
    until(&format!("{address} stands as {state}"), || (shown(rig, address)["health"]["state"] == state).then_some(()));
}

fn get(rig: &Rig) -> u16 {
    rig.knock("GET /public/1").go().status.as_u16()
}

#[test]
fn an_http_check_takes_an_instance_out_and_back_and_when_all_fail_all_serve() {
    let runtime = runtime();
    let (one, two) = (Scripted::start(&runtime), Scripted::start(&runtime));
    let health =
        "health: { probe: { kind: http, path: /healthz }, every: 100ms, timeout: 5s, unhealthy_threshold: 2, healthy_threshold: 2 }";
    let rig = scene(&[one.address, two.address], health).raise(&BINARIES);
    stands(&rig, one.address, "healthy");
    stands(&rig, two.address, "healthy");
    for _ in 0..8 {
        assert_eq!(get(&rig), 200);
    }
    assert!(one.count() > 0 && two.count() > 0, "both are used");

    one.says.check.store(503, Ordering::SeqCst);
    stands(&rig, one.address, "unhealthy");
    assert_eq!(shown(&rig, one.address)["health"]["failure"], "status");
    let before = one.count();
    for _ in 0..10 {
        assert_eq!(get(&rig), 200);
    }
    assert_eq!(one.count(), before, "it got something");
    assert!((rig.routing.metric("gateway_instances_health{service=\"orders\",state=\"unhealthy\"}") - 1.0).abs() < 0.1);

    // The checks may be wrong, and must not take the service down.
    two.says.check.store(503, Ordering::SeqCst);
    stands(&rig, two.address, "unhealthy");
    let before = (one.count(), two.count());
    for _ in 0..20 {
        assert_eq!(get(&rig), 200);
    }
    assert!(one.count() > before.0 && two.count() > before.1, "all are used");

    one.says.check.store(204, Ordering::SeqCst);
    stands(&rig, one.address, "healthy");
    let before = two.count();
    for _ in 0..10 {
        assert_eq!(get(&rig), 200);
    }
    assert_eq!(two.count(), before, "one that is well again is enough");
}

#[test]
fn a_tcp_check_finds_out_who_listens() {
    let runtime = runtime();
    let one = Scripted::start(&runtime);
    let nobody = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port").local_addr().expect("an address");
    let health = "health: { probe: { kind: tcp }, every: 100ms, timeout: 5s }";
    let rig = scene(&[one.address, nobody], health).raise(&BINARIES);
    stands(&rig, one.address, "healthy");
    stands(&rig, nobody, "unhealthy");
    assert_eq!(shown(&rig, nobody)["health"]["failure"], "connect");
    let failed = rig.routing.metric("gateway_upstream_connects_total{service=\"orders\",result=\"failed\"}");
    for _ in 0..10 {
        assert_eq!(get(&rig), 200);
    }
    let after = rig.routing.metric("gateway_upstream_connects_total{service=\"orders\",result=\"failed\"}");
    assert!((after - failed).abs() < 0.1, "no request has run into it");
    let listener = runtime.block_on(TcpListener::bind(nobody)).expect("its port");
    let says = Arc::new(Says { check: 200.into(), request: 200.into(), requests: 0.into() });
    runtime.spawn(Scripted::serve(listener, says));
    stands(&rig, nobody, "healthy");
}

/// The health service of gRPC on a port of its own; `serving` is 1 for SERVING and 2 for NOT_SERVING.
fn grpc_health(runtime: &Runtime, serving: &Arc<AtomicU16>) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let serving = Arc::clone(serving);
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let serving = Arc::clone(&serving);
            tokio::runtime::Handle::current().spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                    let Ok(mut body) = respond.send_response(Response::new(()), false) else { return };
                    let status = serving.load(Ordering::SeqCst) as u8;
                    let mut trailers = HeaderMap::new();
                    trailers.insert("grpc-status", HeaderValue::from_static("0"));
                    let _sent = body.send_data(Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status]), false);
                    let _sent = body.send_trailers(trailers);
                }
            });
        }
    });
    address
}

#[test]
fn a_grpc_check_believes_serving_alone() {
    let runtime = runtime();
    let one = Scripted::start(&runtime);
    let serving = Arc::new(AtomicU16::new(1));
    let port = grpc_health(&runtime, &serving).port();
    let health = format!("health: {{ probe: {{ kind: grpc, service: orders.v1.Orders, port: {port} }}, every: 100ms, timeout: 5s }}");
    let rig = scene(&[one.address], &health).raise(&BINARIES);
    stands(&rig, one.address, "healthy");
    serving.store(2, Ordering::SeqCst);
    stands(&rig, one.address, "unhealthy");
    assert_eq!(shown(&rig, one.address)["health"]["failure"], "not-serving");
    serving.store(1, Ordering::SeqCst);
    stands(&rig, one.address, "healthy");
    assert_eq!(get(&rig), 200);
}

#[test]
fn an_instance_that_answers_503_is_left_alone_and_tried_again_by_one_request() {
    let runtime = runtime();
    let (ill, well) = (Scripted::start(&runtime), Scripted::start(&runtime));
    let rig = scene(&[ill.address, well.address], "outliers: { consecutive_gateway_errors: 3, base: 60s, max: 60s }").raise(&BINARIES);
    ill.says.request.store(503, Ordering::SeqCst);
    let mut failed = 0;
    for _ in 0..20 {
        failed += usize::from(get(&rig) == 503);
    }
    assert_eq!((failed, ill.count(), well.count()), (3, 3, 17), "three in a row, and nothing more");
    let told = shown(&rig, ill.address);
    assert_eq!((&told["ejected"], &told["ejection"]["cause"], &told["ejections"]), (&true.into(), &"gateway_errors".into(), &1.into()));
    assert!((rig.routing.metric("gateway_upstream_ejections_total{service=\"orders\",cause=\"gateway_errors\"}") - 1.0).abs() < 0.1);
    assert!((rig.routing.metric("gateway_instances_ejected{service=\"orders\"}") - 1.0).abs() < 0.1);
    assert_eq!(rig.routing.ask("/readyz").expect("an answer").0, 200, "an ejection says nothing of the gateway");

    // One of two is the most: the other one is used whatever it answers.
    well.says.request.store(503, Ordering::SeqCst);
    for _ in 0..10 {
        assert_eq!(get(&rig), 503);
    }
    assert_eq!((ill.count(), well.count()), (3, 27));
    assert!(rig.routing.metric("gateway_upstream_ejections_refused_total{service=\"orders\"}") > 0.5);
}

#[test]
fn an_instance_that_is_well_again_comes_back() {
    let runtime = runtime();
    let (ill, well) = (Scripted::start(&runtime), Scripted::start(&runtime));
    let rig = scene(&[ill.address, well.address], "outliers: { consecutive_gateway_errors: 2, base: 100ms, max: 100ms }").raise(&BINARIES);
    ill.says.request.store(502, Ordering::SeqCst);
    until("it is left alone", || {
        get(&rig);
        (shown(&rig, ill.address)["ejections"].as_u64() > Some(0)).then_some(())
    });
    ill.says.request.store(200, Ordering::SeqCst);
    until("a request has tried it", || {
        assert_eq!(rig.knock("GET /public/1").go().status, 200);
        shown(&rig, ill.address)["ejection"].is_null().then_some(())
    });
    let before = ill.count();
    for _ in 0..10 {
        assert_eq!(get(&rig), 200);
    }
    assert_eq!(ill.count() - before, 5, "it has its share again");
}

#[test]
fn a_service_that_answers_503_takes_no_replica_out_of_the_link() {
    let runtime = runtime();
    let ill = Scripted::start(&runtime);
    let rig = scene(&[ill.address], "").raise(&BINARIES);
    ill.says.request.store(503, Ordering::SeqCst);
    for _ in 0..20 {
        assert_eq!(get(&rig), 503);
    }
    assert_eq!(ill.count(), 20, "a lone instance is never ejected");
    assert!(rig.security.metric("gateway_instances_ejected{service=\"link\"}").abs() < 0.1);
    rig.knock("GET /users/1").with(&rig.editor()).check("200 users");
}
