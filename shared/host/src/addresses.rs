//! How many connections each client address has open, over all workers.
//!
//! In: an address, and how many connections it may have. Out: a place, given back when dropped. Refuses: one more than that. Never: keeps anything
//! of an address that has no connection, so that it is never larger than the number of open connections.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Locks, so that workers seldom wait for each other.
const SHARDS: usize = 16;

/// Bits of an IPv6 address that a client can choose freely: a /64 is one subscriber.
const IPV6_FREE_BITS: u32 = 64;

/// The addresses that have connections.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    shards: [Mutex<HashMap<IpAddr, u32>>; SHARDS],
    hasher: RandomState,
}

/// One connection of an address.
#[derive(Debug)]
pub(crate) struct OfAddress {
    addresses: Arc<Addresses>,
    key: IpAddr,
}

impl Addresses {
    /// One connection more of this address; `None` when it has `most` already.
    pub(crate) fn take(self: &Arc<Self>, ip: IpAddr, most: u32) -> Option<OfAddress> {
        let key = client(ip);
        let mut shard = self.shard(key);
        let number = shard.get(&key).copied().unwrap_or_default();
        if number >= most {
            return None;
        }
        shard.insert(key, number + 1);
        drop(shard);
        Some(OfAddress { addresses: Arc::clone(self), key })
    }

    fn shard(&self, key: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        let place = self.hasher.hash_one(key) % (SHARDS as u64);
        self.shards[usize::try_from(place).unwrap_or_default()].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OfAddress {
    fn drop(&mut self) {
        let mut shard = self.addresses.shard(self.key);
        let Entry::Occupied(mut entry) = shard.entry(self.key) else { return };
        match entry.get().checked_sub(1) {
            None | Some(0) => drop(entry.remove()),
            Some(left) => *entry.get_mut() = left,
        }
        if shard.is_empty() {
            shard.shrink_to_fit();
        }
    }
}

/// What counts as one client: an IPv4 address, or a /64.
fn client(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> IPV6_FREE_BITS << IPV6_FREE_BITS).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_and_others_are_not_concerned() {
        let addresses = Arc::new(Addresses::default());
        let held = [addresses.take(ip("192.0.2.1"), 2).unwrap(), addresses.take(ip("::ffff:192.0.2.1"), 2).unwrap()];
        assert!(addresses.take(ip("192.0.2.1"), 2).is_none());
        assert!(addresses.take(ip("192.0.2.1"), 3).is_some(), "a newer ceiling holds for those who come");
        assert!(addresses.take(ip("192.0.2.2"), 2).is_some());
        drop(held);
        assert!(addresses.take(ip("192.0.2.1"), 1).is_some());
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_client() {
        let addresses = Arc::new(Addresses::default());
        let _one = addresses.take(ip("2001:db8:0:1::1"), 1).unwrap();
        assert!(addresses.take(ip("2001:db8:0:1:ffff::2"), 1).is_none());
        assert!(addresses.take(ip("2001:db8:0:2::1"), 1).is_some());
    }

    #[test]
    fn whoever_has_gone_costs_nothing() {
        let addresses = Arc::new(Addresses::default());
        let held: Vec<_> = (0..1000u32).map(|number| addresses.take(IpAddr::V4(number.into()), 1).unwrap()).collect();
        drop(held);
        let capacity: usize = addresses.shards.iter().map(|shard| shard.lock().unwrap().capacity()).sum();
        assert_eq!(capacity, 0);
    }
}
