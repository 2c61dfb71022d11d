//! What a TLS configuration was made from, in 32 bytes, so that two of them can be compared.
//!
//! In: the parts, each with its length, in a fixed order. Out: a SHA-256 over them. rustls' own configurations know no equality, and a reload must see
//! whether a file has changed behind an unchanged path. Never: shown; a part may be a private key.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::RootCertStore;

use crate::tls::peers::PeerList;

/// A digest over everything that something was made from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Made([u8; 32]);

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Made")
    }
}

impl Made {
    /// The digest itself; for what holds no secret.
    pub(crate) fn bytes(self) -> [u8; 32] {
        self.0
    }
}

/// A digest to be. Lists are told with their lengths, so that no two ways of putting parts together give the same bytes.
pub(crate) struct Making(Context);

impl Making {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(crate) fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len());
        self.0.update(bytes);
        self
    }

    pub(crate) fn number(&mut self, number: usize) -> &mut Self {
        self.0.update(&(number as u64).to_be_bytes());
        self
    }

    pub(crate) fn list<T: AsRef<[u8]>>(&mut self, parts: impl ExactSizeIterator<Item = T>) -> &mut Self {
        self.number(parts.len());
        for part in parts {
            self.part(part.as_ref());
        }
        self
    }

    /// What something else was made from; `None` differs from everything.
    pub(crate) fn made(&mut self, made: Option<&Made>) -> &mut Self {
        self.list(made.iter().map(|made| made.0))
    }

    pub(crate) fn peers(&mut self, peers: Option<&PeerList>) -> &mut Self {
        self.number(usize::from(peers.is_some()));
        self.list(peers.map_or(&[][..], PeerList::patterns).iter().map(ToString::to_string))
    }

    /// All of a root that verification uses.
    pub(crate) fn roots(&mut self, roots: &RootCertStore) -> &mut Self {
        self.number(roots.roots.len());
        for root in &roots.roots {
            self.part(&root.subject).part(&root.subject_public_key_info);
            self.list(root.name_constraints.iter());
        }
        self
    }

    pub(crate) fn end(&mut self) -> Made {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.clone().finish().as_ref());
        Made(out)
    }
}
