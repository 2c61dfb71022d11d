//! What befalls whom for how long: three lanes of misfortunes, drawn from a seed and from nothing else.
//!
//! Each lane has one thing wrong at a time: one instance, one replica of tier 2, the name service. Every kind comes once before any comes again.

use std::time::Duration;

use gwctl::stage::instance::mood::Mood;

use crate::chaos::draw::Draw;
use crate::fleet::misfortune::NamesFault;
use crate::fleet::seat::{Seat, Tier};

/// A misfortune.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfortune {
    /// `kill -9`, and a start when it is over.
    Killed,
    /// SIGSTOP, and SIGCONT when it is over.
    Paused,
    /// The instance is told to be so.
    Moody(Mood),
    /// The name service fails in this way.
    Names(NamesFault),
}

/// One step of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Whom it befalls.
    pub seat: Seat,
    /// What.
    pub what: Misfortune,
    /// How long.
    pub lasts: Duration,
    /// So many requests are answered before the next one.
    pub then: u64,
}

/// A lane; it never ends.
#[derive(Clone, Debug)]
pub struct Lane {
    draw: Draw,
    seats: Vec<Seat>,
    kinds: Vec<&'static str>,
    round: Vec<&'static str>,
    lasts_ms: (u64, u64),
    then: (u64, u64),
}

/// The kinds of an instance.
pub const OF_INSTANCES: [&str; 6] = ["killed", "paused", "slow", "resets-at-accept", "resets-after-request", "resets-in-answer"];
/// Who is so may outlast every deadline.
const LONG: [&str; 2] = ["paused", "slow"];
const LONG_MS_MAX: u64 = 8_000;
/// The kind of a replica of tier 2.
pub const OF_ROUTING: [&str; 1] = ["routing-killed"];

/// The three lanes of a seed; `only` leaves out every kind that it does not name, unless it is empty.
#[must_use]
pub fn lanes(seed: u64, instances: usize, only: &[String]) -> Vec<Lane> {
    let lane = |stream, seats, kinds: &[&'static str], lasts_ms, then| Lane {
        draw: Draw::of(seed, stream),
        seats,
        kinds: kinds.iter().copied().filter(|kind| only.is_empty() || only.iter().any(|one| one == kind)).collect(),
        round: Vec::new(),
        lasts_ms,
        then,
    };
    let lanes = [
        lane(0, (0..instances).map(Seat::Instance).collect(), &OF_INSTANCES, (800, 2_500), (20, 100)),
        lane(1, Tier::Routing.seats().to_vec(), &OF_ROUTING, (500, 2_500), (20, 100)),
        // Names are well for long enough that a process which was started without them finds its own.
        lane(2, vec![Seat::Names], &NamesFault::ALL.map(NamesFault::name), (500, 2_000), (60, 200)),
    ];
    lanes.into_iter().filter(|lane| !lane.kinds.is_empty()).collect()
}

impl Iterator for Lane {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.round.is_empty() {
            self.round.clone_from(&self.kinds);
            self.draw.shuffle(&mut self.round);
        }
        let kind = self.round.pop()?;
        let seat = self.seats[self.draw.between(0, self.seats.len() as u64 - 1) as usize];
        // From what the clients wait for anyway to more than any deadline.
        let slow = Duration::from_millis(self.draw.between(200, 8_000));
        let longest = if LONG.contains(&kind) { LONG_MS_MAX } else { self.lasts_ms.1 };
        let lasts = Duration::from_millis(self.draw.between(self.lasts_ms.0, longest));
        Some(Step { seat, what: misfortune(kind, slow), lasts, then: self.draw.between(self.then.0, self.then.1) })
    }
}

fn misfortune(kind: &'static str, slow: Duration) -> Misfortune {
    match kind {
        "killed" | "routing-killed" => Misfortune::Killed,
        "paused" => Misfortune::Paused,
        "slow" => Misfortune::Moody(Mood::Slow(slow)),
        "resets-at-accept" => Misfortune::Moody(Mood::ResetsAtAccept),
        "resets-after-request" => Misfortune::Moody(Mood::ResetsAfterRequest),
        "resets-in-answer" => Misfortune::Moody(Mood::ResetsInAnswer),
        name => {
            let fault = NamesFault::ALL.into_iter().find(|fault| fault.name() == name);
            Misfortune::Names(fault.unwrap_or_else(|| panic!("{name} is no misfortune")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn first(seed: u64, only: &[&str], count: usize) -> Vec<Vec<Step>> {
        let only: Vec<_> = only.iter().map(|one| (*one).to_owned()).collect();
        lanes(seed, 5, &only).into_iter().map(|lane| lane.take(count).collect()).collect()
    }

    #[test]
    fn a_seed_says_everything_and_another_one_says_something_else() {
        assert_eq!(first(7, &[], 40), first(7, &[], 40));
        assert_ne!(first(7, &[], 40), first(8, &[], 40));
    }

    #[test]
    fn every_kind_comes_once_in_each_round_and_to_everybody_in_time() {
        let [instances, routing, names] = <[_; 3]>::try_from(first(7, &[], 84)).unwrap();
        for (lane, kinds) in [(&instances, OF_INSTANCES.len()), (&names, NamesFault::ALL.len())] {
            for round in lane.chunks(kinds) {
                let met: BTreeSet<_> =
                    round.iter().map(|step| format!("{:?}", step.what).split('(').next_back().map(str::to_owned)).collect();
                assert!(met.len() >= kinds - 1, "{round:?}");
            }
        }
        for (lane, seats) in [(&instances, 5), (&routing, 2), (&names, 1)] {
            assert_eq!(lane.iter().map(|step| step.seat).collect::<BTreeSet<_>>().len(), seats);
        }
    }

    #[test]
    fn one_kind_can_be_had_alone() {
        let paused = first(7, &["paused"], 9);
        assert!(paused.len() == 1 && paused[0].iter().all(|step| step.what == Misfortune::Paused), "{paused:?}");
        let two = first(7, &["names-refused", "routing-killed"], 3);
        assert_eq!((two.len(), two[1][2].what), (2, Misfortune::Names(NamesFault::Refused)));
        assert!(first(7, &["nothing"], 1).is_empty());
    }
}
