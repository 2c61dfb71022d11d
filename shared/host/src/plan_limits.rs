//! The ceilings as meant.
//!
//! In: the section `limits`. Out: a [`LimitsPlan`]. Refuses: ceilings that would let nothing through, and those that are none.

use std::fmt;
use std::time::Duration;

use contract::target::TARGET_BYTES_MAX;
use settings::report::Report;
use settings::units::{Size, Span};
use wire::body_rate::BodyRate;
use wire::guard::limits::{Allowance, GuardLimits, H2Limits};

use crate::limits_config::{AllowanceConfig, H2Config, LimitsConfig};

/// The ceilings as meant; the units and scopes are those of [`LimitsConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Each field says what the field of the same name in `LimitsConfig` says.
pub struct LimitsPlan {
    pub handshake: Duration,
    pub head: Duration,
    pub body: Duration,
    /// `body_grace`, `body_rate_min` and `request`.
    pub body_rate: BodyRate,
    pub idle: Duration,
    pub connections_max: usize,
    pub connections_per_address_max: u32,
    pub accepts_per_second_max: u32,
    pub head_bytes_max: usize,
    pub headers_max: usize,
    pub target_bytes_max: usize,
    /// Bytes of one trailer section; the guard's own figure, which no option changes.
    pub trailer_bytes_max: usize,
    pub streams_max: u32,
    pub h2: H2Limits,
    pub body_bytes_max: u64,
    pub in_flight_max: usize,
}

/// No service has a use for heads above one mebibyte, and each connection may hold one.
const HEAD_BYTES_CEILING: Size = Size::mib(1);
/// Less than this no browser keeps to.
const HEAD_BYTES_MIN: Size = Size::kib(1);
/// Below, a network alone would use up the time.
const SPAN_MIN: Span = Span::millis(10);
/// A path that means anything.
const TARGET_BYTES_MIN: Size = Size::bytes(64);
/// What both tiers' canonical targets may have.
const TARGET_BYTES_CEILING: Size = Size::bytes(TARGET_BYTES_MAX as u64);
/// Faster than this an honest client need not be.
const BODY_RATE_CEILING: Size = Size::mib(1);
/// Longer than this no request comes in.
const REQUEST_CEILING: Span = Span::secs(7 * 24 * 3600);
/// More frames at once, or in a second, than this are a flood by any measure.
const FRAMES_CEILING: u32 = 1_000_000;
/// SETTINGS that a client in good faith sends at its start, and its acknowledgement of ours.
const SETTINGS_MIN: u32 = 4;
/// CONTINUATION frames in a row beyond which a head is an attack, whatever its size.
const CONTINUATIONS_CEILING: u32 = 64;

/// As many connections of one address as there are places.
pub const ANY_PER_ADDRESS: u32 = u32::MAX;
/// A whole office may come from one address; a tenth of the process is more than it needs.
const PER_ADDRESS: u32 = 1024;

