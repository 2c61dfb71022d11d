//! One accepted change of a service's instances, as operators see it, and the last of them.
//!
//! In: the set before and after, and who said what. Out: a numbered record that never changes. Never: grows: names beyond a ceiling are counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::endpoint::Address;
use crate::endpoints::{EndpointSet, Found};
use crate::lookup::Provenance;

/// Generations of one service that are kept.
pub const GENERATIONS_MAX: usize = 32;

/// Instances that one list of a generation names; the rest are counted.
pub const NAMES_MAX: usize = 64;

/// Why a generation was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// An answer named others than before, or gave them other shares.
    Answer,
    /// A part of the first answer: what it leads to is still being looked up.
    Part,
    /// An answer left some out, which are held, and changed nothing else.
    Held,
    /// A hold is over, and who was held is gone.
    HoldOver,
    /// The name service has said for too long that there is nothing.
    AbsentOver,
    /// There was no answer for too long.
    UnansweredOver,
    /// The configuration lists them.
    Configuration,
    /// A file lists them.
    File,
    /// A newer configuration reaches the same instances in another way.
    Reload,
}

impl Why {
    /// The word for it, as in `/services`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Part => "part",
            Self::Held => "held",
            Self::HoldOver => "hold_over",
            Self::AbsentOver => "absent_over",
            Self::UnansweredOver => "unanswered_over",
            Self::Configuration => "configuration",
            Self::File => "file",
            Self::Reload => "reload",
        }
    }
}

/// One generation of the instances of a service, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Generation {
    /// Its number; those of a service only rise.
    pub generation: u64,
    /// When it was accepted, in Unix milliseconds.
    pub at_ms: u64,
    /// Why it was made.
    pub why: Why,
    /// The name server that gave the answer; absent where nobody was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// The response code of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rcode: Option<&'static str>,
    /// How long the answer said it may be kept, in milliseconds, before the clamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// The instances of it, those that are held included.
    pub instances: usize,
    /// Those that were not in the generation before.
    pub added: Names,
    /// Those of the generation before that are not in it.
    pub removed: Names,
    /// Those whose weight or priority is another one.
    pub changed: Names,
    /// Those that no answer names any more, and that are asked only when no other may answer.
    pub held: Names,
}

/// Addresses of instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Names {
    /// How many they are.
    pub count: usize,
    /// The first of them.
    pub first: Vec<String>,
}

impl Names {
    fn of<'a>(all: impl Iterator<Item = &'a Address>) -> Self {
        let mut names = Self::default();
        for address in all {
            names.count += 1;
            if names.first.len() < NAMES_MAX {
                names.first.push(address.to_string());
            }
        }
        names
    }
}

/// Whose word a generation goes by.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) why: Why,
    pub(crate) said: Option<Provenance>,
    pub(crate) ttl: Option<Duration>,
}

impl Word {
    /// Nobody was asked.
    pub(crate) fn own(why: Why) -> Self {
        Self { why, said: None, ttl: None }
    }
}

impl Generation {
    /// What `next` changes of `before`.
    pub(crate) fn between(before: &EndpointSet, next: &EndpointSet, word: Word, at_ms: u64) -> Self {
        let key = |one: &Found| (one.address.clone(), one.host.clone());
        let known: BTreeMap<_, _> = before.found().iter().map(|one| (key(one), one)).collect();
        let now: BTreeMap<_, _> = next.found().iter().map(|one| (key(one), one)).collect();
        let added = now.iter().filter(|(key, _)| !known.contains_key(*key)).map(|((address, _), _)| address);
        let removed = known.iter().filter(|(key, _)| !now.contains_key(*key)).map(|((address, _), _)| address);
        let changed = now.iter().filter(|(key, one)| known.get(*key).is_some_and(|former| former != *one)).map(|((address, _), _)| address);
        let (server, rcode) = word.said.map_or((None, None), |said| (Some(said.server), Some(said.rcode)));
        Self {
            generation: next.generation(),
            at_ms,
            why: word.why,
            server,
            rcode,
            ttl_ms: word.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)),
            instances: next.endpoints().len(),
            added: Names::of(added),
            removed: Names::of(removed),
            changed: Names::of(changed),
            held: Names::of(next.held().iter().map(|one| &one.address)),
        }
    }
}

/// The last generations of one service, over all ways of finding its instances.
#[derive(Debug, Default)]
pub(crate) struct History {
    numbers: AtomicU64,
    last: Mutex<VecDeque<Arc<Generation>>>,
}

impl History {
    /// The number of the next generation; no other gets it.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Keeps one more, in place of the oldest.
    pub(crate) fn keep(&self, generation: Generation) {
        let mut last = self.last();
        if last.len() == GENERATIONS_MAX {
            last.pop_front();
        }
        last.push_back(Arc::new(generation));
    }

    /// The newest first.
    pub(crate) fn all(&self) -> Vec<Arc<Generation>> {
        self.last().iter().rev().cloned().collect()
    }

    /// One by its number, while it is kept.
    pub(crate) fn get(&self, number: u64) -> Option<Arc<Generation>> {
        self.last().iter().rev().find(|one| one.generation == number).cloned()
    }

    /// The list is whole between two statements, so that a panic elsewhere does not spoil it.
    fn last(&self) -> MutexGuard<'_, VecDeque<Arc<Generation>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(port: u16, weight: u16) -> Found {
        Found { address: Address::Tcp(([127, 0, 0, 1], port).into()), host: None, weight, priority: 0 }
    }

    #[test]
    fn a_generation_tells_what_is_other_than_before() {
        let first = EndpointSet::after(&EndpointSet::default(), vec![found(1, 1), found(2, 1), found(3, 1)]).expect("first");
        let second = EndpointSet::after_with(&first, vec![found(2, 5), found(3, 1), found(4, 1)], vec![found(3, 1)]).expect("second");
        let told = Generation::between(&first, &second, Word::own(Why::Answer), 7);
        let one = |names: &Names| (names.count, names.first.join(" "));
        assert_eq!(one(&told.added), (1, "127.0.0.1:4".to_owned()));
        assert_eq!(one(&told.removed), (1, "127.0.0.1:1".to_owned()));
        assert_eq!(one(&told.changed), (1, "127.0.0.1:2".to_owned()));
        assert_eq!(one(&told.held), (1, "127.0.0.1:3".to_owned()));
        assert_eq!((told.generation, told.instances, told.at_ms), (2, 3, 7));
    }

    #[test]
    fn many_names_are_counted_and_old_generations_forgotten() {
        let set = EndpointSet::after(&EndpointSet::default(), (1..=1_000).map(|port| found(port, 1)).collect()).expect("set");
        let told = Generation::between(&EndpointSet::default(), &set, Word::own(Why::Answer), 0);
        assert_eq!((told.added.count, told.added.first.len()), (1_000, NAMES_MAX));
        let history = History::default();
        for _ in 0..100 {
            history.keep(Generation { generation: history.next_number(), ..told.clone() });
        }
        let all = history.all();
        assert_eq!((all.len(), all[0].generation, all[31].generation), (GENERATIONS_MAX, 100, 69));
        assert!(history.get(68).is_none() && history.get(69).is_some());
    }
}
