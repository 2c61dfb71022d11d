//! Whom we believe when a peer shows a certificate.
//!
//! In: a bundle of CA certificates in PEM, or the wish for the public roots of the web. Out: a store for rustls. Refuses: a file without
//! a certificate. Never: asks the machine for its own roots, for a `FROM scratch` image has none and fails late.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;

use crate::tls::certificate::{certificates_in, read};
use crate::tls::fault::CertificateFault;

/// Where the certificates of the trusted authorities come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// A bundle in PEM; nobody else is believed.
    File(PathBuf),
    /// Mozilla's list as it was when this program was built.
    WebPki,
}

impl Roots {
    /// Reads them.
    ///
    /// # Errors
    /// When the file cannot be read, holds no certificate, or holds one that does not parse.
    pub fn load(&self) -> Result<Arc<RootCertStore>, CertificateFault> {
        match self {
            Self::WebPki => Ok(Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })),
            Self::File(path) => from_file(path),
        }
    }
}

/// Trusted authorities as they were read; equal where their certificates are, whatever file they came from.
#[derive(Clone)]
pub struct Believed(Arc<RootCertStore>);

impl Believed {
    /// Reads `roots`, once.
    ///
    /// # Errors
    /// As [`Roots::load`].
    pub fn read(roots: &Roots) -> Result<Self, CertificateFault> {
        roots.load().map(Self)
    }

    pub(crate) fn store(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.0)
    }
}

impl PartialEq for Believed {
    fn eq(&self, other: &Self) -> bool {
        self.0.roots == other.0.roots
    }
}

impl fmt::Debug for Believed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Believed({})", self.0.len())
    }
}

fn from_file(path: &Path) -> Result<Arc<RootCertStore>, CertificateFault> {
    let certificates: Vec<CertificateDer<'static>> = certificates_in(path, &read(path)?)?;
    let mut store = RootCertStore::empty();
    for (index, certificate) in certificates.into_iter().enumerate() {
        store.add(certificate).map_err(|error| {
            let what = format!("certificate {} cannot be a trusted root: {error}", index + 1);
            CertificateFault::at(path, what, "take it out of the bundle, or replace it by the CA's own certificate")
        })?;
    }
    Ok(Arc::new(store))
}
