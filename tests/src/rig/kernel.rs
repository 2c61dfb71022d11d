//! What the kernel knows of processes and sockets, and signals by process id.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;

/// A signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGUSR2: an upgrade.
    Upgrade,
    /// SIGSTOP.
    Halt,
    /// SIGCONT.
    GoOn,
    /// SIGKILL.
    Kill,
}

/// Sends a signal; to a process that is gone it is none.
pub fn signal(pid: u32, signal: Signal) {
    let name = match signal {
        Signal::Upgrade => "-USR2",
        Signal::Halt => "-STOP",
        Signal::GoOn => "-CONT",
        Signal::Kill => "-KILL",
    };
    let _gone = Command::new("kill").arg(name).arg(pid.to_string()).status();
}

/// The state of a process as `R`, `S`, `T` or `Z` (proc_pid_stat(5)); `None` when there is none of that id.
#[must_use]
pub fn state(pid: u32) -> Option<char> {
    stat(pid).map(|(state, _)| state)
}

/// The living children of a process.
#[must_use]
pub fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap_or_else(|fault| panic!("/proc: {fault}"));
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(state, its)| its == parent && state != 'Z')).collect()
}

/// State and parent.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let mut words = text.rsplit_once(") ")?.1.split(' ');
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

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

    #[test]
    fn a_child_is_known_with_its_state() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(children(std::process::id()).contains(&child.id()));
        signal(child.id(), Signal::Halt);
        crate::rig::wait::until("it is halted", || (state(child.id()) == Some('T')).then_some(()));
        signal(child.id(), Signal::Kill);
        child.wait().unwrap();
        assert_eq!(state(child.id()), None);
    }
}
