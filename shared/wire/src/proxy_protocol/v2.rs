//! Version 2: binary (§2.2): twelve bytes of signature, version and command, family and transport, the length of the rest.
//!
//! In: the bytes so far, which begin with the signature. Out: the source, or how many bytes are missing. Refuses: other versions and commands,
//! UDP, a rest that is too short for its addresses or longer than the ceiling. Vectors (TLVs) behind the addresses are skipped.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::proxy_protocol::{Parsed, ProxyFault, Told, V2_BYTES_MAX};

/// How it begins.
pub(crate) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes before the addresses.
const FIXED: usize = 16;

/// Reads a header as far as it has come.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed, ProxyFault> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else { return Ok(Parsed::More(FIXED - bytes.len())) };
    let [.., command, family, high, low] = *fixed;
    // Version 2 and the commands LOCAL and PROXY; "receivers must drop connections presenting unexpected values here".
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(ProxyFault::Malformed),
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED + length > V2_BYTES_MAX {
        return Err(ProxyFault::TooLarge);
    }
    // What a LOCAL header says of addresses is to be ignored, whatever it is.
    let least = if is_local { 0 } else { addresses(family)? };
    if length < least {
        return Err(ProxyFault::Malformed);
    }
    match length.checked_sub(rest.len()) {
        Some(0) => {}
        Some(missing) => return Ok(Parsed::More(missing)),
        None => return Err(ProxyFault::Malformed),
    }
    let told = if is_local { Some(Told::Own) } else { source(family, rest) };
    told.map(Parsed::Whole).ok_or(ProxyFault::Malformed)
}

/// Bytes of the addresses of a family over a byte stream.
fn addresses(family: u8) -> Result<usize, ProxyFault> {
    match family {
        // Unspecified: the receiver may take the socket's own address.
        0x00 => Ok(0),
        0x11 => Ok(12),
        0x21 => Ok(36),
        // A Unix socket at the proxy; no address that means anything here.
        0x31 => Ok(216),
        _ => Err(ProxyFault::Malformed),
    }
}

fn source(family: u8, rest: &[u8]) -> Option<Told> {
    match family {
        0x11 => {
            let (ip, behind) = rest.split_first_chunk::<4>()?;
            let (_to, behind) = behind.split_first_chunk::<4>()?;
            Some(Told::Source(SocketAddr::from((Ipv4Addr::from(*ip), port(behind)?))))
        }
        0x21 => {
            let (ip, behind) = rest.split_first_chunk::<16>()?;
            let (_to, behind) = behind.split_first_chunk::<16>()?;
            Some(Told::Source(SocketAddr::from((Ipv6Addr::from(*ip), port(behind)?))))
        }
        _ => Some(Told::Own),
    }
}

/// The first of both ports: the source's.
fn port(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk::<2>().map(|port| u16::from_be_bytes(*port))
}
