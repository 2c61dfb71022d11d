//! One name server, asked over UDP, and over TCP when an answer does not fit.
//!
//! In: a question. Out: the records at the end of its aliases, or why there are none. Refuses: answers to other questions. Never: remembers an
//! answer; what is remembered is when it last answered anything at all.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hickory_proto::op::{DnsRequestOptions, Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use tokio::time::Instant;

use crate::resolver::QUERIES_MAX;
use crate::resolver::aliases::{Chain, Found, Step};
use crate::resolver::fault::NameFault;

/// How long after a server did not answer it is tried again; until it has answered it stands behind those that do.
const ASIDE_SECONDS: u64 = 30;

/// What a server said.
#[derive(Clone, Debug)]
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

/// One name server. hickory tells its servers apart by address alone, so each one of ours is a pool of its own.
pub(crate) struct Server {
    label: Arc<str>,
    client: Result<NameServerPool<TokioRuntimeProvider>, NetError>,
    patience: Duration,
    seen: Mutex<Seen>,
}

/// When it last answered, and until when it stands aside.
#[derive(Clone, Copy, Default)]
struct Seen {
    answered: Option<Instant>,
    aside_until: Option<Instant>,
}

impl Server {
    pub(crate) fn new(address: SocketAddr, one_try: Duration) -> Self {
        let connection = |mut connection: ConnectionConfig| {
            connection.port = address.port();
            connection
        };
        let connections = vec![connection(ConnectionConfig::udp()), connection(ConnectionConfig::tcp())];
        let config = NameServerConfig::new(address.ip(), true, connections);
        let client = TlsConfig::new().map(|tls| {
            let context = Arc::new(PoolContext::new(options(one_try), tls));
            NameServerPool::from_config([config], context, TokioRuntimeProvider::default())
        });
        // One try over UDP, which repeats lost packets by itself, and one over TCP.
        Self { label: Arc::from(address.to_string()), client, patience: one_try * 2, seen: Mutex::default() }
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Whether it has not answered since it was silent. Asking it first would cost a question its whole patience.
    pub(crate) fn is_aside(&self) -> bool {
        self.seen().aside_until.is_some()
    }

    /// Whether it stands aside and should be tried again; true once, until the next time.
    pub(crate) fn claim_trial(&self) -> bool {
        let (mut seen, now) = (self.seen(), Instant::now());
        let is_due = seen.aside_until.is_some_and(|until| until <= now);
        if is_due {
            seen.aside_until = Some(now + Duration::from_secs(ASIDE_SECONDS));
        }
        is_due
    }

    /// Its time behind the others is over.
    #[cfg(test)]
    pub(crate) fn let_time_pass(&self) {
        let mut seen = self.seen();
        seen.aside_until = seen.aside_until.map(|_| Instant::now());
    }

    pub(crate) async fn ask(&self, name: Name, kind: RecordType) -> Result<Records, NameFault> {
        let begun = Instant::now();
        let said = self.follow(name, kind).await;
        let now = Instant::now();
        let mut seen = self.seen();
        if matches!(said, Err(NameFault::Timeout | NameFault::Unreachable(_))) {
            // One that answered something else meanwhile is silent about this name alone.
            if seen.answered.is_none_or(|answered| answered < begun) {
                seen.aside_until = Some(now + Duration::from_secs(ASIDE_SECONDS));
            }
        } else {
            *seen = Seen { answered: Some(now), aside_until: None };
        }
        drop(seen);
        said.map(|found| Records { data: found.data, beside: found.beside, ttl: found.ttl, server: Arc::clone(&self.label) })
    }

    /// Asks for `name`, and for the end of its aliases where the server does not tell it by itself.
    async fn follow(&self, mut name: Name, kind: RecordType) -> Result<Found, NameFault> {
        let mut chain = Chain::from(name.clone());
        loop {
            let message = self.exchange(name, kind).await?;
            match chain.step(&message, kind)? {
                Step::Found(found) => return Ok(found),
                Step::Ask(next) => name = next,
            }
        }
    }

    /// One question, one answer.
    async fn exchange(&self, name: Name, kind: RecordType) -> Result<Message, NameFault> {
        let client = self.client.as_ref().map_err(NameFault::of)?;
        let query = Query::query(name, kind);
        let answer = client.lookup(query.clone(), DnsRequestOptions::default()).first_answer();
        let answer = tokio::time::timeout(self.patience, answer).await.map_err(|_| NameFault::Timeout)?;
        // Over TCP hickory compares no more than the id.
        match answer {
            Ok(answer) if answer.queries.as_slice() == std::slice::from_ref(&query) => Ok(answer.into_message()),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) if *none.query != query => Err(NameFault::Malformed),
            Err(error) => Err(NameFault::of(&error)),
            Ok(_) => Err(NameFault::Malformed),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing is repeated at another server by hickory. EDNS, with 1232 bytes for an answer over UDP (RFC 9715), is in the request's own defaults.
fn options(one_try: Duration) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = one_try;
    options.attempts = 0;
    options.num_concurrent_reqs = 1;
    options.max_active_requests = QUERIES_MAX;
    options
}
