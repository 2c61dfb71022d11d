//! TLS to instances: who is believed, and that one connection serves many requests.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;
use wire::tls::provider::provider;

use super::instance::{Instance, read_request};
use super::*;
use crate::config::tls::InstanceTlsConfig;

/// A folder with an authority, a server's pair and a client's pair; it goes with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("upstream-tls-{}-{}", std::process::id(), rand::random::<u32>()));
        std::fs::create_dir_all(&path).expect("folder");
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::new(Vec::new()).expect("params");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(path.join("ca.pem"), params.self_signed(&key).expect("ca").pem()).expect("write");
        let issuer = Issuer::new(params, key);
        for (name, usage) in [("orders.demo", ExtendedKeyUsagePurpose::ServerAuth), ("gateway.demo", ExtendedKeyUsagePurpose::ClientAuth)] {
            let key = KeyPair::generate().expect("key");
            let mut params = CertificateParams::new(vec![name.to_owned()]).expect("params");
            params.extended_key_usages = vec![usage];
            std::fs::write(path.join(format!("{name}.pem")), params.signed_by(&key, &issuer).expect("leaf").pem()).expect("write");
            std::fs::write(path.join(format!("{name}.key")), key.serialize_pem()).expect("write");
        }
        Self(path)
    }

    /// A server that demands a client certificate of the authority.
    fn acceptor(&self) -> TlsAcceptor {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate(&self.0.join("ca.pem"))).expect("root");
        let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().expect("verifier");
        let key = PrivateKeyDer::from_pem_file(self.0.join("orders.demo.key")).expect("key");
        let config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate(&self.0.join("orders.demo.pem"))], key)
            .expect("config");
        TlsAcceptor::from(Arc::new(config))
    }

    fn config(&self) -> InstanceTlsConfig {
        let at = |name: &str| self.0.join(name).display().to_string();
        InstanceTlsConfig {
            ca: at("ca.pem"),
            certificate: Some(at("gateway.demo.pem")),
            key: Some(at("gateway.demo.key")),
            server_name: Some("orders.demo".into()),
            peers: Vec::new(),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).expect("certificate")
}

async fn instance(acceptor: TlsAcceptor) -> Instance {
    Instance::accepting(move |socket, ledger| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(socket).await else { return };
            while let Some(request) = read_request(&mut stream).await {
                ledger.requests.borrow_mut().push(request);
                let said = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                if said.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

#[test]
fn a_proved_instance_is_spoken_to_over_one_connection() {
    run(async {
        let folder = Folder::new();
        let instance = instance(folder.acceptor()).await;
        let peers = [Vec::new(), vec!["dns:orders.demo".to_owned()]];
        for (round, peers) in peers.into_iter().enumerate() {
            let tls = InstanceTlsConfig { peers, ..folder.config() };
            let bench = Bench::with(&[&instance.address], |config| config.tls = Some(tls));
            for _ in 0..3 {
                assert_eq!(bench.get().await.1, "ok");
            }
            assert_eq!(instance.ledger.connections.get(), round + 1);
        }
    });
}

#[test]
fn an_instance_that_proves_another_name_gets_no_byte_of_the_request() {
    run(async {
        let folder = Folder::new();
        let instance = instance(folder.acceptor()).await;
        let other = |change: fn(&mut InstanceTlsConfig)| {
            let mut tls = folder.config();
            change(&mut tls);
            tls
        };
        for tls in [other(|tls| tls.server_name = Some("users.demo".into())), other(|tls| tls.peers = vec!["dns:users.demo".into()])] {
            let bench = Bench::with(&[&instance.address], |config| config.tls = Some(tls));
            let (sent, trip) = bench.send(post("pay")).await;
            assert!(matches!(sent, Err(SendFault::ConnectFailed)) && !trip.sent);
            assert_eq!(bench.open(), 0);
        }
        assert_eq!(instance.ledger.count(), 0);
    });
}

#[test]
fn an_instance_that_does_not_agree_on_http_2_gets_no_byte_and_is_told_of_once() {
    run(async {
        let folder = Folder::new();
        let instance = instance(folder.acceptor()).await;
        let bench = Bench::with(&[&instance.address], |config| {
            config.tls = Some(folder.config());
            config.protocol = crate::config::protocol::ProtocolConfig::Http2;
        });
        let (sent, trip) = bench.send(post("pay")).await;
        assert!(matches!(sent, Err(SendFault::ConnectFailed)) && !trip.sent);
        assert!(!bench.service.endpoints().endpoints()[0].tells_alpn(), "it was told");
        assert_eq!((instance.ledger.count(), bench.open()), (0, 0));
    });
}

#[test]
fn an_instance_that_never_shakes_hands_costs_the_connect_timeout() {
    run(async {
        let folder = Folder::new();
        let instance = Instance::accepting(|socket, _| async move {
            std::future::pending::<()>().await;
            drop(socket);
        })
        .await;
        let bench = Bench::with(&[&instance.address], |config| {
            config.tls = Some(folder.config());
            config.timeouts.connect = Span::millis(50);
            config.retries.attempts_max = 1;
        });
        let (sent, trip) = bench.send(post("pay")).await;
        assert!(matches!(sent, Err(SendFault::ConnectFailed)) && !trip.sent);
        assert!(bench.service.snapshot().endpoints[0].ejected);
    });
}
