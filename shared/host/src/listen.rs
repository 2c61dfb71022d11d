//! Sockets that accept: one per address, TCP or Unix, bound here or inherited.
//!
//! In: an [`Address`]. Out: a [`Listener`] that accepts without blocking. Refuses: an address that somebody else holds, telling which and what to do.
//! Never: sets SO_REUSEPORT, which would let a second process share the port in silence and loses what waits in a queue that closes; removes
//! the file of a Unix socket that a living process listens on.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::address::Address;
use crate::tier::BootError;

/// Connections that wait for `accept`; the kernel's `somaxconn` may make it less.
const BACKLOG: i32 = 4096;

/// The part of a file's mode that says who may do what.
const MODE_BITS: u32 = 0o7777;

/// A socket that accepts; never blocks.
#[derive(Debug)]
pub enum Listener {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A Unix stream socket.
    Unix(UnixListener),
}

/// A connection as it was accepted; never blocks.
#[derive(Debug)]
pub enum Accepted {
    /// Over TCP, with its peer.
    Tcp(TcpStream, SocketAddr),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl Listener {
    /// Binds and listens. `mode` is that of a Unix socket's file.
    ///
    /// # Errors
    /// The address, what is wrong with it, and what the operator can do.
    pub fn bind(address: &Address, mode: u32) -> Result<Self, BootError> {
        match address {
            Address::Tcp(at) => bind_tcp(*at).map_err(|error| tcp_error(*at, &error)),
            Address::Unix(path) => bind_unix(path, mode),
        }
    }

    /// Takes the next connection of the queue.
    ///
    /// # Errors
    /// `WouldBlock` when the queue is empty; whatever accept(2) says otherwise.
    pub fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(Accepted::Tcp(stream, peer))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(Accepted::Unix(stream))
            }
        }
    }

    /// Where it really listens: the port that the kernel chose, or the path.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().map_or_else(|_| "unknown".to_owned(), |address| address.to_string()),
            Self::Unix(listener) => match listener.local_addr() {
                Ok(address) => format!("unix:{}", address.as_pathname().unwrap_or(Path::new("")).display()),
                Err(_) => "unknown".to_owned(),
            },
        }
    }

    /// A second descriptor of the same socket and the same queue, for the process that follows.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(Self::Tcp),
            Self::Unix(listener) => listener.try_clone().map(Self::Unix),
        }
    }

    /// An inherited socket, if it lets in nobody whom `address` would not: what `check` allowed for a Unix socket or for loopback (plaintext, an open
    /// admin door) must not be served to a network.
    ///
    /// # Errors
    /// It is of another kind, or reaches further.
    pub(crate) fn in_place_of(self, name: &str, address: &Address) -> Result<Self, BootError> {
        let fits = match (&self, address) {
            (Self::Unix(_), Address::Unix(_)) => true,
            (Self::Tcp(own), Address::Tcp(_)) => !address.is_local() || own.local_addr().is_ok_and(|own| Address::Tcp(own).is_local()),
            _ => false,
        };
        if fits {
            return Ok(self);
        }
        let what =
            format!("the socket that was passed on for `{name}` listens on {}, and the configuration says {address}", self.address());
        Err(BootError::new(what, "pass the sockets in the order of `listen`, or under its names (FileDescriptorName=)"))
    }

    /// Whether it listens where `address` says; port 0 says nothing about the port.
    pub(crate) fn stands_at(&self, address: &Address) -> bool {
        match (self, address) {
            (Self::Tcp(own), Address::Tcp(at)) => {
                own.local_addr().is_ok_and(|own| own.ip() == at.ip() && (at.port() == 0 || own.port() == at.port()))
            }
            (Self::Unix(own), Address::Unix(at)) => own.local_addr().is_ok_and(|own| own.as_pathname() == Some(at)),
            _ => false,
        }
    }

    /// Gives the file of a Unix socket that was passed on the mode that the configuration says now, if it has another one.
    ///
    /// # Errors
    /// The file belongs to somebody else, or is gone.
    pub(crate) fn set_mode(&self, mode: u32) -> Result<(), BootError> {
        let Self::Unix(own) = self else { return Ok(()) };
        let address = own.local_addr().ok();
        let Some(path) = address.as_ref().and_then(|address| address.as_pathname()) else { return Ok(()) };
        let set = || match std::fs::metadata(path)?.permissions().mode() & MODE_BITS == mode {
            true => Ok(()),
            false => std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)),
        };
        set().map_err(|error: io::Error| {
            BootError::new(
                format!("{} cannot get the mode {mode:04o}: {error}", path.display()),
                "restart the process: its socket's file is gone, or somebody else's",
            )
        })
    }

    /// Makes an inherited socket as non-blocking as one that was bound here.
    pub(crate) fn adopt(self) -> io::Result<Self> {
        match &self {
            Self::Tcp(listener) => listener.set_nonblocking(true)?,
            Self::Unix(listener) => listener.set_nonblocking(true)?,
        }
        Ok(self)
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

impl From<Listener> for OwnedFd {
    fn from(listener: Listener) -> Self {
        match listener {
            Listener::Tcp(listener) => listener.into(),
            Listener::Unix(listener) => listener.into(),
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for connections in TIME_WAIT; another listener on the port is still refused.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // `[::]` means every address of both families, whatever the host's default is.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(Listener::Tcp(socket.into()))
}

fn tcp_error(address: SocketAddr, error: &io::Error) -> BootError {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("find its holder with `ss -ltnp 'sport = :{}'` and stop it, or choose another port", address.port())
        }
        io::ErrorKind::PermissionDenied => "grant CAP_NET_BIND_SERVICE, choose a port from 1024 up, or let systemd bind it".to_owned(),
        io::ErrorKind::AddrNotAvailable => "no interface has that address: see `ip address`".to_owned(),
        _ => "choose another address".to_owned(),
    };
    BootError::new(format!("cannot listen on {address}: {error}"), remedy)
}

fn bind_unix(path: &Path, mode: u32) -> Result<Listener, BootError> {
    let fault = |error: io::Error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "create its folder first",
            io::ErrorKind::AddrInUse => {
                "a process listens on it, or the file is no socket: stop that process, remove the file or choose another path"
            }
            _ => "choose a path in a folder that this user may write to",
        };
        BootError::new(format!("cannot listen on unix:{}: {error}", path.display()), remedy)
    };
    clear_stale(path).map_err(fault)?;
    let bind = || -> io::Result<Listener> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        // Before `listen` nobody can connect, so there is no moment with the wrong mode.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        socket.listen(BACKLOG)?;
        Ok(Listener::Unix(socket.into()))
    };
    bind().map_err(fault)
}

