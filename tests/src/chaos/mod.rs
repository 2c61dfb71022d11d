//! Chaos: one thing after the other goes wrong under load, several at a time, in an order that a seed decides.
//!
//! In: a fleet, a load, a seed. Out: every event in the fleet's book. At most one instance and one replica of tier 2 are unwell at a time, and the
//! name service beside them. Never: goes on from a step before it was seen to be over by whoever it concerns.

#![allow(clippy::panic, clippy::print_stdout, reason = "chaos that cannot be made fails its test, and tells its seed first")]

mod draw;
pub mod script;

use std::time::Duration;

use gwctl::stage::instance::mood::Mood;
use settings::clock::Clock;

use crate::chaos::script::{Lane, Misfortune, Step};
use crate::fleet::Fleet;
use crate::fleet::event::What;
use crate::fleet::muster::LINK_TIMEOUT;
use crate::fleet::seat::Seat;
use crate::ledger::load::Load;

/// What a debug build on a busy machine may add to a deadline: an answer that was sent in time must still be carried to its client and be read.
pub const SLACK: Duration = Duration::from_secs(1);

/// No answer to a GET or a POST may come later. Tier 1 gives up at `link.timeout`, whatever tier 2 does meanwhile.
pub const DEADLINE: Duration = Duration::from_secs(LINK_TIMEOUT.as_secs() + SLACK.as_secs());

/// What is to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chaos {
    /// What everything is drawn from.
    pub seed: u64,
    /// How long new misfortunes begin.
    pub lasts: Duration,
    /// The kinds of misfortunes; all when it is empty.
    pub only: Vec<String>,
}

impl Chaos {
    /// A minute of everything.
    pub const MINUTE: Self = Self { seed: 0, lasts: Duration::from_secs(60), only: Vec::new() };

    /// A minute of a seed that nobody knows; `CHAOS_SEED`, `CHAOS_SECONDS` and `CHAOS_ONLY` (kinds with commas between them) say otherwise.
    #[must_use]
    pub fn of_environment() -> Self {
        let said = |name: &str| std::env::var(name).ok().filter(|said| !said.is_empty());
        let number = |name: &str| said(name).map(|said| said.parse::<u64>().unwrap_or_else(|fault| panic!("{name}={said}: {fault}")));
        let only = said("CHAOS_ONLY").map(|said| said.split(',').map(|kind| kind.trim().to_owned()).collect());
        Self {
            seed: number("CHAOS_SEED").unwrap_or_else(|| Clock::system().now_ms()),
            lasts: number("CHAOS_SECONDS").map_or(Self::MINUTE.lasts, Duration::from_secs),
            only: only.unwrap_or_default(),
        }
    }

    /// Lets it happen, and returns when all is well again.
    pub fn run(&self, fleet: &Fleet, load: &Load) {
        println!("{self}");
        let end = fleet.begun().elapsed() + self.lasts;
        let instances = fleet.seats().filter(|seat| matches!(seat, Seat::Instance(_))).count();
        let lanes = script::lanes(self.seed, instances, &self.only);
        assert!(!lanes.is_empty(), "CHAOS_ONLY names no kind of misfortune: {:?}", self.only);
        std::thread::scope(|scope| {
            for lane in lanes {
                scope.spawn(move || follow(lane, end, fleet, load));
            }
        });
    }
}

impl std::fmt::Display for Chaos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "chaos for {:?}; again with CHAOS_SEED={}", self.lasts, self.seed)
    }
}

/// One lane, until it is over.
fn follow(lane: Lane, end: Duration, fleet: &Fleet, load: &Load) {
    for step in lane {
        if fleet.begun().elapsed() >= end {
            return;
        }
        happen(&step, fleet);
        load.answers(step.then);
    }
}

/// One misfortune from its beginning to its end.
fn happen(step: &Step, fleet: &Fleet) {
    let Step { seat, what, lasts, .. } = *step;
    match what {
        Misfortune::Killed => fleet.kill(seat),
        Misfortune::Paused => fleet.pause(seat),
        Misfortune::Moody(mood) => {
            let before = fleet.begun().elapsed();
            fleet.order(seat, mood);
            fleet.happened(seat, What::Afflicted(name(mood)), before);
        }
        Misfortune::Names(fault) => fleet.fail_names(fault),
    }
    fleet.pass(lasts);
    match what {
        Misfortune::Killed => fleet.start(seat),
        Misfortune::Paused => fleet.go_on(seat),
        Misfortune::Moody(_) => fleet.order(seat, Mood::Well),
        Misfortune::Names(_) => fleet.mend_names(),
    }
    match seat {
        Seat::Instance(_) => fleet.wait_well(seat),
        Seat::Routing(_) => fleet.wait_believed(seat),
        Seat::Security(_) | Seat::Names => {}
    }
}

/// The kind of a mood.
fn name(mood: Mood) -> &'static str {
    match mood {
        Mood::Well => "well",
        Mood::Slow(_) => "slow",
        Mood::ResetsAtAccept => "resets-at-accept",
        Mood::ResetsAfterRequest => "resets-after-request",
        Mood::ResetsInAnswer => "resets-in-answer",
    }
}
