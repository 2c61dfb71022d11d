//! What holds for every input: no panic, one verdict however the bytes are cut, nothing changed by a second guard, and one reading of what passes: by
//! hyper, and by readers with bad habits.
//!
//! `PROPTEST_CASES` runs more of each than its own number.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::{HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::readers::{self, Habits, Message};
use super::{GOODBYE, run, talk};
use crate::guard::fault::GuardFault;
use crate::guard::h2::H2;
use crate::guard::limits::GuardLimits;
use crate::guard::line::GuardLine;
use crate::guard::{Guard, REFUSED_METHOD};

/// So many cases, or as many as the environment asks for.
fn config(cases: u32) -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if asked { default } else { ProptestConfig { cases, ..default } }
}

/// I/O that brings its parts one by one and then ends.
struct Parts(VecDeque<Vec<u8>>);

impl AsyncRead for Parts {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(mut part) = self.0.pop_front() {
            let rest = part.split_off(part.len().min(out.remaining()));
            out.put_slice(&part);
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Parts {
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

/// Everything that can be told of a connection.
#[derive(Debug, PartialEq)]
struct Verdict {
    refusal: Option<GuardFault>,
    heads: u64,
    failed: bool,
    passed: Vec<u8>,
}

/// `bytes` in parts, cut at `cuts`.
fn parts(bytes: &[u8], cuts: &[Index]) -> Parts {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    Parts(places.windows(2).map(|ends| bytes[ends[0]..ends[1]].to_vec()).filter(|part| !part.is_empty()).collect())
}

/// Reads `parts` through the guard, `space` bytes at a time.
fn judge(parts: Parts, space: usize) -> Verdict {
    // Small ceilings, so that they are met; how deep a pipeline may be is tested elsewhere.
    let limits =
        GuardLimits { head_bytes_max: 512, headers_max: 6, target_bytes_max: 64, heads_ahead_max: u32::MAX, ..GuardLimits::default() };
    let mut verdict = pass(parts, space, limits);
    if verdict.failed {
        // How much of a broken body went on depends on the cuts; that it broke does not.
        verdict.passed.clear();
    }
    verdict
}

fn pass(parts: Parts, space: usize, limits: GuardLimits) -> Verdict {
    let line = Arc::new(GuardLine::default());
    let mut guard = Guard::h1(parts, limits, Arc::clone(&line));
    let mut cx = Context::from_waker(Waker::noop());
    let mut passed = Vec::new();
    let mut buffer = vec![0; space];
    let failed = loop {
        let mut out = ReadBuf::new(&mut buffer);
        match Pin::new(&mut guard).poll_read(&mut cx, &mut out) {
            Poll::Ready(Ok(())) if out.filled().is_empty() => break false,
            Poll::Ready(Ok(())) => passed.extend_from_slice(out.filled()),
            Poll::Ready(Err(_)) => break true,
            Poll::Pending => break false,
        }
        // As the corridor would: whoever asks to leave HTTP is told no, and everybody is answered.
        line.settled();
        assert!(Pin::new(&mut guard).poll_write(&mut cx, b"HTTP/1.1 200 OK\r\n\r\n").is_ready());
    };
    Verdict { refusal: line.refusal(), heads: line.heads(), failed, passed }
}

/// Pieces of which conversations are made, lawful and not.
fn piece() -> impl Strategy<Value = String> {
    let whole = select(vec![
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "\r\n",
    ])
    .prop_map(str::to_owned);
    let fragment = select(vec![
        "GET ",
        "/ ",
        "HTTP/1.1\r\n",
        "Host: a\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
        "\n",
        "\r",
        " ",
        ":",
        "0\r\n",
        "3\r\n",
        "abc",
        "\0",
        "\t",
        ",",
    ])
    .prop_map(str::to_owned);
    prop_oneof![4 => whole, 1 => fragment]
}

fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), select(b"\r\n \t:;,0a\0\x7f\xff#".to_vec()), 0..3_u8);
    (prop::collection::vec(piece(), 0..6), prop::collection::vec(change, 0..3)).prop_map(|(pieces, changes)| {
        let mut bytes = pieces.concat().into_bytes();
        for (place, byte, how) in changes {
            let place = place.index(bytes.len() + 1);
            match how {
                0 => bytes.insert(place, byte),
                1 if place < bytes.len() => bytes[place] = byte,
                _ if place < bytes.len() => drop(bytes.remove(place)),
                _ => {}
            }
        }
        bytes
    })
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 0..12)
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn the_verdict_does_not_depend_on_the_cuts(bytes in conversation(), cuts in cuts(), space in 1..200_usize) {
        let whole = judge(parts(&bytes, &[]), 8192);
        prop_assert_eq!(&judge(parts(&bytes, &cuts), 8192), &whole);
        prop_assert_eq!(&judge(parts(&bytes, &cuts), space), &whole);
        let dribbled = Parts(bytes.iter().map(|&byte| vec![byte]).collect());
        prop_assert_eq!(&judge(dribbled, space), &whole);
    }

    #[test]
    fn random_bytes_never_panic_and_never_pass(bytes in prop::collection::vec(any::<u8>(), 0..300), cuts in cuts()) {
        let verdict = judge(parts(&bytes, &cuts), 64);
        prop_assert_eq!(verdict.heads, 0, "no random bytes make a head");
    }

    #[test]
    fn random_frames_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in any::<Index>()) {
        let now = tokio::time::Instant::now();
        let whole_input = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".as_slice(), &bytes].concat();
        let mut whole = H2::new(GuardLimits::default().h2, GuardLimits::default().h2_head_bytes_max(), now);
        let verdict = whole.read(&whole_input, || now);
        let mut halves = H2::new(GuardLimits::default().h2, GuardLimits::default().h2_head_bytes_max(), now);
        let (one, two) = whole_input.split_at(cut.index(whole_input.len() + 1));
        let again = halves.read(one, || now).and_then(|first| halves.read(two, || now).map(|second| first + second));
        prop_assert_eq!(verdict, again);
        prop_assert_eq!(whole.in_head(), halves.in_head());
    }
}

