//! What rests, what is asked, and when.

use super::*;

const REST: Rest = Rest { first: Duration::from_secs(10), idle: Duration::from_secs(75) };

fn word(open: &Open) -> Word {
    open.word(&Context::from_waker(Waker::noop()))
}

#[test]
fn rest_is_counted_from_the_last_answer_and_never_during_one() {
    let roster = Roster::new(REST);
    let open = roster.enter(1, Arc::default());
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
    let open = roster.enter(1, Arc::default());
    roster.sweep(Instant::now() + Duration::from_secs(1000));
    assert_eq!(word(&open), Word::GoOn, "a handshake has a deadline of its own");
    open.speaks_http(false);
    roster.sweep(Instant::now() + Duration::from_secs(11));
    assert_eq!(word(&open), Word::Stop("no-request"));
}

#[test]
fn a_tunnel_is_left_to_the_tier() {
    let roster = Roster::new(REST);
    let open = roster.enter(1, Arc::default());
    open.stage.set(Stage::Tunnel);
    roster.close();
    roster.sweep(Instant::now() + Duration::from_secs(1000));
    assert_eq!(word(&open), Word::GoOn);
}

#[tokio::test]
async fn empty_is_told_when_the_last_one_leaves() {
    let roster = Roster::new(REST);
    roster.emptied().await;
    roster.enter(1, Arc::default());
    roster.enter(2, Arc::default());
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
    let open = roster.enter(1, Arc::default());
    roster.close();
    roster.sweep(Instant::now());
    assert_eq!(word(&open), Word::GoOn, "its request may be on its way");
    roster.sweep(Instant::now() + CLOSING_REST);
    assert_eq!(word(&open), Word::Stop("drained"));
}
