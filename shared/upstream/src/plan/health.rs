//! How the instances of a service are checked.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::uri::PathAndQuery;

/// How the instances of a service are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbePlan {
    /// A replica of tier 2: how it does (`contract::health`).
    Link,
    /// A `GET`, by the status of its answer.
    Http(HttpProbePlan),
    /// Whether it takes connections, with the handshake of TLS where the service has TLS.
    Tcp {
        /// The port to connect to, where it is not the instance's own.
        port: Option<u16>,
    },
    /// `grpc.health.v1.Health/Check`.
    Grpc(GrpcProbePlan),
}

/// A `GET`, by the status of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbePlan {
    /// What to get.
    pub path: PathAndQuery,
    /// The `Host`, where it is not the name or address of the instance.
    pub host: Option<HeaderValue>,
    /// The statuses of an instance that is well.
    pub expect: Vec<RangeInclusive<u16>>,
    /// The port to connect to, where it is not the instance's own.
    pub port: Option<u16>,
    /// Whether it is asked in HTTP/2.
    pub http2: bool,
}

/// The health service of gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcProbePlan {
    /// The service asked for; empty for the server as a whole.
    pub service: Arc<str>,
    /// The `:authority`, where it is not the name or address of the instance.
    pub host: Option<HeaderValue>,
    /// The port to connect to, where it is not the instance's own.
    pub port: Option<u16>,
}
