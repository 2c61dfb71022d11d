//! HTTP/1 connections that rest: they keep their socket, TLS and the guard, and nothing else.
//!
//! In: a guarded connection that nobody has called yet. Out: how its conversation came to its end. hyper, its two buffers of 8 KiB and the place
//! of an answer to be exist from the first byte of a request until [`WARM`](crate::roster::WARM) after the last one was answered; then they
//! are given back until the client speaks again. Never: gives back anything while a request is in flight, half read or not written to its end.
//!
//! # What a connection costs
//!
//! Growth of tier 1's resident memory by 5000 HTTP/1 connections over TLS 1.3, divided by their number, in a debug build:
//!
//! | | before a first request | after one request each |
//! |---|---|---|
//! | hyper for the whole life of a connection | 48.7 KiB | not measured |
//! | hyper from a call to the next rest | 13 to 14 KiB | 18.5 to 36 KiB |
//!
//! The more of them are warm at one time, the more the allocator keeps: 36 KiB was on a machine that was busy with other work. The benchmark's
//! `idle-conns` says 19.7 KiB after one request each, in a dist build (`tests/bench/stacks/gateway`).
//!
//! Of the former, 20 KiB were the place of an answer to be, 13 KiB the task (with the handshake in it), 16 KiB hyper's buffers. What is left is rustls,
//! which keeps a read buffer of 4 KiB, the task, and what the allocator does not give back. It costs a request that ends a rest three allocations and
//! a copy of its head; the others pay two relaxed stores. To measure again: `cargo test -p tests --test e2e footprint -- --nocapture`.

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use wire::body::Body;
use wire::guard::Guard;

use crate::answer::{guarded, text};
use crate::converse::{Talk, drive};
use crate::roster::{Open, Word};

/// Serves a connection whenever it calls, until it ends.
pub(crate) async fn talk_when_called<IO, S>(builder: http1::Builder, guard: Guard<IO>, service: S, open: &Open) -> Talk
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (mut guard, mut service) = (guard, service);
    // The number of requests by which something was given back: before the next one has come there is no other rest, for what was given back would
    // end it at once, and the one behind it.
    let mut given_at = None;
    loop {
        if let Some(end) = rest(&mut guard, open).await {
            return end;
        }
        let mut conversation = Box::new(builder.serve_connection(TokioIo::new(guard), service).with_upgrades());
        if let Some(end) = drive(Pin::new(&mut *conversation), open, |open| open.is_cold() && given_at != Some(open.requests.get())).await {
            return end;
        }
        // Only an upgrade takes the parts away, and then it is no rest.
        let Some(parts) = conversation.into_parts() else { return Talk::Ended };
        (guard, service) = (parts.io.into_inner(), parts.service);
        guard.give_back(&parts.read_buf);
        given_at = (!parts.read_buf.is_empty()).then(|| open.requests.get());
    }
}

/// Waits for the client's next word; `None` when it has come, else how the connection ended instead.
async fn rest<IO: AsyncRead + AsyncWrite + Unpin>(guard: &mut Guard<IO>, open: &Open) -> Option<Talk> {
    open.has_cooled();
    let called = poll_fn(|cx: &mut Context<'_>| {
        let called = guarded(cx, |cx| guard.poll_called(cx));
        match (open.word(cx), called) {
            (Word::Stop(why), _) => Poll::Ready(Err(Talk::Stopped(why))),
            // A request that has come is answered, also by a connection that was just asked to finish.
            (_, Poll::Ready(Ok(Ok(is_called)))) => Poll::Ready(Ok(is_called)),
            (_, Poll::Ready(Ok(Err(error)))) => Poll::Ready(Err(Talk::Lost(error))),
            (_, Poll::Ready(Err(panic))) => Poll::Ready(Err(Talk::Panicked(text(&*panic).to_owned()))),
            (Word::Finish(_), Poll::Pending) => Poll::Ready(Ok(false)),
            (Word::GoOn, Poll::Pending) => Poll::Pending,
        }
    });
    match called.await {
        Ok(true) => None,
        Ok(false) => Some(close(guard, open).await),
        Err(end) => Some(end),
    }
}

