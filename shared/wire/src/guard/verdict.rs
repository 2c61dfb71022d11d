//! What hyper's own frames tell: it answers most protocol errors of a client by a frame and hands nobody the request.
//!
//! In: the frames that are written to the client. Out: the fault that stands behind a frame, if one does; and the frame in which the guard
//! says farewell itself. Never: a fault for what a client in good faith can cause (streams refused or closed in a race, answers cut short).

use crate::guard::fault::GuardFault;
use crate::guard::frames::Frame;

const RST_STREAM: u8 = 0x3;
const GOAWAY: u8 = 0x7;

/// Error codes of RFC 9113 §7.
const NO_ERROR: u32 = 0x0;
const PROTOCOL_ERROR: u32 = 0x1;
const INTERNAL_ERROR: u32 = 0x2;
const FLOW_CONTROL_ERROR: u32 = 0x3;
const STREAM_CLOSED: u32 = 0x5;
const FRAME_SIZE_ERROR: u32 = 0x6;
const REFUSED_STREAM: u32 = 0x7;
const COMPRESSION_ERROR: u32 = 0x9;
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// Octets of a payload that a verdict needs: those of GOAWAY, and of its debug data as many as h2's longest word has.
pub(crate) const LEAD: usize = 8 + 25;

/// What a frame of ours tells of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Fine,
    /// A stream was refused; a client in good faith can cause that until it has read our SETTINGS.
    StreamRefused,
    /// The client broke the protocol.
    Broken(GuardFault),
}

/// Judges one frame by its header and the first [`LEAD`] octets of its payload.
pub(crate) fn verdict(frame: Frame, lead: &[u8]) -> Verdict {
    let fault = match frame.kind {
        RST_STREAM => match code(lead, 0) {
            REFUSED_STREAM => return Verdict::StreamRefused,
            // What was under way when a stream was closed.
            STREAM_CLOSED => None,
            code => broken(code),
        },
        GOAWAY => match code(lead, 4) {
            ENHANCE_YOUR_CALM => Some(flood(lead.get(8..).unwrap_or_default())),
            code => broken(code),
        },
        _ => None,
    };
    fault.map_or(Verdict::Fine, Verdict::Broken)
}

/// The code that stands at this place of a payload.
fn code(lead: &[u8], at: usize) -> u32 {
    lead.get(at..at + 4).and_then(|octets| octets.try_into().ok()).map_or(NO_ERROR, u32::from_be_bytes)
}

/// Of what there was too much, in h2's own words; without one that is known here, of something.
fn flood(debug: &[u8]) -> GuardFault {
    match debug {
        b"too_many_resets" => GuardFault::H2FloodRstStream,
        b"too_many_internal_resets" => GuardFault::H2FloodStreams,
        b"too_many_continuations" => GuardFault::H2FloodContinuation,
        b"too_many_data_frames" => GuardFault::H2FloodEmptyData,
        b"header_list_way_too_large" => GuardFault::HeadTooLarge,
        _ => GuardFault::H2Flood,
    }
}

fn broken(code: u32) -> Option<GuardFault> {
    Some(match code {
        PROTOCOL_ERROR => GuardFault::H2ProtocolError,
        FLOW_CONTROL_ERROR => GuardFault::H2FlowControlError,
        STREAM_CLOSED => GuardFault::H2StreamClosed,
        FRAME_SIZE_ERROR => GuardFault::H2FrameSizeError,
        COMPRESSION_ERROR => GuardFault::H2CompressionError,
        ENHANCE_YOUR_CALM => GuardFault::H2Flood,
        _ => return None,
    })
}

