//! Asks an instance by the health service of gRPC (`grpc.health.v1.Health/Check`, <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>).
//!
//! In: an endpoint and the service's TLS. Out: well when it says SERVING, or a stable code of failure. Refuses: answers over a ceiling, compressed
//! ones. Never: sends a byte of anybody's request.
//!
//! The two messages have one field each (`service = 1`, `status = 1`), so that they are written and read here.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use wire::tls::client::ClientTls;

use crate::endpoint::Endpoint;
use crate::health::h2::{Question, authority};
use crate::health::http::AGENT;
use crate::health::place::Place;
use crate::health::standing::Outcome;
use crate::plan::health::GrpcProbePlan;
use crate::stream::Layer;

/// `HealthCheckResponse.ServingStatus.SERVING`.
const SERVING: u64 = 1;

/// Asks one instance.
pub(super) struct GrpcProbe {
    place: Place,
    message: Bytes,
}

impl GrpcProbe {
    pub(super) fn new(plan: &GrpcProbePlan, endpoint: &Endpoint) -> Self {
        Self { place: Place::of(endpoint, plan.port, plan.host.clone()), message: question(&plan.service) }
    }

    /// Asks once, over a connection that ends with the answer.
    pub(super) async fn ask(&self, endpoint: &Endpoint, tls: Option<&ClientTls>) -> Outcome {
        let tls = tls.map(|tls| tls.speaking(&[b"h2"]));
        let layer = self.place.connect(endpoint, tls.as_ref()).await?;
        let secure = matches!(layer, Layer::Tls(_));
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
        *request.uri_mut() = authority(secure, self.place.host(), path).ok_or("malformed")?;
        for (name, value) in [(CONTENT_TYPE, "application/grpc"), (TE, "trailers")] {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        request.headers_mut().insert(USER_AGENT, AGENT);
        let mut asked = Question::ask(layer, request, Some(self.message.clone())).await?;
        let head = asked.head().await?;
        if head.status != StatusCode::OK {
            return Err("status");
        }
        let (body, trailers) = asked.rest().await?;
        // A call that fails at once has its status in the head.
        if !is_ok(trailers.as_ref().unwrap_or(&head.headers)) {
            return Err("status");
        }
        match serving_status(&body) {
            Some(SERVING) => Ok(None),
            Some(_) => Err("not-serving"),
            None => Err("malformed"),
        }
    }
}

fn is_ok(headers: &HeaderMap) -> bool {
    headers.get("grpc-status").is_some_and(|status| status == "0")
}

/// A `HealthCheckRequest` as gRPC frames it: one byte that says "not compressed", four of length, the message.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(1 << 3 | 2);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.unsplit(message);
    frame.freeze()
}

fn put_varint(into: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        into.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    into.put_u8(number as u8);
}

/// The status of a `HealthCheckResponse`, 0 where it is left out; `None` for anything that is none. Fields that are not known are passed over.
fn serving_status(frame: &[u8]) -> Option<u64> {
    let (head, mut message) = frame.split_first_chunk::<5>()?;
    let [compressed, length @ ..] = *head;
    if compressed != 0 || u32::from_be_bytes(length) as usize != message.len() {
        return None;
    }
    let mut status = 0;
    while !message.is_empty() {
        let (key, rest) = varint(message)?;
        message = match key & 7 {
            0 => {
                let (number, rest) = varint(rest)?;
                status = if key >> 3 == 1 { number } else { status };
                rest
            }
            1 => rest.get(8..)?,
            2 => {
                let (length, rest) = varint(rest)?;
                rest.get(usize::try_from(length).ok()?..)?
            }
            5 => rest.get(4..)?,
            _ => return None,
        };
    }
    Some(status)
}

/// A number of at most ten bytes, and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_question_is_framed_as_grpc_frames_it() {
        assert_eq!(&question("")[..], &[0, 0, 0, 0, 0]);
        assert_eq!(&question("ab")[..], b"\0\0\0\0\x04\x0a\x02ab");
        let long = "x".repeat(200);
        assert_eq!(&question(&long)[..8], &[0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]);
    }

    #[test]
    fn the_answer_is_read_and_what_is_none_is_not() {
        for (frame, status) in [
            (&b"\0\0\0\0\x02\x08\x01"[..], Some(1)),
            (b"\0\0\0\0\x02\x08\x02", Some(2)),
            (b"\0\0\0\0\0", Some(0)),
            (b"\0\0\0\0\x06\x12\x02ab\x08\x01", Some(1)),
            (b"\x01\0\0\0\x02\x08\x01", None),
            (b"\0\0\0\0\x03\x08\x01", None),
            (b"\0\0\0\0\x02\x08\x81", None),
            (b"\0\0\0\0\x02\x12\x09", None),
            (b"\0\0\0\0\x01\x0b", None),
            (b"", None),
        ] {
            assert_eq!(serving_status(frame), status, "{frame:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_is_too_strange(mut frame in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = serving_status(&frame);
            if frame.len() >= 5 {
                frame[0] = 0;
                let length = (frame.len() - 5) as u32;
                frame[1..5].copy_from_slice(&length.to_be_bytes());
                let _ = serving_status(&frame);
            }
        }
    }
}
