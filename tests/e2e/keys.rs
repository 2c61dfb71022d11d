//! Keys of both tiers: shared by replicas, rotated under load, published, fetched; and tier 2's own word for services.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use contract::assertion::Signer;
use contract::caller::Caller;
use gwctl::stage::link_key::LinkKey;
use http::{Request, header};
use http_body_util::Full;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use settings::clock::Clock;
use tests::rig::Rig;
use tests::rig::client::{Identity, Line, Version};
use tests::rig::process::Process;
use tests::rig::reply::Reply;
use tests::rig::scene::Scene;
use tests::rig::wait::until;

use crate::BINARIES;
use crate::link::{editor, tier1};

const PATH: &str = "/.well-known/jwks.json";

fn now() -> u64 {
    Clock::system().now_s()
}

fn ask(address: SocketAddr, identity: &Identity, request: http::request::Builder) -> Reply {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let answer = runtime.block_on(async {
        let mut line = Line::open(address, identity, Version::H1).await?;
        line.exchange(request.body(Full::new(Bytes::new())).expect("a request")).await
    });
    answer.unwrap_or_else(|fault| panic!("{address}: {fault}"))
}

/// Asks tier 2 directly, with an assertion that `key` signs.
fn ask_by(rig: &Rig, link: SocketAddr, key: &LinkKey) -> Reply {
    let signer = Signer::from_pkcs8_pem(key.pem().as_bytes(), key.kid().into(), "security-gw".into(), "routing-gw".into());
    let token = signer.expect("a signer").sign(&editor(), now()).expect("signed").token;
    ask(link, &tier1(rig), Request::get("/orders/1").header(header::HOST, "localhost").header("x-gw-assertion", token))
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// A key of a set, private or public, with times.
fn timed(mut key: Value, nbf: Option<u64>, exp: Option<u64>) -> Value {
    for (name, time) in [("nbf", nbf), ("exp", exp)] {
        if let Some(time) = time {
            key[name] = time.into();
        }
    }
    key
}

fn edit(rig: &Rig, file: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(rig.folder.file(file)).expect("the file");
    assert!(text.contains(from), "{file} has no {from}");
    rig.folder.write(file, &text.replace(from, to));
}

/// Nothing is reloaded unless the test asks for it.
fn quiet() -> Scene {
    Scene::default().security("drain:", "reload: { watch: null }\ndrain:").routing("drain:", "reload: { watch: null }\ndrain:")
}

#[test]
fn replicas_that_read_a_rotated_set_one_after_the_other_refuse_nobody() {
    let keys = ["a", "b", "c"].map(|kid| LinkKey::new(Some(kid)).expect("a key"));
    let private = |at: usize, nbf| timed(keys[at].private_jwk().expect("a key"), nbf, None);
    let public = |at: usize, exp| timed(keys[at].jwk().expect("a key"), None, exp);
    let scene = quiet()
        .security("{ file: link.pem, kid: link-1 }", "{ file: one.jwks.json }")
        .routing("jwks: link.jwks.json", "jwks: trusted.jwks.json");
    let rig = scene.raise_after(&BINARIES, |folder, _| {
        folder.write("one.jwks.json", &set(&[private(0, None)]));
        folder.write("two.jwks.json", &set(&[private(0, None)]));
        folder.write("trusted.jwks.json", &set(&[public(0, None)]));
    });
    let yaml = std::fs::read_to_string(rig.folder.file("security.yaml")).expect("the file");
    let yaml = yaml.replace("one.jwks.json", "two.jwks.json").replace("s.sock", "s2.sock").replace("access.log", "access2.log");
    rig.folder.write("security2.yaml", &yaml.replace("security.events.log", "security2.events.log"));
    let second = Process::start("security-gw 2", BINARIES.security, &rig.folder.file("security2.yaml"), &rig.folder.file("s2.sock"));
    let replicas = [(&rig.security, "one.jwks.json"), (&second, "two.jwks.json")];

    let (stop, served) = (AtomicBool::new(false), [AtomicUsize::new(0), AtomicUsize::new(0)]);
    std::thread::scope(|scope| {
        let clients: Vec<_> = replicas
            .iter()
            .zip(&served)
            .map(|((replica, _), served)| {
                let (rig, stop, door) = (&rig, &stop, replica.listener("https"));
                scope.spawn(move || {
                    let mut refused = Vec::new();
                    for turn in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return refused;
                        }
                        // Each token is another one, so that each assertion is signed now; and now and then a former one comes again.
                        let token = rig.token("editor", 600 + turn % 3);
                        let request = Request::get("/orders/1").header(header::HOST, "localhost");
                        let reply = ask(door, &rig.identity(), request.header(header::AUTHORIZATION, format!("Bearer {token}")));
                        if reply.says() != "200 orders" {
                            refused.push(reply.says());
                        }
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                    refused
                })
            })
            .collect();
        let some_more = || {
            let before = served.each_ref().map(|served| served.load(Ordering::Relaxed));
            let more = || served.iter().zip(before).all(|(served, before)| served.load(Ordering::Relaxed) >= before + 5);
            until("both replicas have served some more", || more().then_some(()));
        };
        some_more();
        // Once the first replica reads first, and once the second.
        for (turn, order) in [[0, 1], [1, 0]].into_iter().enumerate() {
            rig.folder.write("trusted.jwks.json", &set(&[public(turn, None), public(turn + 1, None)]));
            rig.routing.reload();
            let begins = now() + 2;
            let rotated = set(&[private(turn, None), private(turn + 1, Some(begins))]);
            for replica in order {
                let (process, file) = replicas[replica];
                rig.folder.write(file, &rotated);
                process.reload();
                // The one that has read signs by the newer key from here on, the other by the former.
                until("the newer key has begun", || (now() > begins).then_some(()));
                some_more();
            }
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            assert_eq!(client.join().expect("a client"), Vec::<String>::new(), "what replicas signed was refused");
        }
    });

    // What the next rotation does: the keys that have ended are gone.
    let link = rig.routing.listener("link");
    ask_by(&rig, link, &keys[0]).check("403 assertion-key-unknown");
    ask_by(&rig, link, &keys[1]).check("200 orders");
    rig.folder.write("trusted.jwks.json", &set(&[public(1, Some(now())), public(2, None)]));
    rig.routing.reload();
    let seen = rig.instances.ledger("orders").len();
    let counted = || rig.routing.metric("gateway_refusals_total{reason=\"assertion-key-unknown\"}");
    let before = counted();
    ask_by(&rig, link, &keys[1]).check("403 assertion-key-unknown");
    assert!((counted() - before - 1.0).abs() < 0.1, "it is counted");
    assert_eq!(rig.instances.ledger("orders").len(), seen);
    rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
}

