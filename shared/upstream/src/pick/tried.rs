//! The instances that one request has tried.
//!
//! In: each instance that an attempt goes to. Out: whether one was tried. Never: grows.

use crate::endpoint::Endpoint;

/// How many instances one request remembers having tried; more attempts may repeat the oldest.
pub const TRIED_MAX: usize = 8;

/// The instances that one request has tried already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    ids: [u64; TRIED_MAX],
    len: usize,
}

impl Tried {
    /// Nothing was tried.
    pub const NONE: Self = Self { ids: [0; TRIED_MAX], len: 0 };

    /// Remembers `endpoint`, in place of the oldest when the list is full.
    pub fn add(&mut self, endpoint: &Endpoint) {
        self.ids[self.len % TRIED_MAX] = endpoint.id();
        self.len += 1;
    }

    /// Whether `endpoint` was tried.
    #[must_use]
    pub fn contains(&self, endpoint: &Endpoint) -> bool {
        self.ids[..self.len.min(TRIED_MAX)].contains(&endpoint.id())
    }
}
