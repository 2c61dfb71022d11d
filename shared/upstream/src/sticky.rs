//! The cookie that brings a client back to the instance that served it.
//!
//! In: an instance, by the hash of its address, and a key that all replicas share. Out: a `Set-Cookie` field, and from its value the instance.
//! Refuses, as if there were none: what was made with another key or for another service, was changed, or has ended. Never: shows a client an
//! address, or anything that it could compare with one: the tag is a MAC over service, instance and end (HMAC-SHA256, RFC 2104), and the instance
//! is masked by a pad that is made from the tag (as in SIV, RFC 5297).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

use crate::plan::balance::StickyPlan;

/// Bytes of a value before its encoding: the masked instance, the end, the tag.
const VALUE_BYTES: usize = 8 + 8 + TAG_BYTES;

const TAG_BYTES: usize = 32;

/// What a cookie says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// The hash of the instance's address.
    pub(crate) instance: u64,
    /// When it ends, in Unix seconds.
    pub(crate) expires_s: u64,
}

/// The field that sets a cookie for `instance` at `now_s` (Unix seconds).
pub(crate) fn write(plan: &StickyPlan, service: &str, instance: u64, now_s: u64) -> Option<HeaderValue> {
    let life = plan.life.as_secs();
    let expires_s = now_s.saturating_add(life);
    let tag = tag(plan, service, instance, expires_s);
    let masked = instance ^ pad(plan, tag.as_ref())?;
    let mut value = [0; VALUE_BYTES];
    let parts = masked.to_be_bytes().into_iter().chain(expires_s.to_be_bytes()).chain(tag.as_ref().iter().copied());
    value.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    let text = format!("{}={}; Path=/; Max-Age={life}; HttpOnly; Secure; SameSite=Lax", plan.cookie, URL_SAFE_NO_PAD.encode(value));
    let mut field = HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).ok()?;
    field.set_sensitive(true);
    Some(field)
}

/// What the value of a cookie says at `now_s`, if we made it for this service and it has not ended.
pub(crate) fn read(plan: &StickyPlan, service: &str, value: &[u8], now_s: u64) -> Option<Ticket> {
    let mut decoded = [0; VALUE_BYTES];
    if URL_SAFE_NO_PAD.decode_slice(value, &mut decoded).ok()? != VALUE_BYTES {
        return None;
    }
    let (masked, rest) = decoded.split_first_chunk()?;
    let (expires, tag) = rest.split_first_chunk()?;
    let (masked, expires_s) = (u64::from_be_bytes(*masked), u64::from_be_bytes(*expires));
    let instance = masked ^ pad(plan, tag)?;
    // In constant time.
    hmac::verify(plan.key.hmac(), message(service, instance, expires_s).bytes(), tag).ok()?;
    // An end further away than any that we write is of a longer `life` that held before; the one that holds now is kept.
    (expires_s > now_s && expires_s - now_s <= plan.life.as_secs()).then_some(Ticket { instance, expires_s })
}

fn tag(plan: &StickyPlan, service: &str, instance: u64, expires_s: u64) -> hmac::Tag {
    hmac::sign(plan.key.hmac(), message(service, instance, expires_s).bytes())
}

fn pad(plan: &StickyPlan, tag: &[u8]) -> Option<u64> {
    let mut message = [0; 1 + TAG_BYTES];
    message[0] = b'p';
    message.get_mut(1..)?.iter_mut().zip(tag).for_each(|(to, from)| *to = *from);
    hmac::sign(plan.key.hmac(), &message).as_ref().first_chunk().map(|pad| u64::from_be_bytes(*pad))
}

/// What is signed: which kind of value, instance, end, service.
struct Message {
    bytes: [u8; Self::BYTES_MAX],
    len: usize,
}

impl Message {
    /// A service's name has at most 128 bytes.
    const BYTES_MAX: usize = 1 + 8 + 8 + 128;

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

fn message(service: &str, instance: u64, expires_s: u64) -> Message {
    let mut message = Message { bytes: [0; Message::BYTES_MAX], len: 0 };
    let parts = std::iter::once(b't').chain(instance.to_be_bytes()).chain(expires_s.to_be_bytes()).chain(service.bytes());
    for (to, from) in message.bytes.iter_mut().zip(parts) {
        *to = from;
        message.len += 1;
    }
    message
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::balance::StickyKey;

    fn plan(key: &[u8]) -> StickyPlan {
        StickyPlan { cookie: "gw".into(), key: StickyKey::new(key), life: Duration::from_secs(3_600) }
    }

    fn value(field: &HeaderValue) -> Vec<u8> {
        let text = field.to_str().expect("text");
        text.strip_prefix("gw=").and_then(|rest| rest.split_once(';')).expect("a cookie").0.as_bytes().to_vec()
    }

    #[test]
    fn a_cookie_says_the_instance_until_it_ends() {
        let plan = plan(&[7; 32]);
        let field = write(&plan, "orders", 42, 1_000).expect("a field");
        let text = field.to_str().expect("text");
        assert!(text.ends_with("; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"), "{text}");
        assert!(field.is_sensitive());
        let value = value(&field);
        let wanted = Some(Ticket { instance: 42, expires_s: 4_600 });
        assert_eq!((read(&plan, "orders", &value, 1_000), read(&plan, "orders", &value, 4_599)), (wanted, wanted));
        assert_eq!(read(&plan, "orders", &value, 4_600), None, "its end has come");
        assert_eq!(read(&plan, "users", &value, 1_000), None, "another service");
        assert_eq!(read(&self::plan(&[8; 32]), "orders", &value, 1_000), None, "another key");
        assert_eq!(read(&self::plan(&[7; 32]), "orders", &value, 1_000), wanted, "another replica with the same key");
        let shorter = StickyPlan { life: Duration::from_secs(60), ..plan };
        assert_eq!(read(&shorter, "orders", &value, 1_000), None, "a life that is shorter now");
    }

    #[test]
    fn every_changed_byte_is_a_forgery() {
        let plan = plan(&[7; 32]);
        let good = value(&write(&plan, "orders", 42, 1_000).expect("a field"));
        for place in 0..good.len() {
            for bit in 0..7 {
                let mut forged = good.clone();
                forged[place] ^= 1 << bit;
                assert_eq!(read(&plan, "orders", &forged, 1_000), None, "byte {place}, bit {bit}");
            }
        }
        for len in 0..good.len() {
            assert_eq!(read(&plan, "orders", &good[..len], 1_000), None, "{len} bytes");
        }
        let longer = [&good[..], b"AAAA"].concat();
        assert_eq!(read(&plan, "orders", &longer, 1_000), None);
        for nonsense in [&b""[..], b"=", b"\xff\xff", &[b'A'; 64], &[b'A'; 4_096]] {
            assert_eq!(read(&plan, "orders", nonsense, 1_000), None);
        }
    }

    #[test]
    fn two_cookies_of_one_instance_have_nothing_in_common() {
        let plan = plan(&[7; 32]);
        let first =
            |now_s| URL_SAFE_NO_PAD.decode(value(&write(&plan, "orders", 42, now_s).expect("a field"))).expect("encoded")[..8].to_vec();
        assert_ne!(first(1_000), first(1_001));
        assert_ne!(first(1_000), 42_u64.to_be_bytes());
    }
}
