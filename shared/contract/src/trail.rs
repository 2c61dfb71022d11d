//! Tier 2's report of what happened to a request: one bounded response header that tier 1 reads into the access record and strips.
//!
//! In: what routing-gw learned. Out: `k=v;k=v` with percent-encoded values. Refuses any malformation as a whole; keys that a newer tier
//! added are skipped. Never: trusted for a decision, only for records.

use http::HeaderValue;

use crate::hex;
use crate::reason::Reason;

/// The longest trail, in bytes.
pub const TRAIL_BYTES_MAX: usize = 1024;

/// The longest encoded value, in bytes; longer ones are cut. Five of them with all numbers stay below `TRAIL_BYTES_MAX`.
const VALUE_BYTES_MAX: usize = 160;

/// What tier 2 did with one request.
#[derive(Default, Clone, Debug, PartialEq)]
pub struct Trail {
    /// The name of the route.
    pub route: Option<String>,
    /// The id of the authorization decision.
    pub decision: Option<String>,
    /// The name of the service.
    pub service: Option<String>,
    /// The instance that answered, or was tried last.
    pub instance: Option<String>,
    /// The generation of the service's endpoint set.
    pub generation: Option<u64>,
    /// How often it was sent.
    pub attempts: u32,
    /// Microseconds spent waiting for a place at the service, where it was full.
    pub queue_us: Option<u64>,
    /// Microseconds from the request sent to the head of the answer.
    pub upstream_us: Option<u64>,
    /// Why tier 2 refused, where it did.
    pub reason: Option<Reason>,
}

impl Trail {
    /// The value of `x-gw-trail`; at most `TRAIL_BYTES_MAX` bytes.
    #[must_use]
    pub fn encode(&self) -> HeaderValue {
        let mut out = Vec::with_capacity(256);
        text(&mut out, "route", self.route.as_deref());
        text(&mut out, "decision", self.decision.as_deref());
        text(&mut out, "service", self.service.as_deref());
        text(&mut out, "instance", self.instance.as_deref());
        number(&mut out, "generation", self.generation);
        number(&mut out, "attempts", Some(u64::from(self.attempts)));
        number(&mut out, "queue_us", self.queue_us);
        number(&mut out, "upstream_us", self.upstream_us);
        text(&mut out, "reason", self.reason.map(Reason::code));
        hex::header(&out)
    }

    /// Reads a trail back.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        if value.len() > TRAIL_BYTES_MAX {
            return None;
        }
        let mut trail = Self::default();
        let mut seen = Vec::with_capacity(9);
        for pair in value.split(|byte| *byte == b';') {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (&pair[..equals], &pair[equals + 1..]);
            let lawful_key = !key.is_empty() && key.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_');
            if !lawful_key || seen.contains(&key) {
                return None;
            }
            seen.push(key);
            let value = decode(value)?;
            match key {
                b"route" => trail.route = Some(value),
                b"decision" => trail.decision = Some(value),
                b"service" => trail.service = Some(value),
                b"instance" => trail.instance = Some(value),
                b"generation" => trail.generation = Some(digits(&value)?),
                b"attempts" => trail.attempts = u32::try_from(digits(&value)?).ok()?,
                b"queue_us" => trail.queue_us = Some(digits(&value)?),
                b"upstream_us" => trail.upstream_us = Some(digits(&value)?),
                // A newer tier may know more reasons than this one.
                b"reason" => trail.reason = Reason::from_code(&value),
                _ => {}
            }
        }
        Some(trail)
    }
}

fn key(out: &mut Vec<u8>, key: &str) {
    if !out.is_empty() {
        out.push(b';');
    }
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
}

fn number(out: &mut Vec<u8>, name: &str, value: Option<u64>) {
    if let Some(value) = value {
        key(out, name);
        out.extend_from_slice(value.to_string().as_bytes());
    }
}

fn text(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    key(out, name);
    let mut room = VALUE_BYTES_MAX;
    let mut utf8 = [0; 4];
    // Cut between characters, so that what is left is text.
    for character in value.chars() {
        let bytes = character.encode_utf8(&mut utf8).as_bytes();
        let plain = bytes.iter().all(|byte| is_plain(*byte));
        let cost = if plain { 1 } else { 3 * bytes.len() };
        if cost > room {
            return;
        }
        room -= cost;
        if plain {
            out.extend_from_slice(bytes);
        } else {
            bytes.iter().for_each(|byte| escape(out, *byte));
        }
    }
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    out.push(b'%');
    out.extend_from_slice(&hex::encode::<2>(&[byte]));
}

/// Bytes that stand for themselves in a value.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b'[' | b']' | b'@' | b'+' | b',')
}

fn decode(mut value: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(value.len());
    while let Some((&byte, after)) = value.split_first() {
        value = if byte == b'%' {
            let (pair, rest) = after.split_at_checked(2)?;
            let [decoded] = hex::decode(pair)?;
            out.push(decoded);
            rest
        } else if is_plain(byte) {
            out.push(byte);
            after
        } else {
            return None;
        };
    }
    String::from_utf8(out).ok()
}

