//! The addresses of the demo's parts.
//!
//! In: the offset. Out: addresses on loopback. Never: a port beyond 65535.

use std::net::{Ipv4Addr, SocketAddr};

/// The greatest offset, which brings the highest port (9902) to 65502.
pub const OFFSET_MAX: u16 = 55_600;

/// Every port of a demo, shifted by its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    offset: u16,
}

impl Ports {
    /// Ports shifted by `offset`; none beyond [`OFFSET_MAX`].
    #[must_use]
    pub fn shifted(offset: u16) -> Option<Self> {
        (offset <= OFFSET_MAX).then_some(Self { offset })
    }

    /// The offset.
    #[must_use]
    pub fn offset(self) -> u16 {
        self.offset
    }

    /// Tier 1: `https://localhost:8443`.
    #[must_use]
    pub fn security_gw(self) -> SocketAddr {
        self.local(8443)
    }

    /// Tier 1's redirect to it.
    #[must_use]
    pub fn redirect(self) -> SocketAddr {
        self.local(8080)
    }

    /// Tier 1's admin listener.
    #[must_use]
    pub fn security_admin(self) -> SocketAddr {
        self.local(9901)
    }

    /// Tier 2.
    #[must_use]
    pub fn routing_gw(self) -> SocketAddr {
        self.local(9443)
    }

    /// Tier 2's admin listener.
    #[must_use]
    pub fn routing_admin(self) -> SocketAddr {
        self.local(9902)
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(self) -> SocketAddr {
        self.local(9400)
    }

    /// The DNS server, UDP and TCP.
    #[must_use]
    pub fn dns(self) -> SocketAddr {
        self.local(9553)
    }

    /// Instance `n` of orders: the port tells them apart, as SRV records can say.
    #[must_use]
    pub fn orders(self, n: u8) -> SocketAddr {
        self.local(9200 + u16::from(n))
    }

    /// Instance `n` of users: the address tells them apart, since A records say no port.
    #[must_use]
    pub fn users(self, n: u8) -> SocketAddr {
        (Ipv4Addr::new(127, 0, 0, n), 9301 + self.offset).into()
    }

    fn local(self, port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port + self.offset).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_offset_still_makes_ports() {
        let ports = Ports::shifted(OFFSET_MAX).unwrap();
        assert_eq!(ports.routing_admin().port(), 65_502);
        assert_eq!(Ports::shifted(OFFSET_MAX + 1), None);
    }
}
