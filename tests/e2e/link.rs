//! routing-gw believes tier 1 and nobody else: every way around is refused with its own reason, and no instance sees it.

use bytes::Bytes;
use contract::assertion::Signer;
use contract::caller::{Caller, Proof};
use gwctl::stage::certificates::Purpose;
use gwctl::stage::link_key::LinkKey;
use http::{Request, header};
use http_body_util::Full;
use settings::clock::Clock;
use tests::frames::hpack::Fields;
use tests::frames::seen::Seen;
use tests::frames::{INITIAL_WINDOW_SIZE, opening};
use tests::raw::{End, Raw};
use tests::rig::Rig;
use tests::rig::client::{Identity, Line, Version};
use tests::rig::reply::Reply;
use tests::rig::wait::until;

use crate::BINARIES;

/// Tier 1 as tier 2 knows it.
pub(crate) fn tier1(rig: &Rig) -> Identity {
    let leaf = rig.certificates.leaf(Purpose::Client, "security-gw.demo");
    Identity {
        ca_pem: rig.certificates.ca_pem(),
        leaf: Some((leaf.chain_pem().to_owned(), leaf.key_pem().to_owned())),
        server: "routing-gw.demo",
    }
}

/// Asks routing-gw directly for what the assertion's caller may have.
fn ask(rig: &Rig, identity: &Identity, assertion: Option<&str>) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut line = Line::open(rig.routing.listener("link"), identity, Version::H1).await?;
        let mut request = Request::builder().uri("/orders/1").header(header::HOST, "localhost");
        if let Some(assertion) = assertion {
            request = request.header("x-gw-assertion", assertion);
        }
        line.exchange(request.body(Full::new(Bytes::new()))?).await
    })
}

pub(crate) fn editor() -> Caller {
    Caller {
        subject: "editor".into(),
        issuer: "test".into(),
        proof: Proof::Jwt,
        scopes: vec!["orders:read".into()],
        claims: Default::default(),
        expires_at: None,
    }
}

pub(crate) fn signer(rig: &Rig, audience: &str) -> Signer {
    let pem = std::fs::read(rig.folder.file("link.pem")).expect("the link key");
    Signer::from_pkcs8_pem(&pem, "link-1".into(), "security-gw".into(), audience.into()).expect("a signer")
}

#[test]
fn only_tier_one_is_believed() {
    let rig = Rig::two_tier(&BINARIES);
    let now = Clock::system().now_s();
    let sign = |signer: &Signer, now| signer.sign(&editor(), now).expect("signed").token;
    let right = sign(&signer(&rig, "routing-gw"), now);

    // The twin that is believed, so that the refusals below are for the reasons given.
    ask(&rig, &tier1(&rig), Some(&right)).expect("an answer").check("200 orders");

    let stranger = LinkKey::new(Some("link-1")).expect("a key");
    let stranger =
        Signer::from_pkcs8_pem(stranger.pem().as_bytes(), "link-1".into(), "security-gw".into(), "routing-gw".into()).expect("a signer");
    let unknown = LinkKey::new(Some("link-9")).expect("a key");
    let unknown =
        Signer::from_pkcs8_pem(unknown.pem().as_bytes(), "link-9".into(), "security-gw".into(), "routing-gw".into()).expect("a signer");
    let body = right.split('.').nth(1).expect("a payload");
    let none = format!("{}.{body}.", base64_url(br#"{"alg":"none","typ":"gw+jwt","kid":"link-1"}"#));
    let cases = [
        ("assertion-missing", None),
        ("assertion-signature", Some(sign(&stranger, now))),
        ("assertion-key-unknown", Some(sign(&unknown, now))),
        ("assertion-audience", Some(sign(&signer(&rig, "another-gw"), now))),
        // An assertion lives 60 seconds, so that this one ended a second ago.
        ("assertion-expired", Some(sign(&signer(&rig, "routing-gw"), now - 61))),
        ("assertion-algorithm", Some(none)),
        ("assertion-malformed", Some("forged".to_owned())),
    ];
    let seen_before = rig.instances.ledger("orders").len();
    for (reason, assertion) in cases {
        let counted = || rig.routing.metric(&format!("gateway_refusals_total{{reason=\"{reason}\"}}"));
        let before = counted();
        let reply = ask(&rig, &tier1(&rig), assertion.as_deref()).expect("an answer");
        reply.check(&format!("403 {reason}"));
        assert!((counted() - before - 1.0).abs() < 0.1, "{reason} is counted once");
    }
    assert_eq!(rig.instances.ledger("orders").len(), seen_before);
}

#[test]
fn peers_without_the_right_certificate_get_no_connection() {
    let rig = Rig::two_tier(&BINARIES);
    let right = signer(&rig, "routing-gw").sign(&editor(), Clock::system().now_s()).expect("signed").token;
    let with = |name: Option<&str>| {
        let leaf = name
            .map(|name| rig.certificates.leaf(Purpose::Client, name))
            .map(|leaf| (leaf.chain_pem().to_owned(), leaf.key_pem().to_owned()));
        Identity { ca_pem: rig.certificates.ca_pem(), leaf, server: "routing-gw.demo" }
    };
    for (reason, identity) in [("peer-certificate-missing", with(None)), ("peer-not-allowed", with(Some("stranger.demo")))] {
        assert!(ask(&rig, &identity, Some(&right)).is_err(), "{reason}: an answer came");
        until(&format!("the connection record says {reason}"), || {
            rig.events("routing").into_iter().find(|record| record["kind"] == "connection" && record["gateway.reason"] == reason)
        });
        let counted = rig.routing.metric(&format!("gateway_connections_total{{listener=\"link\",end=\"{reason}\"}}"));
        assert!(counted >= 1.0, "{reason} is counted: {:?}", rig.routing.ask("/metrics"));
    }
}

/// Base64url without padding, for a header that no library would write.
fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            out.push(char::from(ALPHABET[(word >> (18 - 6 * place)) as usize & 63]));
        }
    }
    out
}

