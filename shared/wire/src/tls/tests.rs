//! Real handshakes in memory, and files with one thing wrong about each.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsConnector, client, server};

use crate::connection::TlsFacts;
use crate::tls::certificate::Certificate;
use crate::tls::client::{ClientTerms, ClientTls};
use crate::tls::clients::ClientAuth;
use crate::tls::coverage::ServedFor;
use crate::tls::expiry::Expiry;
use crate::tls::facts::facts;
use crate::tls::fault::CertificateFault;
use crate::tls::forge::{Ca, Folder, Leaf, NOW, Pair};
use crate::tls::handshake::{HandshakeFault, handshake_reason};
use crate::tls::peers::{PeerList, SanPattern};
use crate::tls::provider::{TlsMinimum, provider};
use crate::tls::roots::Roots;
use crate::tls::server::{ServerTerms, ServerTls};

type Accepted = Result<(server::TlsStream<DuplexStream>, ServedFor), HandshakeFault>;
type Connected = Result<client::TlsStream<DuplexStream>, HandshakeFault>;

/// A CA, its bundle in a folder, and shorthand for what the tests are about.
struct Bench {
    folder: Folder,
    ca: Ca,
}

impl Bench {
    fn new() -> Self {
        let (folder, ca) = (Folder::new(), Ca::new("ca"));
        folder.write("ca.pem", &ca.pem);
        Self { folder, ca }
    }

    fn roots(&self) -> Roots {
        Roots::File(self.folder.path().join("ca.pem"))
    }

    fn certificate(&self, name: &str, pair: &Pair) -> Certificate {
        let (chain, key) = pair.lay(&self.folder, name);
        Certificate::load(&chain, &key, NOW).unwrap()
    }

