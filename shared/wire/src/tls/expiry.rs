//! When a certificate ends, for gauges and warnings.
//!
//! In: a chain. Out: a name to tell it by, and its last second. Never: shows more of a certificate than that.

use x509_parser::certificate::X509Certificate;

use crate::tls::coverage::Coverage;
use crate::tls::peers::SubjectNames;

/// Bytes of the name at most: it is a metric's label.
pub const SUBJECT_BYTES_MAX: usize = 100;

/// The end of one certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    /// The first DNS name of the leaf, else its first URI or address, else `unnamed`; never more than [`SUBJECT_BYTES_MAX`].
    pub subject: String,
    /// The last second at which every certificate of the chain is valid, in unix seconds.
    pub not_after: u64,
    /// SHA-256 of the chain, by which it is known again.
    pub chain: [u8; 32],
}

impl Expiry {
    /// Whether it is over at `now` (Unix seconds).
    #[must_use]
    pub fn is_over(&self, now: u64) -> bool {
        now > self.not_after
    }

    pub(crate) fn of(chain: &[X509Certificate<'_>], coverage: &Coverage, digest: [u8; 32]) -> Self {
        let name = coverage.names().next().or_else(|| SubjectNames::of(chain.first()?).uris.into_iter().next());
        let name = name.or_else(|| coverage.addresses().next().map(|address| address.to_string()));
        // Whoever verifies the leaf needs each of them.
        let not_after = chain.iter().map(|one| u64::try_from(one.validity().not_after.timestamp()).unwrap_or(0)).min().unwrap_or(0);
        Self { subject: bounded(name.unwrap_or_else(|| "unnamed".to_owned())), not_after, chain: digest }
    }
}

fn bounded(mut name: String) -> String {
    while name.len() > SUBJECT_BYTES_MAX {
        name.pop();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_its_letters() {
        assert_eq!(bounded("gw.demo".to_owned()), "gw.demo");
        assert_eq!(bounded("\u{fc}".repeat(80)).len(), SUBJECT_BYTES_MAX);
        assert_eq!(bounded(format!("x{}", "\u{fc}".repeat(80))).len(), SUBJECT_BYTES_MAX - 1);
    }
}
