//! Which peers may speak on a link: the names in their certificates, held against a list.
//!
//! In: patterns as the operator wrote them, and a certificate that a chain check has already accepted. Out: yes or no, and the names.
//! Refuses: everything by an empty list. Never: looks at the common name, or lets a wildcard certificate stand for a listed peer.

use std::fmt;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::connection::PeerIdentity;
use crate::tls::certificate::parse;

/// One allowed name.
///
/// - `dns:NAME`: this DNS name, letters in either case;
/// - `dns:*.SUFFIX`: exactly one label before the suffix;
/// - `uri:spiffe://…`: this URI, byte for byte;
/// - `uri:spiffe://…/*`: any URI below it, at any depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SanPattern(Shape);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    Dns(String),
    /// With its leading dot.
    DnsBelow(String),
    Uri(String),
    /// With its trailing slash.
    UriBelow(String),
}

/// A pattern that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {remedy}")]
pub struct SanPatternFault {
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: &'static str,
}

const REMEDY: &str = "write dns:NAME, dns:*.SUFFIX, uri:spiffe://DOMAIN/PATH or uri:spiffe://DOMAIN/PATH/*";

impl SanPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is of no known form; the fault says which part.
    pub fn parse(text: &str) -> Result<Self, SanPatternFault> {
        let fault = |what: String| SanPatternFault { what, remedy: REMEDY };
        if let Some(name) = text.strip_prefix("dns:") {
            let (below, plain) = name.strip_prefix("*.").map_or((false, name), |suffix| (true, suffix));
            if !is_host_name(plain) {
                return Err(fault(format!("{text:?} does not hold a DNS name")));
            }
            let plain = plain.to_ascii_lowercase();
            return Ok(Self(if below { Shape::DnsBelow(format!(".{plain}")) } else { Shape::Dns(plain) }));
        }
        if let Some(uri) = text.strip_prefix("uri:") {
            let (below, plain) = uri.strip_suffix("/*").map_or((false, uri), |prefix| (true, prefix));
            if !is_spiffe(plain, below) {
                return Err(fault(format!("{text:?} does not hold a SPIFFE URI")));
            }
            return Ok(Self(if below { Shape::UriBelow(format!("{plain}/")) } else { Shape::Uri(plain.to_owned()) }));
        }
        Err(fault(format!("{text:?} begins with neither dns: nor uri:")))
    }

    /// Whether one of the names is meant.
    #[must_use]
    pub fn matches(&self, names: &SubjectNames) -> bool {
        self.means(&names.dns, &names.uris)
    }

    fn means(&self, dns: &[String], uris: &[String]) -> bool {
        match &self.0 {
            Shape::Dns(wanted) => dns.iter().any(|name| name.eq_ignore_ascii_case(wanted)),
            Shape::DnsBelow(suffix) => dns.iter().any(|name| is_one_label_before(name, suffix)),
            Shape::Uri(wanted) => uris.iter().any(|uri| uri == wanted),
            Shape::UriBelow(prefix) => uris.iter().any(|uri| uri.starts_with(prefix.as_str()) && is_spiffe(uri, false)),
        }
    }
}

impl fmt::Display for SanPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shape::Dns(name) => write!(f, "dns:{name}"),
            Shape::DnsBelow(suffix) => write!(f, "dns:*{suffix}"),
            Shape::Uri(uri) => write!(f, "uri:{uri}"),
            Shape::UriBelow(prefix) => write!(f, "uri:{prefix}*"),
        }
    }
}

impl std::str::FromStr for SanPattern {
    type Err = SanPatternFault;

    fn from_str(text: &str) -> Result<Self, SanPatternFault> {
        Self::parse(text)
    }
}

/// The peers that may speak. An empty list lets nobody speak.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerList(Vec<SanPattern>);

impl PeerList {
    /// A list of patterns.
    #[must_use]
    pub fn new(patterns: Vec<SanPattern>) -> Self {
        Self(patterns)
    }

    /// Whether any pattern means one of the names.
    #[must_use]
    pub fn allows(&self, names: &SubjectNames) -> bool {
        self.0.iter().any(|pattern| pattern.matches(names))
    }

    /// Whether any pattern means whom a verified certificate proved.
    #[must_use]
    pub fn allows_peer(&self, peer: &PeerIdentity) -> bool {
        let (dns, uris) = peer.names.split_at(peer.dns.min(peer.names.len()));
        self.0.iter().any(|pattern| pattern.means(dns, uris))
    }

    /// The patterns in their order.
    #[must_use]
    pub fn patterns(&self) -> &[SanPattern] {
        &self.0
    }
}

/// The subject alternative names of a certificate that can stand on a list.
///
/// Their number is bounded by the handshake message they came in (64 KiB).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectNames {
    /// DNS names as written.
    pub dns: Vec<String>,
    /// URIs as written.
    pub uris: Vec<String>,
}

impl SubjectNames {
    /// The names in a certificate; `None` when it does not parse.
    #[must_use]
    pub fn in_der(der: &[u8]) -> Option<Self> {
        parse(der).map(|certificate| Self::of(&certificate))
    }

    /// A malformed or doubled extension counts as none, which no list lets pass.
    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Self {
        let mut names = Self::default();
        let Ok(Some(extension)) = certificate.subject_alternative_name() else { return names };
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
                GeneralName::URI(uri) => names.uris.push((*uri).to_owned()),
                _ => {}
            }
        }
        names
    }
}

