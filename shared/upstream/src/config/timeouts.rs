//! How long things may take, as written.

use schemars::JsonSchema;
use serde::Deserialize;
use settings::report::Report;
use settings::units::Span;

use crate::config::Demands;
use crate::plan::timeouts::TimeoutsPlan;

/// How long things may take.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutsConfig {
    /// Making a connection, TLS included.
    pub connect: Span,
    /// Until the answer begins, counted from the last byte of the request that the instance took; `null` waits as long as the request may live.
    pub first_byte: Option<Span>,
    /// One attempt, from its pick until its answer begins, making a connection included; then an idempotent request whose body is at hand is sent to
    /// another instance, inside the retry budget and the deadline. `null` for none.
    pub per_try: Option<Span>,
    /// The whole exchange, from its beginning until the last byte of the answer; then it is cut, whatever moves: an answer as soon as its client takes
    /// more of it. One that takes nothing is cut by the tier's `limits.body`. `null` for none.
    pub total: Option<Span>,
    /// The longest silence of a client in the middle of its request's body, until the answer begins; then the request ends with 408. While the
    /// body moves no other limit runs: `first_byte` and the request's own deadline count from the last piece that the instance took.
    pub upload_idle: Span,
    /// The longest silence inside an answer.
    pub idle: Span,
}

impl Default for TimeoutsConfig {
    fn default() -> Self {
        Self {
            connect: Span::secs(2),
            first_byte: Some(Span::secs(30)),
            per_try: None,
            total: None,
            upload_idle: Span::secs(30),
            idle: Span::secs(60),
        }
    }
}

impl TimeoutsConfig {
    /// Checks the limits at `key`.
    pub(crate) fn check(&self, key: &str, report: &mut Report) -> Option<TimeoutsPlan> {
        let zero = Span::default();
        let mut demands = Demands::of(key, report);
        demands.that(self.connect > zero, "connect", "no connection can be made in no time", "set a time above 0");
        demands.that(self.first_byte != Some(zero), "first_byte", "no instance answers in no time", "set a time above 0, or null for none");
        demands.that(self.per_try != Some(zero), "per_try", "no attempt takes no time", "set a time above 0, or null for none");
        demands.that(self.total != Some(zero), "total", "no exchange takes no time", "set a time above 0, or null for none");
        demands.that(self.upload_idle > zero, "upload_idle", "every upload that pauses would be cut off", "set a time above 0");
        demands.that(self.idle > zero, "idle", "every answer would be cut off", "set a time above 0");
        demands.met().then(|| TimeoutsPlan {
            connect: self.connect.get(),
            first_byte: self.first_byte.map(Span::get),
            per_try: self.per_try.map(Span::get),
            total: self.total.map(Span::get),
            upload_idle: self.upload_idle.get(),
            idle: self.idle.get(),
        })
    }
}
