//! Certificates for tests: a CA of one's own, leaves with whatever is wrong about them, and a folder to lay them into.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType, date_time_ymd};

/// 2025-01-01, inside the life of every leaf that says nothing else.
pub(crate) const NOW: u64 = 1_735_689_600;

/// A folder that goes with its owner.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("wire-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An authority.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// What is to be forged.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) dns: Vec<&'static str>,
    pub(crate) uris: Vec<&'static str>,
    pub(crate) address: Option<std::net::IpAddr>,
    /// First and last year.
    pub(crate) years: (i32, i32),
    pub(crate) usages: Vec<ExtendedKeyUsagePurpose>,
    /// RSA with 2048 bits instead of ECDSA.
    pub(crate) is_rsa: bool,
}

impl Leaf {
    pub(crate) fn dns(names: &[&'static str]) -> Self {
        Self { dns: names.to_vec(), uris: Vec::new(), address: None, years: (2024, 2090), usages: Vec::new(), is_rsa: false }
    }

    pub(crate) fn uri(uri: &'static str) -> Self {
        Self { uris: vec![uri], ..Self::dns(&[]) }
    }
}

/// A forged pair in PEM.
pub(crate) struct Pair {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Pair {
    /// Lays both files into a folder under one name.
    pub(crate) fn lay(&self, folder: &Folder, name: &str) -> (PathBuf, PathBuf) {
        (folder.write(&format!("{name}.pem"), &self.chain), folder.write(&format!("{name}.key"), &self.key))
    }
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        Self::until(name, 4096)
    }

    /// One that ends with the first day of a year.
    pub(crate) fn until(name: &str, year: i32) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn issue(&self, leaf: &Leaf) -> Pair {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        params.subject_alt_names.extend(leaf.dns.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())));
        params.subject_alt_names.extend(leaf.uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())));
        params.subject_alt_names.extend(leaf.address.map(SanType::IpAddress));
        params.not_before = date_time_ymd(leaf.years.0, 1, 1);
        params.not_after = date_time_ymd(leaf.years.1, 1, 1);
        params.extended_key_usages.clone_from(&leaf.usages);
        let key = match leaf.is_rsa {
            true => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap(),
            false => KeyPair::generate().unwrap(),
        };
        Pair { chain: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }
}
