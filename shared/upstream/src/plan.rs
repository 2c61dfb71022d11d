//! A service as meant: everything resolved, nothing optional that means "default".

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wire::tls::client::ClientTls;

use crate::config::Balance;

/// One service, checked. After this nothing about it can be misconfigured. Equal plans ask for the same service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServicePlan {
    /// Its name: the last part of its key in the configuration.
    pub name: Arc<str>,
    /// How its instances are found.
    pub discover: DiscoverPlan,
    /// How one of them is picked.
    pub balance: Balance,
    /// How connections to them are secured; `None` is plain HTTP.
    pub tls: Option<ClientTls>,
    /// The shortest time between two look-ups.
    pub ttl_min: Duration,
    /// The longest time between two look-ups.
    pub ttl_max: Duration,
    /// How long a connection may take to be made, TLS included.
    pub connect: Duration,
    /// How long an instance may take to begin its answer, counted from the last byte of the request that it took.
    pub first_byte: Option<Duration>,
    /// How long a client may be silent in the middle of its request's body.
    pub upload_idle: Duration,
    /// How long an instance may be silent in the middle of its answer.
    pub idle: Duration,
    /// The ceilings of its connections.
    pub pool: PoolPlan,
    /// The most attempts for one request; at least 1.
    pub attempts_max: u32,
    /// How many requests may be sent again although something of them may have reached an instance.
    pub budget: BudgetPlan,
    /// How instances are checked actively, if they are.
    pub health: Option<HealthPlan>,
}

/// What a retry budget allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetPlan {
    /// Repeats for a hundred requests of the window, 0 to 100.
    pub percent: u32,
    /// Repeats per second beside that, saved up over the window.
    pub per_second_min: u32,
}

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

/// The ceilings of a service's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolPlan {
    /// Idle connections that one worker keeps to one instance.
    pub idle_max: usize,
    /// Connections to all instances, over all workers of the process.
    pub connections_max: usize,
    /// How long an idle connection is kept.
    pub idle: Duration,
    /// How long a connection is used before it is replaced.
    pub age: Duration,
}

/// How the instances of a service are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoverPlan {
    /// They are these.
    Static(Vec<SocketAddr>),
    /// All addresses of a name, at one port.
    Dns {
        /// The name, without a final dot.
        name: String,
        /// The port.
        port: u16,
    },
    /// The SRV records of a name (RFC 2782).
    Srv {
        /// The name, `_service._proto.domain`.
        name: String,
    },
    /// One Unix socket on this host.
    Unix(PathBuf),
}
