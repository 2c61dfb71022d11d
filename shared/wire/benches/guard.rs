//! What the framing guard costs per request, with hyper behind it and by itself.
//!
//! In: two GET heads, as curl and as a browser send them, and a stream of HTTP/2 frames. Out: time per request. Run with
//! `cargo bench -p wire --bench guard`, on a quiet machine, and take the lowest of several runs.

use std::convert::Infallible;
use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::Response;
use http_body_util::Empty;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wire::guard::Guard;
use wire::guard::limits::GuardLimits;
use wire::guard::line::GuardLine;

const CURL: &[u8] = b"GET /orders/42 HTTP/1.1\r\nHost: localhost:8443\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\r\n";

const BROWSER: &[u8] = b"GET /orders?page=2&sort=created_at HTTP/1.1\r\nHost: shop.example.com\r\nConnection: keep-alive\r\n\
sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
Accept: application/json, text/plain, */*\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n\
Authorization: Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6ImRlbW8tMSIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJodHRwOi8vMTI3LjAuMC4xOjk0MDAiLCJzdWIiOiJlZGl0b3IiLCJhdWQiOiJnYXRld2F5IiwiZXhwIjoxNzk1NDI4ODAwLCJzY29wZSI6Im9yZGVyczpyZWFkIG9yZGVyczp3cml0ZSJ9.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2ln\r\n\
Referer: https://shop.example.com/orders\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: de-DE,de;q=0.9,en;q=0.8\r\n\
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes\r\n\r\n";

/// Requests per connection.
const REQUESTS: usize = 1000;

/// A client in memory: sends the next request when the last one was answered, and ends after `left` of them.
struct Client {
    bytes: &'static [u8],
    left: usize,
    answered: bool,
    reader: Option<Waker>,
}

impl Client {
    fn new(bytes: &'static [u8]) -> Self {
        Self { bytes, left: REQUESTS, answered: true, reader: None }
    }
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.answered {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if self.left > 0 {
            self.left -= 1;
            self.answered = false;
            out.put_slice(self.bytes);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.answered = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// One opening, and then the same bytes at every read.
struct First(Option<Vec<u8>>, Vec<u8>);

impl AsyncRead for First {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.0.take() {
            Some(opening) => out.put_slice(&opening),
            None => out.put_slice(&self.1),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for First {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn serve<IO: AsyncRead + AsyncWrite + Unpin>(io: IO) {
    let service = service_fn(|request| async move {
        black_box(&request);
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), service).await;
}

fn h1_limits() -> GuardLimits {
    // The bare guard below writes nothing, so that its pipeline has no end.
    GuardLimits { heads_ahead_max: u32::MAX, ..GuardLimits::default() }
}

fn read_once<IO: AsyncRead + Unpin>(io: &mut IO, space: &mut [u8]) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let mut out = ReadBuf::new(space);
    let _ = black_box(Pin::new(io).poll_read(&mut cx, &mut out));
    out.filled().len()
}

fn h1(criterion: &mut Criterion) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    for (name, bytes) in [("curl", CURL), ("browser", BROWSER)] {
        let mut group = criterion.benchmark_group(format!("h1 GET, {name}, {} bytes", bytes.len()));
        group.throughput(Throughput::Elements(REQUESTS as u64));
        group.bench_function("hyper alone", |bench| bench.iter(|| runtime.block_on(serve(Client::new(bytes)))));
        group.bench_function("hyper behind the guard", |bench| {
            bench.iter(|| runtime.block_on(serve(Guard::h1(Client::new(bytes), h1_limits(), Arc::new(GuardLine::default())))));
        });
        group.throughput(Throughput::Elements(1));
        let mut space = vec![0; 8192];
        let mut plain = First(None, bytes.to_vec());
        group.bench_function("the read alone", |bench| bench.iter(|| read_once(&mut plain, &mut space)));
        let mut guard = Guard::h1(First(None, bytes.to_vec()), h1_limits(), Arc::new(GuardLine::default()));
        group.bench_function("the guarded read alone", |bench| bench.iter(|| read_once(&mut guard, &mut space)));
        group.finish();
    }
}

/// Bodies: 16 KiB at a time.
fn bodies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("16 KiB of a body");
    group.throughput(Throughput::Bytes(16 * 1024));
    let mut space = vec![0; 64 * 1024];
    let mut plain = First(None, vec![b'x'; 16 * 1024]);
    group.bench_function("the read alone", |bench| bench.iter(|| read_once(&mut plain, &mut space)));
    let by_length = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n".to_vec();
    let mut guard = Guard::h1(First(Some(by_length), vec![b'x'; 16 * 1024]), h1_limits(), Arc::new(GuardLine::default()));
    group.bench_function("h1 by length", |bench| bench.iter(|| read_once(&mut guard, &mut space)));
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let chunk = [b"3ff8\r\n".as_slice(), &[b'x'; 0x3ff8], b"\r\n"].concat();
    let mut guard = Guard::h1(First(Some(head), chunk), h1_limits(), Arc::new(GuardLine::default()));
    group.bench_function("h1 chunked", |bench| bench.iter(|| read_once(&mut guard, &mut space)));
    let frame = [b"\x00\x40\x00\x00\x00\x00\x00\x00\x01".as_slice(), &[b'x'; 0x4000]].concat();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let mut guard = Guard::h2(First(Some(preface.clone()), frame), GuardLimits::default(), Arc::new(GuardLine::default()));
    group.bench_function("h2, one DATA frame", |bench| bench.iter(|| read_once(&mut guard, &mut space)));
    group.finish();

    // A request of 60 bytes of header block, in a read of its own.
    let head = [b"\x00\x00\x3c\x01\x05\x00\x00\x00\x01".as_slice(), &[0; 60]].concat();
    let mut guard = Guard::h2(First(Some(preface), head), GuardLimits::default(), Arc::new(GuardLine::default()));
    criterion.bench_function("h2 HEADERS", |bench| bench.iter(|| read_once(&mut guard, &mut space)));
}

criterion_group!(benches, h1, bodies);
criterion_main!(benches);
