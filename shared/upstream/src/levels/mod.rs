//! The instances of one generation by their tiers of failover: those of the lowest SRV priority come first (RFC 2782).
//!
//! In: what discovery found, and what is known of each instance when it is counted anew. Out: the level that takes the requests now.
//! Never: counts for each request: events that change a rank do, and once in [`RECOUNT_MS`] whoever picks first, for penalties end by themselves.

pub(crate) mod maglev;
pub(crate) mod shares;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::endpoint::Endpoint;
use crate::endpoints::Found;
use crate::health::standing::Standing;
use crate::levels::maglev::Maglev;
use crate::levels::shares::Shares;
use crate::pick::rank::{is_usable, is_willing};

/// The longest time in milliseconds for which a count is believed.
pub(crate) const RECOUNT_MS: u64 = 1_000;

/// The levels of one generation, lowest priority number first.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    all: Vec<Level>,
    /// All instances by the hashes of their addresses, in order.
    by_hash: Vec<(u64, Arc<Endpoint>)>,
    /// When the next count is due; the first pick makes the first one.
    due_ms: AtomicU64,
}

/// The instances of one priority.
#[derive(Debug)]
pub(crate) struct Level {
    priority: u16,
    members: Vec<Arc<Endpoint>>,
    shares: Shares,
    /// How many members may be used, when they were last counted.
    usable: AtomicU32,
    /// The sum of their shares.
    usable_share: AtomicU64,
    /// How many of them discovery names, and does not only hold.
    named: AtomicU32,
    /// How many of these do not say themselves that they are not to be used.
    willing: AtomicU32,
    /// How many of those that may be used have passed a check.
    proved: AtomicU32,
    table: OnceLock<Option<Maglev>>,
}

/// Which level takes the requests now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Its place among the levels.
    pub(crate) place: usize,
    /// Every level has too few usable instances, so that what is said of them is doubted.
    pub(crate) is_panic: bool,
}

impl Levels {
    /// The levels of `endpoints`, which were `found` in the same order.
    pub(crate) fn of(found: &[Found], endpoints: &[Arc<Endpoint>]) -> Self {
        let mut by_priority: BTreeMap<u16, (Vec<Arc<Endpoint>>, Vec<u16>)> = BTreeMap::new();
        for (one, endpoint) in found.iter().zip(endpoints) {
            let (members, weights) = by_priority.entry(one.priority).or_default();
            members.push(Arc::clone(endpoint));
            weights.push(one.weight);
        }
        let level = |(priority, (members, weights)): (u16, (Vec<Arc<Endpoint>>, Vec<u16>))| Level {
            priority,
            usable: AtomicU32::new(0),
            usable_share: AtomicU64::new(0),
            named: AtomicU32::new(0),
            willing: AtomicU32::new(0),
            proved: AtomicU32::new(0),
            shares: Shares::of(&weights),
            members,
            table: OnceLock::new(),
        };
        let mut by_hash: Vec<_> = endpoints.iter().map(|endpoint| (endpoint.hash(), Arc::clone(endpoint))).collect();
        by_hash.sort_by_key(|(hash, endpoint)| (*hash, endpoint.id()));
        Self { all: by_priority.into_iter().map(level).collect(), by_hash, due_ms: AtomicU64::new(0) }
    }

    /// All of them, in the order of failover.
    pub(crate) fn all(&self) -> &[Level] {
        &self.all
    }

    /// The instance whose address has this hash.
    pub(crate) fn named(&self, hash: u64) -> Option<&Arc<Endpoint>> {
        let place = self.by_hash.partition_point(|(known, _)| *known < hash);
        self.by_hash.get(place).filter(|(known, _)| *known == hash).map(|(_, endpoint)| endpoint)
    }

