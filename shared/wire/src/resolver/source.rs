//! Where the view comes from: a configuration, or the files of this machine.
//!
//! In: addresses from the configuration, or `resolv.conf` and `hosts`. Out: the view as it is now. Refuses: files that are no regular ones, are too
//! large or name no server; what was known before stays. Never: reads a file that has not changed.

use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::rr::Name;
use hickory_resolver::Hosts;
use hickory_resolver::system_conf::parse_resolv_conf;
use settings::files::read_file;

use crate::resolver::TRY_MS_MAX;
use crate::resolver::server::Server;
use crate::resolver::view::View;

/// The C library takes three servers and six search domains from `resolv.conf`; Kubernetes writes more domains.
const SYSTEM_SERVERS_MAX: usize = 3;
const SEARCH_DOMAINS_MAX: usize = 16;
/// A larger file is a mistake.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Where the view comes from.
pub(crate) enum Source {
    /// From our configuration; it never changes.
    Fixed(Arc<View>),
    /// From this machine's files.
    System(System),
}

impl Source {
    pub(crate) fn fixed(servers: &[SocketAddr], one_try: Duration) -> Self {
        let servers = servers.iter().map(|address| Server::new(*address, one_try)).collect();
        Self::Fixed(Arc::new(View::new(servers, Arc::default(), 0, Arc::default())))
    }

    /// Fixed servers with a search list, which no configuration of ours has.
    #[cfg(test)]
    pub(crate) fn searching(servers: &[SocketAddr], one_try: Duration, domains: &[&str], ndots: usize) -> Self {
        let servers = servers.iter().map(|address| Server::new(*address, one_try)).collect();
        let search = domains.iter().map(|domain| Name::from_ascii(domain).unwrap()).collect();
        Self::Fixed(Arc::new(View::new(servers, search, ndots, Arc::default())))
    }

    pub(crate) fn system() -> Self {
        Self::System(System::at(PathBuf::from("/etc/resolv.conf"), PathBuf::from("/etc/hosts")))
    }

    pub(crate) fn view(&self) -> Arc<View> {
        match self {
            Self::Fixed(view) => Arc::clone(view),
            Self::System(system) => system.view(),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(view) => f.debug_list().entries(view.servers.iter().map(Server::label)).finish(),
            Self::System(system) => f.debug_tuple("System").field(&system.resolv_conf).finish(),
        }
    }
}

/// What tells that a file has changed, or that another file has taken its place: device, inode, size, and the two times of change in nanoseconds.
type Stamp = Option<(u64, u64, u64, [i64; 4])>;

/// This machine's files, and what stood in them when they last changed.
pub(crate) struct System {
    resolv_conf: PathBuf,
    hosts: PathBuf,
    seen: Mutex<Option<(Stamp, Stamp, Arc<View>)>>,
}

impl System {
    pub(crate) fn at(resolv_conf: PathBuf, hosts: PathBuf) -> Self {
        Self { resolv_conf, hosts, seen: Mutex::new(None) }
    }

    /// Two `stat` calls a question; whoever asks is never a request.
    pub(crate) fn view(&self) -> Arc<View> {
        let stamps = (stamp(&self.resolv_conf), stamp(&self.hosts));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((resolv_conf, hosts, view)) = &*seen
            && (*resolv_conf, *hosts) == stamps
        {
            return Arc::clone(view);
        }
        let before = seen.as_ref().map(|(resolv_conf, _, view)| (&**view, *resolv_conf == stamps.0));
        let view = Arc::new(self.read(before));
        *seen = Some((stamps.0, stamps.1, Arc::clone(&view)));
        view
    }

    /// A file that cannot be read leaves its part as it was: whoever writes it may be half-way. At the start that is nothing, and a gateway with
    /// addresses alone needs neither.
    ///
    /// What was known comes with whether the servers' file looks as it did then: they stay with all that is known of them, and with their queries.
    fn read(&self, before: Option<(&View, bool)>) -> View {
        let (before, is_same) = before.unzip();
        let hosts = read_hosts(&self.hosts).unwrap_or_else(|error| {
            tracing::warn!(error, "the hosts file cannot be used; what is known of it stays");
            before.map(|view| Arc::clone(&view.hosts)).unwrap_or_default()
        });
        if let (Some(before), Some(true)) = (before, is_same) {
            return before.with_hosts(hosts);
        }
        match (read_resolv_conf(&self.resolv_conf), before) {
            (Ok((servers, search, ndots)), _) => View::new(servers, search, ndots, hosts),
            (Err(error), Some(before)) => {
                tracing::warn!(
                    error,
                    servers = before.servers.len(),
                    "the name servers are not known anew; those known before stay in use"
                );
                before.with_hosts(hosts)
            }
            (Err(error), None) => {
                tracing::warn!(error, "no name server is known; only the hosts file and addresses resolve");
                View::new(Arc::default(), Arc::default(), 1, hosts)
            }
        }
    }
}

fn read_hosts(path: &Path) -> Result<Arc<Hosts>, String> {
    let text = read_file(path, FILE_BYTES_MAX)?;
    let mut hosts = Hosts::default();
    hosts.read_hosts_conf(&*text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Arc::new(hosts))
}

type Asking = (Arc<[Server]>, Arc<[Name]>, usize);

fn read_resolv_conf(path: &Path) -> Result<Asking, String> {
    let text = read_file(path, FILE_BYTES_MAX)?;
    let (config, options) = parse_resolv_conf(text).map_err(|error| format!("{}: {error}", path.display()))?;
    let servers = config.name_servers().iter().take(SYSTEM_SERVERS_MAX).map(|server| SocketAddr::new(server.ip, 53));
    let servers = servers.map(|address| Server::new(address, Duration::from_millis(TRY_MS_MAX))).collect();
    let search = config.search().iter().take(SEARCH_DOMAINS_MAX).cloned().collect();
    Ok((servers, search, options.ndots))
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
    Some((metadata.dev(), metadata.ino(), metadata.size(), times))
}
