//! The ceilings of the connections to a service, as written.

use schemars::JsonSchema;
use serde::Deserialize;
use settings::report::Report;
use settings::units::Span;

use crate::config::Demands;
use crate::plan::pool::PoolPlan;

/// More streams than this on one connection are no ceiling: its one flow of bytes, and the one worker at its other end, carry them all.
const STREAMS_CEILING: usize = 10_000;

/// The ceilings of the connections to a service. A request occupies a connection of HTTP/1.1, or a stream of one of HTTP/2, so that the requests under
/// way are bounded as well: by `connections_max`, or by `connections_max` × `streams_max`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PoolConfig {
    /// Idle connections that one worker keeps to one instance.
    pub idle_max: usize,
    /// Connections to all instances, over all workers.
    pub connections_max: usize,
    /// Requests at once on one connection of HTTP/2; fewer where the instance allows fewer.
    pub streams_max: usize,
    /// How long an idle connection is kept. It should be shorter than what the instances do.
    pub idle: Span,
    /// How long a connection is used before it is replaced.
    pub age: Span,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { idle_max: 32, connections_max: 1024, streams_max: 100, idle: Span::secs(60), age: Span::secs(600) }
    }
}

impl PoolConfig {
    /// Checks the ceilings at `key`.
    pub(crate) fn check(&self, key: &str, report: &mut Report) -> Option<PoolPlan> {
        let mut demands = Demands::of(key, report);
        demands.that(self.connections_max > 0, "connections_max", "0 connections let no request through", "set at least 1");
        demands.that(self.streams_max > 0, "streams_max", "0 streams let no request through", "set at least 1");
        demands.that(self.streams_max <= STREAMS_CEILING, "streams_max", "that is no ceiling", "set 10000 at most; 100 is usual");
        demands.that(self.age > Span::default(), "age", "no connection could be used", "set a time above 0");
        demands.met().then(|| PoolPlan {
            idle_max: self.idle_max,
            connections_max: self.connections_max,
            streams_max: self.streams_max,
            idle: self.idle.get(),
            age: self.age.get(),
        })
    }
}