    fn server(&self, certificates: &[&[&'static str]]) -> ServerTerms {
        let certificates = certificates
            .iter()
            .enumerate()
            .map(|(index, names)| self.certificate(&format!("server-{index}"), &self.ca.issue(&Leaf::dns(names))));
        ServerTerms { certificates: certificates.collect(), clients: None, minimum: TlsMinimum::Tls12, alpn: vec![b"h2", b"http/1.1"] }
    }

    /// A listener for the other tier: `gw.demo`, clients by list.
    fn link(&self, peers: &[&str]) -> ServerTls {
        let clients = ClientAuth::load(&self.folder.path().join("ca.pem"), list(peers)).unwrap();
        ServerTls::new(&ServerTerms { clients: Some(clients), ..self.server(&[&["gw.demo"]]) }).unwrap()
    }

    fn client(&self, name: &str) -> ClientTerms {
        ClientTerms {
            roots: self.roots(),
            certificate: None,
            server_name: name.to_owned(),
            peers: None,
            minimum: TlsMinimum::Tls12,
            alpn: vec![b"h2"],
        }
    }

    /// A client with a certificate of `ca`; it is loaded as of a moment in its life.
    fn client_with(&self, ca: &Ca, leaf: &Leaf) -> ClientTls {
        let (chain, key) = ca.issue(leaf).lay(&self.folder, "client");
        let inside = if leaf.years.1 < 2025 { 1_600_000_000 } else { NOW };
        let certificate = Certificate::load_client(&chain, &key, inside).unwrap();
        ClientTls::new(&ClientTerms { certificate: Some(certificate), ..self.client("gw.demo") }).unwrap()
    }
}

fn list(peers: &[&str]) -> PeerList {
    PeerList::new(peers.iter().map(|text| SanPattern::parse(text).unwrap()).collect())
}

/// Both ends at once. The client then reads one byte, so that it hears of a refusal that comes after its own end of the handshake.
async fn shake(server: &ServerTls, client: &ClientTls) -> (Accepted, Connected) {
    let (ours, theirs) = duplex(64 * 1024);
    let connect = async {
        let mut stream = client.connect(ours).await?;
        let mut byte = [0];
        match stream.read_exact(&mut byte).await {
            Ok(_) => Ok(stream),
            Err(source) => Err(HandshakeFault { reason: handshake_reason(&source), sni: None, source }),
        }
    };
    let accept = async {
        let (mut stream, served_for) = server.accept(theirs).await?;
        stream.write_all(b"!").await.unwrap();
        stream.flush().await.unwrap();
        Ok((stream, served_for))
    };
    tokio::join!(accept, connect)
}

async fn agree(server: &ServerTls, client: &ClientTls) -> (TlsFacts, client::TlsStream<DuplexStream>) {
    let (accepted, connected) = shake(server, client).await;
    (told(accepted.unwrap()), connected.unwrap())
}

fn told((stream, served_for): (server::TlsStream<DuplexStream>, ServedFor)) -> TlsFacts {
    facts(stream.get_ref().1, served_for).unwrap()
}

async fn refusals(server: &ServerTls, client: &ClientTls) -> (&'static str, &'static str) {
    let (accepted, connected) = shake(server, client).await;
    (accepted.expect_err("the server accepted").reason, connected.expect_err("the client connected").reason)
}

/// The DNS names of the certificate that a client was shown.
fn shown(stream: &client::TlsStream<DuplexStream>) -> Vec<String> {
    crate::tls::peers::SubjectNames::in_der(&stream.get_ref().1.peer_certificates().unwrap()[0]).unwrap().dns
}

#[tokio::test]
async fn an_exact_name_wins_over_a_wildcard_and_the_facts_say_what_was_agreed() {
    let bench = Bench::new();
    let server = ServerTls::new(&bench.server(&[&["*.gw.demo"], &["api.gw.demo", "Other.GW.Demo"]])).unwrap();
    for (asked, served) in
        [("api.gw.demo", "api.gw.demo"), ("API.gw.demo", "api.gw.demo"), ("other.gw.demo", "api.gw.demo"), ("x.gw.demo", "*.gw.demo")]
    {
        let client = ClientTls::new(&bench.client(asked)).unwrap();
        let (facts, stream) = agree(&server, &client).await;
        assert_eq!(shown(&stream)[0], served, "{asked}");
        assert_eq!(facts.sni.as_deref(), Some(asked.to_ascii_lowercase().as_str()));
        assert_eq!((facts.version, facts.group), ("1.3", Some("X25519MLKEM768")));
        assert!(facts.cipher.starts_with("TLS_AES_"), "{}", facts.cipher);
        assert_eq!(facts.peer, None);
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    }
}

#[tokio::test]
async fn a_name_that_nobody_serves_is_refused_with_its_own_alert() {
    let bench = Bench::new();
    let server = ServerTls::new(&bench.server(&[&["api.demo", "*.gw.demo"]])).unwrap();
    for asked in ["demo", "gw.demo", "a.b.gw.demo", "api.demo.evil", "localhost"] {
        let client = ClientTls::new(&bench.client(asked)).unwrap();
        let (accepted, connected) = shake(&server, &client).await;
        let fault = accepted.expect_err(asked);
        assert_eq!((fault.reason, fault.sni.as_deref()), ("tls-no-certificate-for-name", Some(asked)));
        assert_eq!(connected.expect_err(asked).reason, "tls-peer-knows-no-such-name");
    }
}

#[tokio::test]
async fn a_client_that_names_no_host_is_refused() {
    let bench = Bench::new();
    let server = ServerTls::new(&bench.server(&[&["api.demo"]])).unwrap();
    let client = ClientTls::new(&bench.client("api.demo")).unwrap();
    let (ours, theirs) = duplex(64 * 1024);
    let connector = TlsConnector::from(Arc::clone(client.config()));
    let address = ServerName::try_from("127.0.0.1").unwrap();
    let (accepted, connected) = tokio::join!(server.accept(theirs), connector.connect(address, ours));
    let fault = accepted.unwrap_err();
    assert_eq!((fault.reason, fault.sni), ("tls-no-certificate-for-name", None));
    assert_eq!(handshake_reason(&connected.unwrap_err()), "tls-peer-knows-no-such-name");
}

#[tokio::test]
async fn a_client_that_comes_by_address_gets_the_certificate_with_an_address() {
    let bench = Bench::new();
    let with_address = bench.ca.issue(&Leaf { address: Some([127, 0, 0, 1].into()), ..Leaf::dns(&["edge.demo"]) });
    let mut terms = bench.server(&[&["api.demo"]]);
    terms.certificates.push(bench.certificate("with-address", &with_address));
    let server = ServerTls::new(&terms).unwrap();
    let client = ClientTls::new(&bench.client("edge.demo")).unwrap();
    let (ours, theirs) = duplex(64 * 1024);
    let connector = TlsConnector::from(Arc::clone(client.config()));
    let (accepted, connected) = tokio::join!(server.accept(theirs), connector.connect(ServerName::try_from("127.0.0.1").unwrap(), ours));
    assert_eq!(told(accepted.unwrap()).sni, None);
    assert_eq!(shown(&connected.unwrap()), ["edge.demo"]);
}

#[tokio::test]
async fn a_listed_client_is_let_in_and_known() {
    let bench = Bench::new();
    let leaf = Leaf { uris: vec!["spiffe://demo/gw"], ..Leaf::dns(&["security-gw.demo"]) };
    let client = bench.client_with(&bench.ca, &leaf);
    let presented = CertificateDer::from_pem_file(bench.folder.path().join("client.pem")).unwrap();
    for peers in [&["dns:security-gw.demo"][..], &["dns:x", "uri:spiffe://demo/*"], &["dns:*.demo"]] {
        let (facts, _) = agree(&bench.link(peers), &client).await;
        let peer = facts.peer.expect("the peer proved who it is");
        assert_eq!(peer.names, ["security-gw.demo", "spiffe://demo/gw"]);
        assert_eq!(peer.fingerprint, aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &presented).as_ref());
    }
}

#[tokio::test]
async fn each_wrong_client_has_a_reason_of_its_own() {
    let bench = Bench::new();
    let link = bench.link(&["dns:security-gw.demo"]);
    let good = Leaf::dns(&["security-gw.demo"]);

    let nobody = ClientTls::new(&bench.client("gw.demo")).unwrap();
    assert_eq!(refusals(&link, &nobody).await, ("peer-certificate-missing", "tls-peer-demands-certificate"));

    let stranger = bench.client_with(&bench.ca, &Leaf::dns(&["other.demo"]));
    assert_eq!(refusals(&link, &stranger).await, ("peer-not-allowed", "tls-peer-denies-us"));

    let nameless = bench.client_with(&bench.ca, &Leaf::dns(&[]));
    assert_eq!(refusals(&link, &nameless).await.0, "peer-not-allowed");

    let expired = bench.client_with(&bench.ca, &Leaf { years: (2020, 2022), ..good.clone() });
    assert_eq!(refusals(&link, &expired).await.0, "peer-certificate-expired");

    let server_only = Leaf { usages: vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth], ..good.clone() };
    let (chain, key) = bench.ca.issue(&server_only).lay(&bench.folder, "client");
    let fault = Certificate::load_client(&chain, &key, NOW).unwrap_err();
    assert!(fault.what.contains("clientAuth"), "{fault}");

