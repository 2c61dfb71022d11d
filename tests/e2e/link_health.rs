//! Several replicas of tier 2 behind one tier 1: who is asked, who is sent what, and what becomes of it when one leaves, breaks or dies.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use gwctl::stage::certificates::Purpose;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tests::rig::Rig;
use tests::rig::client::{Identity, Line, Version};
use tests::rig::process::Process;
use tests::rig::scene::{Scene, srv_lines};
use tests::rig::wait::until;

use crate::BINARIES;

/// Checks come fast and the drain is long, so that a test sees what is between the two.
fn scene() -> Scene {
    Scene::default()
        .security("  audience: routing-gw\n", "  audience: routing-gw\n  balance: round_robin\n  health: { every: 100ms, timeout: 5s }\n")
        .security("port: {link} }", "port: {link} }\n  ttl: { min: 100ms, max: 200ms }")
        .routing("drain: { wait: 200ms, deadline: 5s }", "drain: { wait: 60s, deadline: 5s }")
}

/// Another address of the link, at the port of the first replica.
fn address(rig: &Rig, last: u8) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, last), rig.routing.listener("link").port()).into()
}

/// Starts a second process of tier 2 with the same configuration.
fn second_replica(rig: &Rig) -> Process {
    let file = std::fs::read_to_string(rig.folder.file("routing.yaml")).expect("the file");
    let file = file.replace("127.0.0.1:0", &address(rig, 2).to_string()).replace("r.sock", "r2.sock");
    rig.folder.write("routing2.yaml", &file.replace("routing.events.log", "routing2.events.log"));
    Process::start("routing-gw 2", BINARIES.routing, &rig.folder.file("routing2.yaml"), &rig.folder.file("r2.sock"))
}

/// Publishes replicas of tier 2 at these addresses, and waits until tier 1 has asked each of them.
fn publish(rig: &Rig, replicas: &[u8]) {
    let mut zone: String = replicas.iter().map(|last| format!("routing-gw.demo. 1 A 127.0.0.{last}\n")).collect();
    for number in 1..=3 {
        let port = rig.instances.get(&format!("orders-{number}")).address.port();
        zone.push_str(&srv_lines(number, port));
        zone.push('\n');
    }
    rig.zone.set(&zone).expect("a lawful zone");
    let wanted = format!("{} replicas", replicas.len());
    until("tier 1 knows the replicas and has asked them", || {
        let told = link(rig);
        let named = replicas.iter().all(|last| told.contains(&format!("{} ", address(rig, *last))));
        (told.starts_with(&wanted) && named && !told.contains("not checked")).then_some(())
    });
}