    /// Counts the usable instances of every level.
    pub(crate) fn recount(&self, now_ms: u64) {
        self.due_ms.store(now_ms + RECOUNT_MS, Ordering::Relaxed);
        for level in &self.all {
            let (mut usable, mut usable_share, mut named, mut willing, mut proved) = (0, 0, 0, 0, 0);
            for (place, endpoint) in level.members.iter().enumerate().filter(|(_, endpoint)| !endpoint.is_held()) {
                named += 1;
                willing += u32::from(is_willing(endpoint));
                if is_usable(endpoint, now_ms) {
                    usable += 1;
                    proved += u32::from(endpoint.standing() == Standing::Healthy);
                    usable_share += level.shares.share(place);
                }
            }
            level.usable.store(usable, Ordering::Relaxed);
            level.usable_share.store(usable_share, Ordering::Relaxed);
            level.named.store(named, Ordering::Relaxed);
            level.willing.store(willing, Ordering::Relaxed);
            level.proved.store(proved, Ordering::Relaxed);
        }
    }

    /// Counts, if the last count is too old.
    pub(crate) fn freshen(&self, now_ms: u64) {
        let due = self.due_ms.load(Ordering::Relaxed);
        // One of all workers counts; the others go on by the count before.
        if now_ms >= due && self.due_ms.compare_exchange(due, now_ms + RECOUNT_MS, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.recount(now_ms);
        }
    }

    /// The first level of which at least `panic_percent` of the instances may be used (at 0: any); where there is none, the one with the largest
    /// usable part. That is panic where too few may be used of those that say nothing against themselves: their own word is not to be doubted.
    pub(crate) fn choose(&self, panic_percent: u32) -> Chosen {
        if let Some(place) = self.all.iter().position(|level| level.holds(panic_percent)) {
            return Chosen { place, is_panic: false };
        }
        let part = |level: &Level| u64::from(level.usable()) * 1_000_000 / u64::from(level.named.load(Ordering::Relaxed)).max(1);
        let best = self.all.iter().enumerate().max_by_key(|(place, level)| (part(level), std::cmp::Reverse(*place)));
        let is_panic = panic_percent > 0 && best.is_none_or(|(_, level)| !level.holds_of(&level.willing, panic_percent));
        Chosen { place: best.map_or(0, |(place, _)| place), is_panic }
    }

    /// Makes the tables of `consistent_hash`, where they are not made yet. This takes milliseconds: it is for the control runtime.
    pub(crate) fn tabulate(&self) {
        for level in &self.all {
            level.table.get_or_init(|| {
                let instance = |(place, endpoint): (usize, &Arc<Endpoint>)| (endpoint.hash(), level.shares.share(place));
                Maglev::build(&level.members.iter().enumerate().map(instance).collect::<Vec<_>>())
            });
        }
    }
}

impl Level {
    /// The priority number of its members.
    pub(crate) fn priority(&self) -> u16 {
        self.priority
    }

    /// Its instances, ordered by address.
    pub(crate) fn members(&self) -> &[Arc<Endpoint>] {
        &self.members
    }

    /// Their shares, by the same places.
    pub(crate) fn shares(&self) -> &Shares {
        &self.shares
    }

    /// How many of them may be used, when they were last counted.
    pub(crate) fn usable(&self) -> u32 {
        self.usable.load(Ordering::Relaxed)
    }

    /// Whether none of them had passed a check when they were last counted, so that having passed none tells nobody from the others.
    pub(crate) fn is_unproved(&self) -> bool {
        self.proved.load(Ordering::Relaxed) == 0
    }

    /// The sum of the shares of those, when they were last counted.
    pub(crate) fn usable_share(&self) -> u64 {
        self.usable_share.load(Ordering::Relaxed)
    }

    /// Where keys belong; `None` unless [`Levels::tabulate`] was called.
    pub(crate) fn table(&self) -> Option<&Maglev> {
        self.table.get().and_then(Option::as_ref)
    }

    fn holds(&self, panic_percent: u32) -> bool {
        self.holds_of(&self.named, panic_percent)
    }

    /// Whether at least `panic_percent` of so many may be used.
    fn holds_of(&self, all: &AtomicU32, panic_percent: u32) -> bool {
        let usable = u64::from(self.usable());
        usable > 0 && usable * 100 >= u64::from(panic_percent) * u64::from(all.load(Ordering::Relaxed))
    }
}
