//! HTTP on one connection: hyper over the framing guard, until either side ends it.
//!
//! In: a stream whose facts are known. Out: requests to [`answer`], and how the conversation ended. Refuses: what the guard refuses.
//! Never: half-closed connections, HTTP/2 without ALPN, extended CONNECT.
//!
//! hyper's own `header_read_timeout` is off: it also counts the rest between two requests, and makes a timer for every request. The guard has
//! the deadline from the first byte of a head to its last, the roster those before and between.

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use wire::connection::{Connection, Protocol};
use wire::guard::Guard;
use wire::guard::limits::GuardLimits;

use crate::answer::{answer, guarded, text};
use crate::plan_limits::LimitsPlan;
use crate::rest::talk_when_called;
use crate::roster::{Open, STREAM_STALLED, Stage, Word};
use crate::serve::Hall;
use crate::story::Ending;
use crate::tier::Tier;
use crate::watched::Watched;

/// Bytes that one HTTP/1 connection may hold of what it reads or writes.
const H1_BUFFER_BYTES: usize = 64 * 1024;

/// What a client may send on one stream before we have read it; enough for 50 MB/s at 5 ms.
const H2_STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// The same for all streams of a connection.
const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// What one stream may hold of what it writes.
const H2_SEND_BYTES_MAX: usize = 64 * 1024;

/// A client that is gone without a word is found by a PING.
const H2_PING_EVERY: Duration = Duration::from_secs(30);

/// How long the answer to a PING may take.
const H2_PING_TIMEOUT: Duration = Duration::from_secs(15);

/// Streams that were reset before they were accepted (CVE-2023-44487); the guard counts the resets themselves.
const H2_PENDING_RESETS_MAX: usize = 20;

type Cause = Option<Box<dyn Error + Send + Sync>>;

/// Speaks HTTP until the end.
pub(crate) async fn converse<T: Tier, IO>(
    hall: &Rc<Hall<T>>,
    plan: &LimitsPlan,
    connection: &Rc<Connection>,
    open: &Rc<Open>,
    io: IO,
) -> (Ending, Cause)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, mut gone) = Watched::new(io);
    let limits = guard_limits(plan);
    let line = Arc::clone(&connection.line);
    let service = {
        let (hall, connection, open) = (Rc::clone(hall), Rc::clone(connection), Rc::clone(open));
        service_fn(move |request| answer(Rc::clone(&hall), Rc::clone(&connection), Rc::clone(&open), request))
    };
    let talk = match connection.protocol {
        Protocol::Http1 => talk_when_called(h1(plan), Guard::h1(io, limits, line), service, open).await,
        Protocol::Http2 => {
            let io = TokioIo::new(Guard::h2(io, limits, line));
            let mut conversation = Box::pin(h2(plan).serve_connection(io, service));
            drive(conversation.as_mut(), open, |_| false).await.unwrap_or(Talk::Ended)
        }
    };
    if matches!(talk, Talk::Ended) && gone.is_held() {
        open.stage.set(Stage::Tunnel);
        gone.gone().await;
        return (Ending::calm(open.leaves().unwrap_or("upgraded")), None);
    }
    if let Talk::Panicked(panic) = &talk {
        hall.figures.panics.inc();
        tracing::error!(connection = connection.id, panic, "a connection panicked and was closed");
    }
    ending(talk, connection, open)
}

fn guard_limits(plan: &LimitsPlan) -> GuardLimits {
    GuardLimits {
        head_bytes_max: plan.head_bytes_max,
        headers_max: plan.headers_max,
        target_bytes_max: plan.target_bytes_max,
        trailer_bytes_max: plan.trailer_bytes_max,
        head_time_max: plan.head,
        write_stall_max: plan.body,
        h2: plan.h2,
        ..GuardLimits::default()
    }
}

fn h1(plan: &LimitsPlan) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.half_close(false).keep_alive(true).title_case_headers(false).pipeline_flush(false).header_read_timeout(None);
    builder.max_buf_size(H1_BUFFER_BYTES.max(plan.head_bytes_max));
    if plan.headers_max > HYPER_HEADERS {
        // Up to its own default hyper keeps the fields of a head on the stack.
        builder.max_headers(plan.headers_max);
    }
    builder
}

const HYPER_HEADERS: usize = 100;

fn h2(plan: &LimitsPlan) -> http2::Builder<Local> {
    let mut builder = http2::Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(plan.streams_max)
        .max_header_list_size(u32::try_from(guard_limits(plan).h2_head_bytes_max()).unwrap_or(u32::MAX))
        .adaptive_window(false)
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(H2_SEND_BYTES_MAX)
        .max_pending_accept_reset_streams(H2_PENDING_RESETS_MAX)
        .keep_alive_interval(H2_PING_EVERY)
        .keep_alive_timeout(H2_PING_TIMEOUT);
    builder
}

