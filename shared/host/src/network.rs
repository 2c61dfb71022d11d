//! A network as operators write it.
//!
//! In: the text of a configuration. Out: a network. Never: complains; what a wrong one means is for the section that it stands in.

use std::net::IpAddr;

use ipnet::IpNet;

/// A network in CIDR form (RFC 4632), `10.0.0.0/8` or `fd00::/8`; a bare address is a network of one. Anything else is `None`.
#[must_use]
pub fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
