//! W3C Trace Context, level 2: which trace a request belongs to, and under which span it runs.
//!
//! In: a `traceparent` as it came, or randomness. Out: ids, and the header for the next hop. Refuses every spelling that the specification
//! refuses, and then a new trace begins. `tracestate` stays in the header map untouched where it is lawful, and goes where it is not.

use std::fmt;

use http::HeaderValue;

use crate::hex;

/// The longest `tracestate` that is passed on, in bytes (§3.3.1.5 asks for at least this much).
pub const TRACESTATE_BYTES_MAX: usize = 512;

/// The most members of a `tracestate` (§3.3.1.1).
pub const TRACESTATE_MEMBERS_MAX: usize = 32;

const VERSION_00_BYTES: usize = 55;

const FLAG_SAMPLED: u8 = 0b01;

const FLAG_RANDOM: u8 = 0b10;

/// The place of a request in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace; never all zero.
    pub trace_id: [u8; 16],
    /// The span that the next hop is a child of; never all zero.
    pub span_id: [u8; 8],
    /// Whether the caller records this trace.
    pub sampled: bool,
    /// Whether the trace id is random in its last seven bytes (level 2, §3.2.2.5.2); handed on as it came.
    pub random: bool,
}

impl TraceContext {
    /// Reads a `traceparent`. A version above 00 is read by the rule of §4.3: its first 55 bytes as version 00, then nothing or a hyphen.
    #[must_use]
    pub fn parse(traceparent: &[u8]) -> Option<Self> {
        let (head, tail) = traceparent.split_at_checked(VERSION_00_BYTES)?;
        let [version]: [u8; 1] = hex::decode(&head[..2])?;
        let tail_is_lawful = tail.is_empty() || (version != 0 && tail[0] == b'-');
        if version == 0xff || !tail_is_lawful || head[2] != b'-' || head[35] != b'-' || head[52] != b'-' {
            return None;
        }
        let trace_id: [u8; 16] = hex::decode(&head[3..35])?;
        let span_id: [u8; 8] = hex::decode(&head[36..52])?;
        let [flags]: [u8; 1] = hex::decode(&head[53..55])?;
        if trace_id == [0; 16] || span_id == [0; 8] {
            return None;
        }
        Some(Self { trace_id, span_id, sampled: flags & FLAG_SAMPLED != 0, random: flags & FLAG_RANDOM != 0 })
    }

    /// Begins a trace: the first 16 bytes are its id, the last 8 its first span.
    #[must_use]
    pub fn start(random: [u8; 24], sampled: bool) -> Self {
        let mut trace_id = [0; 16];
        let mut span_id = [0; 8];
        trace_id.copy_from_slice(&random[..16]);
        span_id.copy_from_slice(&random[16..]);
        Self { trace_id: never_zero(trace_id), span_id: never_zero(span_id), sampled, random: true }
    }

    /// The same trace under a new span.
    #[must_use]
    pub fn child(&self, span_id: [u8; 8]) -> Self {
        Self { span_id: never_zero(span_id), ..*self }
    }

    /// The value of `traceparent` for the next hop, in version 00.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        hex::header(&self.text())
    }

    /// The trace id as records write it.
    #[must_use]
    pub fn trace_id_hex(&self) -> [u8; 32] {
        hex::encode(&self.trace_id)
    }

    /// The span id as records write it.
    #[must_use]
    pub fn span_id_hex(&self) -> [u8; 16] {
        hex::encode(&self.span_id)
    }

    fn text(&self) -> [u8; VERSION_00_BYTES] {
        let flags = if self.sampled { FLAG_SAMPLED } else { 0 } | if self.random { FLAG_RANDOM } else { 0 };
        let mut text = [b'-'; VERSION_00_BYTES];
        text[..2].copy_from_slice(b"00");
        text[3..35].copy_from_slice(&self.trace_id_hex());
        text[36..52].copy_from_slice(&self.span_id_hex());
        text[53..].copy_from_slice(&hex::encode::<2>(&[flags]));
        text
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(hex::ascii(&self.text()))
    }
}

/// All zeros would mean "no id" to every reader, however unlikely the dice.
fn never_zero<const N: usize>(mut id: [u8; N]) -> [u8; N] {
    if id == [0; N]
        && let Some(last) = id.last_mut()
    {
        *last = 1;
    }
    id
}

/// Whether a `tracestate` may be passed on (§3.3.1): members `key=value`, no key twice, within the ceilings. Empty members are lawful.
#[must_use]
pub fn tracestate_is_lawful(tracestate: &[u8]) -> bool {
    if tracestate.len() > TRACESTATE_BYTES_MAX {
        return false;
    }
    let mut keys = [&[][..]; TRACESTATE_MEMBERS_MAX];
    let mut count = 0;
    for member in tracestate.split(|byte| *byte == b',') {
        let member = trim(member);
        if count == TRACESTATE_MEMBERS_MAX {
            return false;
        }
        if member.is_empty() {
            count += 1;
            continue;
        }
        let Some(equals) = member.iter().position(|byte| *byte == b'=') else { return false };
        let (key, value) = (&member[..equals], &member[equals + 1..]);
        if !key_is_lawful(key) || !value_is_lawful(value) || keys[..count].contains(&key) {
            return false;
        }
        keys[count] = key;
        count += 1;
    }
    true
}

fn trim(mut member: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = member {
        member = rest;
    }
    member
}

fn key_is_lawful(key: &[u8]) -> bool {
    let [first, rest @ ..] = key else { return false };
    matches!(first, b'a'..=b'z' | b'0'..=b'9')
        && key.len() <= 256
        && rest.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@'))
}

