//! A small certificate authority and its leaves, ECDSA P-256.
//!
//! In: names and a time of validity. Out: PEM text. Refuses: names that X.509 cannot carry. Never: writes the
//! authority's own key to a file: it dies with the process, so nobody can issue more under a trusted demo CA.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, date_time_ymd,
};

use crate::private_file::{write_private, write_public};

/// Why a certificate could not be made: a name that is not ASCII, or the machine gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the certificate for {subject} cannot be made: {why}")]
pub struct CertificateFault {
    subject: String,
    why: rcgen::Error,
}

/// When a certificate is valid, in unix seconds, both ends included (RFC 5280 §4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first valid second.
    pub not_before_s: u64,
    /// The last valid second.
    pub not_after_s: u64,
}

impl Validity {
    /// From an hour before `now_s` (clocks differ) for `days` days.
    #[must_use]
    pub fn days(now_s: u64, days: u32) -> Self {
        Self { not_before_s: now_s.saturating_sub(3600), not_after_s: now_s.saturating_add(u64::from(days) * 86_400) }
    }
}

/// One subject alternative name (RFC 5280 §4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum San {
    /// A DNS name, as `routing-gw.demo`.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// A URI, as `spiffe://demo/security-gw`.
    Uri(String),
}

/// What a leaf may be used for (RFC 5280 §4.2.1.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To answer as a TLS server.
    Server,
    /// To ask as a TLS client.
    Client,
}

/// A leaf certificate with its key, as PEM. Its Debug form shows no key.
pub struct Leaf {
    chain_pem: String,
    key_pem: String,
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaf").finish_non_exhaustive()
    }
}

impl Leaf {
    /// The leaf, then the authority, as PEM.
    #[must_use]
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// The private key, PKCS#8 PEM.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Writes `NAME.pem` (mode 0644) and `NAME.key` (mode 0600) into `dir`.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, dir: &Path, name: &str) -> io::Result<()> {
        write_public(&dir.join(format!("{name}.pem")), self.chain_pem.as_bytes())?;
        write_private(&dir.join(format!("{name}.key")), self.key_pem.as_bytes())
    }
}

/// A certificate authority that lives as long as this value.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority, self-signed under `name`.
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn new(name: &str, validity: Validity) -> Result<Self, CertificateFault> {
        let fault = |why| CertificateFault { subject: name.to_owned(), why };
        let mut params = params(name, validity);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(fault)?;
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, key).map_err(fault)? })
    }

    /// The authority's certificate, for those who shall trust it.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Issues a leaf under the common name `subject`, which no modern verifier reads; `names` are what counts.
    ///
    /// # Errors
    /// When a name is not ASCII.
    pub fn issue(&self, purpose: Purpose, subject: &str, names: &[San], validity: Validity) -> Result<Leaf, CertificateFault> {
        let fault = |why| CertificateFault { subject: subject.to_owned(), why };
        let mut params = params(subject, validity);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match purpose {
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        params.subject_alt_names = names.iter().map(general_name).collect::<Result<_, _>>().map_err(fault)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(fault)?;
        let leaf = params.signed_by(&key, &self.issuer).map_err(fault)?;
        Ok(Leaf { chain_pem: leaf.pem() + &self.issuer.pem(), key_pem: key.serialize_pem() })
    }
}

fn params(common_name: &str, validity: Validity) -> CertificateParams {
    let epoch = date_time_ymd(1970, 1, 1);
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = epoch + Duration::from_secs(validity.not_before_s.min(SECONDS_MAX));
    params.not_after = epoch + Duration::from_secs(validity.not_after_s.min(SECONDS_MAX));
    params
}

fn general_name(san: &San) -> Result<SanType, rcgen::Error> {
    Ok(match san {
        San::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
        San::Ip(address) => SanType::IpAddress(*address),
        San::Uri(uri) => SanType::URI(uri.as_str().try_into()?),
    })
}

/// The last second of the year 9999: beyond it a calendar date cannot be written (RFC 5280 §4.1.2.5.2).
const SECONDS_MAX: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> Authority {
        Authority::new("demo CA", Validity::days(1_800_000_000, 30)).unwrap()
    }

    #[test]
    fn a_leaf_carries_its_authority_behind_it() {
        let authority = authority();
        let names = [San::Dns("localhost".into()), San::Ip([127, 0, 0, 1].into()), San::Uri("spiffe://demo/x".into())];
        let leaf = authority.issue(Purpose::Server, "localhost", &names, Validity::days(1_800_000_000, 30)).unwrap();
        assert_eq!(leaf.chain_pem().matches("BEGIN CERTIFICATE").count(), 2);
        assert!(leaf.chain_pem().ends_with(&authority.pem()));
        assert!(leaf.key_pem().starts_with("-----BEGIN PRIVATE KEY-----"));
        assert!(!format!("{leaf:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_name_beyond_ascii_is_refused() {
        let fault = authority().issue(Purpose::Client, "x", &[San::Dns("gw\u{e4}".into())], Validity::days(0, 1)).unwrap_err();
        assert!(fault.to_string().starts_with("the certificate for x cannot be made"));
    }

    #[test]
    fn a_validity_beyond_the_calendar_is_cut() {
        let far = Validity { not_before_s: 0, not_after_s: u64::MAX };
        assert!(authority().issue(Purpose::Client, "x", &[San::Dns("x".into())], far).is_ok());
    }
}
