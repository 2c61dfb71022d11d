//! Where names are asked: the servers, the search list and the hosts file as they are at the moment.
//!
//! In: addresses from the configuration, or `resolv.conf` and `hosts`. Out: candidates of a name in their order, answers of servers in
//! theirs. Never: reads a file that has not changed.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RecordType};
use hickory_resolver::Hosts;
use hickory_resolver::system_conf::parse_resolv_conf;

use crate::resolver::fault::NameFault;
use crate::resolver::server::{Records, Server};
use crate::resolver::{Answer, TRY_MS_MAX, answer};

/// The C library takes three servers and six search domains from `resolv.conf`; Kubernetes writes more domains.
const SYSTEM_SERVERS_MAX: usize = 3;
const SEARCH_DOMAINS_MAX: usize = 16;
/// A larger file is a mistake.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The hosts file has no times to live; whoever asks again after this sees an edit.
const HOSTS_TTL: Duration = Duration::from_secs(30);

/// The servers, the search list and the hosts at one moment.
pub(crate) struct View {
    servers: Vec<Server>,
    search: Vec<Name>,
    ndots: usize,
    hosts: Hosts,
}

impl View {
    /// The names to ask for, fully qualified, in the order of `resolv.conf(5)`: enough dots, and the name itself comes first.
    pub(crate) fn candidates(&self, name: Name) -> Vec<Name> {
        let mut plain = name.clone();
        plain.set_fqdn(true);
        if name.is_fqdn() {
            return vec![plain];
        }
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        let mut candidates: Vec<Name> = self.search.iter().filter_map(|domain| name.clone().append_domain(domain).ok()).collect();
        let place = if dots >= self.ndots { 0 } else { candidates.len() };
        candidates.insert(place, plain);
        candidates
    }

    /// What the hosts file says.
    pub(crate) fn hosts(&self, name: &Name) -> Option<Answer<IpAddr>> {
        let items = [RecordType::A, RecordType::AAAA]
            .into_iter()
            .filter_map(|kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind)))
            .flat_map(|lookup| lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect::<Vec<_>>())
            .collect();
        answer(items, HOSTS_TTL, Arc::from("hosts")).ok()
    }

    /// Asks one server after the other until one knows, be it that there is nothing; those that were silent lately come last.
    pub(crate) async fn ask(&self, name: Name, kind: RecordType) -> Result<Records, NameFault> {
        let mut worst = NameFault::NoServers;
        let (aside, ready): (Vec<&Server>, Vec<&Server>) = self.servers.iter().partition(|server| server.is_aside());
        for server in ready.into_iter().chain(aside) {
            match server.ask(name.clone(), kind).await {
                Err(fault) if !fault.is_definite() => {
                    tracing::debug!(server = server.label(), %name, %kind, code = fault.code(), "a name server gave no answer");
                    worst = worst.or(fault);
                }
                done => return done,
            }
        }
        Err(worst)
    }
}

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
        Self::Fixed(Arc::new(View { servers, search: Vec::new(), ndots: 0, hosts: Hosts::default() }))
    }

    /// Fixed servers with a search list, which no configuration of ours has.
    #[cfg(test)]
    pub(crate) fn searching(servers: &[SocketAddr], one_try: Duration, domains: &[&str], ndots: usize) -> Self {
        let servers = servers.iter().map(|address| Server::new(*address, one_try)).collect();
        let search = domains.iter().map(|domain| Name::from_ascii(domain).unwrap()).collect();
        Self::Fixed(Arc::new(View { servers, search, ndots, hosts: Hosts::default() }))
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

/// What tells that a file has changed.
type Stamp = Option<(SystemTime, u64)>;

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
        let view = Arc::new(self.read());
        *seen = Some((stamps.0, stamps.1, Arc::clone(&view)));
        view
    }

    /// A file that cannot be read leaves its part empty: a gateway with addresses alone needs neither.
    fn read(&self) -> View {
        let mut hosts = Hosts::default();
        if let Err(error) = read(&self.hosts).and_then(|text| hosts.read_hosts_conf(&*text)) {
            tracing::warn!(file = %self.hosts.display(), %error, "the hosts file cannot be read; names are asked of DNS alone");
        }
        let conf = read(&self.resolv_conf).map_err(|error| error.to_string());
        match conf.and_then(|text| parse_resolv_conf(text).map_err(|error| error.to_string())) {
            Ok((config, options)) => {
                let servers = config.name_servers().iter().take(SYSTEM_SERVERS_MAX).map(|server| SocketAddr::new(server.ip, 53));
                let servers = servers.map(|address| Server::new(address, Duration::from_millis(TRY_MS_MAX))).collect();
                let search = config.search().iter().take(SEARCH_DOMAINS_MAX).cloned().collect();
                View { servers, search, ndots: options.ndots, hosts }
            }
            Err(error) => {
                tracing::warn!(file = %self.resolv_conf.display(), error, "no name server is known; only the hosts file and addresses resolve");
                View { servers: Vec::new(), search: Vec::new(), ndots: 1, hosts }
            }
        }
    }
}

fn stamp(path: &PathBuf) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(path: &PathBuf) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(std::fs::File::open(path)?, FILE_BYTES_MAX), &mut text)?;
    Ok(text)
}