#[test]
fn a_published_end_ends_a_key_without_a_reload() {
    let key = LinkKey::new(Some("short")).expect("a key");
    let rig = quiet().raise(&BINARIES);
    let other: Value = serde_json::from_slice(&std::fs::read(rig.folder.file("link.jwks.json")).expect("a set")).expect("JSON");
    let ends = now() + 3;
    rig.folder.write("link.jwks.json", &set(&[other["keys"][0].clone(), timed(key.jwk().expect("a key"), None, Some(ends))]));
    rig.routing.reload();
    let link = rig.routing.listener("link");
    until("the key has ended", || {
        let (begun, said, ended) = (now(), ask_by(&rig, link, &key).says(), now());
        if ended < ends {
            assert_eq!(said, "200 orders");
        }
        (begun >= ends).then(|| assert_eq!(said, "403 assertion-key-unknown"))
    });
    assert_eq!(rig.routing.generation(), 2);
}

#[test]
fn one_command_rotates_under_both_tiers_and_nobody_is_refused() {
    let scene = Scene::default()
        .security("{ file: link.pem, kid: link-1 }", "{ file: keys/link-signing.jwks.json }")
        .security("drain:", "reload: { watch: 20ms }\ndrain:")
        .routing("jwks: link.jwks.json", "jwks: keys/link.jwks.json")
        .routing("services:\n", "assertions: { signing_key: { file: keys/services-signing.jwks.json } }\nservices:\n")
        .routing("claim_headers: { x-user-role: role } }", "claim_headers: { x-user-role: role }, assert: true }")
        .routing("drain:", "reload: { watch: 20ms }\ndrain:");
    let gwctl = |dir: &std::path::Path, action: &str| {
        for name in ["link", "services"] {
            let mut command = std::process::Command::new(BINARIES.gwctl);
            let output = command.args(["keys", action, "--name", name, "--dir"]).arg(dir).output().expect("it runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    };
    let rig = scene.raise_after(&BINARIES, |folder, _| gwctl(&folder.file("keys"), "new"));
    let editor = rig.editor();
    rig.knock("GET /orders/1").with(&editor).check("200 orders");
    gwctl(&rig.folder.file("keys"), "rotate");
    until("both have read it", || {
        rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
        (rig.security.generation() > 1 && rig.routing.generation() > 1).then_some(())
    });
    rig.knock("GET /orders/1").with(&editor).check("200 orders");
    let set: Value = serde_json::from_slice(&std::fs::read(rig.folder.file("keys/link.jwks.json")).expect("a set")).expect("JSON");
    assert_eq!(set["keys"].as_array().map(Vec::len), Some(2));

    // Two minutes later, by files that say what they would say then: the new keys sign, and are believed.
    let read = |name: &str| -> Value {
        let text = std::fs::read(rig.folder.file(&format!("keys/{name}.jwks.json"))).expect("a set");
        serde_json::from_slice(&text).expect("JSON")
    };
    let newest = |set: &Value| set["keys"].as_array().and_then(|keys| keys.last().cloned()).expect("a key");
    let identity_kid = || {
        let token = rig.knock("GET /users/7").with(&rig.editor()).check("200 users").saw("x-gw-identity").expect("a word");
        jsonwebtoken::decode_header(&token).expect("a header").kid.expect("a kid")
    };
    let kid = newest(&read("services-signing"))["kid"].as_str().expect("a kid").to_owned();
    assert_ne!(identity_kid(), kid, "it signs before everybody can know it");
    let before = rig.security.generation();
    for name in ["link", "link-signing", "services-signing"] {
        let mut set = read(name);
        for key in set["keys"].as_array_mut().expect("keys") {
            for member in ["nbf", "exp"] {
                if let Some(time) = key[member].as_u64() {
                    key[member] = (time - 125).into();
                }
            }
        }
        rig.folder.write(&format!("keys/{name}.jwks.json"), &set.to_string());
    }
    until("tier 2 signs by its new key", || (identity_kid() == kid).then_some(()));
    until("tier 1 has its new key", || (rig.security.generation() > before).then_some(()));
    // Now tier 2 believes the new key alone, so whatever it believes was signed by that.
    let before = rig.routing.generation();
    rig.folder.write("keys/link.jwks.json", &set_of(&newest(&read("link"))));
    until("tier 2 has forgotten the former key", || (rig.routing.generation() > before).then_some(()));
    rig.knock("GET /orders/1").with(&editor).check("200 orders");
    rig.knock("GET /orders/1").with(&rig.token("editor", 700)).check("200 orders");
}

fn set_of(key: &Value) -> String {
    set(std::slice::from_ref(key))
}

/// Tier 2 signs for services, and publishes its keys on a listener of its own.
fn signing() -> Scene {
    let listener = "  - { name: keys, address: \"127.0.0.1:0\", publish_keys: true, tls: { certificates: [ { chain: routing-gw.pem, key: routing-gw.key } ] } }\n";
    Scene::default()
        .routing("admin:", &format!("{listener}admin:"))
        .routing("services:\n", "assertions: { signing_key: { file: services-signing.jwks.json } }\nservices:\n")
        .routing("claim_headers: { x-user-role: role } }", "claim_headers: { x-user-role: role }, assert: true }")
        .routing(
            "path: \"/public/\", service: orders, public: true }",
            "path: \"/public/\", service: orders, public: true, assert: { audience: open } }",
        )
}

fn anybody(rig: &Rig) -> Identity {
    Identity { ca_pem: rig.certificates.ca_pem(), leaf: None, server: "routing-gw.demo" }
}

#[test]
fn an_instance_proves_who_asks_by_the_keys_that_tier_two_publishes() {
    let key = LinkKey::new(Some("services-1")).expect("a key");
    let rig = signing().raise_after(&BINARIES, |folder, _| {
        folder.write("services-signing.jwks.json", &set(&[key.private_jwk().expect("a key")]));
    });
    let keys = rig.routing.listener("keys");
    let document = ask(keys, &anybody(&rig), Request::get(PATH).header(header::HOST, "routing-gw.demo"));
    assert_eq!((document.status.as_u16(), document.header("content-type")), (200, "application/json"));
    assert!(document.header("cache-control").contains("max-age="));
    let published = document.json()["keys"].as_array().expect("keys").clone();
    assert_eq!((published.len(), published[0]["kid"].as_str(), published[0].get("d")), (1, Some("services-1"), None));

    let asked = rig.knock("GET /users/7").with(&rig.editor()).header("x-gw-identity", "forged").check("200 users");
    let token = asked.saw("x-gw-identity").expect("a token");
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["users"]);
    validation.set_issuer(&["routing-gw"]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let public = DecodingKey::from_jwk(&serde_json::from_value(published[0].clone()).expect("a JWK")).expect("a key");
    let claims = jsonwebtoken::decode::<Value>(&token, &public, &validation).expect("the service believes it").claims;
    assert_eq!((claims["sub"].as_str(), claims["subject_issuer"].as_str()), (Some("editor"), Some(rig.issuer.url())));
    assert_eq!((claims["scope"].as_str(), &claims["claims"]), (Some("orders:read orders:write users:read"), &json!({ "role": "editor" })));
    assert_eq!(claims["exp"].as_u64().expect("exp") - claims["iat"].as_u64().expect("iat"), 60);
    assert_eq!(asked.saw("x-gw-assertion"), None);
    assert_ne!(jsonwebtoken::decode_header(&token).expect("a header").typ.as_deref(), Some("gw+jwt"));
    validation.set_audience(&["orders"]);
    assert!(jsonwebtoken::decode::<Value>(&token, &public, &validation).is_err(), "it is for one service alone");

    // Of nobody nothing is said, nor where the route says nothing, whatever a client sends.
    let anonymous = rig.knock("GET /public/x").header("x-gw-identity", &token).check("200 orders");
    assert_eq!(anonymous.saw("x-gw-identity"), None);
    let silent = rig.knock("GET /orders/1").with(&rig.editor()).header("x_gw_identity", &token).check("200 orders");
    assert_eq!((silent.saw("x-gw-identity"), silent.saw("x_gw_identity")), (None, None));

    // Nothing else is there: not even for who has an assertion that tier 2 would believe.
    let seen = rig.instances.ledger("orders").len();
    for (method, target) in [("GET", "/orders/1"), ("POST", PATH), ("GET", "/"), ("HEAD", "/")] {
        let request = Request::builder().method(method).uri(target).header(header::HOST, "localhost").header("x-gw-health", "1");
        let refused = ask(keys, &anybody(&rig), request);
        assert_eq!(refused.status.as_u16(), 404, "{method} {target}");
        assert!(
            if method == "HEAD" { refused.body.is_empty() } else { refused.json()["reason"] == "no-route" },
            "{method} {target}: {refused:?}"
        );
    }
    assert_eq!(rig.instances.ledger("orders").len(), seen);
}

/// Tier 1 publishes its keys; its listener has the certificate of a name that the zone knows.
fn publishing() -> Scene {
    let listener = "  - { name: keys, address: \"127.0.0.1:0\", publish_keys: true, tls: { certificates: [ { chain: routing-gw.pem, key: routing-gw.key } ] } }\n";
    quiet().security("admin:", &format!("{listener}admin:")).routing("dns: {", "roots: { ca_file: ca.pem }\ndns: {")
}

fn url(port: u16) -> String {
    format!("jwks_url: \"https://routing-gw.demo:{port}{PATH}\", refresh: 1s")
}

fn link_keys(process: &Process) -> Option<(bool, String)> {
    let (_, page) = process.ask("/readyz")?;
    let page: Value = serde_json::from_str(&page).ok()?;
    let check = page["checks"].as_array()?.iter().find(|check| check["name"] == "link keys")?.clone();
    Some((check["ready"].as_bool()?, check["detail"].as_str()?.to_owned()))
}

fn key_of(rig: &Rig) -> Signer {
    let pem = std::fs::read(rig.folder.file("link.pem")).expect("the link key");
    Signer::from_pkcs8_pem(&pem, "link-1".into(), "security-gw".into(), "routing-gw".into()).expect("a signer")
}

#[test]
fn keys_that_tier_one_publishes_are_fetched_and_stay_when_it_dies() {
    let rig = publishing().raise(&BINARIES);
    edit(&rig, "routing.yaml", "jwks: link.jwks.json", &url(rig.security.listener("keys").port()));
    std::fs::remove_file(rig.folder.file("link.jwks.json")).expect("removed");
    rig.routing.reload();
    assert_eq!(link_keys(&rig.routing).map(|(ready, _)| ready), Some(true));
    rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
    let fetched = || rig.routing.metric("gateway_link_key_fetches_total{result=\"ok\"}");
    let before = fetched();
    until("they are fetched again", || (fetched() > before + 0.5).then_some(()));
    // A key that tier 1 begins to publish is known a moment later, with no hand on tier 2.
    let next = LinkKey::new(Some("next")).expect("a key");
    rig.folder.write("next.jwks.json", &set(&[next.private_jwk().expect("a key")]));
    edit(&rig, "security.yaml", "{ file: link.pem, kid: link-1 }", "{ file: next.jwks.json }");
    rig.security.reload();
    let link = rig.routing.listener("link");
    until("the new key is known", || (ask_by(&rig, link, &next).says() == "200 orders").then_some(()));

    rig.security.kill();
    until("the failure is told", || link_keys(&rig.routing).filter(|(ready, detail)| *ready && detail.contains("stay in use")));
    ask_by(&rig, link, &next).check("200 orders");
}

#[test]
fn keys_that_were_never_fetched_fail_readiness_and_refuse_with_a_reason() {
    let rig = publishing().raise(&BINARIES);
    // A port that nobody listens at.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let yaml = std::fs::read_to_string(rig.folder.file("routing.yaml")).expect("the file");
    let yaml = yaml.replace("jwks: link.jwks.json", &url(closed)).replace("r.sock", "r2.sock");
    rig.folder.write("routing2.yaml", &yaml.replace("routing.events.log", "routing2.events.log"));
    let second = Process::spawn("routing-gw 2", BINARIES.routing, &rig.folder.file("routing2.yaml"), &rig.folder.file("r2.sock"));
    until("it says what it lacks", || link_keys(&second).filter(|(ready, detail)| !ready && detail.contains("cannot be fetched")));
    assert_eq!(second.ask("/readyz").map(|(status, _)| status), Some(503));
    let token = key_of(&rig).sign(&Caller::anonymous(), now()).expect("signed").token;
    let knock = || {
        let request = Request::get("/public/x").header(header::HOST, "localhost").header("x-gw-assertion", &token);
        ask(second.listener("link"), &tier1(&rig), request).says()
    };
    assert_eq!(knock(), "503 keys-unavailable");
    assert!(second.metric("gateway_refusals_total{reason=\"keys-unavailable\"}") > 0.5);
    // It is no state to stay in.
    let yaml = std::fs::read_to_string(rig.folder.file("routing2.yaml")).expect("the file");
    rig.folder.write("routing2.yaml", &yaml.replace(&url(closed), &url(rig.security.listener("keys").port())));
    second.reload();
    until("the keys have come", || link_keys(&second).filter(|(ready, _)| *ready));
    until("it serves", || (knock() == "200 orders").then_some(()));
}
