//! Whose address a request carries: the right-most one that no believed proxy wrote.
//!
//! In: the peer's address and the `X-Forwarded-For` field. Out: the client's address. Never: believes an address that a stranger wrote.

use std::net::IpAddr;

use contract::headers;
use http::header::HeaderName;
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
    // Hop by hop and not line by line: one unreadable byte of a stranger must not hide what a proxy wrote behind it.
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops.take(FORWARDED_HOPS_MAX) {
        let Some(address) = std::str::from_utf8(hop).ok().and_then(|hop| parse(hop.trim())) else { return client };
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
    let says = |name: &HeaderName| {
        headers::folds_to_prefix(name, "x-forwarded-") || others().into_iter().any(|other| headers::folds_to(name, other))
    };
    while let Some(name) = map.keys().find(|name| says(name)).cloned() {
        map.remove(name);
    }
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

/// What else says whose request it is; all that begins with `x-forwarded-` does too. An underscore counts as a hyphen, as servers have it.
fn others() -> [&'static HeaderName; 3] {
    [&headers::FORWARDED, &headers::X_REAL_IP, &headers::REQUEST_ID]
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
    fn an_unreadable_byte_hides_no_hop() {
        let mut map = chain("6.6.6.6");
        map.append(headers::X_FORWARDED_FOR.clone(), HeaderValue::from_bytes(b"\xff, 1.1.1.1").expect("value"));
        let believed = ["10.0.0.0/8".parse().expect("net")];
        assert_eq!(client("10.0.0.1".parse().expect("peer"), &map, &believed), "1.1.1.1".parse::<IpAddr>().expect("expected"));
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
