//! Active checks of services over real sockets: HTTP/1.1, HTTP/2, TCP and gRPC.

use std::cell::RefCell;

use bytes::Bytes;
use http::HeaderValue;

use super::instance::{Act, Instance, nobody, read_request};
use super::*;
use crate::health::standing::Standing;
use crate::plan::health::{GrpcProbePlan, HealthPlan, HttpProbePlan, ProbePlan};

fn plan(probe: ProbePlan) -> HealthPlan {
    HealthPlan { probe, every: Duration::from_millis(10), timeout: Duration::from_secs(5), unhealthy_threshold: 2, healthy_threshold: 2 }
}

fn http(path: &'static str) -> HttpProbePlan {
    HttpProbePlan { path: path.parse().expect("path"), host: None, expect: vec![200..=299], port: None, http2: false }
}

/// Waits until the only instance of a service that is checked so stands so, and says why it fails its checks.
async fn stands(address: &str, plan: HealthPlan, standing: Standing) -> Option<&'static str> {
    let bench = Bench::planned(&[&address.to_owned()], |_| {}, |service| service.health = Some(plan));
    let set = bench.service.endpoints();
    until(standing.word(), || set.endpoints()[0].standing() == standing).await;
    set.endpoints()[0].checked().snapshot().expect("checked").failure
}

/// An instance of gRPC, or whatever answers in HTTP/2: a status, whether what follows is a message, and the status of the call.
async fn speaking_h2(answers: Rc<RefCell<(u16, Option<Bytes>, Option<&'static str>)>>, asked: Rc<RefCell<Vec<String>>>) -> Instance {
    Instance::accepting(move |socket, ledger| {
        let (answers, asked) = (Rc::clone(&answers), Rc::clone(&asked));
        async move {
            let Ok(mut connection) = h2::server::handshake(socket).await else { return };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
                asked.borrow_mut().push(format!("{} {} {} {}", request.method(), request.uri(), header("content-type"), header("te")));
                let (status, message, grpc) = answers.borrow().clone();
                let mut head = Response::new(());
                *head.status_mut() = http::StatusCode::from_u16(status).expect("status");
                let Some(message) = message else {
                    if let Some(grpc) = grpc {
                        head.headers_mut().insert("grpc-status", HeaderValue::from_static(grpc));
                    }
                    respond.send_response(head, true).expect("sent");
                    continue;
                };
                let mut stream = respond.send_response(head, false).expect("sent");
                stream.send_data(message, false).expect("sent");
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static(grpc.unwrap_or("0")));
                stream.send_trailers(trailers).expect("sent");
            }
            ledger.closed.set(ledger.closed.get() + 1);
        }
    })
    .await
}

#[test]
fn an_http_check_asks_for_its_path_by_the_name_it_was_given() {
    run(async {
        let instance = Instance::always(Act::Say("HTTP/1.1 204 X\r\n\r\n")).await;
        let health =
            plan(ProbePlan::Http(HttpProbePlan { host: Some(HeaderValue::from_static("orders.demo")), ..http("/healthz?deep=1") }));
        assert_eq!(stands(&instance.address, health, Standing::Healthy).await, None);
        let request = instance.ledger.requests.borrow()[0].to_ascii_lowercase();
        for wanted in
            ["get /healthz?deep=1 http/1.1\r\n", "host: orders.demo\r\n", "user-agent: gateway-health\r\n", "connection: close\r\n"]
        {
            assert!(request.contains(wanted), "{request}");
        }
        let health = plan(ProbePlan::Http(http("/")));
        stands(&instance.address, health, Standing::Healthy).await;
        let address = format!("host: {}\r\n", instance.address);
        assert!(instance.ledger.requests.borrow().last().expect("one").to_ascii_lowercase().contains(&address), "by its address");
    });
}

#[test]
fn the_status_decides_and_everything_else_fails() {
    run(async {
        for (text, expect, failure) in [
            ("HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n", 200..=299, Some("status")),
            ("HTTP/1.1 301 X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n", 200..=299, Some("status")),
            ("HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n", 404..=404, None),
            // The body is never read.
            ("HTTP/1.1 200 X\r\ncontent-length: 1000000000\r\n\r\n", 200..=299, None),
            ("SSH-2.0-x\r\n\r\n", 200..=299, Some("malformed")),
        ] {
            let instance = Instance::always(Act::Say(text)).await;
            let standing = if failure.is_some() { Standing::Unhealthy } else { Standing::Healthy };
            let health = plan(ProbePlan::Http(HttpProbePlan { expect: vec![expect], ..http("/") }));
            assert_eq!(stands(&instance.address, health, standing).await, failure, "{text}");
        }
        let closing = Instance::always(Act::Close).await;
        assert_eq!(stands(&closing.address, plan(ProbePlan::Http(http("/"))), Standing::Unhealthy).await, Some("reset"));
        let silent = Instance::always(Act::Nothing).await;
        let health = HealthPlan { timeout: Duration::from_millis(20), ..plan(ProbePlan::Http(http("/"))) };
        assert_eq!(stands(&silent.address, health, Standing::Unhealthy).await, Some("timeout"));
        assert_eq!(stands(&nobody().await, plan(ProbePlan::Http(http("/"))), Standing::Unhealthy).await, Some("connect"));
    });
}

