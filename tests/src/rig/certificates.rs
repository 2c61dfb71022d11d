//! The authority of one rig and the leaves that it issued.

use gwctl::stage::certificates::{Authority, Leaf, Purpose, San, Validity};
use settings::clock::Clock;

use crate::rig::folder::Folder;

/// Longer than every leaf: the authority stands in the chains, and a chain ends with the first of its certificates.
const AUTHORITY_DAYS: u32 = 90;

/// The authority and its files in the rig's folder.
pub struct Certificates {
    authority: Authority,
    now_s: u64,
}

impl Certificates {
    /// Makes the authority and writes `ca.pem`, `server.pem/key` for `localhost`, `routing-gw.pem/key` and `security-gw.pem/key`.
    #[must_use]
    pub fn write(folder: &Folder) -> Self {
        let now_s = Clock::system().now_s();
        let authority = Authority::new("rig CA", Validity::days(now_s, AUTHORITY_DAYS)).unwrap_or_else(|fault| panic!("{fault}"));
        folder.write("ca.pem", &authority.pem());
        let certificates = Self { authority, now_s };
        let leaf = |purpose, name: &str| certificates.leaf(purpose, name);
        write(folder, &leaf(Purpose::Server, "localhost"), "server");
        write(folder, &leaf(Purpose::Server, "routing-gw.demo"), "routing-gw");
        write(folder, &leaf(Purpose::Client, "security-gw.demo"), "security-gw");
        write(folder, &leaf(Purpose::Client, "stranger.demo"), "stranger");
        certificates
    }

    /// A leaf for one DNS name.
    #[must_use]
    pub fn leaf(&self, purpose: Purpose, name: &str) -> Leaf {
        self.leaf_for(purpose, &[San::Dns(name.to_owned())], 2)
    }

    /// A leaf for several names, and for so many days from the rig's beginning.
    #[must_use]
    pub fn leaf_for(&self, purpose: Purpose, names: &[San], days: u32) -> Leaf {
        self.authority.issue(purpose, "leaf", names, self.validity(days)).unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// From an hour before the rig's beginning.
    #[must_use]
    pub fn validity(&self, days: u32) -> Validity {
        Validity::days(self.now_s, days)
    }

    /// The authority's certificate.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }
}

fn write(folder: &Folder, leaf: &Leaf, name: &str) {
    leaf.write(folder.path(), name).unwrap_or_else(|fault| panic!("{name}: {fault}"));
}