fn text(alphabet: &'static [u8], lengths: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(select(alphabet.to_vec()), lengths)
}

proptest! {
    #![proptest_config(config(500))]

    /// A head is rendered from parts of which some are unlawful. If the guard lets it pass, hyper must find exactly those parts in it.
    #[test]
    fn hyper_sees_what_the_guard_let_pass(
        method in prop_oneof![text(b"GETPOS-!~", 1..6), text(b"GET (\t\xff", 1..4)],
        path in prop_oneof![text(b"abc%20./;=&|{}\"\\^[]@:,'", 0..12), text(b"ab#`<>\xc3\xa9 \0", 0..3)],
        query in prop::option::of(prop_oneof![text(b"a=b&?/`|{}\\^%", 0..8), text(b"a\"<>#\xff", 0..3)]),
        fields in prop::collection::vec((text(b"aB-_.~!1", 1..6), prop_oneof![6 => text(b"ab ,;\"=\t\xff:", 0..12), 1 => text(b"a\r\0\x01\x7f", 0..3)]), 0..6),
    ) {
        let mut target = [b"/".as_slice(), &path].concat();
        if let Some(query) = &query {
            target.push(b'?');
            target.extend(query);
        }
        let mut bytes = [&method, b" ".as_slice(), &target, b" HTTP/1.1\r\nhost: a\r\n"].concat();
        for (name, value) in &fields {
            bytes.extend([name, b":".as_slice(), value, b"\r\n"].concat());
        }
        bytes.extend(b"\r\n");
        let mut result = Ok(());
        run(async {
            let outcome = talk(&[&bytes, GOODBYE.as_bytes()], Some(GuardLimits::default())).await;
            result = compare(&outcome, &method, &target, &fields);
        });
        result?;
    }
}

fn compare(outcome: &super::Outcome, method: &[u8], target: &[u8], fields: &[(Vec<u8>, Vec<u8>)]) -> Result<(), TestCaseError> {
    if outcome.refusal.is_some() {
        prop_assert_eq!(outcome.requests().len(), 0, "a refused head is seen by nobody");
        prop_assert_eq!(outcome.seen.len(), 1);
        prop_assert_eq!(outcome.seen[0].method.as_str(), REFUSED_METHOD);
        return Ok(());
    }
    prop_assert_eq!(outcome.seen.len(), 2, "hyper refuses nothing that the guard lets pass");
    let seen = &outcome.seen[0];
    prop_assert_eq!(&seen.method, &Method::from_bytes(method).expect("the guard took it for a token"));
    let found = seen.uri.path_and_query().expect("an origin-form target").as_str();
    prop_assert_eq!(found.as_bytes(), target);
    let mut expected = http::HeaderMap::new();
    expected.append("host", HeaderValue::from_static("a"));
    for (name, value) in fields {
        let trimmed = crate::guard::octets::trimmed(value);
        expected.append(
            HeaderName::from_bytes(name).expect("the guard took it for a name"),
            HeaderValue::from_bytes(trimmed).expect("and this for a value"),
        );
    }
    prop_assert_eq!(&seen.headers, &expected);
    Ok(())
}

/// A lawful message with a body of every kind.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let first = select(vec!["GET /a?b=c", "POST /", "PUT http://a/b", "DELETE http://a", "OPTIONS *", "M-SEARCH /x"]);
    let field = select(vec![
        "X: y\r\n",
        "X:\r\n",
        "x_y:  \tz \r\n",
        "Cookie: a=b; c\r\n",
        "Expect: 100-continue\r\n",
        "Connection: keep-alive, x\r\n",
    ]);
    let fields = prop::collection::vec(field, 0..3).prop_map(|fields| fields.concat());
    let data = || text(b"ab0\r\n: GET", 0..12);
    let by_length = data().prop_map(|data| (format!("Content-Length: {}\r\n", data.len()), data));
    let trailers = select(vec!["", "A: b\r\n", "A: b\r\nc_d:\r\n"]);
    let by_chunks = (prop::collection::vec(data(), 0..3), trailers).prop_map(|(chunks, trailers)| {
        let chunk = |data: &Vec<u8>| [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat();
        let chunks: Vec<_> = chunks.iter().filter(|data| !data.is_empty()).flat_map(chunk).collect();
        ("Transfer-Encoding: chunked\r\n".to_owned(), [&chunks, b"0\r\n".as_slice(), trailers.as_bytes(), b"\r\n"].concat())
    });
    let framed = prop_oneof![Just((String::new(), Vec::new())), by_length, by_chunks];
    (first, fields, framed).prop_map(|(first, fields, (framing, body))| {
        let head = format!("{first} HTTP/1.1\r\nHost: a\r\n{fields}{framing}\r\n");
        [head.as_bytes(), &body].concat()
    })
}

