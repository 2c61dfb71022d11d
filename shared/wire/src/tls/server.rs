//! The listener's side of TLS: which certificate answers to which name.
//!
//! In: certificates, the clients that may come, the oldest version, the protocols. Out: accepted connections. Refuses: a client that names
//! a host that no certificate serves, or none where no certificate has an address, with the alert `unrecognized_name` (RFC 6066 §3). Never:
//! answers with some certificate by default, for that tells a scanner who lives here; takes early data, for it can be replayed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{Acceptor, ClientHello};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, SupportedCipherSuite};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::tls::certificate::Certificate;
use crate::tls::clients::ClientAuth;
use crate::tls::coverage::{Coverage, ServedFor};
use crate::tls::expiry::Expiry;
use crate::tls::fault::CertificateFault;
use crate::tls::handshake::{HandshakeFault, NO_CERTIFICATE_FOR_NAME};
use crate::tls::made::{Made, Making};
use crate::tls::names::NameTable;
use crate::tls::provider::{TlsMinimum, provider};
use crate::tls::resumption::Resumption;

/// A fatal alert `unrecognized_name`, as a record of its own; rustls has no way to send this one.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// What a listener is to be.
#[derive(Clone, Debug)]
pub struct ServerTerms {
    /// Served by the DNS names of their leaves; where two serve one name, the first that the client can verify. A client that comes by
    /// address cannot name it (RFC 6066 §3 rules addresses out): it gets one whose leaf has an IP address among its names.
    pub certificates: Vec<Certificate>,
    /// Clients that must prove themselves; `None` asks nobody for a certificate.
    pub clients: Option<ClientAuth>,
    /// The oldest version of TLS.
    pub minimum: TlsMinimum,
    /// Protocols by ALPN, the preferred one first: `h2`, `http/1.1`.
    pub alpn: Vec<&'static [u8]>,
}

/// The listener's side of TLS, ready to accept; cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerTls {
    served: Arc<[Served]>,
    names: Arc<NameTable>,
    resumption: Resumption,
    made: Made,
    clients: Option<Made>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

/// A certificate with a configuration of its own, so that what is chosen for a connection is known afterwards: rustls does not tell.
#[derive(Clone, Debug)]
struct Served {
    config: Arc<ServerConfig>,
    key: Arc<CertifiedKey>,
    coverage: Arc<Coverage>,
    expiry: Expiry,
}

impl PartialEq for ServerTls {
    /// Whether both were made from the same certificates, keys and terms.
    fn eq(&self, other: &Self) -> bool {
        self.made == other.made
    }
}

impl ServerTerms {
    fn made(&self) -> Made {
        let Self { certificates, clients, minimum, alpn } = self;
        let mut making = Making::new();
        making.number(certificates.len());
        for certificate in certificates {
            making.made(Some(certificate.made()));
        }
        making.made(clients.as_ref().map(ClientAuth::made).as_ref()).part(minimum.name().as_bytes()).list(alpn.iter()).end()
    }
}

impl ServerTls {
    /// Builds it.
    ///
    /// # Errors
    /// When there is no certificate, or the clients' CA cannot be used.
    pub fn new(terms: &ServerTerms) -> Result<Self, CertificateFault> {
        if terms.certificates.is_empty() {
            return Err(CertificateFault::new("", "the listener has no certificate", "name at least one pair of chain and key"));
        }
        let resumption = match &terms.clients {
            Some(_) => Resumption::refused(),
            None => Resumption::new(),
        };
        let served: Vec<_> =
            terms.certificates.iter().map(|certificate| Served::new(certificate, terms, &resumption)).collect::<Result<_, _>>()?;
        Ok(Self {
            names: Arc::new(NameTable::of(served.iter().map(|served| &served.coverage))),
            served: served.into(),
            resumption,
            made: terms.made(),
            clients: terms.clients.as_ref().map(ClientAuth::made),
            verifier: terms.clients.as_ref().map(ClientAuth::verifier).transpose()?,
        })
    }

    /// The same, but sessions that clients began with `before` can be resumed, though its certificates were others. Where either of them has clients
    /// prove themselves, nothing is resumed.
    #[must_use]
    pub fn resuming(self, before: &Self) -> Self {
        if self.clients.is_some() || before.clients.is_some() {
            return self;
        }
        let resumption = before.resumption.clone();
        let served = self.served.iter().map(|served| served.resuming(&resumption)).collect();
        Self { served, resumption, ..self }
    }

    /// When its certificates end, in their order.
    pub fn expiries(&self) -> impl Iterator<Item = &Expiry> {
        self.served.iter().map(|served| &served.expiry)
    }

    /// Whether clients prove themselves to both alike: by the same authorities and names, or not at all.
    #[must_use]
    pub fn asks_clients_as(&self, other: &Self) -> bool {
        self.clients == other.clients
    }

