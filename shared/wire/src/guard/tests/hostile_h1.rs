//! Hostile HTTP/1: each case with a lawful twin, and with what hyper alone makes of the same bytes.

use super::{GOODBYE, alone, guarded, run};
use crate::guard::fault::GuardFault::{self, *};

/// What hyper 1.12 does without the guard. `Passes`: the corridor sees a request that was made of the hostile bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alone {
    Passes,
    Refuses,
}
use Alone::{Passes, Refuses};

/// Name, hostile bytes, lawful twin, the guard's verdict, hyper's own.
type Case = (&'static str, &'static str, &'static str, GuardFault, Alone);

const HEADS: &[Case] = &[
    (
        "content-length and transfer-encoding",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        BothLengths,
        Passes,
    ),
    (
        "equal content-lengths",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok",
        ContentLengthConflict,
        Passes,
    ),
    (
        "different content-lengths",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nX: 3\r\n\r\nok",
        ContentLengthConflict,
        Refuses,
    ),
    (
        "signed content-length",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\nok",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok",
        ContentLengthMalformed,
        Refuses,
    ),
    (
        "content-length that may be octal",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 02\r\n\r\nok",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok",
        ContentLengthMalformed,
        Passes,
    ),
    (
        "content-length that is negative to some",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\nok",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok",
        ContentLengthMalformed,
        // It waits for the rest of the body.
        Refuses,
    ),
    (
        "transfer-encoding to those who fold an underscore",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer_Encoding: chunked\r\n\r\nok",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nX_Encoding: chunked\r\n\r\nok",
        HeaderNameMalformed,
        Passes,
    ),
    (
        "content-length list",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\nok",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length:  2 \r\n\r\nok",
        ContentLengthMalformed,
        Refuses,
    ),
    ("bare LF everywhere", "GET /x HTTP/1.1\nHost: a\n\n", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", BareLf, Passes),
    (
        "bare LF hides a field",
        "GET /x HTTP/1.1\r\nHost: a\r\nX: y\nX-Gw-Caller: root\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nX: y X-Gw-Caller: root\r\n\r\n",
        BareLf,
        Passes,
    ),
    (
        "bare CR in a value",
        "GET /x HTTP/1.1\r\nHost: a\r\nX: y\rZ: z\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nX: y\tZ: z\r\n\r\n",
        BareCr,
        Refuses,
    ),
    ("folded field", "GET /x HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a\r\nX: y z\r\n\r\n", ObsFold, Refuses),
    (
        "space before the colon",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n\r\nok",
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok",
        SpaceBeforeColon,
        Refuses,
    ),
    (
        "NUL in a value",
        "GET /x HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nX: y\u{e9}z\r\n\r\n",
        ControlCharacter,
        Refuses,
    ),
    ("no host", "GET /x HTTP/1.1\r\n\r\n", "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", HostMissing, Passes),
    (
        "two hosts",
        "GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nX-Host: b\r\n\r\n",
        HostDuplicate,
        Passes,
    ),
    ("host with user", "GET /x HTTP/1.1\r\nHost: a@b\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a.b:80\r\n\r\n", HostMalformed, Passes),
    (
        "host and authority differ",
        "GET http://a/x HTTP/1.1\r\nHost: b\r\n\r\n",
        "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
        HostMismatch,
        Passes,
    ),
    (
        "transfer-encoding on 1.0",
        "POST /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        TransferEncodingRefused,
        Refuses,
    ),
    (
        "coding before chunked",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n0\r\n\r\n",
        TransferEncodingRefused,
        Passes,
    ),
    (
        "chunked twice",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\ntransfer-encoding:CHUNKED\r\n\r\n0\r\n\r\n",
        TransferEncodingRefused,
        Passes,
    ),
    ("tunnel", "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x:443\r\n\r\n", MethodRefused, Passes),
    ("the guard's own word", "GWREFUSED /x HTTP/1.1\r\nHost: a\r\n\r\n", "REFUSED /x HTTP/1.1\r\nHost: a\r\n\r\n", MethodRefused, Passes),
    (
        "fragment in the target",
        "GET /x#/admin HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /x%23/admin HTTP/1.1\r\nHost: a\r\n\r\n",
        RequestLineMalformed,
        Passes,
    ),
    (
        "raw octets in the target",
        "GET /x\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /x%C3%A9 HTTP/1.1\r\nHost: a\r\n\r\n",
        RequestLineMalformed,
        Passes,
    ),
    ("two spaces", "GET  /x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", RequestLineMalformed, Refuses),
    ("asterisk for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", RequestLineMalformed, Passes),
    ("version 1.2", "GET /x HTTP/1.2\r\nHost: a\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n", VersionRefused, Refuses),
    (
        "empty lines first",
        "\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        RequestLineMalformed,
        Passes,
    ),
    (
        "framing named hop-by-hop",
        "POST /x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, content-length\r\nContent-Length: 2\r\n\r\nok",
        "POST /x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x\r\nContent-Length: 2\r\n\r\nok",
        ConnectionMalformed,
        Passes,
    ),
    (
        "unknown expectation",
        "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 200-maybe\r\nContent-Length: 2\r\n\r\nok",
        "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
        ExpectRefused,
        Passes,
    ),
];

const BODIES: &[Case] = &[
    (
        "chunk extension",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ChunkMalformed,
        Passes,
    ),
    (
        "bare LF in a chunk extension",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;\nxx\r\nok\r\n0\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n02\r\nok\r\n0\r\n\r\n",
        ChunkMalformed,
        Refuses,
    ),
    (
        "space behind the chunk size",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n00\r\n\r\n",
        ChunkMalformed,
        Passes,
    ),
    (
        "chunk size that overflows",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nok\r\n0\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0000000000000002\r\nok\r\n0\r\n\r\n",
        ChunkMalformed,
        Refuses,
    ),
    (
        "chunk longer than it says",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nokay\r\n0\r\n\r\n",
        ChunkMalformed,
        Refuses,
    ),
    (
        "length in a trailer",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Length: 9\r\n\r\n",
        TrailerMalformed,
        Passes,
    ),
    (
        "bare LF in a trailer",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\nC: d\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\nC: d\r\n\r\n",
        TrailerMalformed,
        Refuses,
    ),
];

/// Only what the hostile bytes became: whole requests, the goodbye left out.
fn whole(outcome: &super::Outcome) -> usize {
    outcome.seen.iter().filter(|seen| seen.body.is_some() && seen.uri.path() != "/goodbye").count()
}

#[test]
fn heads_are_refused_and_answered() {
    run(async {
        for &(name, hostile, _, fault, _) in HEADS {
            let outcome = guarded(hostile).await;
            assert_eq!(outcome.refusal, Some(fault), "{name}");
            assert_eq!(outcome.requests().len(), 0, "{name}: {outcome:?}");
            assert_eq!(outcome.seen.len(), 1, "{name}: one synthetic request: {outcome:?}");
            let status = fault.reason().status().as_str().to_owned();
            assert!(outcome.answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {outcome:?}");
            assert!(outcome.answer.ends_with(fault.code()), "{name}: {outcome:?}");
        }
    });
}

#[test]
fn bodies_are_refused_before_they_are_whole() {
    run(async {
        for &(name, hostile, _, fault, _) in BODIES {
            let outcome = guarded(hostile).await;
            assert_eq!(outcome.refusal, Some(fault), "{name}");
            assert_eq!(whole(&outcome), 0, "{name}: {outcome:?}");
            assert_eq!(outcome.seen.len(), 1, "{name}: nothing behind it is read: {outcome:?}");
            assert!(outcome.answer.starts_with("HTTP/1.1 400 ") && outcome.answer.ends_with(fault.code()), "{name}: {outcome:?}");
        }
    });
}

#[test]
fn lawful_twins_pass() {
    run(async {
        for &(name, _, twin, ..) in HEADS.iter().chain(BODIES) {
            let outcome = guarded(twin).await;
            assert_eq!(outcome.refusal, None, "{name}");
            let direct = alone(twin).await;
            assert_eq!(outcome.seen, direct.seen, "{name}: the guard changes nothing");
            assert_eq!(outcome.seen.len(), 2, "{name}: the request and the goodbye: {outcome:?}");
            assert_eq!(
                outcome.answer.matches("HTTP/1.1 200 OK").count() + outcome.answer.matches("HTTP/1.0 200 OK").count(),
                2,
                "{name}: {outcome:?}"
            );
        }
    });
}

/// Why the guard is needed. When this fails, hyper has changed: read what it does now, and mend the table and the page in `guard/mod.rs`.
#[test]
fn what_hyper_alone_does() {
    run(async {
        let mut wrong = Vec::new();
        for &(name, hostile, _, _, verdict) in HEADS.iter().chain(BODIES) {
            let outcome = alone(hostile).await;
            let found = if whole(&outcome) > 0 { Passes } else { Refuses };
            if found != verdict {
                wrong.push(format!("{name}: {found:?} {outcome:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn a_field_that_a_reader_in_front_took_for_a_value_is_seen_by_nobody() {
    run(async {
        let hostile = "GET /x HTTP/1.1\r\nHost: a\r\nX: y\nX-Gw-Caller: root\r\n\r\n";
        let direct = alone(hostile).await;
        assert_eq!(direct.seen[0].headers["x-gw-caller"], "root", "hyper alone reads a field here");
        assert!(guarded(hostile).await.requests().is_empty());
    });
}

#[test]
fn a_body_that_a_reader_in_front_framed_by_length_is_seen_by_nobody() {
    run(async {
        let hostile = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        let direct = alone(hostile).await;
        assert_eq!(direct.seen[0].body.as_deref(), Some(&b""[..]), "hyper alone reads chunks");
        assert!(!direct.seen[0].headers.contains_key("content-length"), "and hides the length that it has dropped");
        assert!(guarded(hostile).await.requests().is_empty());
    });
}

#[test]
fn lawful_requests_before_a_hostile_one_are_answered_first() {
    run(async {
        let bytes = format!("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\nHost: a\n\n{GOODBYE}");
        let outcome = guarded(&bytes).await;
        let paths: Vec<_> = outcome.seen.iter().map(|seen| seen.uri.path()).collect();
        assert_eq!(paths, ["/1", "/2", "/"]);
        assert_eq!(outcome.answer.matches("HTTP/1.1 200 OK").count(), 2);
        assert!(outcome.answer.ends_with("bare-lf"), "{}", outcome.answer);
    });
}

#[test]
fn an_answer_to_a_refused_head_arrives_though_the_client_sends_on() {
    run(async {
        let junk = "x".repeat(200 * 1024);
        let outcome = guarded(&format!("GET /x HTTP/1.1\nHost: a\n\n{junk}")).await;
        assert!(outcome.answer.ends_with("bare-lf"), "{}", outcome.answer);
    });
}
