//! What one worker has signed of callers, so that nothing is signed once per request that holds for many.
//!
//! In: a signer and a caller, both as the worker holds them. Out: the header that says who is asking; one serves until half its life is over.
//! Bounded: two halves, of which the older goes when the younger is full. Never: outlives its signer, or passes for another caller's.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use contract::assertion::{Assertion, KeyFault};
use contract::caller::Caller;
use http::HeaderValue;

/// Signed words that one worker keeps in each of two halves.
const SIGNED_MAX: usize = 2_048;

/// The signed words of one worker, by the signer and by the caller that the cache before it shares.
#[derive(Debug)]
pub struct SignedCache<S> {
    halves: RefCell<[HashMap<Key, Kept<S>>; 2]>,
}

type Key = (usize, usize);

#[derive(Debug)]
struct Kept<S> {
    /// Both are held so that their addresses, which are the key, are not given to others.
    _signer: Arc<S>,
    _caller: Arc<Caller>,
    signed: HeaderValue,
    renew_at: u64,
}

impl<S> Default for SignedCache<S> {
    fn default() -> Self {
        Self { halves: RefCell::default() }
    }
}

impl<S> SignedCache<S> {
    /// What `signer` says of `caller` at `now` (Unix seconds): what it said before, or what `sign` says now.
    ///
    /// # Errors
    /// Those of `sign`; and `Signing`, if that is no field value.
    pub fn get(
        &self,
        signer: &Arc<S>,
        caller: &Arc<Caller>,
        now: u64,
        sign: impl FnOnce(&S) -> Result<Assertion, KeyFault>,
    ) -> Result<HeaderValue, KeyFault> {
        let key = (Arc::as_ptr(signer).addr(), Arc::as_ptr(caller).addr());
        if let Some(signed) = self.find(key, now) {
            return Ok(signed);
        }
        let made = sign(signer)?;
        let renew_at = made.issued_at + made.expires_at.saturating_sub(made.issued_at) / 2;
        let mut signed = HeaderValue::try_from(made.token).map_err(|_| KeyFault::Signing)?;
        signed.set_sensitive(true);
        self.keep(key, Kept { _signer: Arc::clone(signer), _caller: Arc::clone(caller), signed: signed.clone(), renew_at });
        Ok(signed)
    }

    fn find(&self, key: Key, now: u64) -> Option<HeaderValue> {
        let mut halves = self.halves.borrow_mut();
        let [young, old] = &mut *halves;
        if let Some(kept) = young.get(&key) {
            return (now < kept.renew_at).then(|| kept.signed.clone());
        }
        let kept = old.remove(&key).filter(|kept| now < kept.renew_at)?;
        let signed = kept.signed.clone();
        young.insert(key, kept);
        Some(signed)
    }

    fn keep(&self, key: Key, kept: Kept<S>) {
        let mut halves = self.halves.borrow_mut();
        if halves[0].len() >= SIGNED_MAX {
            halves.swap(0, 1);
            halves[0].clear();
        }
        halves[0].insert(key, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(token: &str, issued_at: u64, expires_at: u64) -> Result<Assertion, KeyFault> {
        Ok(Assertion { token: token.to_owned(), issued_at, expires_at })
    }

    fn never(_: &u8) -> Result<Assertion, KeyFault> {
        panic!("it was signed again")
    }

    #[test]
    fn one_serves_until_half_its_life_is_over() {
        let (cache, signer, caller) = (SignedCache::default(), Arc::new(1), Arc::new(Caller::anonymous()));
        assert_eq!(cache.get(&signer, &caller, 100, |_| made("first", 100, 160)).unwrap(), "first");
        assert_eq!(cache.get(&signer, &caller, 129, never).unwrap(), "first");
        assert_eq!(cache.get(&signer, &caller, 130, |_| made("second", 130, 131)).unwrap(), "second");
        // A life of a second has no half.
        assert_eq!(cache.get(&signer, &caller, 130, |_| made("third", 130, 190)).unwrap(), "third");
        assert!(cache.get(&signer, &caller, 130, never).unwrap().is_sensitive());
    }

    #[test]
    fn no_other_signer_and_no_other_caller_gets_it() {
        let cache = SignedCache::default();
        let (signer, caller) = (Arc::new(1), Arc::new(Caller::anonymous()));
        let get = |signer: &Arc<u8>, caller: &Arc<Caller>| cache.get(signer, caller, 0, |_| made("other", 0, 60)).unwrap();
        cache.get(&signer, &caller, 0, |_| made("first", 0, 60)).unwrap();
        assert_eq!(get(&Arc::new(1), &caller), "other");
        // Whatever the allocator does, none of these stands where another one stood.
        drop(caller);
        for _ in 0..100 {
            assert_eq!(get(&signer, &Arc::new(Caller::anonymous())), "other");
        }
        assert_eq!(cache.get(&signer, &Arc::new(Caller::anonymous()), 0, |_| Err(KeyFault::NoKeyNow)), Err(KeyFault::NoKeyNow));
    }

    #[test]
    fn it_never_outgrows_its_ceiling() {
        let (cache, signer) = (SignedCache::default(), Arc::new(1));
        for _ in 0..3 * SIGNED_MAX {
            cache.get(&signer, &Arc::new(Caller::anonymous()), 0, |_| made("one", 0, 60)).unwrap();
        }
        let halves = cache.halves.borrow();
        assert!(halves.iter().all(|half| half.len() <= SIGNED_MAX) && halves[0].len() + halves[1].len() > SIGNED_MAX);
    }
}