    assert_eq!(refusals(&bench.link(&[]), &bench.client_with(&bench.ca, &good)).await.0, "peer-not-allowed");
}

/// The name is right and the name of the CA is too; only the key is not. A client does not show such a certificate by itself, for the
/// listener tells whose it takes, so this one insists.
#[tokio::test]
async fn a_certificate_of_another_ca_is_not_believed() {
    let bench = Bench::new();
    let client = bench.client_with(&Ca::new("ca"), &Leaf::dns(&["security-gw.demo"]));
    let reason = refusals(&bench.link(&["dns:security-gw.demo"]), &client).await.0;
    assert!(["peer-certificate-untrusted", "peer-certificate-invalid"].contains(&reason), "{reason}");
    let client = bench.client_with(&Ca::new("other"), &Leaf::dns(&["security-gw.demo"]));
    assert_eq!(refusals(&bench.link(&["dns:security-gw.demo"]), &client).await.0, "peer-certificate-untrusted");
}

#[tokio::test]
async fn the_server_must_prove_its_name_or_stand_on_the_list() {
    let bench = Bench::new();
    let spiffe = Leaf { uris: vec!["spiffe://demo/routing-gw"], ..Leaf::dns(&["gw.demo"]) };
    let terms = ServerTerms { certificates: vec![bench.certificate("server", &bench.ca.issue(&spiffe))], ..bench.server(&[&["x"]]) };
    let server = ServerTls::new(&terms).unwrap();
    let with = |peers: &[&str]| ClientTls::new(&ClientTerms { peers: Some(list(peers)), ..bench.client("gw.demo") }).unwrap();

    agree(&server, &with(&["uri:spiffe://demo/routing-gw"])).await;
    agree(&server, &with(&["dns:gw.demo"])).await;
    let (accepted, connected) = shake(&server, &with(&["uri:spiffe://demo/other"])).await;
    assert_eq!(connected.unwrap_err().reason, "peer-not-allowed");
    assert!(["tls-peer-denies-us", "tls-alert-from-peer"].contains(&accepted.unwrap_err().reason));

    let elsewhere = Bench::new();
    for peers in [None, Some(list(&["dns:gw.demo"]))] {
        let foreign = ClientTls::new(&ClientTerms { peers, ..elsewhere.client("gw.demo") }).unwrap();
        let reason = shake(&server, &foreign).await.1.unwrap_err().reason;
        assert!(["peer-certificate-untrusted", "peer-certificate-invalid"].contains(&reason), "{reason}");
    }
}

/// A listener that answers with another name than asked for is one that was set up by somebody else.
#[tokio::test]
async fn without_a_list_the_name_decides() {
    let bench = Bench::new();
    let (chain, key) = bench.ca.issue(&Leaf::dns(&["other.demo"])).lay(&bench.folder, "loose");
    let chain = CertificateDer::pem_file_iter(chain).unwrap().map(Result::unwrap).collect();
    let key = rustls_pki_types::PrivateKeyDer::from_pem_file(key).unwrap();
    let loose = rustls::ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let loose = loose.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let client = ClientTls::new(&bench.client("gw.demo")).unwrap();
    let (ours, theirs) = duplex(64 * 1024);
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(loose));
    let (_, connected) = tokio::join!(acceptor.accept(theirs), client.connect(ours));
    assert_eq!(connected.unwrap_err().reason, "peer-certificate-other-name");
}

