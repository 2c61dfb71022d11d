//! Another configuration and another executable, under the load of the ledger: nobody notices.

use std::time::Duration;

use tests::fleet::Fleet;
use tests::fleet::event::What;
use tests::fleet::seat::{Seat, Tier};
use tests::ledger::latency::Latency;
use tests::ledger::load::{Crowd, Done, Load};

use crate::BINARIES;
use crate::ledger::{alone, settle, settle_done, told_to_go};

/// Reloads of each tier.
const RELOADS: usize = 100;
/// Upgrades of each tier.
const UPGRADES: usize = 10;
/// Clients that connect at the switch, beside those of the load.
const CROWD: usize = 8;

#[test]
fn a_hundred_alternating_reloads_of_each_tier_lose_nothing() {
    let _alone = alone();
    let fleet = Fleet::raise(&BINARIES);
    let load = Load::start(&fleet);
    load.answers(1_500);
    for turn in 1..=RELOADS {
        for tier in [Tier::Security, Tier::Routing] {
            fleet.reload(tier, turn);
            load.answers(15);
        }
    }
    load.answers(200);
    for seat in Tier::Security.seats().into_iter().chain(Tier::Routing.seats()) {
        let generation = fleet.process(seat).generation();
        assert!(generation > RELOADS as u64, "{seat} serves generation {generation}");
    }
    let (_, sent) = settle(&fleet, load, |_| false);
    let reloads: Vec<_> = fleet.events().into_iter().filter(|event| event.what == What::Reloaded).collect();
    let (first, last) = (reloads.first().expect("a reload").before, reloads.last().expect("a reload").after);
    // The first second is everybody's handshake.
    let calm = Latency::of(&sent, |begun| begun > Duration::from_secs(1) && begun < first);
    let during = Latency::of(&sent, |begun| begun >= first && begun < last);
    let longest = reloads.iter().map(|reload| reload.after - reload.before).max().unwrap_or_default();
    println!("{} reloads in {:?}, the longest {longest:?}", reloads.len(), last - first);
    println!("without reloads {calm:?}\nwith reloads    {during:?}");
}

#[test]
fn ten_upgrades_of_each_tier_with_connections_waiting_at_the_switch_lose_nothing() {
    let _alone = alone();
    let fleet = Fleet::raise(&BINARIES);
    let load = Load::start(&fleet);
    load.answers(200);
    let mut crowds = Vec::new();
    for turn in 0..UPGRADES {
        let replica = turn % 2;
        let waited = fleet.upgrade(Seat::Security(replica), || crowds.push(load.crowd(&format!("crowd{turn}"), replica, CROWD)));
        println!("upgrade {turn} of security-{}: {waited} waited at the switch", replica + 1);
        // Towards tier 2 it is tier 1 that connects: its connections are busy while nobody answers.
        let waited = fleet.upgrade(Seat::Routing(replica), || {});
        println!("upgrade {turn} of routing-{}: {waited} waited at the switch", replica + 1);
        load.answers(50);
    }
    let crowds: Vec<Done> = crowds.into_iter().map(Crowd::finish).collect();
    assert_eq!(crowds.iter().map(|crowd| crowd.turned_away).sum::<u64>(), 0, "nobody who waited at the switch was turned away");
    assert_eq!(crowds.iter().map(|crowd| crowd.sent.len()).sum::<usize>(), UPGRADES * CROWD);
    let mut done = load.finish();
    done.sent.extend(crowds.into_iter().flat_map(|crowd| crowd.sent));
    settle_done(&fleet, done, None, told_to_go);
}
