//! Which certificates of a listener answer to which name.
//!
//! In: certificates in the order of the configuration, and the name that a client asked for. Out: the places of those that may answer. Refuses: a name
//! that none has. Never: answers with some certificate by default.

use std::collections::HashMap;
use std::sync::Arc;

use crate::tls::coverage::Coverage;

/// Places of certificates by name: exact names, and wildcards by what follows their first label.
#[derive(Debug, Default)]
pub(crate) struct NameTable {
    exact: HashMap<String, Vec<usize>>,
    below: HashMap<String, Vec<usize>>,
    with_address: Vec<usize>,
}

impl NameTable {
    pub(crate) fn of<'a>(coverages: impl Iterator<Item = &'a Arc<Coverage>>) -> Self {
        let mut table = Self::default();
        for (place, coverage) in coverages.enumerate() {
            for name in coverage.names() {
                let places = match name.strip_prefix("*.") {
                    Some(suffix) => table.below.entry(suffix.to_owned()),
                    None => table.exact.entry(name),
                };
                places.or_default().push(place);
            }
            if coverage.addresses().next().is_some() {
                table.with_address.push(place);
            }
        }
        table
    }

    /// An exact name wins; a wildcard stands for one label (RFC 9525 §6.3).
    pub(crate) fn find(&self, name: &str) -> Option<&[usize]> {
        let below = || name.split_once('.').and_then(|(_, suffix)| self.below.get(suffix));
        self.exact.get(name).or_else(below).map(Vec::as_slice)
    }

    /// A client that comes by address cannot name it (RFC 6066 §3), so that it is served by whatever has an address.
    pub(crate) fn candidates(&self, sni: Option<&str>) -> Option<&[usize]> {
        match sni {
            Some(name) => self.find(name),
            None => Some(self.with_address.as_slice()).filter(|candidates| !candidates.is_empty()),
        }
    }
}