#[tokio::test]
async fn what_is_no_common_ground_is_said_so() {
    let bench = Bench::new();
    let terms = bench.server(&[&["gw.demo"]]);
    let server = ServerTls::new(&terms).unwrap();
    let other = ClientTls::new(&ClientTerms { alpn: vec![b"spdy/1"], ..bench.client("gw.demo") }).unwrap();
    assert_eq!(refusals(&server, &other).await.0, "tls-no-common-protocol");

    let newest = ServerTls::new(&ServerTerms { minimum: TlsMinimum::Tls13, ..terms }).unwrap();
    let store = bench.roots().load().unwrap();
    let old = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS12]).unwrap();
    let old = TlsConnector::from(Arc::new(old.with_root_certificates(store).with_no_client_auth()));
    for (server, expected) in [(&newest, Err("tls-no-common-version")), (&server, Ok("1.2"))] {
        let (ours, theirs) = duplex(64 * 1024);
        let (accepted, _connected) = tokio::join!(server.accept(theirs), old.connect(ServerName::try_from("gw.demo").unwrap(), ours));
        let agreed = accepted.map(|accepted| told(accepted).version).map_err(|fault| fault.reason);
        assert_eq!(agreed, expected);
    }
}

#[tokio::test]
async fn what_is_no_tls_is_malformed_and_silence_is_closed_early() {
    let bench = Bench::new();
    let server = ServerTls::new(&bench.server(&[&["gw.demo"]])).unwrap();
    let cases: [(&[u8], &str); 5] = [
        (b"GET / HTTP/1.1\r\nhost: gw.demo\r\n\r\n", "tls-malformed"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "tls-malformed"),
        (b"\x00\x00\x00\x00\x00\x00", "tls-malformed"),
        (b"", "tls-closed-early"),
        (b"\x16\x03\x01\x02\x00\x01\x00", "tls-closed-early"),
    ];
    for (bytes, reason) in cases {
        let (mut ours, theirs) = duplex(64 * 1024);
        ours.write_all(bytes).await.unwrap();
        ours.shutdown().await.unwrap();
        assert_eq!(server.accept(theirs).await.unwrap_err().reason, reason, "{bytes:?}");
    }
}

#[tokio::test]
async fn strangers_may_resume_and_peers_prove_themselves_every_time() {
    let bench = Bench::new();
    let open = ServerTls::new(&bench.server(&[&["gw.demo"]])).unwrap();
    let client = ClientTls::new(&bench.client("gw.demo")).unwrap();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        kinds.push(agree(&open, &client).await.1.get_ref().1.handshake_kind());
    }
    assert_eq!(kinds[1], Some(HandshakeKind::Resumed), "{kinds:?}");

    let link = bench.link(&["dns:security-gw.demo"]);
    let peer = bench.client_with(&bench.ca, &Leaf::dns(&["security-gw.demo"]));
    for _ in 0..3 {
        let (facts, stream) = agree(&link, &peer).await;
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        assert!(facts.peer.is_some());
    }
}

#[test]
fn a_pair_with_a_flaw_is_refused_and_the_fault_names_it() {
    let bench = Bench::new();
    let good = bench.ca.issue(&Leaf::dns(&["gw.demo"]));
    let other = bench.ca.issue(&Leaf::dns(&["gw.demo"]));
    let load = |chain: &str, key: &str| -> CertificateFault {
        let pair = Pair { chain: chain.to_owned(), key: key.to_owned() };
        let (chain, key) = pair.lay(&bench.folder, "flawed");
        Certificate::load(&chain, &key, NOW).expect_err("it was accepted")
    };
    let issue = |leaf: Leaf| bench.ca.issue(&leaf);
    let old = issue(Leaf { years: (2020, 2022), ..Leaf::dns(&["gw.demo"]) });
    let young = issue(Leaf { years: (2080, 2090), ..Leaf::dns(&["gw.demo"]) });
    let nameless = issue(Leaf::uri("spiffe://demo/gw"));
    let client_only = issue(Leaf { usages: vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth], ..Leaf::dns(&["gw.demo"]) });
    let unrelated = Ca::new("unrelated").pem;
    let broken = good.chain.replacen("MII", "MIX", 1);
    let cases = [
        (load(&good.chain, &other.key), "flawed.key", "does not belong"),
        (load(&old.chain, &old.key), "flawed.pem", "expired on"),
        (load(&young.chain, &young.key), "flawed.pem", "not valid before"),
        (load(&nameless.chain, &nameless.key), "flawed.pem", "no DNS name and no address"),
        (load(&client_only.chain, &client_only.key), "flawed.pem", "lacks serverAuth"),
        (load(&format!("{}{}", bench.ca.pem, good.chain), &good.key), "flawed.pem", "out of order"),
        (load(&format!("{}{unrelated}", good.chain), &good.key), "flawed.pem", "out of order"),
        (load("", &good.key), "flawed.pem", "no certificate"),
        (load("hello", &good.key), "flawed.pem", "no certificate"),
        (load(&good.key, &good.key), "flawed.pem", "no certificate"),
        (load(&broken, &good.key), "flawed.pem", "not valid"),
        (load(&good.chain, ""), "flawed.key", "no private key"),
        (load(&good.chain, &good.chain), "flawed.key", "no private key"),
        (load(&good.chain, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "flawed.key", "cannot be used"),
    ];
    for (fault, file, what) in cases {
        assert!(fault.file.ends_with(file) && fault.what.contains(what) && !fault.remedy.is_empty(), "{fault}; expected {what}");
    }
    let missing = Certificate::load(&bench.folder.path().join("nowhere"), &bench.folder.path().join("nowhere"), NOW).unwrap_err();
    assert!(missing.what.contains("cannot be read"), "{missing}");
}