#[test]
fn the_link_works_over_a_unix_socket_with_a_user_list() {
    let rig = unix_scene("uids: [0, {uid}]").raise(&BINARIES);
    let reply = rig.knock("GET /orders/1").with(&rig.editor()).check("200 orders");
    assert_eq!(reply.saw("x-gw-subject").as_deref(), Some("editor"));
    assert_eq!(reply.saw("x-forwarded-for").as_deref(), Some("127.0.0.1"));
}

#[test]
fn a_unix_peer_that_is_not_listed_is_refused() {
    let rig = unix_scene("uids: [4294967294]").raise(&BINARIES);
    let refused = rig.knock("GET /orders/1").with(&rig.editor()).go();
    assert!(["503 link-unavailable", "502 link-reset"].contains(&refused.says().as_str()), "{refused:?}");
    until("the connection record says peer-not-allowed", || {
        rig.events("routing").into_iter().find(|record| record["kind"] == "connection" && record["gateway.reason"] == "peer-not-allowed")
    });
}

fn unix_scene(uids: &str) -> tests::rig::scene::Scene {
    use std::os::unix::fs::MetadataExt;
    let uid = std::fs::metadata("/proc/self").expect("this process").uid();
    let uids = uids.replace("{uid}", &uid.to_string());
    let tls = "    tls: { certificates: [ { chain: routing-gw.pem, key: routing-gw.key } ], clients: { ca: ca.pem, peers: [\"dns:security-gw.demo\"] } }\n";
    tests::rig::scene::Scene::default()
        .routing("address: \"127.0.0.1:0\"", "address: \"unix:r.link\"")
        .routing(tls, &format!("    unix: {{ mode: \"0600\", {uids} }}\n"))
        .security("discover: { kind: dns, name: routing-gw.demo, port: {link} }", "discover: { kind: unix, path: r.link }")
        .security("  tls: { ca: ca.pem, certificate: security-gw.pem, key: security-gw.key, peers: [\"dns:routing-gw.demo\"] }\n", "")
}

fn edit(rig: &Rig, file: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(rig.folder.file(file)).expect("the file");
    assert!(text.contains(from), "{file} has no {from}");
    rig.folder.write(file, &text.replace(from, to));
}

/// Waits until requests are refused for want of the link, and gives how many reached an instance until then.
fn until_the_link_is_refused(rig: &Rig) -> usize {
    let mut in_a_row = 0;
    until("the link is refused", || {
        let said = rig.knock("GET /orders/1").with(&rig.editor()).go().says();
        // Each worker has connections of its own, and a request may meet one as it ends.
        in_a_row = if ["503 link-unavailable", "502 link-reset"].contains(&said.as_str()) { in_a_row + 1 } else { 0 };
        (in_a_row >= 10).then_some(())
    });
    rig.instances.ledger("orders").len()
}

#[test]
fn a_name_that_is_taken_off_a_list_is_refused_from_the_reload_on_in_both_directions() {
    let quiet = "reload: { watch: null }\ndrain:";
    let rig = tests::rig::scene::Scene::default().security("drain:", quiet).routing("drain:", quiet).raise(&BINARIES);
    let editor = rig.editor();
    let directions = [
        ("routing.yaml", &rig.routing, "peers: [\"dns:security-gw.demo\"]"),
        ("security.yaml", &rig.security, "peers: [\"dns:routing-gw.demo\"]"),
    ];
    for (file, process, peers) in directions {
        rig.knock("GET /orders/1").with(&editor).check("200 orders");
        edit(&rig, file, peers, "peers: [\"dns:another.demo\"]");
        process.reload();
        let seen = until_the_link_is_refused(&rig);
        let counted = || {
            let refused = |reason| rig.security.metric(&format!("gateway_refusals_total{{reason=\"{reason}\"}}"));
            refused("link-unavailable") + refused("link-reset")
        };
        let before = counted();
        for line in ["GET /orders/1", "POST /orders/1"] {
            let refused = rig.knock(line).with(&editor).go();
            assert!(["503 link-unavailable", "502 link-reset"].contains(&refused.says().as_str()), "{file}: {refused:?}");
            assert_eq!(rig.record_of(&refused)["gateway.reason"], refused.json()["reason"]);
        }
        assert!((counted() - before - 2.0).abs() < 0.1, "{file}: both are counted");
        if file == "routing.yaml" {
            let ended = "gateway_connections_total{listener=\"link\",end=\"peer-not-allowed\"}";
            assert!(rig.routing.metric(ended) > 0.5, "tier 2 counts whom it refused");
            until("the connection record says peer-not-allowed", || {
                rig.events("routing").into_iter().find(|record| record["gateway.reason"] == "peer-not-allowed")
            });
        } else {
            let failed = "gateway_upstream_connects_total{service=\"link\",result=\"failed\"}";
            assert!(rig.security.metric(failed) > 0.5, "tier 1 counts whom it refused");
        }
        assert_eq!(rig.instances.ledger("orders").len(), seen, "{file}: nothing has passed");
        edit(&rig, file, "peers: [\"dns:another.demo\"]", peers);
        process.reload();
        until("the name counts again", || (rig.knock("GET /orders/1").with(&editor).go().says() == "200 orders").then_some(()));
    }
}

