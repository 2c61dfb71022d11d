//! What the kernel knows of listening sockets.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Connections that wait to be accepted at a listening socket: its `rx_queue` (proc_net_tcp(5)). 0 where nobody listens.
#[must_use]
pub fn accept_queue(address: SocketAddr) -> usize {
    let IpAddr::V4(ip) = address.ip() else { panic!("{address} is not IPv4") };
    let mut local = String::new();
    // The kernel prints the address as a number of this machine.
    let _ = write!(local, "{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port());
    let text = std::fs::read_to_string("/proc/net/tcp").unwrap_or_else(|fault| panic!("/proc/net/tcp: {fault}"));
    text.lines().find_map(|line| waiting(line, &local)).unwrap_or_default()
}

/// The listening state, as the kernel prints it.
const LISTEN: &str = "0A";

fn waiting(line: &str, local: &str) -> Option<usize> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (address, _remote, state, queues) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (_, rx) = queues.split_once(':').filter(|_| address == local && state == LISTEN)?;
    usize::from_str_radix(rx, 16).ok()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn who_waits_to_be_accepted_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(accept_queue(address), 0);
        let waiting: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        assert_eq!(accept_queue(address), 3);
        let _one = listener.accept().unwrap();
        assert_eq!(accept_queue(address), 2);
        drop(waiting);
    }
}