#[test]
fn a_good_pair_tells_its_names_and_its_end() {
    let bench = Bench::new();
    let pair = bench.ca.issue(&Leaf::dns(&["GW.demo", "*.demo"]));
    let pair = Pair { chain: format!("{}{}", pair.chain, bench.ca.pem), key: pair.key };
    let certificate = bench.certificate("good", &pair);
    assert_eq!(certificate.coverage().names().collect::<Vec<_>>(), ["gw.demo", "*.demo"]);
    let Expiry { subject, not_after, .. } = certificate.expiry();
    assert_eq!((subject.as_str(), *not_after), ("gw.demo", 3_786_912_000));
    assert!(!format!("{certificate:?}").contains("PRIVATE"));
}

#[test]
fn terms_that_cannot_work_are_refused_at_once() {
    let bench = Bench::new();
    let none = ServerTerms { certificates: Vec::new(), clients: None, minimum: TlsMinimum::Tls12, alpn: Vec::new() };
    assert!(ServerTls::new(&none).unwrap_err().what.contains("no certificate"));
    for name in ["127.0.0.1", "::1", "", "a b", "*.demo"] {
        assert!(ClientTls::new(&bench.client(name)).is_err(), "{name}");
    }
    for text in ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let path = bench.folder.write("roots.pem", text);
        assert!(Roots::File(path.clone()).load().is_err(), "{text}");
        assert!(ClientAuth::load(&path, PeerList::default()).is_err(), "{text}");
    }
    assert!(Roots::WebPki.load().unwrap().len() > 50);
}

#[test]
fn a_listener_is_the_same_by_what_it_was_made_from() {
    let bench = Bench::new();
    let (one, two) = (bench.ca.issue(&Leaf::dns(&["gw.demo"])), bench.ca.issue(&Leaf::dns(&["gw.demo"])));
    let clients = |bench: &Bench, peers: &[&str]| Some(ClientAuth::load(&bench.folder.path().join("ca.pem"), list(peers)).unwrap());
    let terms = |pair: &Pair| ServerTerms {
        certificates: vec![bench.certificate("one", pair)],
        clients: clients(&bench, &["dns:a.demo", "dns:b.demo"]),
        minimum: TlsMinimum::Tls12,
        alpn: vec![b"h2", b"http/1.1"],
    };
    let made = |terms: &ServerTerms| ServerTls::new(terms).unwrap();
    let first = made(&terms(&one));
    assert!(first == made(&terms(&one)), "the same files, read again");
    let other_ca = Bench::new();
    for (what, other) in [
        ("another certificate under the same path", terms(&two)),
        (
            "one more certificate",
            ServerTerms { certificates: vec![bench.certificate("one", &one), bench.certificate("two", &two)], ..terms(&one) },
        ),
        ("no clients", ServerTerms { clients: None, ..terms(&one) }),
        ("fewer peers", ServerTerms { clients: clients(&bench, &["dns:a.demo"]), ..terms(&one) }),
        ("another CA", ServerTerms { clients: clients(&other_ca, &["dns:a.demo", "dns:b.demo"]), ..terms(&one) }),
        (
            "clients that need show nothing",
            ServerTerms { clients: clients(&bench, &["dns:a.demo", "dns:b.demo"]).map(ClientAuth::optional), ..terms(&one) },
        ),
        ("another minimum", ServerTerms { minimum: TlsMinimum::Tls13, ..terms(&one) }),
        ("fewer protocols", ServerTerms { alpn: vec![b"h2"], ..terms(&one) }),
        ("protocols that read alike when joined", ServerTerms { alpn: vec![b"h2h", b"ttp/1.1"], ..terms(&one) }),
    ] {
        assert!(first != made(&other), "{what}");
        let asks_otherwise = matches!(what, "no clients" | "fewer peers" | "another CA" | "clients that need show nothing");
        assert_eq!(first.asks_clients_as(&made(&other)), !asks_otherwise, "{what}");
    }
    assert!(!format!("{first:?}").contains("made: Made("), "a digest over a key is not shown");
}