    /// Whether whoever showed this chain to another, the leaf first, would be let in at `now` (Unix seconds); an empty one was shown by nobody.
    #[must_use]
    pub fn would_let_in(&self, chain: &[CertificateDer<'_>], now: u64) -> bool {
        let Some(verifier) = &self.verifier else { return true };
        match chain.split_first() {
            None => !verifier.client_auth_mandatory(),
            Some((leaf, between)) => {
                verifier.verify_client_cert(leaf, between, UnixTime::since_unix_epoch(Duration::from_secs(now))).is_ok()
            }
        }
    }

    /// Whether a certificate answers to `name` (lower case).
    #[must_use]
    pub fn serves(&self, name: &str) -> bool {
        self.names.find(name).is_some()
    }

    /// Makes the handshake, and tells what the certificate covers that was served. The caller bounds its time.
    ///
    /// # Errors
    /// With the reason for the connection record and the name that the client asked for.
    pub async fn accept<IO>(&self, io: IO) -> Result<(TlsStream<IO>, ServedFor), HandshakeFault>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let mut start = LazyConfigAcceptor::new(Acceptor::default(), io).await.map_err(|error| HandshakeFault::of(error, None))?;
        let (sni, chosen) = {
            let hello = start.client_hello();
            (hello.server_name().map(Arc::from), self.choose(&hello))
        };
        let Some(chosen) = chosen else { return Err(refuse_name(&mut start.io, sni).await) };
        let served_for = ServedFor::new(Arc::clone(&chosen.coverage));
        let stream = start.into_stream(Arc::clone(&chosen.config)).await.map_err(|error| HandshakeFault::of(error, sni))?;
        Ok((stream, served_for))
    }

    /// The first that answers to the name and that the client can verify. With none that it can, the first lets rustls say so in its own words.
    fn choose(&self, hello: &ClientHello<'_>) -> Option<&Served> {
        let places = self.names.candidates(hello.server_name())?;
        let mut candidates = places.iter().filter_map(|place| self.served.get(*place));
        candidates.clone().find(|candidate| candidate.can_be_verified_by(hello)).or_else(|| candidates.next())
    }
}

impl Served {
    fn new(certificate: &Certificate, terms: &ServerTerms, resumption: &Resumption) -> Result<Self, CertificateFault> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(terms.minimum.versions())
            .map_err(|error| CertificateFault::new("", format!("TLS cannot be set up: {error}"), "choose another minimum version"))?;
        let builder = match &terms.clients {
            Some(clients) => builder.with_client_cert_verifier(clients.verifier()?),
            None => builder.with_no_client_auth(),
        };
        let key = Arc::clone(certificate.certified());
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&key))));
        config.alpn_protocols = terms.alpn.iter().map(|name| name.to_vec()).collect();
        // Every suite is a good one; that the order is ours is what auditors ask for.
        config.ignore_client_order = true;
        resumption.apply(&mut config);
        Ok(Self { config: Arc::new(config), key, coverage: Arc::clone(certificate.coverage()), expiry: certificate.expiry().clone() })
    }

    fn resuming(&self, resumption: &Resumption) -> Self {
        let mut config = ServerConfig::clone(&self.config);
        resumption.apply(&mut config);
        Self { config: Arc::new(config), ..self.clone() }
    }

    /// Whether the client knows a way in which our key can sign; in TLS 1.2 the cipher suites say so too.
    fn can_be_verified_by(&self, hello: &ClientHello<'_>) -> bool {
        let key = &self.key.key;
        let offered = |suite: &&SupportedCipherSuite| hello.cipher_suites().contains(&suite.suite());
        let fits = |suite: &SupportedCipherSuite| match suite {
            SupportedCipherSuite::Tls13(_) => true,
            SupportedCipherSuite::Tls12(suite) => key.choose_scheme(suite.sign).is_some(),
        };
        key.choose_scheme(hello.signature_schemes()).is_some()
            && self.config.crypto_provider().cipher_suites.iter().filter(offered).any(fits)
    }
}

/// The peer may be gone already; the reason stays the same.
async fn refuse_name<IO: AsyncWrite + Unpin>(io: &mut IO, sni: Option<Arc<str>>) -> HandshakeFault {
    let told = async {
        io.write_all(&UNRECOGNIZED_NAME).await?;
        io.shutdown().await
    };
    let what = match told.await {
        Ok(()) if sni.is_none() => "the client named no host",
        Ok(()) => "no certificate serves the name",
        Err(_) => "no certificate serves the name, and the client left before it was told",
    };
    HandshakeFault { reason: NO_CERTIFICATE_FOR_NAME, sni, source: io::Error::other(what) }
}
