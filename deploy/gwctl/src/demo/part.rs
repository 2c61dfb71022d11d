//! One process of the demo: its name, its command line, its addresses.
//!
//! In: a name as people type it. Out: what to run and where it will answer. Refuses: names of nothing.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::demo::place::Place;
use crate::demo::ports::Ports;

/// Instances of one service that the demo can tell apart.
pub const INSTANCES_MAX: u8 = 99;

/// A process of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Tier 1.
    SecurityGw,
    /// Tier 2.
    RoutingGw,
    /// The OpenID issuer.
    Issuer,
    /// The DNS server.
    Dns,
    /// An instance of orders, from 1.
    Orders(u8),
    /// An instance of users, from 1.
    Users(u8),
}

/// What a fresh demo starts, in this order: nobody starts before what it needs.
pub const PARTS: [Part; 9] = [
    Part::Dns,
    Part::Issuer,
    Part::Orders(1),
    Part::Orders(2),
    Part::Orders(3),
    Part::Users(1),
    Part::Users(2),
    Part::RoutingGw,
    Part::SecurityGw,
];

impl Part {
    /// Every address that the part listens on, the one that shows its readiness first.
    #[must_use]
    pub fn addresses(self, ports: Ports) -> Vec<SocketAddr> {
        match self {
            Self::SecurityGw => vec![ports.security_admin(), ports.security_gw(), ports.redirect()],
            Self::RoutingGw => vec![ports.routing_admin(), ports.routing_gw()],
            Self::Issuer => vec![ports.issuer()],
            Self::Dns => vec![ports.dns()],
            Self::Orders(n) => vec![ports.orders(n)],
            Self::Users(n) => vec![ports.users(n)],
        }
    }

    /// The service that an instance belongs to.
    #[must_use]
    pub fn service(self) -> Option<&'static str> {
        match self {
            Self::Orders(_) => Some("orders"),
            Self::Users(_) => Some("users"),
            _ => None,
        }
    }

    /// The arguments of gwctl that make a process this part, listening (an instance) on `address`.
    #[must_use]
    pub fn arguments(self, place: &Place, address: SocketAddr) -> Vec<OsString> {
        let mut line = vec![OsString::from("stage"), "--demo-lock".into(), place.lock().into()];
        let mut say = |words: &[OsString]| line.extend_from_slice(words);
        let at = OsString::from(address.to_string());
        match self {
            Self::SecurityGw => say(&["security-gw".into(), "--config".into(), place.security_yaml().into()]),
            Self::RoutingGw => say(&["routing-gw".into(), "--config".into(), place.routing_yaml().into()]),
            Self::Issuer => say(&["issuer".into(), "--address".into(), at, "--key".into(), place.issuer_key().into()]),
            Self::Dns => say(&["dns".into(), "--address".into(), at, "--zone".into(), place.zone().into()]),
            Self::Orders(_) | Self::Users(_) => {
                let service = self.service().unwrap_or_default().into();
                say(&["instance".into(), "--service".into(), service, "--name".into(), self.to_string().into()]);
                say(&["--address".into(), at, "--ledger".into(), place.ledger(self).into()]);
            }
        }
        line
    }

    /// The lines that make DNS name this instance at `address`; none for what is no instance.
    #[must_use]
    pub fn zone_lines(self, address: SocketAddr) -> Vec<String> {
        match self {
            Self::Orders(_) => vec![
                format!("_http._tcp.orders.demo. 2 SRV 0 1 {} {self}.demo.", address.port()),
                format!("{self}.demo. 2 A {}", address.ip()),
            ],
            Self::Users(_) => vec![format!("users.demo. 2 A {}", address.ip())],
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecurityGw => f.write_str("security-gw"),
            Self::RoutingGw => f.write_str("routing-gw"),
            Self::Issuer => f.write_str("issuer"),
            Self::Dns => f.write_str("dns"),
            Self::Orders(n) => write!(f, "orders-{n}"),
            Self::Users(n) => write!(f, "users-{n}"),
        }
    }
}

/// A name that no part has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the demo has no part named {0:?}")]
pub struct NoSuchPart(String);

impl FromStr for Part {
    type Err = NoSuchPart;

    fn from_str(name: &str) -> Result<Self, NoSuchPart> {
        let instance = |prefix| name.strip_prefix(prefix).and_then(|n: &str| n.parse().ok()).filter(|n| (1..=INSTANCES_MAX).contains(n));
        let part = match name {
            "security-gw" => Some(Self::SecurityGw),
            "routing-gw" => Some(Self::RoutingGw),
            "issuer" => Some(Self::Issuer),
            "dns" => Some(Self::Dns),
            _ => instance("orders-").map(Self::Orders).or_else(|| instance("users-").map(Self::Users)),
        };
        // `orders-01` and `orders-+1` are not how the part is called.
        part.filter(|part| part.to_string() == name).ok_or_else(|| NoSuchPart(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_found_by_its_name() {
        for part in PARTS.into_iter().chain([Part::Orders(4), Part::Users(99)]) {
            assert_eq!(part.to_string().parse(), Ok(part));
        }
        for name in ["", "orders", "orders-", "orders-0", "orders-01", "orders-+1", "orders-100", "users-x", "DNS"] {
            assert!(name.parse::<Part>().is_err(), "{name}");
        }
    }

    #[test]
    fn an_instance_is_named_in_dns_as_its_service_is_found() {
        let ports = Ports::shifted(0).unwrap();
        assert_eq!(
            Part::Orders(4).zone_lines(ports.orders(4)),
            ["_http._tcp.orders.demo. 2 SRV 0 1 9204 orders-4.demo.", "orders-4.demo. 2 A 127.0.0.1"]
        );
        assert_eq!(Part::Users(2).zone_lines(ports.users(2)), ["users.demo. 2 A 127.0.0.2"]);
        assert!(Part::Dns.zone_lines(ports.dns()).is_empty());
    }
}