#[test]
fn our_own_side_is_the_same_by_what_it_was_made_from() {
    let bench = Bench::new();
    let pair = bench.ca.issue(&Leaf::dns(&["client.demo"]));
    let show = |pair: &Pair| {
        let (chain, key) = pair.lay(&bench.folder, "client");
        Some(Certificate::load_client(&chain, &key, NOW).unwrap())
    };
    let terms = || ClientTerms { certificate: show(&pair), peers: Some(list(&["dns:gw.demo"])), ..bench.client("gw.demo") };
    let made = |terms: &ClientTerms| ClientTls::new(terms).unwrap();
    let first = made(&terms());
    assert!(first == made(&terms()), "the same files, read again");
    for (what, other) in [
        ("another certificate", ClientTerms { certificate: show(&bench.ca.issue(&Leaf::dns(&["client.demo"]))), ..terms() }),
        ("no certificate", ClientTerms { certificate: None, ..terms() }),
        ("another name", ClientTerms { server_name: "other.demo".to_owned(), ..terms() }),
        ("no list", ClientTerms { peers: None, ..terms() }),
        ("an empty list", ClientTerms { peers: Some(list(&[])), ..terms() }),
        ("public roots", ClientTerms { roots: Roots::WebPki, ..terms() }),
        ("another minimum", ClientTerms { minimum: TlsMinimum::Tls13, ..terms() }),
        ("another protocol", ClientTerms { alpn: vec![b"http/1.1"], ..terms() }),
    ] {
        assert!(first != made(&other), "{what}");
    }
    bench.folder.write("ca.pem", Ca::new("next").pem);
    assert!(first != made(&terms()), "the CA has changed behind its path");
}

#[test]
fn what_is_no_regular_file_holds_no_certificate_and_is_not_waited_for() {
    let fault = super::certificate::read(std::path::Path::new("/dev/zero")).expect_err("it has no end");
    assert!(fault.what.contains("it is no regular file"), "{}", fault.what);
}

/// The name that was asked for decides which certificate is served, and that one which hosts may be asked for.
#[tokio::test]
async fn a_connection_serves_what_its_own_certificate_covers() {
    let bench = Bench::new();
    let with_address = bench.ca.issue(&Leaf { address: Some([127, 0, 0, 1].into()), ..Leaf::dns(&["edge.demo"]) });
    let mut terms = bench.server(&[&["a.demo", "b.demo"], &["c.demo", "*.c.demo"]]);
    terms.certificates.push(bench.certificate("with-address", &with_address));
    let server = ServerTls::new(&terms).unwrap();
    let covered = async |asked: &str| {
        let served_for = agree(&server, &ClientTls::new(&bench.client(asked)).unwrap()).await.0.served_for;
        let hosts = ["a.demo", "b.demo:8443", "C.demo.", "x.c.demo", "edge.demo", "127.0.0.1", "d.demo"];
        hosts.into_iter().filter(|host| served_for.covers(host.as_bytes())).collect::<Vec<_>>()
    };
    assert_eq!(covered("a.demo").await, ["a.demo", "b.demo:8443"]);
    assert_eq!(covered("b.demo").await, ["a.demo", "b.demo:8443"]);
    assert_eq!(covered("y.c.demo").await, ["C.demo.", "x.c.demo"]);
    assert_eq!(covered("edge.demo").await, ["edge.demo", "127.0.0.1"]);
}

/// Two certificates for one name: the first that the client can verify, in both versions of TLS.
#[tokio::test]
async fn of_two_certificates_for_one_name_the_client_gets_one_that_it_can_verify() {
    let bench = Bench::new();
    let rsa = bench.ca.issue(&Leaf { is_rsa: true, ..Leaf::dns(&["gw.demo", "rsa.demo"]) });
    let ecdsa = bench.ca.issue(&Leaf::dns(&["gw.demo", "ecdsa.demo"]));
    let certificates = vec![bench.certificate("ecdsa", &ecdsa), bench.certificate("rsa", &rsa)];
    let server = ServerTls::new(&ServerTerms { certificates, ..bench.server(&[&["x"]]) }).unwrap();
    for (version, suite, expected) in [
        (&rustls::version::TLS13, "", "ecdsa.demo"),
        (&rustls::version::TLS12, "ECDHE_ECDSA", "ecdsa.demo"),
        (&rustls::version::TLS12, "ECDHE_RSA", "rsa.demo"),
    ] {
        let mut provider = (*provider()).clone();
        provider.cipher_suites.retain(|known| format!("{:?}", known.suite()).contains(suite));
        let client = ClientConfig::builder_with_provider(provider.into()).with_protocol_versions(&[version]).unwrap();
        let client = client.with_root_certificates(bench.roots().load().unwrap()).with_no_client_auth();
        let (ours, theirs) = duplex(64 * 1024);
        let connector = TlsConnector::from(Arc::new(client));
        let (accepted, connected) = tokio::join!(server.accept(theirs), connector.connect(ServerName::try_from("gw.demo").unwrap(), ours));
        let served_for = told(accepted.unwrap()).served_for;
        assert_eq!(shown(&connected.unwrap()), ["gw.demo", expected], "{suite}");
        for name in ["ecdsa.demo", "rsa.demo"] {
            assert_eq!(served_for.covers(name.as_bytes()), name == expected, "{suite}: {name}");
        }
    }
}

