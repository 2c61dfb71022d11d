//! Whose address a request carries: the right-most one that no believed proxy wrote.
//!
//! In: the peer's address and the `X-Forwarded-For` field. Out: the client's address. Never: believes an address that a stranger wrote.

use std::net::IpAddr;

use contract::headers;
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

/// Hops of a forwarded chain that are looked at; what lies further left is not believed.
const FORWARDED_HOPS_MAX: usize = 32;

/// The client's address: the peer itself, or, while the address at hand is a believed proxy, the next one to the left.
#[must_use]
pub fn client(peer: IpAddr, map: &HeaderMap, believed: &[IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    if !is_in(client, believed) {
        return client;
    }
    let lines = map.get_all(&headers::X_FORWARDED_FOR).into_iter().rev();
    let hops = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(',')).map(str::trim);
    for hop in hops.take(FORWARDED_HOPS_MAX) {
        let Some(address) = parse(hop) else { return client };
        client = address;
        if !is_in(client, believed) {
            return client;
        }
    }
    client
}

/// Whether an address lies in one of the networks; an IPv4 address mapped into IPv6 counts as IPv4.
#[must_use]
pub fn is_in(address: IpAddr, networks: &[IpNet]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Writes what the next hop may believe and removes every other form of it.
pub fn write(map: &mut HeaderMap, client: Option<IpAddr>, scheme: &'static str, host: Option<HeaderValue>) {
    map.remove(&headers::FORWARDED);
    map.remove(&headers::X_REAL_IP);
    match client.and_then(|address| HeaderValue::try_from(address.to_string()).ok()) {
        Some(value) => map.insert(headers::X_FORWARDED_FOR.clone(), value),
        None => map.remove(&headers::X_FORWARDED_FOR),
    };
    map.insert(headers::X_FORWARDED_PROTO.clone(), HeaderValue::from_static(scheme));
    match host {
        Some(value) => map.insert(headers::X_FORWARDED_HOST.clone(), value),
        None => map.remove(&headers::X_FORWARDED_HOST),
    };
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn parse(hop: &str) -> Option<IpAddr> {
    if let Ok(address) = hop.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    hop.parse::<std::net::SocketAddr>().map(|address| address.ip().to_canonical()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(headers::X_FORWARDED_FOR.clone(), HeaderValue::from_static(value))])
    }

    fn check(peer: &str, value: &'static str, expected: &str) {
        let believed = ["10.0.0.0/8".parse().expect("net"), "fd00::/8".parse().expect("net")];
        assert_eq!(client(peer.parse().expect("peer"), &chain(value), &believed), expected.parse::<IpAddr>().expect("expected"));
    }

    #[test]
    fn the_right_most_stranger_is_the_client() {
        check("203.0.113.9", "1.1.1.1", "203.0.113.9");
        check("10.0.0.1", "1.1.1.1", "1.1.1.1");
        check("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.7", "1.1.1.1");
        check("10.0.0.1", "6.6.6.6, nonsense, 10.0.0.7", "10.0.0.7");
        check("10.0.0.1", "1.1.1.1:443", "1.1.1.1");
        check("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1");
        check("10.0.0.1", "", "10.0.0.1");
    }

    #[test]
    fn what_strangers_wrote_does_not_travel_on() {
        let mut map = chain("6.6.6.6");
        map.insert(headers::FORWARDED.clone(), HeaderValue::from_static("for=6.6.6.6"));
        map.insert(headers::X_REAL_IP.clone(), HeaderValue::from_static("6.6.6.6"));
        write(&mut map, Some("192.0.2.1".parse().expect("ip")), "https", None);
        assert_eq!(map.get(&headers::X_FORWARDED_FOR).expect("xff"), "192.0.2.1");
        assert_eq!(map.len(), 2);
    }
}
