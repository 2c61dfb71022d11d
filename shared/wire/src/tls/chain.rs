//! What peers would stumble over in a chain of certificates, found before anyone is served with it.
//!
//! In: the certificates of a file in their order, what they are for, and the time. Out: what is known of the leaf. Refuses: a chain that is too long,
//! out of order, broken by a certificate that did not sign the one before it, or out of its time; a weak key; a leaf for another purpose, or for no
//! name. Never: reads the clock, or asks who is trusted: that is for peers to say.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, Error, RootCertStore};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::public_key::PublicKey;

use crate::tls::certificate::parse;
use crate::tls::coverage::Coverage;
use crate::tls::expiry::Expiry;
use crate::tls::fault::CertificateFault;
use crate::tls::made::Making;
use crate::tls::provider::provider;

/// More certificates than this in a chain are a mistake: peers refuse them long before.
pub(crate) const CHAIN_CERTIFICATES_MAX: usize = 10;

/// Bits of an RSA key at least (NIST SP 800-131A, CA/Browser Forum baseline requirements §6.1.5).
pub(crate) const RSA_BITS_MIN: usize = 2048;

/// What a certificate is to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Server,
    Client,
}

/// Whether the chain with this digest serves now.
pub(crate) type InUse<'a> = dyn Fn(&[u8; 32]) -> bool + 'a;

/// What is known of the leaf of a chain.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) coverage: Arc<Coverage>,
    pub(crate) expiry: Expiry,
}

/// Checks a chain, the leaf first. `now` is in unix seconds. One that is in use was good when it came: that it has ended since is no fault of what is
/// read now, and refusing it would keep everything else from changing that stands beside it.
pub(crate) fn check(
    purpose: Purpose,
    file: &Path,
    chain: &[CertificateDer<'_>],
    now: u64,
    in_use: &InUse<'_>,
) -> Result<Leaf, CertificateFault> {
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
    let Some(leaf) = parsed.first() else {
        return Err(CertificateFault::at(
            file,
            "there is no certificate in the file",
            "put the leaf first, then its intermediates, as PEM",
        ));
    };
    check_order(file, &parsed)?;
    let coverage = Coverage::of(leaf);
    let expiry = Expiry::of(&parsed, &coverage, Making::new().list(chain.iter()).end().bytes());
    let now = if in_use(&expiry.chain) { now.min(expiry.not_after) } else { now };
    for (index, certificate) in parsed.iter().enumerate() {
        let name = if index == 0 { "the certificate".to_owned() } else { format!("certificate {} of the chain", index + 1) };
        check_time(file, &name, certificate, now)?;
        check_key(file, &name, certificate)?;
    }
    check_purpose(purpose, file, leaf)?;
    if purpose == Purpose::Server && coverage.names().next().is_none() && coverage.addresses().next().is_none() {
        return Err(CertificateFault::at(
            file,
            "the leaf has no DNS name and no address among its subject alternative names",
            "issue it for the names it shall serve; the common name does not count (RFC 9525)",
        ));
    }
    check_signatures(purpose, file, chain, now)?;
    Ok(Leaf { expiry, coverage: Arc::new(coverage) })
}

/// Each certificate names the next one as its issuer.
fn check_order(file: &Path, parsed: &[X509Certificate<'_>]) -> Result<(), CertificateFault> {
    let names = |(lower, upper): (&X509Certificate<'_>, &X509Certificate<'_>)| lower.issuer() == upper.subject();
    let Some(gap) = parsed.iter().zip(parsed.iter().skip(1)).position(|pair| !names(pair)) else { return Ok(()) };
    let what = format!("the chain is out of order, or one is missing: certificate {} was not issued by certificate {}", gap + 1, gap + 2);
    Err(CertificateFault::at(file, what, "put the leaf first, then the issuer of each before it"))
}

fn check_time(file: &Path, name: &str, certificate: &X509Certificate<'_>, now: u64) -> Result<(), CertificateFault> {
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let validity = certificate.validity();
    if now > validity.not_after.timestamp() {
        return Err(CertificateFault::at(file, format!("{name} expired on {}", validity.not_after), "renew it"));
    }
    if now < validity.not_before.timestamp() {
        let what = format!("{name} is not valid before {}", validity.not_before);
        return Err(CertificateFault::at(file, what, "wait until then, or set this machine's clock right"));
    }
    Ok(())
}

/// Peers refuse what can be factored.
fn check_key(file: &Path, name: &str, certificate: &X509Certificate<'_>) -> Result<(), CertificateFault> {
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) if key.key_size() < RSA_BITS_MIN => {
            let what = format!("{name} has a weak key: RSA with {} bits", key.key_size());
            Err(CertificateFault::at(file, what, format!("issue it for an ECDSA key, or one of RSA with {RSA_BITS_MIN} bits or more")))
        }
        _ => Ok(()),
    }
}

/// A leaf that names purposes must name ours; one that names none is good for any (RFC 5280 §4.2.1.12).
fn check_purpose(purpose: Purpose, file: &Path, leaf: &X509Certificate<'_>) -> Result<(), CertificateFault> {
    // `anyExtendedKeyUsage` stands for none of them: peers that verify as we do refuse it.
    let Ok(Some(usage)) = leaf.extended_key_usage() else { return Ok(()) };
    let (fits, name) = match purpose {
        Purpose::Server => (usage.value.server_auth, "serverAuth"),
        Purpose::Client => (usage.value.client_auth, "clientAuth"),
    };
    if fits {
        return Ok(());
    }
    Err(CertificateFault::at(file, format!("the leaf's extended key usage lacks {name}"), format!("issue it with {name}")))
}

/// Whether each certificate was signed by the next one, as peers verify it: a CA that was made anew under its old name has another key.
fn check_signatures(purpose: Purpose, file: &Path, chain: &[CertificateDer<'_>], now: u64) -> Result<(), CertificateFault> {
    let Some((leaf, issuers)) = chain.split_first() else { return Ok(()) };
    for (index, issuer) in issuers.iter().enumerate() {
        let between = issuers.get(..index).unwrap_or_default();
        if let Err(error) = leads_to(purpose, leaf, between, issuer, now) {
            let (lower, upper) = (index + 1, index + 2);
            let why = match error {
                Error::InvalidCertificate(CertificateError::BadSignature) => "another key made its signature".to_owned(),
                other => other.to_string(),
            };
            let what = format!("the chain does not hold: certificate {lower} cannot be verified by certificate {upper}: {why}");
            return Err(CertificateFault::at(file, what, "put the leaf first, then the certificates of those who signed it"));
        }
    }
    Ok(())
}

fn leads_to(
    purpose: Purpose,
    leaf: &CertificateDer<'_>,
    between: &[CertificateDer<'_>],
    issuer: &CertificateDer<'_>,
    now: u64,
) -> Result<(), Error> {
    let mut anchor = RootCertStore::empty();
    anchor.add(issuer.clone().into_owned())?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
    match purpose {
        Purpose::Server => {
            let algorithms = provider().signature_verification_algorithms;
            verify_server_cert_signed_by_trust_anchor(&ParsedCertificate::try_from(leaf)?, &anchor, between, now, algorithms.all)
        }
        Purpose::Client => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(anchor), provider()).build();
            let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
            verifier.verify_client_cert(leaf, between, now).map(|_| ())
        }
    }
}