#[tokio::test]
async fn sessions_outlive_their_certificate_where_nobody_proves_themselves() {
    let bench = Bench::new();
    let next = |names: &[&[&'static str]]| ServerTls::new(&bench.server(names)).unwrap();
    let first = next(&[&["gw.demo"]]);
    let renewed = next(&[&["gw.demo"]]).resuming(&first);
    let again = next(&[&["other.demo"], &["gw.demo"]]).resuming(&renewed);
    let client = ClientTls::new(&bench.client("gw.demo")).unwrap();
    let kind = async |server: &ServerTls| agree(server, &client).await.1.get_ref().1.handshake_kind().unwrap();
    assert_eq!(kind(&first).await, HandshakeKind::Full);
    assert_eq!(kind(&renewed).await, HandshakeKind::Resumed);
    assert_eq!(kind(&again).await, HandshakeKind::Resumed, "two reloads later");
    assert_eq!(kind(&next(&[&["gw.demo"]])).await, HandshakeKind::Full, "one that knows nothing of the keys");

    let clients = |server: ServerTerms| {
        let auth = ClientAuth::load(&bench.folder.path().join("ca.pem"), list(&["dns:a.demo"])).unwrap().optional();
        ServerTls::new(&ServerTerms { clients: Some(auth), ..server }).unwrap()
    };
    let asking = clients(bench.server(&[&["gw.demo"]])).resuming(&first);
    assert_eq!(kind(&first).await, HandshakeKind::Full, "the last one gave no ticket of these keys");
    assert_eq!(kind(&asking).await, HandshakeKind::Full, "a session without a certificate does not go around the question");
    assert_eq!(kind(&asking).await, HandshakeKind::Full);
    assert_eq!(kind(&next(&[&["gw.demo"]]).resuming(&asking)).await, HandshakeKind::Full);
}

#[tokio::test]
async fn a_listener_that_only_asks_lets_in_nobody_whom_it_does_not_know() {
    let bench = Bench::new();
    let auth = ClientAuth::load(&bench.folder.path().join("ca.pem"), list(&["dns:security-gw.demo"])).unwrap().optional();
    let server = ServerTls::new(&ServerTerms { clients: Some(auth), ..bench.server(&[&["gw.demo"]]) }).unwrap();
    let good = Leaf::dns(&["security-gw.demo"]);

    let nobody = ClientTls::new(&bench.client("gw.demo")).unwrap();
    assert_eq!(agree(&server, &nobody).await.0.peer, None);
    let listed = bench.client_with(&bench.ca, &good);
    assert_eq!(agree(&server, &listed).await.0.peer.expect("known").names, ["security-gw.demo"]);

    let stranger = bench.client_with(&bench.ca, &Leaf::dns(&["other.demo"]));
    assert_eq!(refusals(&server, &stranger).await.0, "peer-not-allowed");
    let expired = bench.client_with(&bench.ca, &Leaf { years: (2020, 2022), ..good.clone() });
    assert_eq!(refusals(&server, &expired).await.0, "peer-certificate-expired");
    let foreign = bench.client_with(&Ca::new("other"), &good);
    assert_eq!(refusals(&server, &foreign).await.0, "peer-certificate-untrusted");
}

#[test]
fn a_chain_must_hold_from_one_certificate_to_the_next() {
    let bench = Bench::new();
    let pair = bench.ca.issue(&Leaf::dns(&["gw.demo"]));
    let load = |chain: String| {
        let (chain, key) = Pair { chain, key: pair.key.clone() }.lay(&bench.folder, "chained");
        Certificate::load(&chain, &key, NOW).map(|_| ()).map_err(|fault| fault.what)
    };
    assert_eq!(load(format!("{}{}", pair.chain, bench.ca.pem)), Ok(()));
    let renamed = load(format!("{}{}", pair.chain, Ca::new("ca").pem)).unwrap_err();
    assert!(renamed.starts_with("the chain does not hold: certificate 1 cannot be verified by certificate 2"), "{renamed}");
    let gap = load(format!("{}{}{}", pair.chain, bench.ca.pem, Ca::new("root").pem)).unwrap_err();
    assert!(gap.ends_with("certificate 2 was not issued by certificate 3"), "{gap}");
    let client = bench.ca.issue(&Leaf { usages: vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth], ..Leaf::dns(&["a.demo"]) });
    for (ca, is_good) in [(&bench.ca.pem, true), (&Ca::new("ca").pem, false)] {
        let pair = Pair { chain: format!("{}{ca}", client.chain), key: client.key.clone() };
        let (chain, key) = pair.lay(&bench.folder, "client-chained");
        assert_eq!(Certificate::load_client(&chain, &key, NOW).is_ok(), is_good);
    }
}

#[test]
fn a_certificate_for_an_address_alone_can_serve() {
    let bench = Bench::new();
    let pair = bench.ca.issue(&Leaf { address: Some([10, 0, 0, 1].into()), ..Leaf::dns(&[]) });
    assert_eq!(bench.certificate("address", &pair).expiry().subject, "10.0.0.1");
}

#[test]
fn who_came_by_other_terms_is_held_against_these() {
    let bench = Bench::new();
    let pair = bench.ca.issue(&Leaf::dns(&["security-gw.demo"]));
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pair.chain.as_bytes()).collect::<Result<_, _>>().unwrap();
    let listed = bench.link(&["dns:security-gw.demo", "dns:other.demo"]);
    assert!(listed.would_let_in(&chain, NOW));
    assert!(!listed.would_let_in(&[], NOW), "nobody has shown anything");
    assert!(!bench.link(&["dns:other.demo"]).would_let_in(&chain, NOW), "it was taken off the list");
    assert!(!listed.would_let_in(&chain, 4_000_000_000), "it has ended");
    let stranger = Ca::new("another").issue(&Leaf::dns(&["security-gw.demo"]));
    let stranger: Vec<_> = CertificateDer::pem_slice_iter(stranger.chain.as_bytes()).collect::<Result<_, _>>().unwrap();
    assert!(!listed.would_let_in(&stranger, NOW), "its authority was taken away");
    assert!(ServerTls::new(&bench.server(&[&["gw.demo"]])).unwrap().would_let_in(&[], NOW), "nobody is asked");
}