#[test]
fn each_check_has_a_connection_of_its_own_and_takes_no_place() {
    run(async {
        let instance = Instance::always(Act::Say("HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n")).await;
        let address = instance.address.clone();
        let health = plan(ProbePlan::Http(http("/")));
        let bench = Bench::planned(&[&address], |service| service.pool.connections_max = 1, |service| service.health = Some(health));
        until("some checks", || instance.ledger.count() > 5).await;
        assert!(instance.ledger.connections.get() >= instance.ledger.count(), "a kept one would answer where nobody new is let in");
        assert_eq!(bench.open(), 0);
        until("they end", || instance.ledger.closed.get() > 5).await;
    });
}

#[test]
fn checks_may_have_a_port_of_their_own() {
    run(async {
        let (instance, health) = (Instance::always(Act::Close).await, Instance::always(Act::Say("HTTP/1.1 200 X\r\n\r\n")).await);
        let port = health.address.rsplit(':').next().and_then(|port| port.parse().ok());
        let asked = plan(ProbePlan::Http(HttpProbePlan { port, ..http("/") }));
        assert_eq!(stands(&instance.address, asked, Standing::Healthy).await, None);
        assert_eq!(
            (instance.ledger.connections.get(), stands(&instance.address, plan(ProbePlan::Tcp { port }), Standing::Healthy).await),
            (0, None)
        );
    });
}

#[test]
fn a_tcp_check_asks_for_a_connection_and_sends_nothing() {
    run(async {
        let instance = Instance::accepting(|mut socket, ledger| async move {
            if let Some(request) = read_request(&mut socket).await {
                ledger.requests.borrow_mut().push(request);
            }
            ledger.closed.set(ledger.closed.get() + 1);
        })
        .await;
        stands(&instance.address, plan(ProbePlan::Tcp { port: None }), Standing::Healthy).await;
        until("its connection ends", || instance.ledger.closed.get() >= 1).await;
        assert_eq!(instance.ledger.count(), 0);
        assert_eq!(stands(&nobody().await, plan(ProbePlan::Tcp { port: None }), Standing::Unhealthy).await, Some("connect"));
    });
}

#[test]
fn a_grpc_check_asks_the_health_service_and_believes_serving_alone() {
    const SERVING: Bytes = Bytes::from_static(b"\0\0\0\0\x02\x08\x01");
    const NOT_SERVING: Bytes = Bytes::from_static(b"\0\0\0\0\x02\x08\x02");
    run(async {
        let answers = Rc::new(RefCell::new((200, Some(SERVING), None)));
        let asked = Rc::new(RefCell::new(Vec::new()));
        let instance = speaking_h2(Rc::clone(&answers), Rc::clone(&asked)).await;
        let grpc = |host| plan(ProbePlan::Grpc(GrpcProbePlan { service: "orders.v1.Orders".into(), host, port: None }));
        assert_eq!(stands(&instance.address, grpc(None), Standing::Healthy).await, None);
        let target = format!("POST http://{}/grpc.health.v1.Health/Check application/grpc trailers", instance.address);
        assert_eq!(asked.borrow()[0], target);
        stands(&instance.address, grpc(Some(HeaderValue::from_static("orders.demo"))), Standing::Healthy).await;
        assert!(asked.borrow().last().expect("one").starts_with("POST http://orders.demo/"), "{asked:?}");
        for (answer, failure) in [
            ((200, Some(NOT_SERVING), None), "not-serving"),
            ((200, Some(Bytes::from_static(b"\0\0\0\0\0")), None), "not-serving"),
            ((200, Some(SERVING), Some("13")), "status"),
            ((200, None, Some("12")), "status"),
            ((404, None, None), "status"),
            ((200, Some(Bytes::from_static(b"what?")), None), "malformed"),
            ((200, Some(Bytes::from_static(&[0; 5_000])), None), "malformed"),
        ] {
            *answers.borrow_mut() = answer.clone();
            assert_eq!(stands(&instance.address, grpc(None), Standing::Unhealthy).await, Some(failure), "{answer:?}");
        }
        let other = Instance::always(Act::Say("HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n")).await;
        let failure = stands(&other.address, grpc(None), Standing::Unhealthy).await;
        assert!(matches!(failure, Some("malformed" | "reset")), "{failure:?}");
    });
}

#[test]
fn an_http_check_may_be_in_http_2() {
    run(async {
        let answers = Rc::new(RefCell::new((204, None, None)));
        let asked = Rc::new(RefCell::new(Vec::new()));
        let instance = speaking_h2(Rc::clone(&answers), Rc::clone(&asked)).await;
        let health = || plan(ProbePlan::Http(HttpProbePlan { http2: true, ..http("/healthz") }));
        stands(&instance.address, health(), Standing::Healthy).await;
        assert!(asked.borrow()[0].starts_with(&format!("GET http://{}/healthz ", instance.address)), "{asked:?}");
        answers.borrow_mut().0 = 500;
        assert_eq!(stands(&instance.address, health(), Standing::Unhealthy).await, Some("status"));
        until("no connection is left behind", || instance.ledger.closed.get() == instance.ledger.connections.get()).await;
    });
}
