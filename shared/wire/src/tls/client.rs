//! Our own side of TLS when we connect: to the other tier, to a service.
//!
//! In: whom we believe, what we show, the name we ask for, the peers we accept. Out: connections whose server is proved. Refuses: a chain
//! that leads to no trusted root; a server whose name is not the one asked for, or, where there is a list, none on it. Never: connects
//! without a name, or with verification off.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::sign::SingleCertAndKey;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::tls::certificate::Certificate;
use crate::tls::clients::check_listed;
use crate::tls::expiry::Expiry;
use crate::tls::fault::CertificateFault;
use crate::tls::handshake::HandshakeFault;
use crate::tls::made::{Made, Making};
use crate::tls::peers::PeerList;
use crate::tls::provider::{TlsMinimum, provider};
use crate::tls::roots::Roots;

/// How we connect.
#[derive(Clone, Debug)]
pub struct ClientTerms {
    /// Whose certificates we believe.
    pub roots: Roots,
    /// What we show when asked.
    pub certificate: Option<Certificate>,
    /// A DNS name. It is sent as SNI, for listeners are strict about it, and without `peers` it is the name that the server must prove.
    pub server_name: String,
    /// The servers we accept; with a list, it takes the place of the check against `server_name`.
    pub peers: Option<PeerList>,
    /// The oldest version of TLS.
    pub minimum: TlsMinimum,
    /// Protocols by ALPN, the preferred one first.
    pub alpn: Vec<&'static [u8]>,
}

/// Our side of TLS, ready to connect; cheap to clone. Sessions are resumed within one value and its clones.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    server_name: ServerName<'static>,
    made: Made,
    shows: Option<Expiry>,
}

impl PartialEq for ClientTls {
    /// Whether both were made from the same roots, certificate, key and terms.
    fn eq(&self, other: &Self) -> bool {
        self.made == other.made
    }
}

impl ClientTerms {
    /// `roots` are those that were read, for the file may have changed since.
    fn made(&self, roots: &RootCertStore) -> Made {
        let Self { roots: _, certificate, server_name, peers, minimum, alpn } = self;
        Making::new()
            .roots(roots)
            .made(certificate.as_ref().map(Certificate::made))
            .part(server_name.as_bytes())
            .peers(peers.as_ref())
            .part(minimum.name().as_bytes())
            .list(alpn.iter())
            .end()
    }
}

impl ClientTls {
    /// Builds it.
    ///
    /// # Errors
    /// When the roots or the certificate cannot be used, or the server name is not a DNS name.
    pub fn new(terms: &ClientTerms) -> Result<Self, CertificateFault> {
        let server_name = server_name(&terms.server_name)?;
        let setup = |error: Error| {
            CertificateFault::new("", format!("TLS cannot be set up: {error}"), "check roots, certificate and minimum version")
        };
        let roots = terms.roots.load()?;
        let made = terms.made(&roots);
        let verifier: Arc<dyn ServerCertVerifier> = match &terms.peers {
            Some(peers) => Arc::new(ListedServers { roots, peers: peers.clone() }),
            None => WebPkiServerVerifier::builder_with_provider(roots, provider())
                .build()
                .map_err(|error| setup(Error::General(error.to_string())))?,
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(terms.minimum.versions())
            .map_err(setup)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &terms.certificate {
            Some(certificate) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(certificate.certified())))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = terms.alpn.iter().map(|name| name.to_vec()).collect();
        config.enable_early_data = false;
        let shows = terms.certificate.as_ref().map(|certificate| certificate.expiry().clone());
        Ok(Self { config: Arc::new(config), server_name, made, shows })
    }

    /// The same in every way, but offering these protocols by ALPN, the preferred one first.
    #[must_use]
    pub fn speaking(&self, alpn: &[&[u8]]) -> Self {
        if self.config.alpn_protocols.iter().map(Vec::as_slice).eq(alpn.iter().copied()) {
            return self.clone();
        }
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Self { config: Arc::new(config), ..self.clone() }
    }

    /// The configuration, for connectors of other libraries.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// When the certificate ends that is shown, if one is.
    #[must_use]
    pub fn shows(&self) -> Option<&Expiry> {
        self.shows.as_ref()
    }

    /// The name that is sent and, without a list, verified.
    #[must_use]
    pub fn server_name(&self) -> &ServerName<'static> {
        &self.server_name
    }

    /// Makes the handshake. The caller bounds its time.
    ///
    /// # Errors
    /// With a stable reason.
    pub async fn connect<IO>(&self, io: IO) -> Result<TlsStream<IO>, HandshakeFault>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector.connect(self.server_name.clone(), io).await.map_err(|error| HandshakeFault::of(error, None))
    }
}

/// An address is refused here, at check: no SNI is ever sent for one, so every strict listener would refuse us at run time.
fn server_name(name: &str) -> Result<ServerName<'static>, CertificateFault> {
    match ServerName::try_from(name.to_owned()) {
        Ok(ServerName::DnsName(name)) => Ok(ServerName::DnsName(name)),
        _ => Err(CertificateFault::new("", format!("{name:?} is not a DNS name"), "name the server as its certificate does")),
    }
}

/// First the chain, then the list; the name that was asked for counts only as SNI.
#[derive(Debug)]
struct ListedServers {
    roots: Arc<RootCertStore>,
    peers: PeerList,
}

impl ServerCertVerifier for ListedServers {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        let algorithms = provider().signature_verification_algorithms;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms.all)?;
        check_listed(&self.peers, leaf)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