#[test]
fn any_purpose_is_not_the_one_that_peers_ask_for() {
    let bench = Bench::new();
    let any = |usages| bench.ca.issue(&Leaf { usages, ..Leaf::dns(&["gw.demo"]) }).lay(&bench.folder, "any");
    let (chain, key) = any(vec![rcgen::ExtendedKeyUsagePurpose::Any]);
    assert!(Certificate::load(&chain, &key, NOW).unwrap_err().what.contains("lacks serverAuth"));
    assert!(Certificate::load_client(&chain, &key, NOW).unwrap_err().what.contains("lacks clientAuth"));
    let (chain, key) = any(vec![rcgen::ExtendedKeyUsagePurpose::Any, rcgen::ExtendedKeyUsagePurpose::ServerAuth]);
    assert!(Certificate::load(&chain, &key, NOW).is_ok());
}

#[test]
fn a_chain_ends_with_the_first_of_its_certificates() {
    let bench = Bench::new();
    let short = Ca::until("short", 2030);
    let pair = short.issue(&Leaf::dns(&["gw.demo"]));
    let pair = Pair { chain: format!("{}{}", pair.chain, short.pem), key: pair.key };
    // 2030-01-01.
    assert_eq!(bench.certificate("short", &pair).expiry().not_after, 1_893_456_000);
}

#[test]
fn what_ends_in_use_is_loaded_again_and_nothing_else_that_has_ended() {
    let bench = Bench::new();
    let leaf = Leaf { years: (2024, 2030), ..Leaf::dns(&["gw.demo"]) };
    let pair = bench.ca.issue(&leaf);
    let served = bench.certificate("served", &Pair { chain: format!("{}{}", pair.chain, bench.ca.pem), key: pair.key });
    let digest = served.expiry().chain;
    let late = 2_000_000_000;
    let load = |name: &str| {
        let path = |end: &str| bench.folder.path().join(format!("{name}.{end}"));
        Certificate::load_again(&path("pem"), &path("key"), late, |other| *other == digest)
    };
    assert_eq!(load("served").unwrap(), served);
    assert!(load("served").unwrap().expiry().is_over(late));
    // Of the same names and the same end, and yet not what serves.
    let _other = bench.certificate("other", &bench.ca.issue(&leaf));
    assert!(load("other").unwrap_err().what.contains("expired on"));
    assert!(Certificate::load(&bench.folder.path().join("served.pem"), &bench.folder.path().join("served.key"), late).is_err());
}
