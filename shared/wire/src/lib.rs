//! HTTP and TLS as both tiers speak them, one exchange at a time; the only resolver of names.

pub mod arrived;
pub mod body;
pub mod body_rate;
pub mod connection;
pub mod counted;
pub mod door;
pub mod exchange;
pub mod farewell;
pub mod fetch;
pub mod forwarded;
pub mod guard;
pub mod hop_by_hop;
pub mod limits;
pub mod places;
pub mod proxy_protocol;
pub mod resolver;
pub mod seen;
pub mod tasks;
pub mod tls;
pub mod upgrade;
pub mod withheld;
