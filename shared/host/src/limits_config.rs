//! The section `limits` of a tier's file: every ceiling that a client can meet, with its default.
//!
//! In: YAML by serde. Out: the section as written; [`crate::plan_limits`] turns it into what is meant. All of them are on; none can be left out.

use schemars::JsonSchema;
use serde::Deserialize;
use settings::units::{Size, Span};

/// The ceilings of a process. Numbers are per process unless they say otherwise.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// How long a PROXY header and a TLS handshake may take, together.
    pub handshake: Span,
    /// How long a request head may take from its first byte, and how long a new connection may wait with it.
    pub head: Span,
    /// How long a client may take nothing of an answer that waits for it: what it does not read for so long is broken off. Over HTTP/2 it has to take
    /// 16 KiB of each answer within it, or what there is of it.
    pub body: Span,
    /// How long we wait for the bytes of one request body, all waits taken together, before `body_rate_min` is asked of it.
    pub body_grace: Span,
    /// Bytes per second that a request body must bring on average behind `body_grace`, while we wait for it and until its answer begins; 0 for no rate.
    /// The time in which nobody wants more, because an instance is slow, does not count.
    pub body_rate_min: Size,
    /// How long a whole request may take to come in, until its answer begins.
    pub request: Span,
    /// How long a connection may rest without a request.
    pub idle: Span,
    /// Open client connections; at the ceiling those that rest longest are asked to end, and nothing more is accepted until one has. The limit of open
    /// files may make it less.
    pub connections_max: u32,
    /// Open connections of one client address (of one /64 in IPv6), as a PROXY header tells it where one is believed. Beyond it a connection is closed
    /// at once. Those that have proved themselves by certificate do not count, nor those of `trust.proxies`. 1024 at tier 1 unless written; at tier 2,
    /// where all of tier 1 may have one address, as many as there are places.
    pub connections_per_address_max: Option<u32>,
    /// Connections that each listener accepts per second, unless it is a Unix one; beyond it accepting waits.
    pub accepts_per_second_max: u32,
    /// Bytes of one request head.
    pub head_bytes_max: Size,
    /// Header fields of one request head.
    pub headers_max: u32,
    /// Bytes of one request target.
    pub target_bytes_max: Size,
    /// Concurrent HTTP/2 streams of one connection.
    pub streams_max: u32,
    /// HTTP/2 frames of one connection that cost the server work and the client nothing.
    pub h2: H2Config,
    /// Bytes of one request body; the tier's `limits` room enforces it.
    pub body_bytes_max: Size,
    /// Requests in flight; the tier's `limits` room enforces it.
    pub in_flight_max: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            handshake: Span::secs(10),
            head: Span::secs(10),
            body: Span::secs(30),
            // The grace of Apache's mod_reqtimeout (`body=20,MinRate=500`), and the rate of ASP.NET's Kestrel (`MinRequestBodyDataRate`).
            body_grace: Span::secs(20),
            body_rate_min: Size::bytes(240),
            request: Span::secs(3600),
            idle: Span::secs(75),
            connections_max: 10_000,
            connections_per_address_max: None,
            // A TLS handshake takes a core half a millisecond and more, so that no machine which serves accepts so many.
            accepts_per_second_max: 5000,
            head_bytes_max: Size::kib(32),
            headers_max: 100,
            target_bytes_max: Size::kib(8),
            streams_max: 100,
            h2: H2Config::default(),
            body_bytes_max: Size::mib(1024),
            in_flight_max: 10_000,
        }
    }
}

/// What an HTTP/2 client may send besides requests. A connection that sends more is ended.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct H2Config {
    /// PING, acknowledgements too.
    pub ping: AllowanceConfig,
    /// SETTINGS, acknowledgements too.
    pub settings: AllowanceConfig,
    /// PRIORITY and PRIORITY_UPDATE.
    pub priority: AllowanceConfig,
    /// WINDOW_UPDATE.
    pub window_update: AllowanceConfig,
    /// RST_STREAM.
    pub rst_stream: AllowanceConfig,
    /// DATA without data and without END_STREAM.
    pub empty_data: AllowanceConfig,
    /// Frames of types without meaning here.
    pub unknown: AllowanceConfig,
    /// Streams that had to be refused because as many were open as may be.
    pub refused: AllowanceConfig,
    /// CONTINUATION frames in a row; 5 by default.
    pub continuations_max: Option<u32>,
}

/// How many frames of one kind may come: a bucket that begins full with `burst`, and is refilled by time and by traffic. What is not said stays as it is
/// for this kind.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AllowanceConfig {
    /// Frames at once on an idle connection.
    pub burst: Option<u32>,
    /// Frames earned per second.
    pub per_second: Option<u32>,
    /// Frames earned per request.
    pub per_request: Option<u32>,
    /// Frames earned per DATA frame that the server sent.
    pub per_data_sent: Option<u32>,
}
