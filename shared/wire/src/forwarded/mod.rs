//! Whose address a request carries: the right-most one that no believed proxy wrote.
//!
//! In: a connection and the fields that proxies write. Out: the client's address, and scheme and host as it used them; then the fields that the
//! next hop may believe. Refuses nothing. Never: believes what a stranger wrote.
//!
//! # One field
//! A proxy that appends to one of `X-Forwarded-For` and `Forwarded` lets the other through as its client wrote it. So the operator says which one the
//! proxies write, and the other one is not read.

mod element;
#[cfg(test)]
mod tests;

use std::io::{Cursor, Write};
use std::net::IpAddr;

use contract::headers;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use crate::connection::Connection;
use crate::forwarded::element::{Element, address};
use crate::guard::authority;
use crate::tls::peers::PeerList;

/// Hops of a forwarded chain that are looked at; what lies further left is not believed.
const FORWARDED_HOPS_MAX: usize = 32;

/// The proxies in front of us whose word on a client counts.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    networks: Vec<IpNet>,
    identities: PeerList,
    field: Field,
}

/// The field in which the believed proxies tell of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `X-Forwarded-For`, with the scheme in `X-Forwarded-Proto`.
    XForwardedFor {
        /// Whether they set `X-Forwarded-Host` too. Many do not, and let through what the client wrote there.
        host: bool,
    },
    /// `Forwarded` (RFC 7239), with scheme and host in the element that names the client.
    Forwarded,
}

impl Default for Field {
    fn default() -> Self {
        Self::XForwardedFor { host: false }
    }
}

/// What believed proxies say of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The scheme that the client spoke to the first of them.
    pub scheme: Option<&'static str>,
    /// The host that it asked the first of them for.
    pub host: Option<HeaderValue>,
}

impl Proxies {
    /// Proxies known by their address, and proxies known by the names in the certificate that they showed us. They write `X-Forwarded-For`.
    #[must_use]
    pub fn new(networks: Vec<IpNet>, identities: PeerList) -> Self {
        Self { networks, identities, field: Field::default() }
    }

    /// Those that are known by their address.
    #[must_use]
    pub fn networks(&self) -> &[IpNet] {
        &self.networks
    }

    /// Whether the other end of the connection is one of them.
    #[must_use]
    pub fn believes(&self, connection: &Connection) -> bool {
        connection.peer.ip().is_some_and(|ip| is_in(ip, &self.networks))
            || connection.tls.as_ref().and_then(|tls| tls.peer.as_ref()).is_some_and(|peer| self.identities.allows_peer(peer))
    }

    /// Believes what they write into this field of the client.
    #[must_use]
    pub fn that_write(mut self, field: Field) -> Self {
        self.field = field;
        self
    }

    /// Whose word is given: the client's address, which is the peer itself, or, while the address at hand is a believed proxy, the next one to the
    /// left; and scheme and host as that client used them, where it is told lawfully and once.
    #[must_use]
    pub fn read(&self, peer: IpAddr, map: &HeaderMap) -> (IpAddr, Origin) {
        let peer = peer.to_canonical();
        match self.field {
            Field::XForwardedFor { host } => {
                let scheme = one(map, &headers::X_FORWARDED_PROTO).and_then(|told| scheme(told.as_bytes()));
                let host = if host { one(map, &headers::X_FORWARDED_HOST) } else { None };
                let host = host.filter(|host| authority::is_lawful(host.as_bytes())).cloned();
                (self.by_list(peer, map), Origin { scheme, host })
            }
            Field::Forwarded => {
                // The element counts with the client that it names.
                let (client, element) = self.by_forwarded(peer, map);
                let element = element.unwrap_or_default();
                let host =
                    element.host.filter(|host| authority::is_lawful(host)).and_then(|host| HeaderValue::from_maybe_shared(host).ok());
                (client, Origin { scheme: element.proto.as_deref().and_then(scheme), host })
            }
        }
    }

    /// By `X-Forwarded-For`: hop by hop and not line by line, since one unreadable byte of a stranger must not hide what a proxy wrote behind it.
    fn by_list(&self, peer: IpAddr, map: &HeaderMap) -> IpAddr {
        let mut client = peer;
        let lines = map.get_all(&headers::X_FORWARDED_FOR).into_iter().rev();
        let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        for hop in hops.take(FORWARDED_HOPS_MAX) {
            let Some(address) = address(hop.trim_ascii()) else { return client };
            client = address;
            if !is_in(client, &self.networks) {
                return client;
            }
        }
        client
    }

    /// By `Forwarded` (RFC 7239), with the element that named the client.
    fn by_forwarded(&self, peer: IpAddr, map: &HeaderMap) -> (IpAddr, Option<Element>) {
        let (mut client, mut said) = (peer, None);
        let lines = map.get_all(&headers::FORWARDED).into_iter().rev();
        for text in lines.flat_map(|line| element::from_the_right(line.as_bytes())).take(FORWARDED_HOPS_MAX) {
            let Some(element) = Element::read(text) else { return (client, said) };
            // Unknown, obfuscated and unreadable ones end the way: what lies further left came through somebody who is not named.
            let Some(address) = element.address() else { return (client, said) };
            (client, said) = (address, Some(element));
            if !is_in(client, &self.networks) {
                break;
            }
        }
        (client, said)
    }
}

/// One of the two schemes that there are.
fn scheme(text: &[u8]) -> Option<&'static str> {
    ["http", "https"].into_iter().find(|known| text.eq_ignore_ascii_case(known.as_bytes()))
}

/// The value of a field that stands once.
fn one<'a>(map: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = map.get_all(name).into_iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether an address lies in one of the networks; an IPv4 address mapped into IPv6 counts as IPv4.
#[must_use]
pub fn is_in(address: IpAddr, networks: &[IpNet]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Writes what the next hop may believe. The door has taken out whatever else said it.
pub fn write(map: &mut HeaderMap, client: Option<IpAddr>, scheme: &'static str, host: HeaderValue) {
    if let Some(address) = client.and_then(text) {
        map.insert(headers::X_REAL_IP.clone(), address.clone());
        map.insert(headers::X_FORWARDED_FOR.clone(), address);
    }
    map.insert(headers::X_FORWARDED_PROTO.clone(), HeaderValue::from_static(scheme));
    map.insert(headers::X_FORWARDED_HOST.clone(), host);
}

/// An address as a field has it, written on the stack.
fn text(address: IpAddr) -> Option<HeaderValue> {
    let mut buffer = [0_u8; ADDRESS_BYTES_MAX];
    let mut out = Cursor::new(&mut buffer[..]);
    write!(out, "{address}").ok()?;
    let length = usize::try_from(out.position()).ok()?;
    HeaderValue::from_bytes(buffer.get(..length)?).ok()
}

/// Bytes of the longest text of an address: eight groups, or six and an IPv4 address.
const ADDRESS_BYTES_MAX: usize = 45;
