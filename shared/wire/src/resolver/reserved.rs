//! Names that need no server (RFC 6761, RFC 7686).
//!
//! In: a name. Out: its addresses, or that there is none; nothing for all other names. Never: sends such a name to a server, which may lie about it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{Name, RData, RecordType};

use crate::resolver::fault::NameFault;

/// The addresses of `name` where a rule says what they are.
pub(crate) fn addresses(name: &Name) -> Option<Result<Vec<IpAddr>, NameFault>> {
    let last = name.iter().next_back()?;
    if last.eq_ignore_ascii_case(b"localhost") {
        return Some(Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]));
    }
    (last.eq_ignore_ascii_case(b"invalid") || last.eq_ignore_ascii_case(b"onion")).then_some(Err(NameFault::NoSuchName))
}

/// What such addresses are in an answer of this type.
pub(crate) fn data(addresses: &[IpAddr], kind: RecordType) -> Result<Vec<RData>, NameFault> {
    let data: Vec<RData> = addresses.iter().map(|address| RData::from(*address)).filter(|data| data.record_type() == kind).collect();
    if data.is_empty() { Err(NameFault::NoRecords) } else { Ok(data) }
}
