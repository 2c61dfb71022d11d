//! How much room the link has, as written: requests under way and connections.
//!
//! In: the two sections of `link:`. Out: the same as of any service. Never: less by default than this tier lets in, for all services share the link, and
//! one of them that hangs would take the room of all.

use schemars::JsonSchema;
use serde::Deserialize;
use settings::units::Span;
use upstream::config::limits::LimitsConfig;
use upstream::config::pool::PoolConfig;

/// No service has more places than this.
const IN_FLIGHT_CEILING: u32 = 1_000_000;

/// Requests under way over the link, over all workers of a process.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinkLimitsConfig {
    /// Requests under way at a time; by default as many as `limits.in_flight_max`, so that each service is bounded by its own limits at tier 2.
    pub requests_max: Option<u32>,
    /// Requests that wait for a place at a time; one more is refused at once. 0 lets none wait.
    pub queue_max: u32,
    /// How long a request waits for a place before it is refused.
    pub queue_wait: Span,
}

/// The ceilings of the connections to the replicas of routing-gw.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinkPoolConfig {
    /// Idle connections that one worker keeps to one replica.
    pub idle_max: usize,
    /// Connections to all replicas, over all workers; by default as many as requests may be under way, and not below 1024.
    pub connections_max: Option<usize>,
    /// Requests at once on one connection of HTTP/2; fewer where the replica allows fewer.
    pub streams_max: usize,
    /// How long an idle connection is kept. It should be shorter than what the replicas do.
    pub idle: Span,
    /// How long a connection is used before it is replaced.
    pub age: Span,
}

impl Default for LinkLimitsConfig {
    fn default() -> Self {
        let LimitsConfig { queue_max, queue_wait, .. } = LimitsConfig::default();
        Self { requests_max: None, queue_max, queue_wait }
    }
}

impl Default for LinkPoolConfig {
    fn default() -> Self {
        let PoolConfig { idle_max, streams_max, idle, age, .. } = PoolConfig::default();
        Self { idle_max, connections_max: None, streams_max, idle, age }
    }
}

/// The room of a link whose tier lets `in_flight_max` requests in.
pub(super) fn room(limits: LinkLimitsConfig, pool: LinkPoolConfig, in_flight_max: u32) -> (LimitsConfig, PoolConfig) {
    // What is out of range itself is complained of where it stands.
    let requests_max = limits.requests_max.unwrap_or(in_flight_max.clamp(1, IN_FLIGHT_CEILING));
    let LinkLimitsConfig { queue_max, queue_wait, .. } = limits;
    let usual = || PoolConfig::default().connections_max.max(requests_max as usize);
    let LinkPoolConfig { idle_max, connections_max, streams_max, idle, age } = pool;
    let connections_max = connections_max.unwrap_or_else(usual);
    (LimitsConfig { requests_max, queue_max, queue_wait }, PoolConfig { idle_max, connections_max, streams_max, idle, age })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(limits: LinkLimitsConfig, pool: LinkPoolConfig, in_flight_max: u32) -> (u32, usize) {
        let (limits, pool) = room(limits, pool, in_flight_max);
        (limits.requests_max, pool.connections_max)
    }

    #[test]
    fn the_link_has_room_for_whatever_the_tier_lets_in_unless_it_is_told_otherwise() {
        let (limits, pool) = (LinkLimitsConfig::default(), LinkPoolConfig::default());
        let lets_in = host::limits_config::LimitsConfig::default().in_flight_max;
        assert_eq!(made(limits, pool, lets_in), (lets_in, lets_in as usize));
        assert!(lets_in > 4 * LimitsConfig::default().requests_max, "several services may hang, and the others go on");
        assert_eq!(made(limits, pool, 50), (50, 1_024));
        assert_eq!((made(limits, pool, 0).0, made(limits, pool, u32::MAX).0), (1, IN_FLIGHT_CEILING));
        let some = LinkLimitsConfig { requests_max: Some(2_000), ..limits };
        assert_eq!(made(some, pool, 10_000), (2_000, 2_000));
        assert_eq!(made(some, LinkPoolConfig { connections_max: Some(7), ..pool }, 10_000), (2_000, 7));
    }
}
