//! The tokens that one worker has verified, so that each costs its cryptography once.
//!
//! In: a token's SHA-256. Out: the caller that it proved, while it has not expired and its issuer's keys are the ones that proved it. Bounded: two
//! generations, of which the older is dropped when the younger is full, so that what is used stays. Never: holds a token.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use contract::caller::Caller;

/// How many tokens a worker remembers where nothing else is configured.
pub const TOKENS_MAX_DEFAULT: usize = 10_000;

/// The verified tokens of one worker.
pub struct TokenCache {
    halves: RefCell<Halves>,
    half_max: usize,
}

/// A verified token, by what makes it invalid again.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) caller: Arc<Caller>,
    /// Unix seconds, leeway included.
    pub(crate) valid_until: u64,
    /// The index of the issuer.
    pub(crate) issuer: usize,
    /// The generation of the key set that proved it.
    pub(crate) key_set: u64,
}

#[derive(Default)]
struct Halves {
    young: HashMap<[u8; 32], Entry>,
    old: HashMap<[u8; 32], Entry>,
}

impl TokenCache {
    /// A cache of at most `tokens_max` tokens; below 2 it holds none.
    #[must_use]
    pub fn new(tokens_max: usize) -> Self {
        Self { halves: RefCell::default(), half_max: tokens_max / 2 }
    }

    /// How many tokens are held.
    #[must_use]
    pub fn len(&self) -> usize {
        let halves = self.halves.borrow();
        halves.young.len() + halves.old.len()
    }

    /// Whether no token is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry of a token, if it is lawful still. `is_current` says whether an issuer's keys are of that generation now.
    pub(crate) fn find(&self, digest: &[u8; 32], now: u64, is_current: impl FnOnce(&Entry) -> bool) -> Option<(Arc<Caller>, usize)> {
        let mut halves = self.halves.borrow_mut();
        if !halves.young.contains_key(digest) {
            let entry = halves.old.remove(digest)?;
            self.add(&mut halves, *digest, entry);
        }
        let entry = halves.young.get(digest)?;
        if now < entry.valid_until && is_current(entry) {
            return Some((Arc::clone(&entry.caller), entry.issuer));
        }
        halves.young.remove(digest);
        None
    }

    /// Remembers a token that was verified.
    pub(crate) fn keep(&self, digest: [u8; 32], entry: Entry) {
        let mut halves = self.halves.borrow_mut();
        halves.old.remove(&digest);
        self.add(&mut halves, digest, entry);
    }

    fn add(&self, halves: &mut Halves, digest: [u8; 32], entry: Entry) {
        if self.half_max == 0 {
            return;
        }
        if halves.young.len() >= self.half_max {
            halves.old.clear();
            let Halves { young, old } = halves;
            mem::swap(young, old);
            // Room is made here, on the way in, so that a hit never has to.
            young.reserve(self.half_max);
        }
        halves.young.insert(digest, entry);
    }
}

impl std::fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCache").field("len", &self.len()).field("half_max", &self.half_max).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(at: u64) -> [u8; 32] {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&at.to_be_bytes());
        digest
    }

    fn entry(valid_until: u64) -> Entry {
        Entry { caller: Arc::new(Caller::anonymous()), valid_until, issuer: 3, key_set: 7 }
    }

    #[test]
    fn a_token_is_found_until_it_expires_or_its_keys_change() {
        let cache = TokenCache::new(10);
        cache.keep(digest(1), entry(100));
        assert_eq!(cache.find(&digest(1), 99, |entry| entry.key_set == 7).map(|(_, issuer)| issuer), Some(3));
        assert!(cache.find(&digest(2), 99, |_| true).is_none());
        assert!(cache.find(&digest(1), 100, |_| true).is_none());
        assert!(cache.is_empty(), "an expired token is dropped");
        cache.keep(digest(1), entry(100));
        assert!(cache.find(&digest(1), 0, |entry| entry.key_set == 8).is_none());
        assert!(cache.is_empty(), "a token of former keys is dropped");
    }

    #[test]
    fn it_never_outgrows_its_ceiling_and_keeps_what_is_used() {
        let cache = TokenCache::new(10);
        cache.keep(digest(0), entry(u64::MAX));
        for at in 1..1000 {
            cache.keep(digest(at), entry(u64::MAX));
            assert!(cache.len() <= 10, "{}", cache.len());
            assert!(cache.find(&digest(0), 0, |_| true).is_some(), "the token in use was lost at {at}");
        }
        assert!(cache.find(&digest(1), 0, |_| true).is_none());
    }

    #[test]
    fn a_token_stands_in_it_once() {
        let cache = TokenCache::new(4);
        for _ in 0..10 {
            cache.keep(digest(1), entry(1));
        }
        cache.keep(digest(2), entry(1));
        cache.keep(digest(3), entry(1));
        cache.keep(digest(1), entry(1));
        assert_eq!(cache.len(), 3);
        let none = TokenCache::new(1);
        none.keep(digest(1), entry(1));
        assert!(none.is_empty());
    }
}
