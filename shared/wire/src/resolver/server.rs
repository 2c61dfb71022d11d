//! One name server, asked over UDP, and over TCP when an answer does not fit.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::rr::{Name, RData, RecordType};
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{Resolver, TokioResolver};
use tokio::time::Instant;

use crate::resolver::fault::NameFault;

/// How long a server that did not answer stands behind those that do.
const ASIDE_SECONDS: u64 = 30;

/// What a server said.
#[derive(Debug)]
pub(crate) struct Records {
    /// Data of the kind asked for.
    pub(crate) data: Vec<RData>,
    /// The addresses in the additional section, each with the name and the time to live of its record.
    pub(crate) beside: Vec<(Name, IpAddr, Duration)>,
    /// The shortest time to live, aliases included.
    pub(crate) ttl: Duration,
    /// Who said it.
    pub(crate) server: Arc<str>,
}

/// One name server. hickory tells its servers apart by address alone, so each one of ours is a resolver of its own.
pub(crate) struct Server {
    label: Arc<str>,
    client: Result<TokioResolver, NetError>,
    patience: Duration,
    aside_until: Mutex<Option<Instant>>,
}

impl Server {
    pub(crate) fn new(address: SocketAddr, one_try: Duration) -> Self {
        let connection = |mut connection: ConnectionConfig| {
            connection.port = address.port();
            connection
        };
        let connections = vec![connection(ConnectionConfig::udp()), connection(ConnectionConfig::tcp())];
        let config = ResolverConfig::from_name_servers(vec![NameServerConfig::new(address.ip(), true, connections)]);
        let client = Resolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options(one_try)).build();
        // One try over UDP, which repeats lost packets by itself, and one over TCP.
        Self { label: Arc::from(address.to_string()), client, patience: one_try * 2, aside_until: Mutex::new(None) }
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Whether it did not answer lately. Asking it first would cost every question its whole patience.
    pub(crate) fn is_aside(&self) -> bool {
        let until = *self.aside_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    pub(crate) async fn ask(&self, name: Name, kind: RecordType) -> Result<Records, NameFault> {
        let said = self.ask_once(name, kind).await;
        let silent = matches!(said, Err(NameFault::Timeout | NameFault::Unreachable(_)));
        *self.aside_until.lock().unwrap_or_else(PoisonError::into_inner) =
            silent.then(|| Instant::now() + Duration::from_secs(ASIDE_SECONDS));
        said
    }

    async fn ask_once(&self, name: Name, kind: RecordType) -> Result<Records, NameFault> {
        let client = self.client.as_ref().map_err(NameFault::of)?;
        let lookup = tokio::time::timeout(self.patience, client.lookup(name, kind)).await.map_err(|_| NameFault::Timeout)?;
        let lookup = lookup.map_err(|error| NameFault::of(&error))?;
        let ttl = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
        let data = lookup.answers().iter().filter(|record| record.record_type() == kind).map(|record| record.data.clone()).collect();
        let beside = lookup.additionals().iter();
        let beside = beside.filter_map(|one| Some((one.name.clone(), one.data.ip_addr()?, Duration::from_secs(one.ttl.into()))));
        Ok(Records { data, beside: beside.collect(), ttl: Duration::from_secs(u64::from(ttl)), server: Arc::clone(&self.label) })
    }
}

/// No cache, no hosts file, no search list; what is repeated is repeated by the next server.
fn options(one_try: Duration) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = one_try;
    options.attempts = 0;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.num_concurrent_reqs = 1;
    options.edns0 = true;
    options
}
