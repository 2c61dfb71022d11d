//! Who may be asked for answers now: those whom the last answer named, and for a short hold those whom it left out.
//!
//! In: answers and the time. Out: the instances, and which of them are only held. Refuses: more than a service may have; those that are only held
//! make room first. Never: reads a clock, or does I/O.
//!
//! A held instance gets nothing while one that is named may answer, so that one that was taken out is asked no more. But some name services answer
//! with another part of the instances each time, and then the load would jump from part to part. So an instance that came back within its hold is
//! not passed over in the holds that follow, for as long as it goes on coming back: the whole of such answers is used.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use wire::resolver::families::Family;

use crate::endpoint::Address;
use crate::endpoints::{ENDPOINTS_MAX, Found};

/// Those who are named and those who are remembered, together.
const MEMBERS_MAX: usize = 2 * ENDPOINTS_MAX;

/// For so many holds after it came back an instance counts as one that answers leave out by whim.
const WHIM_HOLDS: u32 = 12;

/// The instances of one service, by what the answers say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster(BTreeMap<Key, Member>);

type Key = (Address, Option<Box<str>>);

#[derive(Clone, Debug)]
struct Member {
    weight: u16,
    priority: u16,
    /// When an answer first left it out; `None` while it is named.
    vanished: Option<Instant>,
    /// When an answer last named it again within its hold.
    came_back: Option<Instant>,
}

/// The instances at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Present {
    /// All of them.
    pub(crate) found: Vec<Found>,
    /// Those of them that are asked only when no other may answer.
    pub(crate) held: Vec<Found>,
}

impl Roster {
    /// Takes in a whole answer: whom it leaves out begins the hold.
    pub(crate) fn answer(&mut self, found: Vec<Found>, now: Instant) {
        let mut left: BTreeMap<Key, Member> = std::mem::take(&mut self.0);
        self.add_from(&mut left, found, now);
        for (key, mut member) in left {
            if self.0.len() < MEMBERS_MAX {
                member.vanished.get_or_insert(now);
                self.0.insert(key, member);
            }
        }
    }

    /// Takes in a part of an answer that is not whole yet: it adds, and says nothing of the others.
    pub(crate) fn part(&mut self, found: Vec<Found>, now: Instant) {
        let mut known = std::mem::take(&mut self.0);
        self.add_from(&mut known, found, now);
        self.0.append(&mut known);
    }

    fn add_from(&mut self, known: &mut BTreeMap<Key, Member>, found: Vec<Found>, now: Instant) {
        for Found { address, host, weight, priority } in found {
            let key = (address, host);
            if let Some(twin) = self.0.get_mut(&key) {
                // One address counts once, in the best of the tiers that name it.
                (twin.priority, twin.weight) = (twin.priority, twin.weight).min((priority, weight));
                continue;
            }
            if self.0.len() >= ENDPOINTS_MAX {
                continue;
            }
            let former = known.remove(&key);
            let came_back = former.and_then(|former| if former.vanished.is_some() { Some(now) } else { former.came_back });
            self.0.insert(key, Member { weight, priority, vanished: None, came_back });
        }
    }

    /// Those at addresses of this family that no answer has left out.
    pub(crate) fn named_in(&self, family: Family) -> Vec<Found> {
        let is_in = |address: &Address| matches!(address, Address::Tcp(socket) if Family::of(&socket.ip()) == family);
        let named = self.0.iter().filter(|((address, _), member)| member.vanished.is_none() && is_in(address));
        named.map(|(key, member)| found(key, member)).collect()
    }

    /// Lets those go whose hold is over.
    pub(crate) fn expire(&mut self, now: Instant, hold: Duration) {
        self.0.retain(|_, member| member.vanished.is_none_or(|vanished| now < vanished + hold));
    }

    /// When the next hold is over, if one runs.
    pub(crate) fn next_end(&self, hold: Duration) -> Option<Instant> {
        self.0.values().filter_map(|member| member.vanished).min().map(|vanished| vanished + hold)
    }

    /// Nobody is left.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether an answer has left this one out.
    pub(crate) fn has_vanished(&self, address: &Address, host: Option<&str>) -> bool {
        self.0.get(&(address.clone(), host.map(Into::into))).is_some_and(|member| member.vanished.is_some())
    }

    /// Everybody, and who is only held.
    pub(crate) fn present(&self, now: Instant, hold: Duration) -> Present {
        let mut present = Present::default();
        let (named, vanished): (Vec<_>, Vec<_>) = self.0.iter().partition(|(_, member)| member.vanished.is_none());
        for (key, member) in named.into_iter().chain(vanished).take(ENDPOINTS_MAX) {
            let found = found(key, member);
            let by_whim = member.came_back.is_some_and(|back| now < back + hold * WHIM_HOLDS);
            if member.vanished.is_some() && !by_whim {
                present.held.push(found.clone());
            }
            present.found.push(found);
        }
        present.found.sort();
        present.held.sort();
        present
    }
}

fn found(key: &Key, member: &Member) -> Found {
    let (address, host) = key.clone();
    Found { address, host, weight: member.weight, priority: member.priority }
}

#[cfg(test)]
#[path = "roster_tests.rs"]
mod tests;
