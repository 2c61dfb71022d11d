//! The records that answers are made of.
//!
//! In: names and data as text. Out: records, true or lying. Panics on text that is no name or no address: the test is wrong then.

use std::net::IpAddr;

use hickory_proto::rr::rdata::{A, AAAA, CNAME, SOA, SRV};
use hickory_proto::rr::{Name, RData, Record};

/// An address record: A or AAAA as the address is.
#[must_use]
pub fn address(owner: &str, ttl: u32, address: &str) -> Record {
    let address: IpAddr = address.parse().unwrap_or_else(|fault| panic!("{address}: {fault}"));
    let data = match address {
        IpAddr::V4(four) => RData::A(A(four)),
        IpAddr::V6(six) => RData::AAAA(AAAA(six)),
    };
    Record::from_rdata(name(owner), ttl, data)
}

/// As many A records as asked for, from 10.0.0.0 on: 25 do not fit into 512 bytes, 90 not into 1232.
#[must_use]
pub fn many(owner: &str, ttl: u32, count: u32) -> Vec<Record> {
    let at = |number: u32| IpAddr::from((0x0a00_0000 + number).to_be_bytes()).to_string();
    (0..count).map(|number| address(owner, ttl, &at(number))).collect()
}

/// An alias.
#[must_use]
pub fn alias(owner: &str, ttl: u32, target: &str) -> Record {
    Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name(target))))
}

/// Aliases from each name to the next one.
#[must_use]
pub fn chain(ttl: u32, names: &[&str]) -> Vec<Record> {
    names.windows(2).map(|pair| alias(pair[0], ttl, pair[1])).collect()
}

/// A service record (RFC 2782) with priority, weight and port.
#[must_use]
pub fn service(owner: &str, ttl: u32, order: (u16, u16, u16), target: &str) -> Record {
    Record::from_rdata(name(owner), ttl, RData::SRV(SRV::new(order.0, order.1, order.2, name(target))))
}

/// What stands beside a "no" (RFC 2308).
pub(crate) fn authority(owner: &Name) -> Record {
    Record::from_rdata(owner.clone(), 1, RData::SOA(SOA::new(owner.clone(), owner.clone(), 1, 3600, 600, 86_400, 1)))
}

/// An absolute name, with or without its final dot.
pub(crate) fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    name.set_fqdn(true);
    name
}