#[test]
fn nobody_passes_the_link_in_plain_or_under_another_authority() {
    let rig = Rig::two_tier(&BINARIES);
    let right = signer(&rig, "routing-gw").sign(&editor(), Clock::system().now_s()).expect("signed").token;
    let seen = rig.instances.ledger("orders").len();
    let records = || rig.events("routing").into_iter().filter(|record| record["kind"] == "connection").count();

    let before = records();
    let mut plain = std::net::TcpStream::connect(rig.routing.listener("link")).expect("a connection");
    plain.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("a timeout");
    let request = format!("GET /orders/1 HTTP/1.1\r\nhost: localhost\r\nx-gw-assertion: {right}\r\n\r\n");
    std::io::Write::write_all(&mut plain, request.as_bytes()).expect("written");
    let mut answer = Vec::new();
    let _reset = std::io::Read::read_to_end(&mut plain, &mut answer);
    assert!(!answer.starts_with(b"HTTP/"), "{:?}", String::from_utf8_lossy(&answer));
    until("the connection is recorded", || (records() > before).then_some(()));

    let stranger =
        gwctl::stage::certificates::Authority::new("another CA", gwctl::stage::certificates::Validity::days(Clock::system().now_s(), 2))
            .expect("an authority");
    let names = [gwctl::stage::certificates::San::Dns("security-gw.demo".to_owned())];
    let validity = gwctl::stage::certificates::Validity::days(Clock::system().now_s(), 2);
    let leaf = stranger.issue(Purpose::Client, "security-gw.demo", &names, validity).expect("a leaf");
    let leaf = Some((leaf.chain_pem().to_owned(), leaf.key_pem().to_owned()));
    let identity = Identity { ca_pem: rig.certificates.ca_pem(), leaf, server: "routing-gw.demo" };
    let before = records();
    assert!(ask(&rig, &identity, Some(&right)).is_err(), "an answer came");
    until("the connection is recorded", || (records() > before).then_some(()));
    assert_eq!(rig.instances.ledger("orders").len(), seen);
}

/// A peer over HTTP/2 by hand, which never answers a PING, and so never hears that it should go.
#[test]
fn a_peer_that_was_taken_off_the_list_gets_nothing_more_over_a_connection_that_it_keeps() {
    let quiet = "reload: { watch: null }\ndrain:";
    let rig = tests::rig::scene::Scene::default().routing("drain:", quiet).raise(&BINARIES);
    let token = signer(&rig, "routing-gw").sign(&editor(), Clock::system().now_s()).expect("signed").token;
    let ask = |stream| Fields::request("GET", "/orders/1").add("x-gw-assertion", token.as_bytes()).whole(stream);
    let mut raw = Raw::open(rig.routing.listener("link"), &tier1(&rig), "h2");
    // No byte of the answer's body may come, so that the stream stays open, and the connection with it.
    raw.send(&[opening(&[(INITIAL_WINDOW_SIZE, 0)]), ask(1)].concat()).expect("sent");
    let before = Seen::read(&raw.read_until(|bytes| Seen::read(bytes).answers.contains_key(&1)));
    assert_eq!((before.answers[&1].status, before.answers[&1].is_whole), (200, false));
    edit(&rig, "routing.yaml", "peers: [\"dns:security-gw.demo\"]", "peers: [\"dns:another.demo\"]");
    rig.routing.reload();
    let gone = raw.read_until(|bytes| !Seen::read(bytes).farewells.is_empty());
    assert_eq!(Seen::read(&gone).farewells, [0], "it is told to go, and stays");
    let seen = rig.instances.ledger("orders").len();
    raw.send(&ask(3)).expect("sent");
    let (bytes, end) = raw.read_to_end();
    let after = Seen::read(&bytes);
    assert_eq!(after.answers.get(&3), None, "{after:?}");
    assert_eq!(rig.instances.ledger("orders").len(), seen, "nothing has passed");
    assert_ne!(end, End::StillOpen, "the drain's deadline ends it, whatever it holds: {after:?}");
}
