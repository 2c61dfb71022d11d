//! The counter of HTTP/2 frames.
//!
//! In: the bytes of either direction, in any portions. Out: how many requests were begun; or a fault, when frames that cost the server work
//! and the client nothing exceed what the traffic explains, when a header block is too long, or when hyper itself has found the client at
//! fault. It reads frame headers (RFC 9113 §4.1), the preface and the codes that hyper sends, and nothing else: what frames mean, and whether
//! they may stand where they stand, is hyper's. It keeps no bytes of the client.

use tokio::time::Instant;

use crate::guard::bare::Answers;
use crate::guard::fault::GuardFault;
use crate::guard::frames::{Frame, Frames};
use crate::guard::limits::{Allowance, H2Limits};
use crate::guard::verdict::{LEAD, Verdict, goaway, verdict};

/// RFC 9113 §3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const PRIORITY: u8 = 0x2;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;
const PRIORITY_UPDATE: u8 = 0x10;

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// RFC 9113 §4.2: what a frame may carry where nobody has asked for more.
const FRAME_BYTES_MAX: usize = 16 * 1024;

/// Frames of one kind that may still come.
#[derive(Debug)]
struct Bucket {
    left: u32,
    refilled: Instant,
}

impl Bucket {
    fn new(allowance: Allowance, now: Instant) -> Self {
        Self { left: allowance.burst, refilled: now }
    }

    fn earn(&mut self, allowance: Allowance, frames: u32) {
        self.left = self.left.saturating_add(frames).min(allowance.ceiling());
    }

    /// Takes one. The clock is asked only when the bucket is empty, which in good faith it never is.
    fn take(&mut self, allowance: Allowance, now: impl FnOnce() -> Instant) -> bool {
        if self.left == 0 {
            let now = now();
            let millis = now.saturating_duration_since(self.refilled).as_millis();
            let earned = millis.saturating_mul(u128::from(allowance.per_second)) / 1000;
            self.left = u32::try_from(earned).unwrap_or(u32::MAX).min(allowance.burst);
            if self.left == 0 {
                return false;
            }
            self.refilled = now;
        }
        self.left -= 1;
        true
    }
}

/// The counts of one connection.
#[derive(Debug)]
pub(crate) struct H2 {
    /// Bytes of the preface that were seen.
    preface: usize,
    inbound: Frames<0>,
    outbound: Frames<LEAD>,
    /// We have said something, and were not the last to speak of the end.
    may_part: bool,
    counts: Counts,
}

#[derive(Debug)]
struct Counts {
    limits: H2Limits,
    ping: Bucket,
    settings: Bucket,
    priority: Bucket,
    window_update: Bucket,
    rst_stream: Bucket,
    empty_data: Bucket,
    unknown: Bucket,
    /// The client has sent the SETTINGS that belong to its preface.
    opened: bool,
    refused: Bucket,
    answers: Answers,
    /// Bytes that one header block may have, before it is read.
    block_bytes_max: usize,
    block_bytes: usize,
    /// A header block is open: no END_HEADERS yet.
    in_block: bool,
    /// The present frame belongs to a header block.
    in_head_frame: bool,
    continuations: u32,
    stream_max: u32,
    requests: u64,
}

impl H2 {
    /// `block_bytes_max` bytes in one header block, as HPACK has packed it.
    pub(crate) fn new(mut limits: H2Limits, block_bytes_max: usize, now: Instant) -> Self {
        // A head that may be long needs its frames.
        let frames_needed = u32::try_from(block_bytes_max.div_ceil(FRAME_BYTES_MAX)).unwrap_or(u32::MAX);
        limits.continuations_max = limits.continuations_max.max(frames_needed);
        let counts = Counts {
            limits,
            ping: Bucket::new(limits.ping, now),
            settings: Bucket::new(limits.settings, now),
            priority: Bucket::new(limits.priority, now),
            window_update: Bucket::new(limits.window_update, now),
            rst_stream: Bucket::new(limits.rst_stream, now),
            empty_data: Bucket::new(limits.empty_data, now),
            unknown: Bucket::new(limits.unknown, now),
            opened: false,
            refused: Bucket::new(limits.refused, now),
            answers: Answers::default(),
            block_bytes_max,
            block_bytes: 0,
            in_block: false,
            in_head_frame: false,
            continuations: 0,
            stream_max: 0,
            requests: 0,
        };
        Self { preface: 0, inbound: Frames::default(), outbound: Frames::default(), may_part: false, counts }
    }

