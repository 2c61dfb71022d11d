//! A place in the fleet, which one process after the other may take.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU8, Ordering};

/// A place in the fleet, each kind counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seat {
    /// A replica of tier 1.
    Security(usize),
    /// A replica of tier 2.
    Routing(usize),
    /// An instance of `orders`.
    Instance(usize),
    /// The DNS server, which lives in the test itself.
    Names,
}

/// A tier, for what is done to both of its replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Tier 1.
    Security,
    /// Tier 2.
    Routing,
}

impl Tier {
    /// Its replicas.
    #[must_use]
    pub fn seats(self) -> [Seat; 2] {
        match self {
            Self::Security => [Seat::Security(0), Seat::Security(1)],
            Self::Routing => [Seat::Routing(0), Seat::Routing(1)],
        }
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Security(index) => write!(f, "security-{}", index + 1),
            Self::Routing(index) => write!(f, "routing-{}", index + 1),
            Self::Instance(index) => write!(f, "orders-{}", index + 1),
            Self::Names => f.write_str("dns"),
        }
    }
}

/// Addresses for one fleet: a loopback address of its own for each process. Nobody else listens there, and outgoing connections start from 127.0.0.1,
/// so that the port is still free when the next process of the same seat comes for it.
#[derive(Debug)]
pub struct Addresses {
    second: u8,
    third: u8,
    next: u8,
}

static FLEETS: AtomicU8 = AtomicU8::new(0);

impl Addresses {
    /// For one more fleet of this process.
    #[must_use]
    pub fn new() -> Self {
        let [_, _, high, low] = std::process::id().to_be_bytes();
        // 127.0.0.0/16 is everybody's.
        Self { second: 1 + high % 250, third: low, next: FLEETS.fetch_add(1, Ordering::Relaxed).wrapping_mul(16) }
    }

    /// One more.
    pub fn take(&mut self) -> SocketAddr {
        self.next = self.next.wrapping_add(1);
        let address = SocketAddr::from((Ipv4Addr::new(127, self.second, self.third, self.next), 0));
        let listener = TcpListener::bind(address).unwrap_or_else(|fault| panic!("{address}: {fault}"));
        listener.local_addr().unwrap_or_else(|fault| panic!("{address}: {fault}"))
    }
}

impl Default for Addresses {
    fn default() -> Self {
        Self::new()
    }
}