/// What tier 1 says of the link.
fn link(rig: &Rig) -> String {
    let (_, page) = rig.security.ask("/readyz").expect("an answer");
    let page: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    let checks = page["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == "link").expect("the link")["detail"].as_str().expect("text").to_owned()
}

/// What tier 1 says of one replica.
fn told(rig: &Rig, replica: SocketAddr) -> String {
    let detail = link(rig);
    let found = detail.split([';', ' ']).any(|word| word == replica.to_string());
    assert!(found, "{replica} is not told of: {detail}");
    detail.split(&format!("{replica} ")).nth(1).unwrap_or_default().split(';').next().unwrap_or_default().to_owned()
}

fn answered(process: &Process) -> f64 {
    process.metric("gateway_requests_total{status=\"2xx\"}")
}

#[test]
fn a_replica_that_leaves_is_sent_nothing_new_before_it_refuses_anything() {
    let rig = scene().raise(&BINARIES);
    let second = second_replica(&rig);
    publish(&rig, &[1, 2]);
    assert!(told(&rig, address(&rig, 2)).starts_with("healthy, build 0.1.0, treaty 1, generation 1"), "{}", link(&rig));
    let editor = rig.editor();
    for _ in 0..20 {
        rig.knock("GET /orders/1").with(&editor).check("200 orders");
    }
    assert!(answered(&rig.routing) > 0.5 && answered(&second) > 0.5, "both are used");

    second.terminate();
    until("tier 1 has heard that it leaves", || told(&rig, address(&rig, 2)).starts_with("draining").then_some(()));
    // What was under way when it was heard is counted by now or soon; nothing is under way after that.
    until("nothing is under way", || (second.metric("gateway_requests_in_flight") < 0.5).then_some(()));
    let (before, others) = (answered(&second), answered(&rig.routing));
    for turn in 0..40 {
        let line = if turn % 2 == 0 { "GET /orders/1" } else { "POST /orders/1" };
        rig.knock(line).with(&editor).check("200 orders");
    }
    assert!((answered(&second) - before).abs() < 0.1, "it got something new");
    until("the other one has answered all", || (answered(&rig.routing) - others > 39.5).then_some(()));
    assert!(TcpStream::connect(address(&rig, 2)).is_ok(), "it has refused nothing so far");
    let series = "gateway_instances_health{service=\"link\",state=\"draining\"}";
    assert!((rig.security.metric(series) - 1.0).abs() < 0.1);

    // When the last one leaves too, it is used until it closes: what is told is a wish, and no reason to refuse.
    rig.routing.terminate();
    until("tier 1 has heard of the other one", || told(&rig, address(&rig, 1)).starts_with("draining").then_some(()));
    for _ in 0..10 {
        rig.knock("GET /orders/1").with(&editor).check("200 orders");
        rig.knock("POST /orders/1").with(&editor).check("200 orders");
    }
}

#[test]
fn the_question_is_for_tier_one_alone_and_costs_no_place() {
    let rig = scene().routing("workers: 2", "workers: 2\nlimits: { in_flight_max: 1 }").raise(&BINARIES);
    let leaf = rig.certificates.leaf(Purpose::Client, "security-gw.demo");
    let tier1 = Identity {
        ca_pem: rig.certificates.ca_pem(),
        leaf: Some((leaf.chain_pem().to_owned(), leaf.key_pem().to_owned())),
        server: "routing-gw.demo",
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let ask = |identity: &Identity, value: &'static str| {
        runtime.block_on(async {
            let mut line = Line::open(rig.routing.listener("link"), identity, Version::H1).await?;
            let request = Request::builder().uri("/").header("host", "x").header("x-gw-health", value);
            line.exchange(request.body(Full::new(Bytes::new())).expect("request")).await
        })
    };
    // Its only place is taken, and it still says how it does.
    let editor = rig.editor();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| rig.knock("GET /orders/1?delay_ms=3000").with(&editor).check("200 orders"));
        until("the place is taken", || (rig.routing.metric("gateway_requests_in_flight") > 0.5).then_some(()));
        rig.knock("GET /orders/1").with(&editor).check("503 overloaded");
        let counted = rig.routing.metric("gateway_requests_total{status=\"2xx\"}");
        let word = ask(&tier1, "1").expect("an answer").json();
        assert_eq!(
            (&word["tier"], &word["treaty"], &word["draining"], &word["ready"]),
            (&"routing-gw".into(), &1.into(), &false.into(), &true.into())
        );
        assert_eq!((&word["build"], &word["generation"]), (&"0.1.0".into(), &1.into()));
        assert_eq!(word.as_object().expect("an object").len(), 6, "it tells nothing else: {word}");
        assert!(rig.routing.metric("gateway_requests_total{status=\"2xx\"}") - counted < 0.1, "it is no client's request");
        slow.join().expect("the client");
    });
    assert_eq!(ask(&tier1, "2").expect("an answer").says(), "403 assertion-missing", "what asks otherwise asks nothing");
    let stranger = Identity { leaf: None, ..tier1 };
    assert!(ask(&stranger, "1").is_err(), "the listener proves who asks");

    // No client gets there: tier 1 takes the header out on every path.
    for (name, path, says) in [
        ("x-gw-health", "/orders/1", "200 orders"),
        ("X-GW-Health", "/public/1", "200 orders"),
        ("x_gw_health", "/orders/1", "200 orders"),
        ("x-gw-health", "/", "404 no-route"),
        ("x-gw-health", "/public/", "200 orders"),
    ] {
        let reply = rig.knock(&format!("GET {path}")).with(&editor).header(name, "1").go();
        assert!(!String::from_utf8_lossy(&reply.body).contains("treaty"), "{name} {path}: {reply:?}");
        reply.check(says);
    }
}

/// How a fake replica answers whatever is no check.
#[derive(Clone, Copy)]
enum Conduct {
    /// Reads the request and closes.
    Breaks,
    /// With this status.
    Says(u16),
}

