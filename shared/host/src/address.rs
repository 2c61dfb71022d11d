//! An address that sockets are bound to: TCP by number, or a Unix socket by path.
//!
//! In: the text of a configuration. Out: an [`Address`]. Refuses: host names, which could mean several addresses, and relative paths without
//! a folder to stand in. Never: asks a resolver.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// Where to bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP address; port 0 means a free one.
    Tcp(SocketAddr),
    /// The path of a Unix stream socket.
    Unix(PathBuf),
}

/// The longest path that `sockaddr_un` holds with its closing NUL (unix(7)).
const UNIX_PATH_BYTES_MAX: usize = 107;

impl Address {
    /// Reads `127.0.0.1:8443`, `[::1]:8443` or `unix:PATH`; a relative PATH stands in `base`.
    ///
    /// # Errors
    /// What is wrong and what to write instead.
    pub fn parse(text: &str, base: &Path) -> Result<Self, (String, String)> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = base.join(path);
            let bytes = path.as_os_str().len();
            if path.file_name().is_none() || bytes > UNIX_PATH_BYTES_MAX {
                let what = format!("{text:?} is not the path of a Unix socket ({bytes} bytes with its folder)");
                return Err((what, format!("write unix:PATH with at most {UNIX_PATH_BYTES_MAX} bytes")));
            }
            return Ok(Self::Unix(path));
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            (
                format!("{text:?} is not an address"),
                "write IP:PORT as in 127.0.0.1:8443 or [::]:8443, or unix:PATH; names are not resolved here".to_owned(),
            )
        })
    }

    /// Whether only this host can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl Address {
    /// Whether one of the two could not be bound beside the other. Port 0 is a free one each time; `0.0.0.0` takes a port of every IPv4 address, and
    /// `[::]`, which `listen` binds for both families, of every address.
    #[must_use]
    pub fn clashes_with(&self, other: &Self) -> bool {
        let (Self::Tcp(one), Self::Tcp(two)) = (self, other) else { return self == other };
        let takes = |wide: IpAddr, narrow: IpAddr| wide.is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4());
        one.port() == two.port() && one.port() != 0 && (one.ip() == two.ip() || takes(one.ip(), two.ip()) || takes(two.ip(), one.ip()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_paths_and_nothing_else() {
        let base = Path::new("/etc/gateway");
        assert_eq!(Address::parse("127.0.0.1:0", base), Ok(Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))));
        assert_eq!(Address::parse("unix:link.sock", base), Ok(Address::Unix("/etc/gateway/link.sock".into())));
        assert_eq!(Address::parse("unix:/run/link.sock", base), Ok(Address::Unix("/run/link.sock".into())));
        for wrong in ["localhost:80", "127.0.0.1", ":80", "unix:..", "", &format!("unix:/{}", "x".repeat(200))] {
            assert!(Address::parse(wrong, base).is_err(), "{wrong}");
        }
    }

    #[test]
    fn knows_what_cannot_be_bound_beside_what() {
        let clash = |one, two| {
            let (one, two) = (Address::parse(one, Path::new("/")).unwrap(), Address::parse(two, Path::new("/")).unwrap());
            assert_eq!(one.clashes_with(&two), two.clashes_with(&one));
            one.clashes_with(&two)
        };
        assert!(clash("127.0.0.1:1", "127.0.0.1:1") && clash("0.0.0.0:1", "127.0.0.1:1") && clash("unix:/x", "unix:/x"));
        assert!(clash("[::]:1", "127.0.0.1:1") && clash("[::]:1", "[::1]:1") && clash("[::]:1", "0.0.0.0:1"));
        assert!(!clash("127.0.0.1:1", "127.0.0.1:2") && !clash("127.0.0.1:1", "127.0.0.2:1") && !clash("0.0.0.0:1", "[::1]:1"));
        assert!(!clash("127.0.0.1:0", "127.0.0.1:0") && !clash("0.0.0.0:0", "0.0.0.0:0") && !clash("unix:/x", "unix:/y"));
    }

    #[test]
    fn knows_what_stays_on_this_host() {
        let local = |text| Address::parse(text, Path::new("/")).unwrap().is_local();
        assert!(local("127.0.0.9:1") && local("[::1]:1") && local("[::ffff:127.0.0.1]:1") && local("unix:/x"));
        assert!(!local("0.0.0.0:1") && !local("[::]:1") && !local("10.0.0.1:1"));
    }
}
