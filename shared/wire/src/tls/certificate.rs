//! One certificate with its key, checked before anyone is served with it.
//!
//! In: a chain and a key in PEM, and the time. Out: a pair that rustls can sign with, and the names it is good for. Refuses: a key that is
//! not the certificate's, a leaf out of its time or of the wrong purpose, a chain that does not parse or is out of order. Never: prints a
//! key, reads the clock.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use settings::files::open_regular;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::{FromDer, GeneralName};

use crate::tls::fault::CertificateFault;
use crate::tls::made::{Made, Making};
use crate::tls::peers::SubjectNames;
use crate::tls::provider::provider;

/// Bundles of public roots are some 250 KiB; a larger file is a mistake.
pub const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// More certificates than this in a chain are a mistake: peers refuse them long before.
pub const CHAIN_CERTIFICATES_MAX: usize = 10;

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

/// What is known of the leaf of a chain.
#[derive(Clone, Debug)]
struct Leaf {
    names: Vec<String>,
    has_address: bool,
    not_after: u64,
}

/// What a certificate is to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Server,
    Client,
}

impl Certificate {
    /// Reads a pair that a listener serves with. `now` is in unix seconds.
    ///
    /// # Errors
    /// As said of the file; and when the leaf has no DNS name, for the listener serves by name.
    pub fn load(chain: &Path, key: &Path, now: u64) -> Result<Self, CertificateFault> {
        Self::load_for(Purpose::Server, chain, key, now)
    }

    /// Reads a pair that we show to a server. `now` is in unix seconds.
    ///
    /// # Errors
    /// As said of the file.
    pub fn load_client(chain: &Path, key: &Path, now: u64) -> Result<Self, CertificateFault> {
        Self::load_for(Purpose::Client, chain, key, now)
    }

    /// The DNS names of the leaf, in lower case; a wildcard stands as `*.suffix`.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.leaf.names
    }

    /// Whether the leaf has an IP address among its names, so that clients may come to it by address.
    #[must_use]
    pub fn has_address(&self) -> bool {
        self.leaf.has_address
    }

    /// The last second at which the leaf is valid, in unix seconds.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.leaf.not_after
    }

    pub(crate) fn made(&self) -> &Made {
        &self.made
    }

    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    fn load_for(purpose: Purpose, chain_file: &Path, key_file: &Path, now: u64) -> Result<Self, CertificateFault> {
        let chain = certificates_in(chain_file, &read(chain_file)?)?;
        let key = key_in(key_file, &read(key_file)?)?;
        let leaf = check_chain(purpose, chain_file, &chain, now)?;
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

/// Checks what peers would stumble over, and tells what is in the leaf.
fn check_chain(purpose: Purpose, file: &Path, chain: &[CertificateDer<'_>], now: u64) -> Result<Leaf, CertificateFault> {
    if chain.len() > CHAIN_CERTIFICATES_MAX {
        let what = format!("the chain has {} certificates, more than {CHAIN_CERTIFICATES_MAX}", chain.len());
        return Err(CertificateFault::at(file, what, "keep the leaf and its intermediates"));
    }
    let mut parsed = Vec::with_capacity(chain.len());
    for (index, der) in chain.iter().enumerate() {
        parsed.push(parse(der).ok_or_else(|| {
            CertificateFault::at(file, format!("certificate {} is not valid X.509", index + 1), "export the chain again, as PEM")
        })?);
    }
    let in_order = parsed.windows(2).all(|pair| matches!(pair, [lower, upper] if lower.issuer() == upper.subject()));
    if !in_order {
        return Err(CertificateFault::at(file, "the chain is out of order", "put the leaf first, then the issuer of each before it"));
    }
    let Some(leaf) = parsed.first() else {
        return Err(CertificateFault::at(
            file,
            "there is no certificate in the file",
            "put the leaf first, then its intermediates, as PEM",
        ));
    };
    check_time(file, leaf, now)?;
    check_purpose(purpose, file, leaf)?;
    let names = SubjectNames::of(leaf).dns.iter().map(|name| name.to_ascii_lowercase()).collect::<Vec<_>>();
    if purpose == Purpose::Server && names.is_empty() {
        return Err(CertificateFault::at(
            file,
            "the leaf has no DNS name among its subject alternative names",
            "issue it for the names it shall serve; the common name does not count (RFC 9525)",
        ));
    }
    let not_after = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or(0);
    Ok(Leaf { names, has_address: has_address(leaf), not_after })
}

fn has_address(leaf: &X509Certificate<'_>) -> bool {
    let names = leaf.subject_alternative_name().ok().flatten().map(|extension| &extension.value.general_names);
    names.is_some_and(|names| names.iter().any(|name| matches!(name, GeneralName::IPAddress(_))))
}

fn check_time(file: &Path, leaf: &X509Certificate<'_>, now: u64) -> Result<(), CertificateFault> {
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let validity = leaf.validity();
    if now > validity.not_after.timestamp() {
        let what = format!("the certificate expired on {}", validity.not_after);
        return Err(CertificateFault::at(file, what, "renew it"));
    }
    if now < validity.not_before.timestamp() {
        let what = format!("the certificate is not valid before {}", validity.not_before);
        return Err(CertificateFault::at(file, what, "wait until then, or set this machine's clock right"));
    }
    Ok(())
}

/// A leaf that names purposes must name ours; one that names none is good for any (RFC 5280 §4.2.1.12).
fn check_purpose(purpose: Purpose, file: &Path, leaf: &X509Certificate<'_>) -> Result<(), CertificateFault> {
    let Ok(Some(usage)) = leaf.extended_key_usage() else { return Ok(()) };
    let (fits, name) = match purpose {
        Purpose::Server => (usage.value.server_auth, "serverAuth"),
        Purpose::Client => (usage.value.client_auth, "clientAuth"),
    };
    if fits || usage.value.any {
        return Ok(());
    }
    Err(CertificateFault::at(file, format!("the leaf's extended key usage lacks {name}"), format!("issue it with {name}")))
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
