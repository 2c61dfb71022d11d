//! Clients that upload slowly, and clients that stop.

use std::time::Instant;

use super::instance::{Act, Instance, OK};
use super::*;
use crate::measures::Outcome;

/// The client's pace is what is tested here; nothing is waited for.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

async fn send_by(bench: &Bench, body: Body, within: Duration) -> (Result<Response<Body>, SendFault>, Trip) {
    let mut trip = Trip::default();
    let deadline = Some(Instant::now() + within);
    let sent = send(&bench.pools, &bench.service, request(Method::POST, body), Errand { deadline, ..Errand::default() }, &mut trip).await;
    (sent, trip)
}

#[test]
fn the_deadline_rests_while_a_client_uploads_slowly() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::with(&[&instance.address], |config| config.timeouts.first_byte = None);
        let (feed, body) = fed();
        let slowly = async move {
            for words in ["a", "b", "c"] {
                pause().await;
                feed.send(data(words)).await.expect("room");
            }
        };
        let ((sent, _), ()) = tokio::join!(send_by(&bench, body, Duration::from_millis(60)), slowly);
        assert_eq!(read(sent.expect("an answer")).await.0, 200);
    });
}

#[test]
fn the_deadline_counts_from_the_last_frame_that_the_instance_took() {
    run(async {
        let instance = Instance::always(Act::Nothing).await;
        let bench = Bench::with(&[&instance.address], |config| config.timeouts.first_byte = None);
        let (feed, body) = fed();
        let begun = Instant::now();
        let slowly = async move {
            pause().await;
            feed.send(data("a")).await.expect("room");
        };
        let ((sent, trip), ()) = tokio::join!(send_by(&bench, body, Duration::from_millis(50)), slowly);
        assert!(matches!(sent, Err(SendFault::Deadline)), "{sent:?}");
        assert!(begun.elapsed() >= Duration::from_millis(150) && trip.sent);
        assert_eq!((trip.attempts, instance.ledger.count(), bench.in_flight()), (1, 1, 0));
    });
}

#[test]
fn an_instance_that_takes_no_more_of_a_ready_upload_runs_into_the_deadline() {
    run(async {
        let instance = Instance::accepting(|socket, _| async move {
            std::future::pending::<()>().await;
            drop(socket);
        })
        .await;
        let bench = Bench::with(&[&instance.address], |config| {
            config.timeouts.first_byte = None;
            config.timeouts.upload_idle = Span::secs(20);
        });
        let (feed, body) = fed();
        let flooding = tokio::task::spawn_local(async move {
            let piece = Bytes::from(vec![0; 1 << 20]);
            while feed.send(Ok(Frame::data(piece.clone()))).await.is_ok() {}
        });
        let (sent, _) = send_by(&bench, body, Duration::from_millis(100)).await;
        assert!(matches!(sent, Err(SendFault::Deadline)), "{sent:?}");
        flooding.await.expect("the client's body is let go");
    });
}

#[test]
fn a_client_that_stops_sending_ends_its_request_and_is_blamed_for_it() {
    // The ceiling comes to light in time whatever else limits the request, or nothing else.
    for (within, first_byte) in [(None, None), (Some(20), None), (Some(20), Some(Span::secs(20)))] {
        run(async {
            let instance = Instance::always(OK).await;
            let bench = Bench::with(&[&instance.address], |config| {
                config.timeouts.first_byte = first_byte;
                config.timeouts.upload_idle = Span::millis(60);
            });
            let (feed, body) = fed();
            feed.send(data("half")).await.expect("room");
            let begun = Instant::now();
            let (sent, trip) = match within {
                Some(seconds) => send_by(&bench, body, Duration::from_secs(seconds)).await,
                None => bench.send(request(Method::POST, body)).await,
            };
            assert!(matches!(sent, Err(SendFault::ClientStalled)), "{sent:?}");
            assert!((Duration::from_millis(60)..Duration::from_secs(5)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
            assert_eq!((trip.attempts, trip.sent, bench.in_flight()), (1, true, 0));
            assert_eq!(bench.service.measures().attempts(Outcome::RequestBody), 1);
            until("the connection is broken off", || bench.open() == 0).await;
            assert!(feed.is_closed());
        });
    }
}

#[test]
fn frames_without_a_byte_do_not_keep_a_request_alive() {
    run(async {
        let instance = Instance::always(OK).await;
        let bench = Bench::with(&[&instance.address], |config| config.timeouts.upload_idle = Span::millis(100));
        let (feed, body) = fed();
        let dripping = tokio::task::spawn_local(async move {
            while feed.send(data("")).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let (sent, _) = bench.send(request(Method::POST, body)).await;
        assert!(matches!(sent, Err(SendFault::ClientStalled)), "{sent:?}");
        dripping.await.expect("the client's body is let go");
    });
}