fn value_is_lawful(value: &[u8]) -> bool {
    (1..=256).contains(&value.len()) && value.iter().all(|byte| matches!(byte, 0x20..=0x7e) && !matches!(byte, b',' | b'='))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_example_of_the_specification_reads() {
        let context = TraceContext::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(&context.trace_id_hex(), b"0af7651916cd43dd8448eb211c80319c");
        assert_eq!(&context.span_id_hex(), b"b7ad6b7169203331");
        assert!(context.sampled && !context.random);
        assert_eq!(context.to_string(), EXAMPLE);
        assert_eq!(context.header(), EXAMPLE);
    }

    #[test]
    fn higher_versions_read_by_the_rule_and_are_written_as_ours() {
        for text in [
            EXAMPLE.replacen("00", "01", 1),
            EXAMPLE.replacen("00", "cc", 1) + "-what-the-future-holds",
            EXAMPLE.replacen("00", "fe", 1) + "-",
        ] {
            assert_eq!(TraceContext::parse(text.as_bytes()).unwrap().to_string(), EXAMPLE, "{text}");
        }
    }

    #[test]
    fn unknown_flags_are_dropped_and_known_ones_kept() {
        let text = EXAMPLE.replace("-01", "-ff");
        let context = TraceContext::parse(text.as_bytes()).unwrap();
        assert_eq!(context.to_string(), EXAMPLE.replace("-01", "-03"));
    }

    #[test]
    fn what_the_specification_refuses_is_refused() {
        for text in [
            String::new(),
            EXAMPLE.replacen("00", "ff", 1),
            EXAMPLE.replacen("00", "0F", 1),
            EXAMPLE.to_uppercase(),
            EXAMPLE.to_owned() + "-",
            EXAMPLE.to_owned() + "x",
            EXAMPLE.replacen("00", "01", 1) + "x",
            EXAMPLE[..54].to_owned(),
            EXAMPLE.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            EXAMPLE.replace("b7ad6b7169203331", &"0".repeat(16)),
            EXAMPLE.replacen('-', "_", 1),
            EXAMPLE.replace("-01", "-0x"),
            format!(" {EXAMPLE}"),
        ] {
            assert_eq!(TraceContext::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn ids_are_never_all_zero() {
        let context = TraceContext::start([0; 24], false);
        assert_eq!(TraceContext::parse(context.to_string().as_bytes()), Some(context));
        assert_ne!(context.child([0; 8]).span_id, [0; 8]);
    }

    #[test]
    fn tracestate_follows_its_grammar() {
        let many = (0..32).map(|at| format!("k{at}=v")).collect::<Vec<_>>().join(",");
        for lawful in ["", "a=1", "a=1,b=2", "a=1 , b=2\t", "a=1,,b=2", "0vendor@tenant=x y", "a/*-_=!\"#~", many.as_str()] {
            assert!(tracestate_is_lawful(lawful.as_bytes()), "{lawful}");
        }
        let too_many = format!("{many},z=1");
        let too_long = format!("a={}", "v".repeat(257));
        let far_too_long = format!("{},b=1", format_args!("a={},c={}", "v".repeat(250), "v".repeat(256)));
        for unlawful in ["a", "=1", "a=", "A=1", "a=1,a=2", "a=b=c", "_a=1", "a=é", "a=\u{1}", &too_many, &too_long, &far_too_long] {
            assert!(!tracestate_is_lawful(unlawful.as_bytes()), "{unlawful}");
        }
    }

    proptest! {
        #[test]
        fn what_is_begun_reads_back(random: [[u8; 12]; 2], span: [u8; 8], sampled: bool) {
            let mut bytes = [0; 24];
            bytes[..12].copy_from_slice(&random[0]);
            bytes[12..].copy_from_slice(&random[1]);
            let root = TraceContext::start(bytes, sampled);
            let child = root.child(span);
            prop_assert_eq!(TraceContext::parse(root.header().as_bytes()), Some(root));
            prop_assert_eq!(TraceContext::parse(child.header().as_bytes()), Some(child));
            prop_assert_eq!(child.trace_id, root.trace_id);
        }

        #[test]
        fn what_reads_is_written_canonically(text in "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[a-z]{0,5})?") {
            if let Some(context) = TraceContext::parse(text.as_bytes()) {
                let written = context.to_string();
                prop_assert_eq!(TraceContext::parse(written.as_bytes()), Some(context));
                prop_assert_eq!(&written[2..53], &text[2..53]);
            }
        }

        /// Any byte of a lawful one may be changed, and anything put behind it: what still reads is the same trace, in our own spelling.
        #[test]
        fn a_changed_byte_is_refused_or_says_what_it_says(random: [[u8; 12]; 2], at: prop::sample::Index, byte: u8, tail in "(-?[ -~]{0,8})?") {
            let mut bytes = [0; 24];
            bytes[..12].copy_from_slice(&random[0]);
            bytes[12..].copy_from_slice(&random[1]);
            let mut text = TraceContext::start(bytes, true).to_string().into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            text.extend(tail.bytes());
            if let Some(read) = TraceContext::parse(&text) {
                let written = read.header();
                prop_assert_eq!(TraceContext::parse(written.as_bytes()), Some(read));
                prop_assert_eq!(&written.as_bytes()[2..53], &text[2..53]);
            }
        }

        #[test]
        fn each_member_of_a_lawful_tracestate_is_lawful(text in "([a-z0-9@_*/]{0,3}=?[ -~]{0,4},?){0,40}") {
            if tracestate_is_lawful(text.as_bytes()) {
                prop_assert!(text.split(',').all(|member| tracestate_is_lawful(member.as_bytes())), "{}", text);
            }
        }

        #[test]
        fn no_bytes_panic(text: Vec<u8>) {
            let _ = TraceContext::parse(&text);
            let _ = tracestate_is_lawful(&text);
        }
    }
}
