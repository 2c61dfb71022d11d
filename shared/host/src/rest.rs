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
//! | hyper from a call to the next rest | 13 to 14 KiB | 18.5 to 21 KiB |
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
    loop {
        if let Some(end) = rest(&mut guard, open).await {
            return end;
        }
        let mut conversation = Box::new(builder.serve_connection(TokioIo::new(guard), service).with_upgrades());
        if let Some(end) = drive(Pin::new(&mut *conversation), open, Open::is_cold).await {
            return end;
        }
        // Only an upgrade takes the parts away, and then it is no rest.
        let Some(parts) = conversation.into_parts() else { return Talk::Ended };
        (guard, service) = (parts.io.into_inner(), parts.service);
        guard.give_back(&parts.read_buf);
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
