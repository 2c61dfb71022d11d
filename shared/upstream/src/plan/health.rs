//! How the instances of a service are checked.

use std::time::Duration;

/// How the instances of a service are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthPlan {
    /// What they are asked.
    pub probe: ProbePlan,
    /// The pause between two checks of one instance.
    pub every: Duration,
    /// How long one check may take, connection included.
    pub timeout: Duration,
    /// Failed checks in a row that make an instance unhealthy; at least 1.
    pub unhealthy_threshold: u32,
    /// Good checks in a row that make it healthy again; at least 1.
    pub healthy_threshold: u32,
}

/// What an instance is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbePlan {
    /// A replica of tier 2: how it does (`contract::health`).
    Link,
}
