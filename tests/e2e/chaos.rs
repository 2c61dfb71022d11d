//! A minute of bad days: instances die, stand still, reset and crawl, names fail in every way, a replica of tier 2 dies and comes back.

use std::collections::BTreeMap;

use tests::chaos::script::OF_INSTANCES;
use tests::chaos::{Chaos, DEADLINE, SLACK};
use tests::fleet::Fleet;
use tests::fleet::event::What;
use tests::fleet::misfortune::NamesFault;
use tests::fleet::muster::Muster;
use tests::fleet::seat::Seat;
use tests::ledger::entries::Kind;
use tests::ledger::fault::{Deviation, Fault};
use tests::ledger::latency::Latency;
use tests::ledger::load::Load;
use tests::rig::quiet::Quiet;

use crate::BINARIES;
use crate::ledger::settle_done;

/// What chaos may cost. A POST may be refused, and so may a message be lost with its session: who carries them must not send them twice. A session
/// that runs over what dies is cut.
fn lawful(deviation: &Deviation) -> bool {
    matches!(
        (deviation.fault, deviation.kind),
        (Fault::Refused | Fault::Cut, Some(Kind::Post))
            | (Fault::Cut, Some(Kind::Session))
            | (Fault::Lost | Fault::Farewell, Some(Kind::Message))
    )
}

/// Why a POST may be refused: it had been sent. While four of five instances and one of two replicas are well, nothing else is a reason.
const REASONS: [&str; 3] = ["502 link-reset", "502 upstream-reset", "504 upstream-timeout"];

/// So many POSTs are answered in a minute on any machine.
const POSTS_MIN: usize = 500;

/// Of a hundred POSTs of a whole minute no more may be refused. Two or three are; on a slower machine as many fail of fewer.
const REFUSED_PERCENT_MAX: usize = 10;

#[test]
#[allow(clippy::print_stdout, reason = "it tells what it found")]
fn a_minute_of_chaos_loses_no_idempotent_request_and_does_nothing_twice() {
    let _alone = Quiet::wait();
    let chaos = Chaos::of_environment();
    let fleet = Fleet::muster(&BINARIES, Muster::CHAOS);
    let load = Load::start(&fleet);
    load.answers(200);
    chaos.run(&fleet, &load);
    load.answers(200);
    let (account, sent) = settle_done(&fleet, load.finish(), Some(DEADLINE), lawful);

    for (kind, reason) in account.refused.keys() {
        assert!(REASONS.contains(&reason.as_str()), "a {kind:?} was refused with {reason}:\n{account}");
    }
    for kind in [Kind::Get, Kind::Post] {
        println!("{kind:?}: {:?}", Latency::among(&sent, |one| one.kind == kind));
    }
    println!("nothing took longer than {DEADLINE:?}, of which {SLACK:?} are for this machine");
    let mut befell: BTreeMap<String, usize> = BTreeMap::new();
    for event in fleet.events() {
        match (event.seat, event.what) {
            (_, What::Afflicted(kind)) => *befell.entry(kind.to_owned()).or_default() += 1,
            (Seat::Instance(_), What::Killed) => *befell.entry("killed".to_owned()).or_default() += 1,
            (seat, What::Killed) => *befell.entry(format!("{seat} killed")).or_default() += 1,
            _ => {}
        }
    }
    println!("{chaos}: {befell:?}");
    let is_whole = chaos == (Chaos { seed: chaos.seed, ..Chaos::MINUTE });
    if is_whole {
        for kind in OF_INSTANCES.into_iter().chain(NamesFault::ALL.map(NamesFault::name)) {
            assert!(befell.contains_key(kind), "nothing was {kind} in {befell:?}");
        }
        assert!(befell.keys().any(|kind| kind.starts_with("routing-")), "no replica of tier 2 was killed: {befell:?}");
    }
    assert!(account.answered[&Kind::Get] > 1_000, "the load went on:\n{account}");
    let posts = account.sent[&Kind::Post];
    let answered = account.answered.get(&Kind::Post).copied().unwrap_or(0);
    let refused: usize = account.refused.iter().filter(|((kind, _), _)| *kind == Kind::Post).map(|(_, count)| count).sum();
    println!("of {posts} POSTs {answered} were answered and {refused} refused");
    if is_whole {
        assert!(answered > POSTS_MIN, "the load went on with POSTs too:\n{account}");
        assert!(refused * 100 <= posts * REFUSED_PERCENT_MAX, "{refused} of {posts} POSTs were refused:\n{account}");
    }
}