/// Streams of an HTTP/2 connection stay on its worker.
#[derive(Clone, Copy, Debug)]
struct Local;

impl<F> Executor<F> for Local
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// A conversation as hyper holds it, of either protocol.
pub(crate) trait Conversation: Future<Output = hyper::Result<()>> {
    /// Ends it after what is being answered.
    fn finish(self: Pin<&mut Self>);
}

impl<I, S> Conversation for http1::UpgradeableConnection<I, S>
where
    Self: Future<Output = hyper::Result<()>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<hyper::body::Incoming>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::ResBody: http_body::Body + 'static,
    <S::ResBody as http_body::Body>::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Conversation for http2::Connection<I, S, Local>
where
    Self: Future<Output = hyper::Result<()>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<hyper::body::Incoming>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::ResBody: http_body::Body + 'static,
    <S::ResBody as http_body::Body>::Error: Into<Box<dyn Error + Send + Sync>>,
    Local: hyper::rt::bounds::Http2ServerConnExec<S::Future, S::ResBody>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// How hyper came to its end.
pub(crate) enum Talk {
    Ended,
    Broke(hyper::Error),
    /// The socket failed while nobody spoke.
    Lost(std::io::Error),
    Stopped(&'static str),
    Panicked(String),
}

/// Lets hyper talk to its end; `None` when the connection `may_rest` before.
pub(crate) async fn drive<C: Conversation>(mut conversation: Pin<&mut C>, open: &Open, may_rest: impl Fn(&Open) -> bool) -> Option<Talk> {
    let mut told = false;
    poll_fn(|cx: &mut Context<'_>| {
        let word = open.word(cx);
        if let Word::Stop(why) = word {
            return Poll::Ready(Some(Talk::Stopped(why)));
        }
        let mut polled = poll_once(conversation.as_mut(), cx);
        // Behind the poll, so that a request that has come already is begun, and answered.
        if let (Poll::Pending, Word::Finish(_), false) = (&polled, word, told) {
            told = true;
            conversation.as_mut().finish();
            polled = poll_once(conversation.as_mut(), cx);
        }
        match polled {
            Poll::Ready(end) => Poll::Ready(Some(end)),
            Poll::Pending if may_rest(open) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn poll_once<C: Conversation>(conversation: Pin<&mut C>, cx: &mut Context<'_>) -> Poll<Talk> {
    guarded(cx, |cx| conversation.poll(cx)).map(|end| match end {
        Ok(Ok(())) => Talk::Ended,
        Ok(Err(error)) => Talk::Broke(error),
        Err(panic) => Talk::Panicked(text(&*panic).to_owned()),
    })
}

/// What the record says.
fn ending(talk: Talk, connection: &Connection, open: &Open) -> (Ending, Cause) {
    // What the guard refused explains everything that follows from it.
    if let Some(fault) = connection.line.refusal() {
        let cause = if let Talk::Broke(error) = talk { Some(error.into()) } else { None };
        return (Ending::refused(fault.code()), cause);
    }
    if open.asked() == Some(STREAM_STALLED) {
        return (Ending::refused(STREAM_STALLED), None);
    }
    let calm = || Ending::calm(open.asked().or(open.leaves()).unwrap_or("closed"));
    match talk {
        // A request that came too late was not served, and that ended it.
        Talk::Broke(error) if open.is_expelled() => (calm(), Some(error.into())),
        Talk::Ended => (calm(), None),
        Talk::Stopped(why) => (Ending::calm(why), None),
        // Many clients hang up without a farewell once they are done.
        Talk::Lost(error) => (calm(), Some(error.into())),
        Talk::Panicked(_) => (Ending::failed("internal-error"), None),
        Talk::Broke(error) => {
            let ending = if is_socket_fault(&error) && open.is_resting() {
                // Many clients hang up without a farewell once they are done, or were told to go away.
                calm()
            } else if error.is_incomplete_message() || error.is_canceled() || is_socket_fault(&error) {
                Ending::calm("client-gone")
            } else if error.is_body_write_aborted() || error.is_user() {
                // The answer broke off: an instance died, or the tier gave up on it. Its request record tells which.
                Ending::failed("answer-aborted")
            } else {
                Ending::failed("protocol-error")
            };
            (ending, Some(error.into()))
        }
    }
}

fn is_socket_fault(error: &hyper::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = cause {
        if inner.downcast_ref::<std::io::Error>().is_some() {
            return true;
        }
        cause = inner.source();
    }
    false
}
