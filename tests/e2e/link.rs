//! routing-gw believes tier 1 and nobody else: every way around is refused with its own reason, and no instance sees it.

use bytes::Bytes;
use contract::assertion::Signer;
use contract::caller::{Caller, Proof};
use gwctl::stage::certificates::Purpose;
use gwctl::stage::link_key::LinkKey;
use http::{Request, header};
use http_body_util::Full;
use settings::clock::Clock;
use tests::rig::Rig;
use tests::rig::client::{Identity, Line, Version};
use tests::rig::reply::Reply;
use tests::rig::wait::until;

use crate::BINARIES;

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