    /// Takes in what the client sent; the number of requests that it began with it.
    pub(crate) fn read(&mut self, bytes: &[u8], now: impl Fn() -> Instant) -> Result<u64, GuardFault> {
        let expected = &PREFACE[self.preface..];
        let (preface, bytes) = bytes.split_at(expected.len().min(bytes.len()));
        if preface != &expected[..preface.len()] {
            return Err(GuardFault::H2PrefaceMalformed);
        }
        self.preface += preface.len();
        let requests = self.counts.requests;
        self.inbound.walk(bytes, |frame, _| self.counts.received(frame, &now))?;
        Ok(self.counts.requests - requests)
    }

    /// Takes in what was sent to the client: it earns the client the frames that it will answer with, and tells what hyper found.
    ///
    /// # Errors
    /// The client is at fault; all of `bytes` was taken in all the same.
    pub(crate) fn wrote(&mut self, bytes: &[u8], now: impl Fn() -> Instant) -> Result<(), GuardFault> {
        let (counts, may_part) = (&mut self.counts, &mut self.may_part);
        let mut first = Ok(());
        // The walk goes on behind a fault: what follows is on its way, and a farewell has to find the end of a frame.
        let _ = self.outbound.walk(bytes, |frame, lead| {
            *may_part = frame.kind != GOAWAY;
            let found = counts.sent(frame, lead, &now);
            if first.is_ok() {
                first = found;
            }
            Ok(())
        });
        first
    }

    /// The frame that says why the connection ends, where a frame can stand and hyper has not said it.
    pub(crate) fn farewell(&mut self, fault: GuardFault) -> Option<[u8; 17]> {
        let may = std::mem::take(&mut self.may_part) && self.outbound.is_between();
        may.then(|| goaway(self.counts.stream_max, fault))
    }

    /// Whether the client has begun a preface or a header block and not ended it.
    pub(crate) fn in_head(&self) -> bool {
        self.preface < PREFACE.len() || self.counts.in_block || (self.counts.in_head_frame && self.inbound.is_in_payload())
    }
}

impl Counts {
    fn received(&mut self, frame: Frame, now: &impl Fn() -> Instant) -> Result<(), GuardFault> {
        // RFC 9113 §3.4; h2 takes any frame for the first.
        if !self.opened && (frame.kind != SETTINGS || frame.flags & ACK != 0) {
            return Err(GuardFault::H2PrefaceMalformed);
        }
        self.opened = true;
        let limits = self.limits;
        self.in_head_frame = matches!(frame.kind, HEADERS | CONTINUATION);
        let (within, flood) = match frame.kind {
            DATA if frame.length == 0 && frame.flags & END_STREAM == 0 => {
                (self.empty_data.take(limits.empty_data, now), GuardFault::H2FloodEmptyData)
            }
            DATA => return Ok(()),
            HEADERS => {
                self.begin(frame);
                return self.lengthened(frame);
            }
            CONTINUATION if self.in_block => {
                self.in_block = frame.flags & END_HEADERS == 0;
                self.continuations += 1;
                self.lengthened(frame)?;
                (self.continuations <= limits.continuations_max, GuardFault::H2FloodContinuation)
            }
            PRIORITY | PRIORITY_UPDATE => (self.priority.take(limits.priority, now), GuardFault::H2FloodPriority),
            RST_STREAM => {
                self.answers.reset(frame.stream);
                (self.rst_stream.take(limits.rst_stream, now), GuardFault::H2FloodRstStream)
            }
            SETTINGS => (self.settings.take(limits.settings, now), GuardFault::H2FloodSettings),
            PING => (self.ping.take(limits.ping, now), GuardFault::H2FloodPing),
            WINDOW_UPDATE => (self.window_update.take(limits.window_update, now), GuardFault::H2FloodWindowUpdate),
            _ => (self.unknown.take(limits.unknown, now), GuardFault::H2FloodUnknown),
        };
        if within { Ok(()) } else { Err(flood) }
    }

    /// A header block begins; on a stream that is new it is a request, else its trailers.
    fn begin(&mut self, frame: Frame) {
        self.in_block = frame.flags & END_HEADERS == 0;
        self.continuations = 0;
        self.block_bytes = 0;
        if frame.stream > self.stream_max {
            self.stream_max = frame.stream;
            self.requests += 1;
            let limits = self.limits;
            self.ping.earn(limits.ping, limits.ping.per_request);
            self.priority.earn(limits.priority, limits.priority.per_request);
            self.window_update.earn(limits.window_update, limits.window_update.per_request);
            self.empty_data.earn(limits.empty_data, limits.empty_data.per_request);
            self.unknown.earn(limits.unknown, limits.unknown.per_request);
        }
    }