/// Digits alone: no sign, no leading zero, within 64 bits.
fn digits(value: &str) -> Option<u64> {
    let canonical = value.bytes().all(|byte| byte.is_ascii_digit()) && (value == "0" || !value.starts_with('0'));
    canonical.then(|| value.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_trail_reads_like_this() {
        let trail = Trail {
            route: Some("read-orders".into()),
            service: Some("orders".into()),
            instance: Some("[::1]:9201".into()),
            generation: Some(4),
            attempts: 2,
            upstream_us: Some(1500),
            reason: Some(Reason::UpstreamReset),
            ..Trail::default()
        };
        assert_eq!(
            trail.encode(),
            "route=read-orders;service=orders;instance=[::1]:9201;generation=4;attempts=2;upstream_us=1500;reason=upstream-reset"
        );
        assert_eq!(Trail::parse(trail.encode().as_bytes()), Some(trail));
        assert_eq!(Trail::default().encode(), "attempts=0");
    }

    #[test]
    fn malformations_are_refused_as_a_whole() {
        let long = format!("route={}", "a".repeat(TRAIL_BYTES_MAX));
        for text in [
            "",
            ";",
            "route",
            "route=a;",
            ";route=a",
            "route=a;route=b",
            "=a",
            "Route=a",
            "route=a b",
            "route=%",
            "route=%4",
            "route=%zz",
            "route=%C3%A9",
            "route=%ff",
            "route=a=b",
            "attempts=",
            "attempts=-1",
            "attempts=+1",
            "attempts=01",
            "attempts=4294967296",
            "generation=18446744073709551616",
            "queue_us=1.5",
            "route=a;new_key=;x y=1",
            long.as_str(),
        ] {
            assert_eq!(Trail::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_a_newer_tier_adds_is_skipped() {
        let trail = Trail::parse(b"attempts=1;colour=blue;reason=not-invented-yet;route=a").unwrap();
        assert_eq!(trail, Trail { attempts: 1, route: Some("a".into()), ..Trail::default() });
    }

    #[test]
    fn the_longest_trail_fits() {
        let long = "\u{1f980}".repeat(500);
        let trail = Trail {
            route: Some(long.clone()),
            decision: Some(long.clone()),
            service: Some(long.clone()),
            instance: Some("x".repeat(500)),
            generation: Some(u64::MAX),
            attempts: u32::MAX,
            queue_us: Some(u64::MAX),
            upstream_us: Some(u64::MAX),
            reason: Reason::ALL.iter().copied().max_by_key(|reason| reason.code().len()),
        };
        let encoded = trail.encode();
        assert!(encoded.len() <= TRAIL_BYTES_MAX, "{}", encoded.len());
        let read = Trail::parse(encoded.as_bytes()).unwrap();
        assert!(long.starts_with(read.route.as_deref().unwrap()) && read.route.unwrap().len() > 40);
        assert_eq!(read.reason, trail.reason);
    }

    fn trails() -> impl Strategy<Value = Trail> {
        let text = || proptest::option::of("\\PC{0,12}|[\\x00-\\x20;=%]{0,5}");
        let reason = proptest::option::of((0..Reason::ALL.len()).prop_map(|at| Reason::ALL[at]));
        (text(), text(), text(), text(), any::<Option<u64>>(), any::<u32>(), any::<Option<u64>>(), any::<Option<u64>>(), reason).prop_map(
            |(route, decision, service, instance, generation, attempts, queue_us, upstream_us, reason)| Trail {
                route,
                decision,
                service,
                instance,
                generation,
                attempts,
                queue_us,
                upstream_us,
                reason,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(trail in trails()) {
            let encoded = trail.encode();
            prop_assert!(encoded.len() <= TRAIL_BYTES_MAX);
            prop_assert!(encoded.as_bytes().iter().all(u8::is_ascii_graphic));
            prop_assert_eq!(Trail::parse(encoded.as_bytes()), Some(trail));
        }

        #[test]
        fn cut_values_are_stable(route in any::<String>(), repeat in 1usize..200) {
            let trail = Trail { route: Some(route.repeat(repeat)), ..Trail::default() };
            let once = Trail::parse(trail.encode().as_bytes()).unwrap();
            prop_assert_eq!(once.encode(), trail.encode());
        }

        /// A peer may change any byte: what still reads is written in one way, within the ceiling.
        #[test]
        fn what_reads_at_all_is_written_in_one_way(trail in trails(), at: prop::sample::Index, byte: u8) {
            let mut bytes = trail.encode().as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Some(read) = Trail::parse(&bytes) {
                let once = read.encode();
                prop_assert!(once.len() <= TRAIL_BYTES_MAX);
                prop_assert_eq!(Trail::parse(once.as_bytes()).map(|again| again.encode()), Some(once));
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, text in "([a-z_]{1,10}=[a-z0-9%]{0,5};?){0,5}") {
            let _ = Trail::parse(&bytes);
            let _ = Trail::parse(text.as_bytes());
        }
    }
}
