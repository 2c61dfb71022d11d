//! What rests, what is asked, and when.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::guard::Guard;
use wire::guard::limits::GuardLimits;

use super::*;

const REST: Rest = Rest {
    first: Duration::from_secs(10),
    idle: Duration::from_secs(75),
    body: Duration::from_secs(30),
    dismissed: Duration::from_secs(40),
};

fn word(open: &Open) -> Word {
    open.word(&Context::from_waker(Waker::noop()))
}

#[test]
fn rest_is_counted_from_the_last_answer_and_never_during_one() {
    let roster = Roster::new(REST);
    let open = roster.enter(1, 0, Arc::default());
    open.speaks_http(false);
    let flight = open.request();
    roster.sweep(Instant::now() + Duration::from_secs(1000));
    assert_eq!(word(&open), Word::GoOn, "a request in flight is no rest, however long it takes");
    drop(flight);
    roster.sweep(Instant::now() + Duration::from_secs(74));
    assert_eq!(word(&open), Word::GoOn);
    let late = Instant::now() + Duration::from_secs(76);
    roster.sweep(late);
    assert_eq!(word(&open), Word::Finish("idle"));
    roster.sweep(late + FAREWELL);
    assert_eq!(word(&open), Word::Stop("idle"));
}

#[test]
fn a_connection_without_a_request_has_less_time_and_no_farewell() {
    let roster = Roster::new(REST);
    let open = roster.enter(1, 0, Arc::default());
    roster.sweep(Instant::now() + Duration::from_secs(1000));
    assert_eq!(word(&open), Word::GoOn, "a handshake has a deadline of its own");
    open.speaks_http(false);
    roster.sweep(Instant::now() + Duration::from_secs(11));
    assert_eq!(word(&open), Word::Stop("no-request"));
}

#[test]
fn a_tunnel_is_left_to_the_tier_which_is_told_that_the_process_closes() {
    let roster = Roster::new(REST);
    let open = roster.enter(1, 0, Arc::default());
    open.stage.set(Stage::Tunnel);
    assert!(!open.farewell.is_told());
    roster.close();
    assert!(open.farewell.is_told());
    assert!(roster.enter(2, 0, Arc::default()).farewell.is_told(), "one that comes while the process closes is told too");
    roster.sweep(Instant::now() + Duration::from_secs(1000));
    assert_eq!(word(&open), Word::GoOn);
}

#[tokio::test]
async fn empty_is_told_when_the_last_one_leaves() {
    let roster = Roster::new(REST);
    roster.emptied().await;
    roster.enter(1, 0, Arc::default());
    roster.enter(2, 0, Arc::default());
    roster.leave(1);
    assert!(!roster.is_empty());
    let emptied = roster.emptied();
    tokio::pin!(emptied);
    assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(emptied.as_mut().poll(cx).is_pending())).await);
    roster.leave(2);
    emptied.await;
}

#[test]
fn a_handshake_gets_a_moment_and_no_more_once_the_process_closes() {
    let roster = Roster::new(REST);
    let open = roster.enter(1, 0, Arc::default());
    roster.close();
    roster.sweep(Instant::now());
    assert_eq!(word(&open), Word::GoOn, "its request may be on its way");
    roster.sweep(Instant::now() + CLOSING_REST);
    assert_eq!(word(&open), Word::Stop("drained"));
}

#[test]
fn an_idle_h2_client_that_does_not_say_farewell_does_not_hold_up_the_drain() {
    let roster = Roster::new(REST);
    let (silent, busy) = (roster.enter(1, 0, Arc::default()), roster.enter(2, 0, Arc::default()));
    silent.speaks_http(true);
    busy.speaks_http(true);
    drop(silent.request());
    let _flight = busy.request();
    roster.close();
    let closed = Instant::now();
    assert_eq!(word(&silent), Word::Finish("drained"));
    roster.sweep(closed);
    assert_eq!(word(&silent), Word::Finish("drained"), "it has a moment to answer");
    roster.sweep(closed + CLOSING_REST);
    assert_eq!(word(&silent), Word::Stop("drained"));
    roster.sweep(closed + FAREWELL);
    assert_eq!(word(&busy), Word::Finish("drained"), "what is in flight finishes");
}

#[test]
fn an_answer_that_did_not_say_close_is_followed_by_a_rest() {
    let roster = Roster::new(REST);
    let open = roster.enter(1, 0, Arc::default());
    open.speaks_http(false);
    let flight = open.request();
    roster.close();
    assert_eq!(word(&open), Word::GoOn, "its client was not told, and may send the next request right after the answer");
    assert_eq!(open.leaves(), Some("drained"));
    roster.sweep(Instant::now() + FAREWELL);
    assert_eq!(word(&open), Word::GoOn, "what is in flight finishes");
    drop(flight);
    roster.sweep(Instant::now());
    assert_eq!(word(&open), Word::GoOn);
    roster.sweep(Instant::now() + CLOSING_REST);
    assert_eq!(word(&open), Word::Finish("drained"));
}