/// Lawful messages into which something was put that smugglers use, or none.
fn tampered() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "Content-Length: 1\r\n",
        "Content-Length: 010\r\n",
        "Content_Length: 1\r\n",
        "Content-Length: +1\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer_Encoding: chunked\r\n",
        "Transfer-Encoding: x\r\n",
        "X: ",
        "\r\n",
        "\n",
        "\r",
        "\t",
        " ",
        "\0",
        "\x0b",
        ":",
        ",",
        ";",
        "0",
        "1",
        "a",
        "_",
        "0\r\n\r\n",
        " HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ]);
    let change = (any::<Index>(), any::<bool>(), piece, 0..4_usize);
    (prop::collection::vec(message(), 1..4), prop::collection::vec(change, 0..4)).prop_map(|(messages, changes)| {
        let mut bytes = messages.concat();
        for (place, at_a_line, piece, removed) in changes {
            let mut place = place.index(bytes.len() + 1);
            if at_a_line {
                place = bytes[..place].windows(2).rposition(|two| two == b"\r\n").map_or(0, |end| end + 2);
            }
            let end = bytes.len().min(place + removed);
            bytes.splice(place..end, piece.bytes());
        }
        bytes
    })
}

proptest! {
    #![proptest_config(config(2000))]

    /// Nothing ambiguous passes: strict and sloppy readers and hyper find the same messages in what the guard hands on.
    #[test]
    fn every_reader_reads_what_passes_as_the_same_messages(
        bytes in prop_oneof![tampered(), conversation()],
        habits in any::<[bool; 8]>(),
        cuts in cuts(),
    ) {
        let bytes = [&bytes, GOODBYE.as_bytes()].concat();
        let verdict = pass(parts(&bytes, &[]), 8192, GuardLimits { heads_ahead_max: u32::MAX, ..GuardLimits::default() });
        let passed = passed_of_the_client(&verdict.passed);
        let strict = readers::read(passed, Habits::default());
        let sloppy = readers::read(passed, Habits::from_bits(habits));
        prop_assert_eq!(sloppy.iter().map(Message::shape).collect::<Vec<_>>(), strict.iter().map(Message::shape).collect::<Vec<_>>());

        if !verdict.failed {
            let again = pass(parts(passed, &cuts), 8192, GuardLimits { heads_ahead_max: u32::MAX, ..GuardLimits::default() });
            prop_assert_eq!((again.refusal, again.heads), (None, verdict.heads), "a second guard has nothing to refuse");
            prop_assert_eq!(again.passed.as_slice(), passed, "nor to change");
        }

        let mut result = Ok(());
        run(async {
            let cut = parts(&bytes, &cuts);
            let pieces: Vec<&[u8]> = cut.0.iter().map(Vec::as_slice).collect();
            let outcome = talk(&pieces, Some(GuardLimits::default())).await;
            result = same_messages(&outcome, &strict);
        });
        result?;
    }
}

/// What was handed on, without what stands in for a refused head.
fn passed_of_the_client(passed: &[u8]) -> &[u8] {
    let word = REFUSED_METHOD.as_bytes();
    let end = passed.windows(word.len()).position(|window| window == word).unwrap_or(passed.len());
    &passed[..end]
}

/// hyper has seen these messages, and no other that was whole.
fn same_messages(outcome: &super::Outcome, expected: &[Message]) -> Result<(), TestCaseError> {
    let seen: Vec<_> = outcome.requests().into_iter().filter(|seen| seen.body.is_some()).collect();
    prop_assert_eq!(seen.len(), expected.len(), "{:?}", outcome);
    for (seen, expected) in seen.into_iter().zip(expected) {
        prop_assert_eq!(seen.method.as_str().as_bytes(), &expected.method);
        // Of an absolute target the authority is the host, and nothing behind it is the root.
        let target = seen.uri.path_and_query().map_or("", |target| target.as_str());
        let written = str::from_utf8(&expected.target).expect("ASCII");
        let path = written.split_once("://").map_or(written, |(_, rest)| rest.find('/').map_or("/", |start| &rest[start..]));
        prop_assert_eq!(target, path);
        prop_assert_eq!(seen.body.as_deref(), Some(expected.body.as_slice()));
        prop_assert_eq!(&seen.headers, &readers::map(&expected.fields));
        prop_assert_eq!(seen.trailers.clone().unwrap_or_default(), readers::map(&expected.trailers));
    }
    Ok(())
}