/// `a.suffix` lies below `.suffix`; `suffix`, `a.b.suffix` and the wildcard name `*.suffix` itself do not.
fn is_one_label_before(name: &str, suffix: &str) -> bool {
    let Some(split) = name.len().checked_sub(suffix.len()) else { return false };
    match (name.get(..split), name.get(split..)) {
        (Some(label), Some(rest)) => rest.eq_ignore_ascii_case(suffix) && !label.contains('.') && is_host_name(label),
        _ => false,
    }
}

fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// SPIFFE ID §2: a trust domain in lower case, then segments that are neither empty nor dots. A bare trust domain may only be a prefix.
fn is_spiffe(uri: &str, bare_domain_ok: bool) -> bool {
    let Some(rest) = uri.strip_prefix("spiffe://") else { return false };
    if uri.len() > 2048 {
        return false;
    }
    let mut parts = rest.split('/');
    let domain_ok = parts.next().is_some_and(|domain| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_');
        !domain.is_empty() && domain.bytes().all(allowed)
    });
    let is_segment = |segment: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        !matches!(segment, "" | "." | "..") && segment.bytes().all(allowed)
    };
    let mut segments = parts.peekable();
    domain_ok && (bare_domain_ok || segments.peek().is_some()) && segments.all(is_segment)
}

#[cfg(test)]
mod tests {
    use super::{PeerList, SanPattern, SubjectNames};

    fn names(dns: &[&str], uris: &[&str]) -> SubjectNames {
        SubjectNames { dns: dns.iter().map(|s| (*s).to_owned()).collect(), uris: uris.iter().map(|s| (*s).to_owned()).collect() }
    }

    fn allows(pattern: &str, names: &SubjectNames) -> bool {
        PeerList::new(vec![SanPattern::parse(pattern).unwrap()]).allows(names)
    }

    #[test]
    fn a_dns_pattern_means_one_name_in_either_case() {
        assert!(allows("dns:security-gw.demo", &names(&["other.demo", "Security-GW.demo"], &[])));
        assert!(!allows("dns:security-gw.demo", &names(&["security-gw.demo.evil"], &["security-gw.demo"])));
        assert!(!allows("dns:security-gw.demo", &names(&["*.demo"], &[])));
    }

    #[test]
    fn a_dns_wildcard_means_exactly_one_label() {
        assert!(allows("dns:*.demo", &names(&["a.demo"], &[])));
        assert!(allows("dns:*.demo", &names(&["A.DEMO"], &[])));
        for stranger in ["demo", ".demo", "a.b.demo", "*.demo", "ademo", "a.demo.evil", "-.demo"] {
            assert!(!allows("dns:*.demo", &names(&[stranger], &[])), "{stranger}");
        }
    }

    #[test]
    fn a_uri_pattern_is_exact_or_a_whole_prefix() {
        assert!(allows("uri:spiffe://td/gw", &names(&[], &["spiffe://td/gw"])));
        for stranger in ["spiffe://td/gw2", "spiffe://td/gw/x", "spiffe://TD/gw", "spiffe://td/"] {
            assert!(!allows("uri:spiffe://td/gw", &names(&[], &[stranger])), "{stranger}");
        }
        assert!(allows("uri:spiffe://td/ns/*", &names(&[], &["spiffe://td/ns/prod/sa/x"])));
        assert!(allows("uri:spiffe://td/*", &names(&[], &["spiffe://td/x"])));
        for stranger in
            ["spiffe://td/ns", "spiffe://td/ns/", "spiffe://td/ns/../x", "spiffe://td/ns//x", "spiffe://td/ns/a%2fb", "spiffe://td/ns/a?b"]
        {
            assert!(!allows("uri:spiffe://td/ns/*", &names(&[], &[stranger])), "{stranger}");
        }
    }

    #[test]
    fn an_empty_list_lets_nobody_speak() {
        assert!(!PeerList::default().allows(&names(&["a"], &["spiffe://td/a"])));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_a_remedy() {
        let wrong = [
            "",
            "security-gw",
            "dns:",
            "dns:*",
            "dns:*.",
            "dns:a.*.b",
            "dns:**.a",
            "dns:a b",
            "dns:a..b",
            "dns:-a",
            "ip:1.2.3.4",
            "uri:",
            "uri:https://a/b",
            "uri:spiffe://",
            "uri:spiffe://td",
            "uri:spiffe://td/",
            "uri:spiffe:///a",
            "uri:spiffe://TD/a",
            "uri:spiffe://td/*/a",
            "uri:spiffe://td/a*",
            "uri:spiffe://td/a/**",
            "uri:spiffe://td:1/a",
            "uri:spiffe://u@td/a",
            "uri:*",
            "DNS:a",
        ];
        for text in wrong {
            let fault = SanPattern::parse(text).expect_err(text);
            assert!(fault.to_string().contains("uri:spiffe://DOMAIN/PATH"), "{fault}");
        }
    }

    #[test]
    fn a_pattern_prints_as_it_is_written() {
        for text in ["dns:a.demo", "dns:*.demo", "uri:spiffe://td/a", "uri:spiffe://td/a/*", "uri:spiffe://td/*"] {
            assert_eq!(SanPattern::parse(text).unwrap().to_string(), text);
        }
    }
}
