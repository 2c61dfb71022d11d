//! Addresses that nothing is ever fetched from.
//!
//! Cloud machines keep their own credentials behind link-local and a few fixed addresses; an address in a configuration, or one that a
//! foreign document or zone leads to, must not reach them (OWASP: server-side request forgery), unless its network is allowed by name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Whether an address is refused, in whichever clothes an IPv4 address comes. What is allowed is allowed as it is written: the network of an
/// IPv4 address does not stand for that address inside an IPv6 one, but for the mapped form, which is the same to the kernel.
pub(crate) fn is_refused(address: IpAddr, allowed: &[IpNet]) -> bool {
    let address = address.to_canonical();
    if allowed.iter().any(|network| network.contains(&address)) {
        return false;
    }
    match address {
        IpAddr::V4(four) => is_refused_v4(four),
        IpAddr::V6(six) => embedded(six).is_some_and(is_refused_v4) || locally_translated(six) || is_refused_v6(six),
    }
}

fn is_refused_v4(address: Ipv4Addr) -> bool {
    // 168.63.129.16 and 100.100.100.200 are metadata and platform services of two large clouds outside of 169.254.0.0/16.
    let metadata = [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200)];
    address.is_link_local() || address.is_unspecified() || address.is_broadcast() || address.is_multicast() || metadata.contains(&address)
}

fn is_refused_v6(address: Ipv6Addr) -> bool {
    // The metadata services of three large clouds inside of fc00::/7; the first has more than one address in its network.
    let segments = address.segments();
    let metadata = (segments[0], segments[1]) == (0xfd00, 0x0ec2)
        || segments == [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254]
        || segments == [0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe];
    address.is_unicast_link_local() || address.is_unspecified() || address.is_multicast() || metadata
}

/// Whether an address of a local NAT64 (64:ff9b:1::/48, RFC 8215) may lead to a refused one: how long a prefix the network took of it cannot be
/// seen, so the IPv4 address is looked for wherever RFC 6052 §2.2 puts it. Zeros are what a longer prefix leaves, and say nothing.
fn locally_translated(address: Ipv6Addr) -> bool {
    let o = address.octets();
    let places = [[o[6], o[7], o[9], o[10]], [o[7], o[9], o[10], o[11]], [o[9], o[10], o[11], o[12]], [o[12], o[13], o[14], o[15]]];
    let is_local = address.segments()[..3] == [0x64, 0xff9b, 1];
    is_local && places.into_iter().map(Ipv4Addr::from).any(|four| !four.is_unspecified() && is_refused_v4(four))
}

/// The IPv4 address inside a mapped (RFC 4291), NAT64 (RFC 6052) or 6to4 (RFC 3056) one.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b) {
        (0x64, 0xff9b) => Some(join(g, h)),
        (0x2002, _) => Some(join(b, c)),
        (0, 0) if (c, d, e) == (0, 0, 0) && (f == 0xffff || f == 0) && (f, g) != (0, 0) => Some(join(g, h)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    fn is_refused(address: IpAddr) -> bool {
        super::is_refused(address, &[])
    }

    #[test]
    fn where_machines_keep_credentials_nothing_is_fetched() {
        let refused = [
            "169.254.169.254",
            "169.254.0.1",
            "168.63.129.16",
            "100.100.100.200",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b:1:a9fe:a9:fe00::",
            "64:ff9b:1:a9:fe:a9fe::",
            "64:ff9b:1:0:a9:fea9:fe00:0",
            "::",
            "ff02::1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ];
        for address in refused {
            assert!(is_refused(address.parse().unwrap()), "{address}");
        }
        for address in [
            "127.0.0.1",
            "::1",
            "10.0.0.1",
            "192.168.1.1",
            "93.184.216.34",
            "fd00::1",
            "2001:db8::1",
            "::ffff:127.0.0.1",
            "64:ff9b::5db8:d822",
            "64:ff9b:1::5db8:d822",
            "fd00:ec3::254",
            "fd20:ce::253",
        ] {
            assert!(!is_refused(address.parse().unwrap()), "{address}");
        }
    }
}
