//! What a certificate is good for, and whether a request's host is among it.
//!
//! In: the DNS names and addresses of a leaf, once; then hosts as requests name them. Out: yes or no. Refuses: every other host, for its request came
//! by a connection that was proved for somebody else (RFC 9110 §15.5.20). Never: allocates, or looks at all names where the last one fits again.

use std::cell::Cell;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

/// The DNS names and addresses that one certificate covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(Vec<Covered>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Covered {
    /// In lower case.
    Exact(Box<str>),
    /// `.suffix` in lower case: one label more (RFC 9525 §6.3).
    Below(Box<str>),
    /// An address, and how most clients write it as a host.
    Address(IpAddr, Box<str>),
}

impl Coverage {
    /// What a leaf says. Names that are no names, and addresses that are none, cover nothing.
    pub(crate) fn of(leaf: &X509Certificate<'_>) -> Self {
        let Ok(Some(extension)) = leaf.subject_alternative_name() else { return Self::default() };
        let covered = extension.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(Covered::name(name)),
            GeneralName::IPAddress(bytes) => address(bytes).map(Covered::address),
            _ => None,
        });
        Self(covered.collect())
    }

    /// The DNS names in lower case; a wildcard stands as `*.suffix`.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|covered| match covered {
            Covered::Exact(name) => Some(name.to_string()),
            Covered::Below(suffix) => Some(format!("*{suffix}")),
            Covered::Address(..) => None,
        })
    }

    /// The addresses, in the order of the certificate.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().filter_map(|covered| match covered {
            Covered::Address(address, _) => Some(*address),
            Covered::Exact(_) | Covered::Below(_) => None,
        })
    }

    fn has_at(&self, place: usize, host: &[u8]) -> bool {
        self.0.get(place).is_some_and(|covered| covered.is_meant_by(host))
    }

    /// An IPv6 address has many forms; all others were compared as they are written.
    fn place_of(&self, host: &[u8]) -> Option<usize> {
        self.0.iter().position(|covered| covered.is_meant_by(host)).or_else(|| {
            let [b'[', inner @ .., b']'] = host else { return None };
            let wanted: Ipv6Addr = std::str::from_utf8(inner).ok()?.parse().ok()?;
            self.0.iter().position(|covered| matches!(covered, Covered::Address(IpAddr::V6(address), _) if *address == wanted))
        })
    }
}

impl Covered {
    fn name(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix('*').filter(|suffix| suffix.starts_with('.')) {
            Some(suffix) => Self::Below(suffix.into()),
            None => Self::Exact(name.into()),
        }
    }

    fn address(address: IpAddr) -> Self {
        let text = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        Self::Address(address, text.into())
    }

    fn is_meant_by(&self, host: &[u8]) -> bool {
        match self {
            Self::Exact(name) | Self::Address(_, name) => host.eq_ignore_ascii_case(name.as_bytes()),
            Self::Below(suffix) => match host.iter().position(|&byte| byte == b'.') {
                Some(dot @ 1..) => host.get(dot..).is_some_and(|rest| rest.eq_ignore_ascii_case(suffix.as_bytes())),
                _ => false,
            },
        }
    }
}

/// The octets of an address in a certificate: 4 or 16 of them (RFC 5280 §4.2.1.6).
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    v4().or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}

/// What the certificate covers that was served on one connection. It lives on one worker.
#[derive(Clone, Debug)]
pub struct ServedFor {
    coverage: Arc<Coverage>,
    /// The place of what covered the request before: most connections ask for one host.
    last: Cell<usize>,
}

impl ServedFor {
    pub(crate) fn new(coverage: Arc<Coverage>) -> Self {
        Self { coverage, last: Cell::new(0) }
    }

    /// Whether the certificate covers the host of `authority` (`host` or `host:port`, in either case, with or without the dot of the root).
    #[must_use]
    pub fn covers(&self, authority: &[u8]) -> bool {
        let host = host_of(authority);
        if self.coverage.has_at(self.last.get(), host) {
            return true;
        }
        match self.coverage.place_of(host) {
            Some(place) => {
                self.last.set(place);
                true
            }
            None => false,
        }
    }
}

/// Without its port, and without the dot that ends an absolute name.
fn host_of(authority: &[u8]) -> &[u8] {
    if authority.starts_with(b"[") {
        let end = authority.iter().position(|&byte| byte == b']').map_or(authority.len(), |end| end + 1);
        return match authority.split_at_checked(end) {
            Some((host, [] | [b':', ..])) => host,
            _ => authority,
        };
    }
    match authority.split(|&byte| byte == b':').next().unwrap_or_default() {
        [name @ .., b'.'] => name,
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served_for(names: &[&str], addresses: &[&str]) -> ServedFor {
        let names = names.iter().map(|name| Covered::name(name));
        let addresses = addresses.iter().map(|text| Covered::address(text.parse().unwrap()));
        ServedFor::new(Arc::new(Coverage(names.chain(addresses).collect())))
    }

    #[test]
    fn a_host_is_covered_by_name_by_wildcard_and_by_address() {
        let served = served_for(&["API.demo", "*.gw.demo"], &["127.0.0.1", "2001:db8::1"]);
        // Twice and mixed, so that what is remembered is asked too.
        for _ in 0..2 {
            for host in [
                "api.demo",
                "api.demo:8443",
                "Api.Demo.",
                "api.demo.:1",
                "x.gw.demo",
                "X.GW.demo.:65535",
                "127.0.0.1",
                "127.0.0.1:80",
                "[2001:db8::1]",
                "[2001:DB8:0::1]:443",
                "[2001:0db8:0:0:0:0:0:1]",
            ] {
                assert!(served.covers(host.as_bytes()), "{host}");
            }
            for host in [
                "",
                ".",
                "demo",
                "gw.demo",
                ".gw.demo",
                "a.b.gw.demo",
                "api.demo.evil",
                "evil-api.demo",
                "api.demo..",
                "127.0.0.2",
                "127.1",
                "2001:db8::1",
                "[2001:db8::2]",
                "[2001:db8::1].",
                "[",
                "[]",
            ] {
                assert!(!served.covers(host.as_bytes()), "{host}");
            }
        }
    }

    #[test]
    fn a_certificate_without_names_covers_nothing() {
        for host in ["", "localhost", "127.0.0.1", "[::1]"] {
            assert!(!served_for(&[], &[]).covers(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn names_and_addresses_are_told_as_they_were_taken() {
        let served = served_for(&["A.demo", "*.B.demo"], &["::1", "10.0.0.1"]);
        assert_eq!(served.coverage.names().collect::<Vec<_>>(), ["a.demo", "*.b.demo"]);
        assert_eq!(served.coverage.addresses().map(|address| address.to_string()).collect::<Vec<_>>(), ["::1", "10.0.0.1"]);
        assert_eq!(address(&[1, 2, 3]), None);
        assert_eq!(address(&[127, 0, 0, 1]), Some([127, 0, 0, 1].into()));
    }
}
