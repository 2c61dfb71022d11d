//! Nothing is lost, nothing is done twice, everything has one record: held by the ledger, under load from 32 clients that never retry.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tests::fleet::seat::{Seat, Tier};
use tests::fleet::{FLUSH, Fleet, INSTANCES};
use tests::ledger::account::Account;
use tests::ledger::entries::{Kind, Sent};
use tests::ledger::fault::{Deviation, Fault};
use tests::ledger::load::{Done, Load};

use crate::BINARIES;

/// One fleet at a time: each is eight processes and 32 clients.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A message that was on its way when its WebSocket was closed with 1001: its client knows that it may send it again.
pub(crate) fn told_to_go(deviation: &Deviation) -> bool {
    deviation.fault == Fault::Farewell
}

/// Ends the load, prints the account, and fails on whatever is not lawful.
pub(crate) fn settle(fleet: &Fleet, load: Load, lawful: impl Fn(&Deviation) -> bool) -> (Account, Vec<Sent>) {
    settle_done(fleet, load.finish(), None, lawful)
}

/// The same for a load that has ended, each of whose GETs and POSTs had a deadline or none.
#[allow(clippy::print_stdout, reason = "a helper of tests tells what they found")]
pub(crate) fn settle_done(
    fleet: &Fleet,
    done: Done,
    deadline: Option<Duration>,
    lawful: impl Fn(&Deviation) -> bool,
) -> (Account, Vec<Sent>) {
    let turned_away = done.turned_away;
    let (account, sent) = done.account(fleet, FLUSH, deadline);
    println!("{account}{turned_away} connections went to the other replica before their first byte");
    let complaint = account.complaint(lawful, |id| fleet.excerpts(id));
    assert!(complaint.is_empty(), "{account}\n{complaint}");
    (account, sent)
}

#[test]
fn without_disturbance_every_book_says_the_same() {
    let _alone = alone();
    let fleet = Fleet::raise(&BINARIES);
    let load = Load::start(&fleet);
    load.answers(1_500);
    let (account, _) = settle(&fleet, load, |_| false);
    for kind in Kind::ALL {
        assert!(account.answered[&kind] > 0, "the load has every kind:\n{account}");
    }
}

#[test]
fn a_rolling_restart_of_every_process_loses_nothing() {
    let _alone = alone();
    let fleet = Fleet::raise(&BINARIES);
    let load = Load::start(&fleet);
    load.answers(200);
    for seat in fleet.seats().collect::<Vec<_>>() {
        fleet.restart(seat);
        load.answers(100);
    }
    settle(&fleet, load, told_to_go);
}

#[test]
fn killed_instances_and_a_killed_routing_tier_lose_no_idempotent_request() {
    let _alone = alone();
    let fleet = Fleet::raise(&BINARIES);
    let load = Load::start(&fleet);
    load.answers(200);
    for seat in [Seat::Instance(0), Seat::Instance(1), Seat::Routing(0), Seat::Instance(2), Seat::Routing(1)] {
        fleet.kill(seat);
        load.answers(150);
        fleet.start(seat);
        load.answers(150);
    }
    // What is cut after its head is told apart; a session that is cut is one, and its message on the way is lost with it.
    settle(&fleet, load, |deviation| match deviation.fault {
        Fault::Cut => true,
        Fault::Lost | Fault::Refused => !deviation.is_idempotent(),
        _ => false,
    });
}

#[test]
fn a_killed_security_tier_loses_what_was_in_flight_in_it_and_no_more() {
    let _alone = alone();
    let fleet = Fleet::raise(&BINARIES);
    let load = Load::start(&fleet);
    load.answers(200);
    for seat in Tier::Security.seats() {
        fleet.kill(seat);
        load.answers(150);
        fleet.start(seat);
        load.answers(150);
    }
    settle(&fleet, load, |deviation| match deviation.fault {
        Fault::Lost | Fault::Cut => deviation.in_killed,
        Fault::RecordUnflushed => true,
        _ => false,
    });
    assert_eq!(fleet.seats().count(), 4 + INSTANCES);
}
