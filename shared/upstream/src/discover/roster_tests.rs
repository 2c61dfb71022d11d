//! Holds, whims and ceilings, by times that the tests say.

use super::*;

const HOLD: Duration = Duration::from_secs(5);

fn found(port: u16) -> Found {
    Found { address: Address::Tcp(([10, 0, 0, 1], port).into()), host: None, weight: 1, priority: 0 }
}

fn answer(ports: impl IntoIterator<Item = u16>) -> Vec<Found> {
    ports.into_iter().map(found).collect()
}

fn ports(list: &[Found]) -> Vec<u16> {
    let port = |one: &Found| match &one.address {
        Address::Tcp(address) => address.port(),
        Address::Unix(_) => 0,
    };
    list.iter().map(port).collect()
}

fn shown(roster: &Roster, now: Instant) -> (Vec<u16>, Vec<u16>) {
    let present = roster.present(now, HOLD);
    (ports(&present.found), ports(&present.held))
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn who_is_left_out_is_held_and_then_goes() {
    let (mut roster, begin) = (Roster::default(), Instant::now());
    roster.answer(answer([1, 2]), begin);
    roster.answer(answer([2]), begin + s(1));
    assert_eq!(shown(&roster, begin + s(1)), (vec![1, 2], vec![1]));
    assert_eq!(roster.next_end(HOLD), Some(begin + s(6)));
    // Further answers without it do not make the hold longer.
    roster.answer(answer([2]), begin + s(4));
    roster.expire(begin + s(5), HOLD);
    assert_eq!(shown(&roster, begin + s(5)), (vec![1, 2], vec![1]));
    roster.expire(begin + s(6), HOLD);
    assert_eq!((shown(&roster, begin + s(6)), roster.next_end(HOLD)), ((vec![2], vec![]), None));
}

#[test]
fn who_came_back_is_used_through_the_whims_that_follow_and_goes_in_the_end() {
    let (mut roster, begin) = (Roster::default(), Instant::now());
    roster.answer(answer(1..=4), begin);
    // Each answer names two of four, turn by turn.
    for turn in 1..=20 {
        let now = begin + s(turn);
        roster.answer(if turn % 2 == 0 { answer([1, 2]) } else { answer([3, 4]) }, now);
        roster.expire(now, HOLD);
        let (all, held) = shown(&roster, now);
        assert_eq!(all, [1, 2, 3, 4], "turn {turn}");
        assert_eq!(held.is_empty(), turn >= 3, "turn {turn}: {held:?}");
    }
    let gone = begin + s(21);
    roster.answer(answer([3, 4]), gone);
    roster.expire(gone + s(4), HOLD);
    assert_eq!(shown(&roster, gone + s(4)).0, [1, 2, 3, 4]);
    roster.answer(answer([3, 4]), gone + s(5));
    roster.expire(gone + s(5), HOLD);
    assert_eq!(shown(&roster, gone + s(5)).0, [3, 4]);
}

#[test]
fn a_whim_is_forgotten() {
    let (mut roster, begin) = (Roster::default(), Instant::now());
    for (at, named) in [(0, vec![1, 2]), (1, vec![2]), (2, vec![1, 2])] {
        roster.answer(answer(named), begin + s(at));
    }
    roster.answer(answer([2]), begin + s(3));
    assert_eq!(shown(&roster, begin + s(3)).1, Vec::<u16>::new());
    roster.answer(answer([1, 2]), begin + s(4));
    roster.answer(answer([2]), begin + s(4 + 5 * u64::from(WHIM_HOLDS)));
    assert_eq!(shown(&roster, begin + s(4 + 5 * u64::from(WHIM_HOLDS))).1, [1]);
}

#[test]
fn a_part_of_an_answer_takes_nobody_out() {
    let (mut roster, begin) = (Roster::default(), Instant::now());
    roster.answer(answer([1, 2]), begin);
    roster.part(answer([2, 3]), begin + s(1));
    assert_eq!(shown(&roster, begin + s(1)), (vec![1, 2, 3], vec![]));
}

#[test]
fn the_held_make_room_for_the_named() {
    let (mut roster, begin) = (Roster::default(), Instant::now());
    let max = u16::try_from(ENDPOINTS_MAX).expect("it fits");
    roster.answer(answer(1..=max), begin);
    roster.answer(answer(max + 1..=3 * max), begin + s(1));
    let present = roster.present(begin + s(1), HOLD);
    assert_eq!((present.found.len(), present.held.len()), (ENDPOINTS_MAX, 0));
    assert_eq!(ports(&present.found)[0], max + 1);
    // Nothing grows however often all are replaced.
    for turn in 2..50 {
        roster.answer(answer(turn * max % 60_000..turn * max % 60_000 + max), begin + s(1) + Duration::from_millis(turn.into()));
        assert!(roster.0.len() <= MEMBERS_MAX, "{} in turn {turn}", roster.0.len());
    }
}

#[test]
fn the_best_tier_that_names_an_address_counts() {
    let mut roster = Roster::default();
    let now = Instant::now();
    let with = |priority, weight| Found { priority, weight, ..found(1) };
    roster.answer(vec![with(20, 1), with(10, 7), with(10, 3)], now);
    assert_eq!(roster.present(now, HOLD).found, [with(10, 3)]);
}
