//! The listener's side of TLS: which certificate answers to which name.
//!
//! In: certificates, the clients that may come, the oldest version, the protocols. Out: accepted connections. Refuses: a client that names
//! a host that no certificate serves, or none where no certificate has an address, with the alert `unrecognized_name` (RFC 6066 §3). Never:
//! answers with some certificate by default, for that tells a scanner who lives here; takes early data, for it can be replayed.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{Acceptor, ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::tls::certificate::Certificate;
use crate::tls::clients::ClientAuth;
use crate::tls::fault::CertificateFault;
use crate::tls::handshake::{HandshakeFault, NO_CERTIFICATE_FOR_NAME};
use crate::tls::made::{Made, Making};
use crate::tls::provider::{TlsMinimum, give_tickets, provider, refuse_resumption};

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
    config: Arc<ServerConfig>,
    names: Arc<NameTable>,
    made: Made,
    clients: Option<Made>,
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
        let names = Arc::new(NameTable::of(&terms.certificates));
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(terms.minimum.versions())
            .map_err(|error| CertificateFault::new("", format!("TLS cannot be set up: {error}"), "choose another minimum version"))?;
        let builder = match &terms.clients {
            Some(clients) => builder.with_client_cert_verifier(clients.verifier()?),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&names) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = terms.alpn.iter().map(|name| name.to_vec()).collect();
        config.max_early_data_size = 0;
        // A resumed session is believed without its certificate, so a client that must prove itself proves itself on every connection.
        if terms.clients.is_some() {
            refuse_resumption(&mut config)
        } else {
            give_tickets(&mut config)
        }
        Ok(Self { config: Arc::new(config), names, made: terms.made(), clients: terms.clients.as_ref().map(ClientAuth::made) })
    }

    /// The configuration; it refuses unknown names too, but with another alert than [`ServerTls::accept`].
    #[must_use]
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Whether clients prove themselves to both alike: by the same authorities and names, or not at all.
    #[must_use]
    pub fn asks_clients_as(&self, other: &Self) -> bool {
        self.clients == other.clients
    }

    /// Whether a certificate answers to `name` (lower case).
    #[must_use]
    pub fn serves(&self, name: &str) -> bool {
        self.names.find(name).is_some()
    }

    /// Makes the handshake. The caller bounds its time.
    ///
    /// # Errors
    /// With the reason for the connection record and the name that the client asked for.
    pub async fn accept<IO>(&self, io: IO) -> Result<TlsStream<IO>, HandshakeFault>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let mut start = LazyConfigAcceptor::new(Acceptor::default(), io).await.map_err(|error| HandshakeFault::of(error, None))?;
        let sni: Option<Arc<str>> = start.client_hello().server_name().map(Arc::from);
        if self.names.candidates(sni.as_deref()).is_none() {
            return Err(refuse_name(&mut start.io, sni).await);
        }
        start.into_stream(Arc::clone(&self.config)).await.map_err(|error| HandshakeFault::of(error, sni))
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

/// Certificates by name: exact names, and wildcards by what follows their first label.
#[derive(Default)]
struct NameTable {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    below: HashMap<String, Vec<Arc<CertifiedKey>>>,
    with_address: Vec<Arc<CertifiedKey>>,
}

impl NameTable {
    fn of(certificates: &[Certificate]) -> Self {
        let mut table = Self::default();
        for certificate in certificates {
            for name in certificate.names() {
                let place = match name.strip_prefix("*.") {
                    Some(suffix) => table.below.entry(suffix.to_owned()),
                    None => table.exact.entry(name.clone()),
                };
                place.or_default().push(Arc::clone(certificate.certified()));
            }
            if certificate.has_address() {
                table.with_address.push(Arc::clone(certificate.certified()));
            }
        }
        table
    }

    /// An exact name wins; a wildcard stands for one label (RFC 9525 §6.3).
    fn find(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let below = || name.split_once('.').and_then(|(_, suffix)| self.below.get(suffix));
        self.exact.get(name).or_else(below).map(Vec::as_slice)
    }

    fn candidates(&self, sni: Option<&str>) -> Option<&[Arc<CertifiedKey>]> {
        match sni {
            Some(name) => self.find(name),
            None => Some(self.with_address.as_slice()).filter(|candidates| !candidates.is_empty()),
        }
    }
}

impl ResolvesServerCert for NameTable {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(hello.server_name())?;
        let verifiable = candidates.iter().find(|candidate| candidate.key.choose_scheme(hello.signature_schemes()).is_some());
        // With none that the client can verify, the first lets rustls say so in its own words.
        verifiable.or(candidates.first()).map(Arc::clone)
    }
}

impl fmt::Debug for NameTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameTable").field("exact", &self.exact.keys()).field("below", &self.below.keys()).finish()
    }
}