/// Checks the section; `None` when something is wrong with it.
pub(crate) fn check(config: &LimitsConfig, report: &mut Report) -> Option<LimitsPlan> {
    let mut bounds = Bounds { report, sound: true };
    let connections_per_address_max = config.connections_per_address_max.unwrap_or(PER_ADDRESS);
    let spans = [
        ("handshake", config.handshake),
        ("head", config.head),
        ("body", config.body),
        ("body_grace", config.body_grace),
        ("request", config.request),
        ("idle", config.idle),
    ];
    for (key, span) in spans {
        bounds.at_least(key, &span, &SPAN_MIN);
    }
    bounds.at_most("body_rate_min", &config.body_rate_min, &BODY_RATE_CEILING, "a client on a slow line could upload nothing");
    bounds.at_most("request", &config.request, &REQUEST_CEILING, "that is no ceiling");
    bounds.at_least("head_bytes_max", &config.head_bytes_max, &HEAD_BYTES_MIN);
    bounds.at_least("target_bytes_max", &config.target_bytes_max, &TARGET_BYTES_MIN);
    for (key, number, least) in [
        ("connections_max", config.connections_max, 1),
        ("connections_per_address_max", connections_per_address_max, 1),
        ("accepts_per_second_max", config.accepts_per_second_max, 1),
        ("headers_max", config.headers_max, 8),
        ("streams_max", config.streams_max, 1),
        ("in_flight_max", config.in_flight_max, 1),
    ] {
        bounds.at_least(key, &number, &least);
    }
    bounds.at_most("head_bytes_max", &config.head_bytes_max, &HEAD_BYTES_CEILING, "a head of that size is an attack");
    bounds.at_most("target_bytes_max", &config.target_bytes_max, &TARGET_BYTES_CEILING, "a longer target is refused anyway");
    let h2 = h2(&config.h2, &mut bounds);
    bounds.sound.then_some(LimitsPlan {
        handshake: config.handshake.get(),
        head: config.head.get(),
        body: config.body.get(),
        body_rate: BodyRate { grace: config.body_grace.get(), bytes_per_second: config.body_rate_min.get(), whole: config.request.get() },
        idle: config.idle.get(),
        connections_max: config.connections_max as usize,
        connections_per_address_max,
        accepts_per_second_max: config.accepts_per_second_max,
        head_bytes_max: usize::try_from(config.head_bytes_max.get()).unwrap_or(usize::MAX),
        headers_max: config.headers_max as usize,
        target_bytes_max: usize::try_from(config.target_bytes_max.get()).unwrap_or(usize::MAX),
        trailer_bytes_max: GuardLimits::default().trailer_bytes_max,
        streams_max: config.streams_max,
        h2,
        body_bytes_max: config.body_bytes_max.get(),
        in_flight_max: config.in_flight_max as usize,
    })
}

/// What was complained of so far.
struct Bounds<'r> {
    report: &'r mut Report,
    sound: bool,
}

impl Bounds<'_> {
    fn at_least<T: PartialOrd + fmt::Display>(&mut self, key: &str, value: &T, least: &T) {
        if value < least {
            self.complain(key, format!("{value} would let nothing through"), format!("write {least} or more"));
        }
    }

    fn at_most<T: PartialOrd + fmt::Display>(&mut self, key: &str, value: &T, most: &T, what: &str) {
        if value > most {
            self.complain(key, what.to_owned(), format!("write at most {most}"));
        }
    }

    fn complain(&mut self, key: &str, what: String, remedy: String) {
        self.report.complain(&format!("limits.{key}"), what, remedy);
        self.sound = false;
    }
}

fn h2(config: &H2Config, bounds: &mut Bounds<'_>) -> H2Limits {
    let known = H2Limits::default();
    let mut allowance = |kind: &str, written: AllowanceConfig, known: Allowance, burst_min: u32| {
        let meant = Allowance {
            burst: written.burst.unwrap_or(known.burst),
            per_second: written.per_second.unwrap_or(known.per_second),
            per_request: written.per_request.unwrap_or(known.per_request),
            per_data_sent: written.per_data_sent.unwrap_or(known.per_data_sent),
        };
        bounds.at_least(&format!("h2.{kind}.burst"), &meant.burst, &burst_min);
        let numbers = [
            ("burst", meant.burst),
            ("per_second", meant.per_second),
            ("per_request", meant.per_request),
            ("per_data_sent", meant.per_data_sent),
        ];
        for (name, number) in numbers {
            bounds.at_most(&format!("h2.{kind}.{name}"), &number, &FRAMES_CEILING, "that is no ceiling");
        }
        meant
    };
    let limits = H2Limits {
        ping: allowance("ping", config.ping, known.ping, 1),
        settings: allowance("settings", config.settings, known.settings, SETTINGS_MIN),
        priority: allowance("priority", config.priority, known.priority, 1),
        window_update: allowance("window_update", config.window_update, known.window_update, 1),
        rst_stream: allowance("rst_stream", config.rst_stream, known.rst_stream, 1),
        empty_data: allowance("empty_data", config.empty_data, known.empty_data, 1),
        unknown: allowance("unknown", config.unknown, known.unknown, 1),
        refused: allowance("refused", config.refused, known.refused, 1),
        continuations_max: config.continuations_max.unwrap_or(known.continuations_max),
    };
    bounds.at_least("h2.continuations_max", &limits.continuations_max, &1);
    bounds.at_most("h2.continuations_max", &limits.continuations_max, &CONTINUATIONS_CEILING, "a head in so many frames is an attack");
    limits
}
