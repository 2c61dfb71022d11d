//! Which clients a listener lets in by certificate.
//!
//! In: a CA bundle, a list of peers, whether a certificate is a must. Out: a verifier for rustls. Refuses, each with a reason of its own: no
//! certificate where it is one, a chain that does not lead to the CA, a name that is not on the list. Never: accepts a certificate on the chain alone.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::tls::fault::CertificateFault;
use crate::tls::made::{Made, Making};
use crate::tls::peers::{PeerList, SubjectNames};
use crate::tls::provider::provider;
use crate::tls::roots::Roots;

/// Clients show a certificate of this CA with a name on this list.
#[derive(Clone, Debug)]
pub struct ClientAuth {
    roots: Arc<RootCertStore>,
    peers: PeerList,
    is_required: bool,
}

impl ClientAuth {
    /// Reads the CA bundle. Whoever shows no certificate is refused.
    ///
    /// # Errors
    /// When the bundle cannot be used.
    pub fn load(ca: &Path, peers: PeerList) -> Result<Self, CertificateFault> {
        Ok(Self { roots: Roots::File(ca.to_owned()).load()?, peers, is_required: true })
    }

    /// Lets in whoever shows no certificate. One that is shown must still be good and on the list.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { is_required: false, ..self }
    }

    /// What it was made from.
    pub(crate) fn made(&self) -> Made {
        Making::new().roots(&self.roots).peers(Some(&self.peers)).number(usize::from(self.is_required)).end()
    }

    pub(crate) fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, CertificateFault> {
        let chain = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), provider()).build().map_err(|error| {
            CertificateFault::new(
                "",
                format!("the CA of the clients cannot be used: {error}"),
                "name a bundle with the CA that issues the clients' certificates",
            )
        })?;
        Ok(Arc::new(ListedClients { chain, peers: self.peers.clone(), is_required: self.is_required }))
    }
}

/// First the chain, then the list.
#[derive(Debug)]
struct ListedClients {
    chain: Arc<dyn ClientCertVerifier>,
    peers: PeerList,
    is_required: bool,
}

impl ClientCertVerifier for ListedClients {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(leaf, intermediates, now)?;
        check_listed(&self.peers, leaf)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// The error that nobody else makes, so that `handshake_reason` can tell it from a bad chain; it goes out as the alert `access_denied`.
pub(crate) fn check_listed(peers: &PeerList, leaf: &CertificateDer<'_>) -> Result<(), Error> {
    let names = SubjectNames::in_der(leaf).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
    if peers.allows(&names) { Ok(()) } else { Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)) }
}