/// Removes what a dead process left behind: a socket's file that nobody listens on.
fn clear_stale(path: &Path) -> io::Result<()> {
    let Ok(found) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    fn socket_path(name: &str) -> std::path::PathBuf {
        #[allow(clippy::disallowed_methods)] // Only a name that no other run has.
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        std::env::temp_dir().join(format!("host-{}-{nanos}-{name}.sock", std::process::id()))
    }

    #[test]
    fn a_taken_port_is_told_with_its_address_and_a_remedy() {
        let first = Listener::bind(&Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))), 0).unwrap();
        let taken: SocketAddr = first.address().parse().unwrap();
        let error = Listener::bind(&Address::Tcp(taken), 0).unwrap_err();
        assert!(error.what.contains(&taken.to_string()), "{error}");
        assert!(error.remedy.contains("ss -ltnp"), "{error}");
    }

    #[test]
    fn a_unix_socket_gets_its_mode_and_outlives_a_dead_owner_but_not_a_living_one() {
        let path = socket_path("mode");
        let address = Address::Unix(path.clone());
        let first = Listener::bind(&address, 0o620).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o620);
        assert!(Listener::bind(&address, 0o620).unwrap_err().what.contains("cannot listen"), "a living owner keeps its socket");
        drop(first);
        let second = Listener::bind(&address, 0o600).unwrap();
        assert_eq!(second.address(), format!("unix:{}", path.display()));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn an_inherited_socket_reaches_no_further_than_the_address_it_stands_for() {
        let tcp = |ip: [u8; 4]| Address::Tcp(SocketAddr::from((ip, 0)));
        let bound = |address: &Address| Listener::bind(address, 0o600).unwrap();
        let (loopback, everywhere) = (tcp([127, 0, 0, 1]), tcp([0, 0, 0, 0]));
        let path = socket_path("passed");
        let unix = Address::Unix(path.clone());
        assert!(bound(&loopback).in_place_of("link", &loopback).is_ok());
        assert!(bound(&loopback).in_place_of("link", &everywhere).is_ok());
        let fault = bound(&everywhere).in_place_of("link", &loopback).unwrap_err();
        assert!(fault.what.contains("`link` listens on 0.0.0.0:"), "{fault}");
        assert!(bound(&loopback).in_place_of("link", &unix).is_err(), "TCP proves no user id");
        assert!(bound(&unix).in_place_of("link", &loopback).is_err());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_socket_stands_at_its_own_address_alone() {
        let tcp = |ip: [u8; 4], port| Address::Tcp(SocketAddr::from((ip, port)));
        let listener = Listener::bind(&tcp([127, 0, 0, 1], 0), 0).unwrap();
        let port = listener.address().parse::<SocketAddr>().unwrap().port();
        assert!(listener.stands_at(&tcp([127, 0, 0, 1], port)) && listener.stands_at(&tcp([127, 0, 0, 1], 0)));
        assert!(!listener.stands_at(&tcp([127, 0, 0, 2], port)) && !listener.stands_at(&tcp([127, 0, 0, 1], port ^ 1)));
        let path = socket_path("stands");
        let unix = Listener::bind(&Address::Unix(path.clone()), 0o600).unwrap();
        assert!(unix.stands_at(&Address::Unix(path.clone())) && !unix.stands_at(&Address::Unix("/x".into())));
        assert!(!unix.stands_at(&tcp([127, 0, 0, 1], 0)) && !listener.stands_at(&Address::Unix(path.clone())));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let path = socket_path("file");
        std::fs::write(&path, "precious").unwrap();
        assert!(Listener::bind(&Address::Unix(path.clone()), 0o600).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        std::fs::remove_file(path).unwrap();
    }
}