/// Says farewell.
async fn close<IO: AsyncRead + AsyncWrite + Unpin>(guard: &mut Guard<IO>, open: &Open) -> Talk {
    poll_fn(|cx: &mut Context<'_>| match open.word(cx) {
        Word::Stop(why) => Poll::Ready(Talk::Stopped(why)),
        Word::GoOn | Word::Finish(_) => Pin::new(&mut *guard).poll_shutdown(cx).map(|end| end.map_or_else(Talk::Lost, |()| Talk::Ended)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use http::{Request, Response};
    use hyper::service::service_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use wire::guard::limits::GuardLimits;
    use wire::guard::line::GuardLine;

    use super::*;
    use crate::roster::{Rest, Roster, Stage, WARM};

    const REQUEST: &[u8] = b"GET /page HTTP/1.1\r\nhost: a\r\n\r\n";
    const LONG: Duration = Duration::from_secs(3600);

    /// Runs `client` against a connection that answers every request with an empty page; how the conversation ended.
    fn converse(client: impl AsyncFnOnce(DuplexStream, &Roster, &Rc<Open>)) -> Talk {
        converse_with(async |_| Response::new(Body::Empty), client)
    }

    /// The same, with answers of its own. A request is in flight until the head of its answer.
    fn converse_with(
        answer: impl AsyncFn(Request<Incoming>) -> Response<Body> + 'static,
        client: impl AsyncFnOnce(DuplexStream, &Roster, &Rc<Open>),
    ) -> Talk {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (theirs, ours) = tokio::io::duplex(64 * 1024);
            let line = Arc::new(GuardLine::default());
            let roster = Roster::new(Rest { first: LONG, idle: LONG, body: LONG, dismissed: LONG });
            let open = roster.enter(1, 0, Arc::clone(&line));
            open.speaks_http(false);
            let served = Rc::clone(&open);
            let answer = Rc::new(answer);
            let service = service_fn(move |request: Request<Incoming>| {
                let (flight, answer) = (served.request(), Rc::clone(&answer));
                async move {
                    let response = answer(request).await;
                    drop(flight);
                    Ok::<_, Infallible>(response)
                }
            });
            let talk = talk_when_called(http1::Builder::new(), Guard::h1(ours, GuardLimits::default(), line), service, &open);
            tokio::join!(talk, client(theirs, &roster, &open)).0
        })
    }

    async fn answered(client: &mut DuplexStream) {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            assert!(client.read_buf(&mut answer).await.unwrap() > 0, "{}", answer.escape_ascii());
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
    }

    /// Lets the connection rest for longer than it keeps anything, and everything happen that follows from it.
    async fn cool(roster: &Roster, open: &Open) {
        roster.sweep(Instant::now() + WARM * 2);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(open.is_cold());
    }

    #[test]
    fn a_connection_that_rested_serves_as_before() {
        let end = converse(async |mut client, roster, open| {
            assert_eq!(open.stage.get(), Stage::Http);
            for _ in 0..3 {
                client.write_all(REQUEST).await.unwrap();
                answered(&mut client).await;
                client.write_all(REQUEST).await.unwrap();
                answered(&mut client).await;
                cool(roster, open).await;
                let (half, rest) = REQUEST.split_at(9);
                client.write_all(half).await.unwrap();
                tokio::task::yield_now().await;
                client.write_all(rest).await.unwrap();
                answered(&mut client).await;
                cool(roster, open).await;
            }
            assert_eq!(open.requests.get(), 9);
        });
        assert!(matches!(end, Talk::Ended), "the client has closed while it rested");
    }

    /// What happens when it is said that this connection has rested for long, whether it has or not.
    async fn swept(roster: &Roster) {
        roster.sweep(Instant::now() + WARM * 2);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_rest_does_not_come_between_two_requests_that_came_together() {
        let gate = Rc::new(tokio::sync::Semaphore::new(0));
        let held = Rc::clone(&gate);
        let answer = async move |_| {
            held.acquire().await.unwrap().forget();
            Response::new(Body::Empty)
        };
        let end = converse_with(answer, async move |mut client, roster, open| {
            for round in 1..4 {
                let (half, rest) = REQUEST.split_at(9);
                client.write_all(&[REQUEST, REQUEST, half].concat()).await.unwrap();
                for _ in 0..2 {
                    swept(roster).await;
                    gate.add_permits(1);
                    answered(&mut client).await;
                }
                swept(roster).await;
                client.write_all(rest).await.unwrap();
                gate.add_permits(1);
                answered(&mut client).await;
                assert_eq!(open.requests.get(), round * 3);
                cool(roster, open).await;
            }
        });
        assert!(matches!(end, Talk::Ended));
    }

    #[test]
    fn a_rest_does_not_cut_an_answer_that_is_read_slowly() {
        let page = vec![b'p'; 1024 * 1024];
        let whole = page.clone();
        let answer = async move |_| Response::new(Body::from(page.clone()));
        let end = converse_with(answer, async move |mut client, roster, open| {
            for _ in 0..2 {
                client.write_all(REQUEST).await.unwrap();
                let mut answer = Vec::new();
                loop {
                    // All of it was given to hyper, and nobody knows of a request in flight.
                    swept(roster).await;
                    if let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n")
                        && answer.len() >= head + 4 + whole.len()
                    {
                        assert_eq!(answer[head + 4..], whole);
                        break;
                    }
                    assert!(client.read_buf(&mut answer).await.unwrap() > 0, "it is cut behind {} bytes", answer.len());
                }
                cool(roster, open).await;
            }
        });
        assert!(matches!(end, Talk::Ended));
    }

    #[test]
    fn what_follows_an_upload_that_was_refused_early_is_its_body_and_no_request() {
        let end = converse(async |mut client, roster, open| {
            let body = REQUEST.repeat(1000);
            let head = format!("POST /page HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
            client.write_all(head.as_bytes()).await.unwrap();
            answered(&mut client).await;
            swept(roster).await;
            // It may have closed by now.
            let _ = client.write_all(&body).await;
            swept(roster).await;
            let mut more = Vec::new();
            let _ = client.read_to_end(&mut more).await;
            assert_eq!((open.requests.get(), more.escape_ascii().to_string()), (1, String::new()));
        });
        assert!(matches!(end, Talk::Ended | Talk::Broke(_)));
    }

    #[test]
    fn a_connection_that_rests_is_ended_by_a_word() {
        for (word, ends) in [(Word::Finish("idle"), true), (Word::Stop("idle"), false)] {
            let end = converse(async |mut client, roster, open| {
                client.write_all(REQUEST).await.unwrap();
                answered(&mut client).await;
                cool(roster, open).await;
                open.ask(word);
                assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
            });
            assert!(matches!((end, ends), (Talk::Ended, true) | (Talk::Stopped("idle"), false)), "{word:?}");
        }
    }

    /// The client has sent `half` of a head; everybody has seen it.
    async fn half_sent(client: &mut DuplexStream, open: &Open, half: &[u8]) {
        client.write_all(half).await.unwrap();
        while !open.line().is_in_head() {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn nobody_is_turned_out_of_half_a_head() {
        let (half, rest) = REQUEST.split_at(9);
        for (is_first, is_cold) in [(true, true), (false, true), (false, false)] {
            converse(async |mut client, roster, open| {
                if !is_first {
                    client.write_all(REQUEST).await.unwrap();
                    answered(&mut client).await;
                    if is_cold {
                        cool(roster, open).await;
                    }
                }
                half_sent(&mut client, open, half).await;
                let late = Instant::now() + LONG + WARM;
                assert_eq!(roster.rests_longest_since(late), None);
                roster.make_room(late);
                roster.sweep(late);
                assert_eq!(open.asked(), None, "the guard has a deadline for the rest of the head");
                client.write_all(rest).await.unwrap();
                answered(&mut client).await;
                assert!(roster.rests_longest_since(late).is_some(), "it rests now");
                roster.sweep(late);
                assert_eq!(open.asked(), Some("idle"));
                assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
            });
        }
    }

    #[test]
    fn a_request_that_has_come_is_answered_by_a_connection_that_was_asked_to_finish() {
        converse(async |mut client, roster, open| {
            client.write_all(REQUEST).await.unwrap();
            answered(&mut client).await;
            cool(roster, open).await;
            client.write_all(REQUEST).await.unwrap();
            open.ask(Word::Finish("idle"));
            answered(&mut client).await;
            assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0, "it is the last one");
        });
    }
}