/// The last frame of a connection that ends for `fault` (RFC 9113 §6.8).
pub(crate) fn goaway(stream_max: u32, fault: GuardFault) -> [u8; 17] {
    let code = match fault {
        GuardFault::H2ProtocolError | GuardFault::H2PrefaceMalformed => PROTOCOL_ERROR,
        GuardFault::H2FlowControlError => FLOW_CONTROL_ERROR,
        GuardFault::H2StreamClosed => STREAM_CLOSED,
        GuardFault::H2FrameSizeError => FRAME_SIZE_ERROR,
        GuardFault::H2CompressionError => COMPRESSION_ERROR,
        GuardFault::Stalled => INTERNAL_ERROR,
        _ => ENHANCE_YOUR_CALM,
    };
    let ([a, b, c, d], [e, f, g, h]) = (stream_max.to_be_bytes(), code.to_be_bytes());
    [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0, a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(kind: u8, flags: u8, payload: &[u8]) -> Verdict {
        let length = u32::try_from(payload.len()).unwrap();
        verdict(Frame { length, kind, flags, stream: 1 }, &payload[..payload.len().min(LEAD)])
    }

    fn reset(code: u32) -> Verdict {
        judged(RST_STREAM, 0, &code.to_be_bytes())
    }

    fn farewell(code: u32) -> Verdict {
        judged(GOAWAY, 0, &[7_u32.to_be_bytes(), code.to_be_bytes(), *b"more"].concat())
    }

    #[test]
    fn resets_and_farewells_tell_what_the_client_did() {
        for (code, fault) in [
            (PROTOCOL_ERROR, GuardFault::H2ProtocolError),
            (FLOW_CONTROL_ERROR, GuardFault::H2FlowControlError),
            (FRAME_SIZE_ERROR, GuardFault::H2FrameSizeError),
            (COMPRESSION_ERROR, GuardFault::H2CompressionError),
            (ENHANCE_YOUR_CALM, GuardFault::H2Flood),
        ] {
            assert_eq!((reset(code), farewell(code)), (Verdict::Broken(fault), Verdict::Broken(fault)));
        }
        assert_eq!(farewell(STREAM_CLOSED), Verdict::Broken(GuardFault::H2StreamClosed));
    }

    #[test]
    fn what_good_faith_can_cause_tells_nothing() {
        assert_eq!(reset(REFUSED_STREAM), Verdict::StreamRefused);
        for code in [NO_ERROR, INTERNAL_ERROR, STREAM_CLOSED, 8] {
            assert_eq!(reset(code), Verdict::Fine, "{code}");
        }
        assert_eq!((farewell(NO_ERROR), farewell(INTERNAL_ERROR)), (Verdict::Fine, Verdict::Fine));
        assert_eq!((judged(RST_STREAM, 0, b""), judged(GOAWAY, 0, b"1234")), (Verdict::Fine, Verdict::Fine));
    }

    #[test]
    fn the_guards_own_farewell_is_read_as_it_is_meant() {
        for &fault in
            &[GuardFault::H2ProtocolError, GuardFault::H2FlowControlError, GuardFault::H2FrameSizeError, GuardFault::H2StreamClosed]
        {
            let bytes = goaway(9, fault);
            assert_eq!((&bytes[..9], &bytes[9..13]), (&b"\0\0\x08\x07\0\0\0\0\0"[..], &9_u32.to_be_bytes()[..]));
            assert_eq!(judged(GOAWAY, 0, &bytes[9..]), Verdict::Broken(fault));
        }
        let calm = |word: &[u8]| judged(GOAWAY, 0, &[&[0, 0, 0, 9, 0, 0, 0, 11], word].concat());
        assert_eq!(calm(b"too_many_resets"), Verdict::Broken(GuardFault::H2FloodRstStream));
        assert_eq!(calm(b"header_list_way_too_large"), Verdict::Broken(GuardFault::HeadTooLarge));
        assert_eq!(calm(b"something new"), Verdict::Broken(GuardFault::H2Flood));
        assert_eq!(judged(GOAWAY, 0, &goaway(9, GuardFault::H2FloodPing)[9..]), Verdict::Broken(GuardFault::H2Flood));
    }
}