/// A replica of tier 2 that is none, at `127.0.0.LAST`; gives the number of requests that it has read whole.
fn fake_replica(rig: &Rig, last: u8, treaty: u64, conduct: Conduct) -> Arc<AtomicUsize> {
    let leaf = rig.certificates.leaf(Purpose::Server, "routing-gw.demo");
    let chain = CertificateDer::pem_slice_iter(leaf.chain_pem().as_bytes()).collect::<Result<Vec<_>, _>>().expect("a chain");
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem().as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = config.with_no_client_auth().with_single_cert(chain, key).expect("a certificate");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (listener, _) = rig.stage().listen(address(rig, last));
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = seen.clone();
    let handle = rig.stage().handle().clone();
    rig.stage().handle().spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, seen) = (acceptor.clone(), counted.clone());
            handle.spawn(async move {
                let Ok(stream) = acceptor.accept(socket).await else { return };
                let service = service_fn(move |request: Request<Incoming>| {
                    let seen = seen.clone();
                    async move { fake_answer(request, treaty, conduct, &seen).await }
                });
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    seen
}

async fn fake_answer(
    request: Request<Incoming>,
    treaty: u64,
    conduct: Conduct,
    seen: &AtomicUsize,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let is_check = request.headers().contains_key("x-gw-health");
    let _ = request.into_body().collect().await;
    if is_check {
        let word = format!(r#"{{"tier":"routing-gw","treaty":{treaty},"build":"9.9.9","generation":7,"draining":false,"ready":true}}"#);
        return Ok(Response::new(Full::new(word.into())));
    }
    seen.fetch_add(1, Ordering::Relaxed);
    match conduct {
        // An error of the service ends the connection without a byte.
        Conduct::Breaks => Err(std::io::Error::other("broken")),
        Conduct::Says(status) => {
            let mut response = Response::new(Full::new(Bytes::from_static(b"{\"reason\":\"fake\"}")));
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            Ok(response)
        }
    }
}

#[test]
fn an_over_next_treaty_is_shown_and_not_used() {
    let rig = scene().raise(&BINARIES);
    let seen = fake_replica(&rig, 3, 3, Conduct::Says(200));
    publish(&rig, &[1, 3]);
    let shown = told(&rig, address(&rig, 3));
    assert!(shown.starts_with("treaty_not_understood, build 9.9.9, treaty 3, generation 7"), "{shown}");
    let editor = rig.editor();
    for _ in 0..20 {
        rig.knock("GET /orders/1").with(&editor).check("200 orders");
    }
    assert_eq!(seen.load(Ordering::Relaxed), 0);
    assert!((rig.security.metric("gateway_instances_health{service=\"link\",state=\"treaty_not_understood\"}") - 1.0).abs() < 0.1);
    assert!(rig.security.log().contains("adjacent treaties"), "{}", rig.security.log());

    // Alone it makes the tier useless, and that is told; no request goes to it.
    publish(&rig, &[3]);
    until("tier 1 is not ready", || rig.security.ask("/readyz").filter(|(status, _)| *status == 503));
    rig.knock("GET /orders/1").with(&editor).check("503 link-no-replicas");
    assert_eq!(seen.load(Ordering::Relaxed), 0);
}

#[test]
fn an_answer_of_tier_two_is_final_and_a_link_that_breaks_before_one_is_not() {
    let rig = scene().raise(&BINARIES);
    let seen = fake_replica(&rig, 3, 1, Conduct::Breaks);
    publish(&rig, &[1, 3]);
    let editor = rig.editor();
    for _ in 0..10 {
        rig.knock("GET /orders/1").with(&editor).check("200 orders");
    }
    let broken = seen.load(Ordering::Relaxed);
    assert!(broken >= 4, "every other GET met the replica that breaks: {broken}");
    let tries: Vec<u64> = until("the records are written", || Some(rig.records()).filter(|records| records.len() == 10))
        .iter()
        .filter_map(|record| record["gateway.tier2.attempts"].as_u64())
        .collect();
    assert_eq!(tries.iter().filter(|tries| **tries == 2).count(), broken, "each was repeated once, on the other one: {tries:?}");
    let mut lost = 0;
    for _ in 0..10 {
        let reply = rig.knock("POST /orders/1").with(&editor).body("pay").go();
        match reply.says().as_str() {
            "200 orders" => {}
            "502 link-reset" => lost += 1,
            other => panic!("{other}"),
        }
    }
    assert!(lost >= 4, "{lost}");
    assert_eq!(seen.load(Ordering::Relaxed) - broken, lost, "a POST that was sent is told and not repeated");

    let answers = fake_replica(&rig, 4, 1, Conduct::Says(503));
    publish(&rig, &[1, 4]);
    let mut refused = 0;
    for _ in 0..10 {
        refused += usize::from(rig.knock("GET /orders/1").with(&editor).go().status == StatusCode::SERVICE_UNAVAILABLE);
    }
    assert!(refused >= 4, "{refused}");
    assert_eq!(answers.load(Ordering::Relaxed), refused, "each error reached its client");
}

const GETS: usize = 1_600;
const POSTS: usize = 400;
const CLIENTS: usize = 8;

/// How an exchange of a client that never retries ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Answered(u16),
    /// The head came and the body broke off.
    CutAfterHead,
    Broken,
}

#[test]
fn a_replica_that_is_killed_loses_no_get_and_repeats_no_post() {
    let rig = scene().raise(&BINARIES);
    let second = second_replica(&rig);
    publish(&rig, &[1, 2]);
    let editor = rig.editor();
    let identity = rig.identity();
    let done = AtomicUsize::new(0);
    let outcomes: Vec<(String, Ended)> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (rig, editor, identity, done, second) = (&rig, &editor, &identity, &done, &second);
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
                    runtime.block_on(async {
                        let version = if client % 2 == 0 { Version::H1 } else { Version::H2 };
                        let mut line = Line::open(rig.door(), identity, version).await.expect("a connection");
                        let mut outcomes = Vec::new();
                        for turn in (client..GETS + POSTS).step_by(CLIENTS) {
                            let post = turn / CLIENTS % 5 == 4;
                            let method = if post { Method::POST } else { Method::GET };
                            let number = format!("{}{turn}", if post { 'p' } else { 'g' });
                            let knock = rig.knock(&format!("{method} /orders/{turn}")).with(editor).header("x-ledger", &number);
                            let knock = if version == Version::H2 { knock.h2() } else { knock };
                            let ended = match line.send(knock.request()).await {
                                Err(_) => Ended::Broken,
                                Ok(response) => {
                                    let status = response.status().as_u16();
                                    match response.into_body().collect().await {
                                        Ok(_) => Ended::Answered(status),
                                        Err(_) => Ended::CutAfterHead,
                                    }
                                }
                            };
                            if ended != Ended::Answered(200) && version == Version::H1 {
                                line = Line::open(rig.door(), identity, version).await.expect("a connection");
                            }
                            outcomes.push((number, ended));
                            if done.fetch_add(1, Ordering::Relaxed) == (GETS + POSTS) / 3 {
                                second.kill();
                            }
                        }
                        outcomes
                    })
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    assert_eq!(outcomes.len(), GETS + POSTS);
    let mut executed: BTreeMap<String, usize> = BTreeMap::new();
    for line in rig.instances.ledger("orders") {
        *executed.entry(line.split(' ').next().expect("a number").to_owned()).or_default() += 1;
    }
    let gets = outcomes.iter().filter(|(number, _)| number.starts_with('g'));
    let lost: Vec<_> = gets.filter(|(_, ended)| !matches!(ended, Ended::Answered(200) | Ended::CutAfterHead)).collect();
    assert!(lost.is_empty(), "GETs were lost: {lost:?}\n{}", rig.security.log());
    let cut = outcomes.iter().filter(|(_, ended)| *ended == Ended::CutAfterHead).count();
    assert!(cut <= CLIENTS, "no more than was under way can be cut: {cut}");
    for (number, ended) in &outcomes {
        let times = executed.get(number).copied().unwrap_or_default();
        assert!(number.starts_with('g') || times <= 1, "POST {number} was executed {times} times");
        assert!(*ended != Ended::Answered(200) || times >= 1, "{number} was answered and stands in no ledger");
    }
    until("tier 1 says that it is gone", || told(&rig, address(&rig, 2)).starts_with("unhealthy").then_some(()));
}
