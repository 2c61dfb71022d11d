//! One certificate with its key, checked before anyone is served with it.
//!
//! In: a chain and a key in PEM, and the time. Out: a pair that rustls can sign with, the names it is good for, and its end. Refuses: a key that is
//! not the certificate's, a file without one, and whatever [`crate::tls::chain`] finds in the chain. Never: prints a key, reads the clock.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use settings::files::open_regular;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::tls::chain::{self, InUse, Leaf, Purpose};
use crate::tls::coverage::Coverage;
use crate::tls::expiry::Expiry;
use crate::tls::fault::CertificateFault;
use crate::tls::made::{Made, Making};
use crate::tls::provider::provider;

/// Bundles of public roots are some 250 KiB; a larger file is a mistake.
pub const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A certificate chain with its private key.
#[derive(Clone, Debug)]
pub struct Certificate {
    certified: Arc<CertifiedKey>,
    leaf: Leaf,
    made: Made,
}

impl PartialEq for Certificate {
    /// Whether chain and key are the same.
    fn eq(&self, other: &Self) -> bool {
        self.made == other.made
    }
}

impl Certificate {
    /// Reads a pair that a listener serves with. `now` is in unix seconds.
    ///
    /// # Errors
    /// As said of the file; and when the leaf has neither a DNS name nor an address, for the listener serves by those.
    pub fn load(chain: &Path, key: &Path, now: u64) -> Result<Self, CertificateFault> {
        Self::load_for(Purpose::Server, chain, key, now, &|_| false)
    }

    /// As [`Self::load`], but a chain that is in use (by its digest, [`Expiry::chain`]) may have ended.
    ///
    /// # Errors
    /// As [`Self::load`], but for the end.
    pub fn load_again(chain: &Path, key: &Path, now: u64, in_use: impl Fn(&[u8; 32]) -> bool) -> Result<Self, CertificateFault> {
        Self::load_for(Purpose::Server, chain, key, now, &in_use)
    }

    /// Reads a pair that we show to a server. `now` is in unix seconds.
    ///
    /// # Errors
    /// As said of the file.
    pub fn load_client(chain: &Path, key: &Path, now: u64) -> Result<Self, CertificateFault> {
        Self::load_for(Purpose::Client, chain, key, now, &|_| false)
    }

    /// As [`Self::load_client`], but a chain that is in use (by its digest, [`Expiry::chain`]) may have ended.
    ///
    /// # Errors
    /// As [`Self::load_client`], but for the end.
    pub fn load_client_again(chain: &Path, key: &Path, now: u64, in_use: impl Fn(&[u8; 32]) -> bool) -> Result<Self, CertificateFault> {
        Self::load_for(Purpose::Client, chain, key, now, &in_use)
    }

    /// The names and addresses that the leaf is good for.
    #[must_use]
    pub fn coverage(&self) -> &Arc<Coverage> {
        &self.leaf.coverage
    }

    /// When the leaf ends.
    #[must_use]
    pub fn expiry(&self) -> &Expiry {
        &self.leaf.expiry
    }

    pub(crate) fn made(&self) -> &Made {
        &self.made
    }

    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    fn load_for(purpose: Purpose, chain_file: &Path, key_file: &Path, now: u64, in_use: &InUse<'_>) -> Result<Self, CertificateFault> {
        let chain = certificates_in(chain_file, &read(chain_file)?)?;
        let key = key_in(key_file, &read(key_file)?)?;
        let leaf = chain::check(purpose, chain_file, &chain, now, in_use)?;
        let made = Making::new().list(chain.iter()).part(key.secret_der()).end();
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateFault::at(
                key_file,
                format!("the key does not belong to the certificate in {}", chain_file.display()),
                "name the key that the certificate was made with",
            ),
            _ => CertificateFault::at(
                key_file,
                "the private key cannot be used",
                "use an ECDSA (P-256, P-384), Ed25519 or RSA key (2048 bits or more) in PEM",
            ),
        })?;
        Ok(Self { certified: Arc::new(certified), leaf, made })
    }
}

/// Parses one certificate; what follows it in the bytes makes it invalid.
pub(crate) fn parse<'a>(der: &'a [u8]) -> Option<X509Certificate<'a>> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Some(certificate),
        _ => None,
    }
}

/// Reads a file up to the ceiling.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CertificateFault> {
    let mut bytes = Vec::new();
    open_regular(path)
        .and_then(|file| file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| CertificateFault::at(path, format!("the file cannot be read: {error}"), "check the path and who may read it"))?;
    if bytes.len() as u64 > PEM_BYTES_MAX {
        return Err(CertificateFault::at(
            path,
            format!("the file is larger than {PEM_BYTES_MAX} bytes"),
            "name a file of certificates or keys in PEM",
        ));
    }
    Ok(bytes)
}

/// All certificates in a PEM file, at least one.
pub(crate) fn certificates_in(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateFault> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| CertificateFault::at(path, "the file is not valid PEM", "export the certificates again, as PEM"))?;
    if certificates.is_empty() {
        return Err(CertificateFault::at(
            path,
            "there is no certificate in the file",
            "put certificates into it, as PEM (BEGIN CERTIFICATE)",
        ));
    }
    Ok(certificates)
}

/// The first private key in a PEM file. The parser's own words are withheld: they could quote the key.
fn key_in(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateFault> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        let remedy = "put the unencrypted key into it, as PEM (BEGIN PRIVATE KEY)";
        CertificateFault::at(path, "there is no private key in the file that can be read", remedy)
    })
}