#[test]
fn the_connections_of_one_listener_are_dismissed_and_no_others() {
    let roster = Roster::new(REST);
    let [busy, resting, shaking, h2, tunnel, other] = [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 1)].map(|(id, listener)| {
        let open = roster.enter(id, listener, Arc::default());
        open.speaks_http(false);
        open
    });
    drop(resting.request());
    let flight = busy.request();
    shaking.stage.set(Stage::Handshake);
    h2.has_goaway.set(true);
    tunnel.stage.set(Stage::Tunnel);
    roster.dismiss(|listener| listener == 0, |_, _| true);
    assert_eq!((word(&h2), word(&busy)), (Word::Finish("reconfigured"), Word::GoOn));
    assert_eq!(busy.leaves(), Some("reconfigured"), "its next answer says so");
    assert!(tunnel.farewell.is_told() && !other.farewell.is_told());
    let late = Instant::now() + CLOSING_REST;
    roster.sweep(late);
    assert_eq!((word(&resting), word(&shaking)), (Word::Finish("reconfigured"), Word::Stop("reconfigured")));
    drop(flight);
    roster.sweep(Instant::now() + CLOSING_REST);
    assert_eq!(word(&busy), Word::Finish("reconfigured"));
    assert_eq!((word(&other), other.leaves()), (Word::GoOn, None));
    assert_eq!(roster.enter(9, 0, Arc::default()).leaves(), None, "whoever comes now was let in by the new list");
}

/// A peer over a Unix socket.
fn proof(uid: u32) -> Proof {
    Proof { peer: wire::connection::PeerAddress::Unix { uid, pid: None }, proxy: None, chain: Vec::new() }
}

#[test]
fn whose_peer_may_not_come_any_more_is_served_nothing_more() {
    let roster = Roster::new(REST);
    let [resting, busy, still] = [(1, 7), (2, 7), (3, 8)].map(|(id, uid)| {
        let open = roster.enter(id, 0, Arc::default());
        open.speaks_http(true);
        open.proves(proof(uid));
        open
    });
    let flights = [busy.request(), still.request()];
    let is_eight = |_, proof: &Proof| matches!(proof.peer, wire::connection::PeerAddress::Unix { uid: 8, .. });
    roster.dismiss(|_| true, |_, _| true);
    assert!(![&resting, &busy, &still].iter().any(|open| open.is_expelled()), "all of them may still come");
    roster.dismiss(|_| true, is_eight);
    assert_eq!([&resting, &busy, &still].map(|open| open.is_expelled()), [true, true, false]);
    assert_eq!(word(&resting), Word::Stop("reconfigured"), "nothing is lost by it");
    assert_eq!((word(&busy), word(&still)), (Word::Finish("reconfigured"), Word::Finish("reconfigured")));
    drop(flights);
    roster.sweep(Instant::now() + CLOSING_REST);
    assert_eq!(word(&busy), Word::Stop("reconfigured"));
}

#[test]
fn a_dismissed_connection_ends_in_time_whatever_is_in_flight() {
    let roster = Roster::new(REST);
    let [h2, h1] = [(1, true), (2, false)].map(|(id, has_goaway)| {
        let open = roster.enter(id, 0, Arc::default());
        open.speaks_http(has_goaway);
        open
    });
    let _flights = [h2.request(), h1.request()];
    let begun = Instant::now();
    roster.dismiss(|_| true, |_, _| true);
    roster.sweep(begun + REST.dismissed.saturating_sub(Duration::from_millis(1)));
    assert_eq!((word(&h2), word(&h1)), (Word::Finish("reconfigured"), Word::GoOn));
    roster.sweep(Instant::now() + REST.dismissed);
    assert_eq!((word(&h2), word(&h1)), (Word::Stop("reconfigured"), Word::Stop("reconfigured")));
}

#[test]
fn the_census_tells_what_connections_are_at() {
    let roster = Roster::new(REST);
    let open: Vec<_> = (0..5).map(|id| roster.enter(id, 0, Arc::default())).collect();
    open[1].speaks_http(false);
    open[2].speaks_http(true);
    let flights = [open[2].request(), open[2].request()];
    open[3].stage.set(Stage::Tunnel);
    assert_eq!(roster.census(), Census { handshake: 2, in_flight: 1, resting: 1, tunnel: 1 });
    drop(flights);
    assert_eq!(roster.census(), Census { handshake: 2, in_flight: 0, resting: 2, tunnel: 1 });
}

#[tokio::test]
async fn whose_first_request_is_on_its_way_makes_no_room_before_its_time_is_over() {
    let roster = Roster::new(REST);
    let (silent, arriving) = (roster.enter(1, 0, Arc::default()), roster.enter(2, 0, Arc::default()));
    silent.speaks_http(true);
    arriving.speaks_http(true);
    let (mut client, server) = tokio::io::duplex(1024);
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut guard = Guard::h2(server, GuardLimits::default(), arriving.line());
    assert!(guard.read(&mut [0; 64]).await.unwrap() > 0);
    let begun = Instant::now();
    assert_eq!(roster.make_room(begun + ROOM_REST_MIN), None, "nobody else may have to make room");
    assert_eq!((word(&silent), word(&arriving)), (Word::Finish(DISPLACED), Word::GoOn));
    roster.make_room(begun + REST.first);
    assert_eq!(word(&arriving), Word::Finish(DISPLACED));
}
