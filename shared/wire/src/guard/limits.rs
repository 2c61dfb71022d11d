//! The ceilings of the guard, each with its default and where the figure comes from.
//!
//! In: nothing. Out: plain values that `host` fills from its plan. They are `Copy`, so that a connection carries its own.

use std::time::Duration;

/// What one connection may ask of the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardLimits {
    /// Bytes of one HTTP/1 head, its empty line included; also the most that is held of a head. Default 32 KiB
    /// (nginx 4×8 KiB, Envoy 60 KiB, HAProxy 16 KiB).
    pub head_bytes_max: usize,
    /// Fields in one head, and in one trailer section. Default 100, which is also hyper's.
    pub headers_max: usize,
    /// Bytes of the request target. Default 8192 (RFC 9110 §4.1 asks for 8000 at least); hyper's own ceiling is 65534.
    pub target_bytes_max: usize,
    /// Bytes of one trailer section, its empty line included. Default 4 KiB; hyper's own ceiling is 16 KiB.
    pub trailer_bytes_max: usize,
    /// HTTP/1 heads handed on since a byte was last written. hyper never comes near: the guard hands on one message per read, and hyper
    /// reads one ahead. Default 16.
    pub heads_ahead_max: u32,
    /// From the first byte of a head to its last: HTTP/1 heads, the HTTP/2 preface, HTTP/2 header blocks. Default 10 s.
    pub head_time_max: Duration,
    /// How long the peer may take nothing while something is to be written. Any byte taken starts it anew. Default 30 s.
    pub write_stall_max: Duration,
    /// After a refusal, or when a request body was left unread: how long what the peer still sends is read and thrown away, so that
    /// the answer is not lost to a reset (RFC 9112 §9.6). Default 2 s.
    pub linger_time_max: Duration,
    /// And how much of it. Default 256 KiB.
    pub linger_bytes_max: usize,
    /// What an HTTP/2 peer may send besides requests.
    pub h2: H2Limits,
}

impl Default for GuardLimits {
    fn default() -> Self {
        Self {
            head_bytes_max: 32 * 1024,
            headers_max: 100,
            target_bytes_max: 8192,
            trailer_bytes_max: 4096,
            heads_ahead_max: 16,
            head_time_max: Duration::from_secs(10),
            write_stall_max: Duration::from_secs(30),
            linger_time_max: Duration::from_secs(2),
            linger_bytes_max: 256 * 1024,
            h2: H2Limits::default(),
        }
    }
}

impl GuardLimits {
    /// What HTTP/2 may bring of one head before its connection ends for it: in bytes on the wire, and in those of RFC 9113 §6.5.2, which
    /// adds 32 for each field. A head between `head_bytes_max` and this is read, so that its refusal is told and recorded like any other.
    #[must_use]
    pub fn h2_head_bytes_max(&self) -> usize {
        self.head_bytes_max.saturating_mul(2).saturating_add(self.headers_max.saturating_mul(32))
    }
}

/// Allowances for the HTTP/2 frames that cost the server work and the client nothing.
///
/// What clients in good faith send follows what is sent to them, so an allowance grows with traffic: a download of 200 MiB brings some 25
/// 000 WINDOW_UPDATEs, and gRPC's bandwidth probe one PING per round trip while data flows. A plain rate would stop either, or stop nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct H2Limits {
    /// PING, acknowledgements too. nghttp2 lets 1000 unanswered ones pile up.
    pub ping: Allowance,
    /// SETTINGS, acknowledgements too. A client sends two or three in its life.
    pub settings: Allowance,
    /// PRIORITY (RFC 7540) and PRIORITY_UPDATE (RFC 9218). Envoy: 100 per stream.
    pub priority: Allowance,
    /// WINDOW_UPDATE. Envoy: 10 per DATA frame sent, and 2 per stream.
    pub window_update: Allowance,
    /// RST_STREAM. nghttp2: 1000 at once and 33 a second; so here.
    pub rst_stream: Allowance,
    /// DATA without data and without END_STREAM. Envoy: 1 in a row; h2 itself, since 0.4.20, 100 in the life of a connection.
    pub empty_data: Allowance,
    /// Unknown types, and known ones that a client has no business to send. Browsers grease with one now and then.
    pub unknown: Allowance,
    /// Streams that had to be refused because as many were open as may be. A client learns how many by our first SETTINGS.
    pub refused: Allowance,
    /// CONTINUATION frames in a row; more where `head_bytes_max` asks for more. A head of 32 KiB needs two; nghttp2 has 8, h2 by itself 6. Default 5.
    pub continuations_max: u32,
}

impl Default for H2Limits {
    fn default() -> Self {
        Self {
            ping: Allowance { burst: 200, per_second: 10, per_request: 2, per_data_sent: 1 },
            settings: Allowance { burst: 32, per_second: 1, per_request: 0, per_data_sent: 0 },
            priority: Allowance { burst: 200, per_second: 10, per_request: 100, per_data_sent: 0 },
            window_update: Allowance { burst: 1000, per_second: 20, per_request: 8, per_data_sent: 10 },
            rst_stream: Allowance { burst: 1000, per_second: 33, per_request: 0, per_data_sent: 0 },
            empty_data: Allowance { burst: 50, per_second: 5, per_request: 1, per_data_sent: 0 },
            unknown: Allowance { burst: 100, per_second: 10, per_request: 4, per_data_sent: 0 },
            refused: Allowance { burst: 500, per_second: 20, per_request: 0, per_data_sent: 0 },
            continuations_max: 5,
        }
    }
}

/// How many frames of a kind are let through: a bucket that begins at `burst`, is refilled by time and by traffic, and never holds more
/// than [`Allowance::ceiling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Frames at once on an idle connection.
    pub burst: u32,
    /// Frames earned per second.
    pub per_second: u32,
    /// Frames earned per request begun.
    pub per_request: u32,
    /// Frames earned per DATA frame that we sent.
    pub per_data_sent: u32,
}

/// Traffic can fill a bucket this many times over its burst. A client may answer late: 16 MiB in flight are 1000 DATA frames.
const HEADROOM: u32 = 16;

impl Allowance {
    /// The most that a bucket holds.
    #[must_use]
    pub fn ceiling(&self) -> u32 {
        self.burst.saturating_mul(HEADROOM)
    }
}