    /// A header block has become longer.
    fn lengthened(&mut self, frame: Frame) -> Result<(), GuardFault> {
        self.block_bytes = self.block_bytes.saturating_add(usize::try_from(frame.length).unwrap_or(usize::MAX));
        if self.block_bytes > self.block_bytes_max { Err(GuardFault::HeadTooLarge) } else { Ok(()) }
    }

    fn sent(&mut self, frame: Frame, lead: &[u8], now: &impl Fn() -> Instant) -> Result<(), GuardFault> {
        if let Some(fault) = self.answers.sent(frame, lead, self.stream_max) {
            return Err(fault);
        }
        match verdict(frame, lead) {
            Verdict::Fine => {}
            Verdict::StreamRefused if self.refused.take(self.limits.refused, now) => {}
            Verdict::StreamRefused => return Err(GuardFault::H2FloodStreams),
            Verdict::Broken(fault) => return Err(fault),
        }
        let limits = self.limits;
        match frame.kind {
            DATA if frame.length > 0 => {
                self.ping.earn(limits.ping, limits.ping.per_data_sent);
                self.window_update.earn(limits.window_update, limits.window_update.per_data_sent);
            }
            // What we ask has to be answered: hyper measures the path with PINGs of its own while a client uploads.
            PING if frame.flags & ACK == 0 => self.ping.earn(limits.ping, 1),
            SETTINGS if frame.flags & ACK == 0 => self.settings.earn(limits.settings, 1),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BLOCK: usize = 64 * 1024;
    const WINDOW: &[u8] = b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01";

    fn connection(now: Instant) -> H2 {
        let mut h2 = H2::new(H2Limits::default(), BLOCK, now);
        h2.read(&[&PREFACE[..], &[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]].concat(), || now).expect("the preface");
        h2
    }

    #[test]
    fn a_download_of_200_mib_earns_its_window_updates() {
        let now = Instant::now();
        let mut h2 = connection(now);
        let data = [b"\0\x40\0\0\0\0\0\0\x01".as_slice(), &[0; 16 * 1024]].concat();
        // Up to 1000 frames are under way before the client speaks; then it speaks of the stream and of the connection for each.
        for _ in 0..1000 {
            h2.wrote(&data, || now).expect("ours");
        }
        for _ in 1000..12_800 {
            h2.wrote(&data, || now).expect("ours");
            h2.read(&WINDOW.repeat(2), || now).expect("no flood");
        }
        for _ in 0..1000 {
            h2.read(&WINDOW.repeat(2), || now).expect("no flood");
        }
        // What was earned is no licence for ever.
        let flood = WINDOW.repeat(17_000);
        assert_eq!(h2.read(&flood, || now), Err(GuardFault::H2FloodWindowUpdate));
    }

    #[test]
    fn small_messages_earn_as_much_as_large_ones() {
        let now = Instant::now();
        let mut h2 = connection(now);
        for _ in 0..100_000 {
            h2.wrote(b"\0\0\x01\0\0\0\0\0\x01x", || now).expect("ours");
            h2.read(&WINDOW.repeat(2), || now).expect("no flood");
        }
    }

    #[test]
    fn our_own_pings_may_be_answered() {
        let now = Instant::now();
        let mut h2 = connection(now);
        let ping = |flags: u8| [[0, 0, 8, PING, flags, 0, 0, 0, 0].as_slice(), &[0; 8]].concat();
        for _ in 0..10_000 {
            h2.wrote(&ping(0), || now).expect("ours");
            h2.read(&ping(ACK), || now).expect("it was asked for");
        }
        for _ in 0..200 {
            h2.wrote(&ping(ACK), || now).expect("ours");
            h2.read(&ping(0), || now).expect("the burst");
        }
        assert_eq!(h2.read(&ping(0), || now), Err(GuardFault::H2FloodPing), "our answers earn nothing");
    }

    #[test]
    fn continuations_are_counted_within_one_head() {
        let now = Instant::now();
        let mut h2 = connection(now);
        let frame = |kind: u8, flags: u8, stream: u8| [0, 0, 0, kind, flags, 0, 0, 0, stream];
        for stream in [1, 3, 5] {
            h2.read(&frame(HEADERS, 0, stream), || now).expect("a head begins");
            for _ in 0..4 {
                h2.read(&frame(CONTINUATION, 0, stream), || now).expect("it goes on");
            }
            assert!(h2.in_head());
            h2.read(&frame(CONTINUATION, END_HEADERS, stream), || now).expect("it ends");
            assert!(!h2.in_head());
        }
    }

    #[test]
    fn our_own_empty_frames_earn_nothing() {
        let now = Instant::now();
        let mut h2 = connection(now);
        for _ in 0..2000 {
            h2.wrote(b"\0\0\0\0\0\0\0\0\x01", || now).expect("ours");
        }
        assert!(h2.read(&WINDOW.repeat(1001), || now).is_err());
    }

    #[test]
    fn time_fills_a_bucket_up_to_its_burst_and_no_further() {
        let now = Instant::now();
        let mut h2 = connection(now);
        h2.read(&WINDOW.repeat(1000), || now).expect("the burst");
        let later = now + Duration::from_secs(10);
        h2.read(&WINDOW.repeat(200), || later).expect("20 a second");
        assert!(h2.read(WINDOW, || later).is_err());
        let much_later = now + Duration::from_secs(100_000);
        let mut h2 = connection(now);
        h2.read(&WINDOW.repeat(1000), || now).expect("the burst");
        h2.read(&WINDOW.repeat(1000), || much_later).expect("the burst again");
        assert!(h2.read(WINDOW, || much_later).is_err());
    }

    #[test]
    fn requests_are_counted_once_and_trailers_not() {
        let now = Instant::now();
        let mut h2 = connection(now);
        let headers = |stream: u8| [0, 0, 0, HEADERS, END_HEADERS, 0, 0, 0, stream];
        assert_eq!(h2.read(&[headers(1), headers(1), headers(3), headers(1), headers(5)].concat(), || now), Ok(3));
    }

    #[test]
    fn a_header_block_has_a_ceiling_over_all_its_frames() {
        let now = Instant::now();
        let header = |kind: u8, length: u32, stream: u8| {
            let [_, a, b, c] = length.to_be_bytes();
            [&[a, b, c, kind, 0, 0, 0, 0, stream][..], &vec![0; length as usize]].concat()
        };
        let mut h2 = connection(now);
        for stream in [1, 3] {
            for part in 0..4 {
                let kind = if part == 0 { HEADERS } else { CONTINUATION };
                h2.read(&header(kind, 16 * 1024, stream), || now).expect("64 KiB in all");
            }
        }
        assert_eq!(h2.read(&header(CONTINUATION, 1, 3), || now), Err(GuardFault::HeadTooLarge));
    }

    #[test]
    fn what_hyper_finds_is_a_fault_of_the_client() {
        let now = Instant::now();
        let reset = |code: u8| [0, 0, 4, RST_STREAM, 0, 0, 0, 0, 1, 0, 0, 0, code];
        let mut h2 = connection(now);
        assert_eq!(h2.farewell(GuardFault::H2FloodPing), None, "nothing was said yet");
        h2.wrote(&reset(8), || now).expect("our own doing");
        assert_eq!(h2.wrote(&[reset(1), reset(3)].concat(), || now), Err(GuardFault::H2ProtocolError), "the first explains the rest");
        let goaway = h2.farewell(GuardFault::H2ProtocolError).expect("a frame can stand here");
        assert_eq!((goaway[3], goaway[16]), (GOAWAY, 1));
        assert_eq!(h2.farewell(GuardFault::H2ProtocolError), None, "said once");
        let mut h2 = connection(now);
        h2.wrote(b"\0\0\x05\0\0\0\0\0\x01xyz", || now).expect("a part of a frame");
        assert_eq!(h2.farewell(GuardFault::H2FloodPing), None, "in the middle of a frame");
    }

    #[test]
    fn streams_that_had_to_be_refused_are_counted() {
        let now = Instant::now();
        let refused = [0, 0, 4, RST_STREAM, 0, 0, 0, 0, 1, 0, 0, 0, 7];
        let mut h2 = connection(now);
        let burst = H2Limits::default().refused.burst;
        for _ in 0..burst {
            h2.wrote(&refused, || now).expect("the burst");
        }
        assert_eq!(h2.wrote(&refused, || now), Err(GuardFault::H2FloodStreams));
    }
}
