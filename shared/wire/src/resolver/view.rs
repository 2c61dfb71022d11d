//! Where names are asked at one moment: the servers, the search list and the hosts file.
//!
//! In: what a configuration or this machine's files say. Out: candidates of a name in their order, answers of servers in theirs, and once for each
//! name what a search list makes of it. Never: changes; what has changed is another view.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RecordType};
use hickory_resolver::Hosts;

use crate::resolver::fault::NameFault;
use crate::resolver::flights::UnderWay;
use crate::resolver::server::{Records, Server};
use crate::resolver::{Answer, answer};

/// The hosts file has no times to live; whoever asks again after this sees an edit.
const HOSTS_TTL: Duration = Duration::from_secs(30);
/// Names whose expansion is told; a configuration with more of them has told enough.
const TOLD_MAX: usize = 1_000;

/// The servers, the search list and the hosts at one moment.
pub(crate) struct View {
    pub(crate) servers: Arc<[Server]>,
    pub(crate) search: Arc<[Name]>,
    pub(crate) ndots: usize,
    pub(crate) hosts: Arc<Hosts>,
    /// The questions that wait for answers of these servers.
    pub(crate) under_way: Arc<UnderWay>,
    told: Arc<Mutex<HashSet<Name>>>,
}

impl View {
    pub(crate) fn new(servers: Arc<[Server]>, search: Arc<[Name]>, ndots: usize, hosts: Arc<Hosts>) -> Self {
        Self { servers, search, ndots, hosts, under_way: Arc::default(), told: Arc::default() }
    }

    /// The same servers with other hosts: what is asked of them goes on.
    pub(crate) fn with_hosts(&self, hosts: Arc<Hosts>) -> Self {
        Self {
            servers: Arc::clone(&self.servers),
            search: Arc::clone(&self.search),
            ndots: self.ndots,
            hosts,
            under_way: Arc::clone(&self.under_way),
            told: Arc::clone(&self.told),
        }
    }

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

    /// What to tell of a name that became several, the first time that it is seen; each candidate is asked for in `kinds` types.
    pub(crate) fn fan_out(&self, name: &Name, candidates: &[Name], kinds: usize) -> Option<String> {
        if candidates.len() < 2 {
            return None;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX || !told.insert(name.clone()) {
            return None;
        }
        let names: Vec<String> = candidates.iter().map(Name::to_ascii).collect();
        Some(format!(
            "the name {name} expands to as many as {} queries: {}; write it with a trailing dot where it is a whole name",
            candidates.len() * kinds,
            names.join(", ")
        ))
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

    /// The server that is to be tried again with this question, beside the one that answers it; none where there is none that would.
    pub(crate) fn trial(&self) -> Option<usize> {
        if self.servers.iter().all(Server::is_aside) {
            return None;
        }
        self.servers.iter().position(Server::claim_trial)
    }

    /// Asks one server after the other until one knows, be it that there is nothing; those that were silent and have not answered since come last.
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
