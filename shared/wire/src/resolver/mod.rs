//! The one name service of the house.
//!
//! In: names of hosts and services. Out: addresses and targets, with the shortest time to live and the server that said so. Refuses: what is
//! no name, and what no server answers in time, each under its own word. Never: caches (whoever asks keeps the answer for its time), asks
//! the C library, has two queries for the same question under way, or takes a search domain's answer after an earlier candidate failed without an answer: that could be another host.
//!
//! hickory is the wire client, one pool for each server; aliases, failover, search list and hosts file stand here, where they can be seen.
//! Queries run on the control runtime, whoever waits for them.

mod aliases;
pub mod dialler;
pub mod families;
pub mod fault;
mod flights;
mod reserved;
mod server;
mod source;
mod view;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::{Name, RData, RecordType};

use crate::resolver::families::Family;
use crate::resolver::fault::NameFault;
use crate::resolver::flights::Flights;
use crate::resolver::server::Records;
use crate::resolver::source::Source;
use crate::resolver::view::View;
use crate::tasks::Tasks;

/// More items than this in one answer are cut off: no service of ours has a thousand instances under one name.
pub const ITEMS_MAX: usize = 1024;
/// How long one server may take over UDP, lost packets repeated; as long again over TCP where an answer does not fit.
pub const TRY_MS_MAX: u64 = 2_000;
/// How long a whole question may take, over all servers, search domains and aliases.
pub const QUESTION_MS_MAX: u64 = 10_000;
/// Queries under way at a time, over all services; further ones wait.
pub const QUERIES_MAX: usize = 128;
/// More aliases than this on the way to one name are refused, as is a name that comes back.
pub const ALIASES_MAX: usize = 8;
/// How long an address literal stays true.
const LITERAL_TTL: Duration = Duration::from_secs(86_400);

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// At least one, sorted, none twice, at most [`ITEMS_MAX`].
    pub items: Vec<T>,
    /// The shortest time to live of all records on the way, aliases included; may be zero.
    pub ttl: Duration,
    /// Who said so: the address of a name server, or `hosts`, or `literal`.
    pub server: Arc<str>,
    /// The family of addresses of which nobody said whether there are any, and why: what was known of it before is still the best that is known.
    pub unanswered: Option<(Family, NameFault)>,
}

/// What was found under the name of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services {
    /// Its targets.
    pub targets: Answer<SrvTarget>,
    /// The addresses of targets that came in the additional section, by [`SrvTarget::target`]; whoever takes them spares a question. A server
    /// may leave out a family. Their time to live is in that of `targets`.
    pub additional: Vec<(String, Vec<IpAddr>)>,
}

/// One record of a service (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SrvTarget {
    /// Smaller is used first.
    pub priority: u16,
    /// The share among those of one priority; zero is the least.
    pub weight: u16,
    /// The name of the host, lower case, without the last dot.
    pub target: String,
    /// Its port, never zero.
    pub port: u16,
}

/// The name service.
pub struct Names {
    source: Source,
    flights: Flights,
    question: Duration,
}

impl Names {
    /// As this machine is set up: `/etc/resolv.conf` (servers, search domains, `ndots`) and `/etc/hosts`, read again when they change.
    #[must_use]
    pub fn system(tasks: &Tasks) -> Self {
        Self::of(Source::system(), tasks, Duration::from_millis(QUESTION_MS_MAX))
    }

    /// These servers alone, asked in this order; names are taken as they stand: no search domains, no hosts file.
    #[must_use]
    pub fn servers(servers: &[SocketAddr], tasks: &Tasks) -> Self {
        Self::of(Source::fixed(servers, Duration::from_millis(TRY_MS_MAX)), tasks, Duration::from_millis(QUESTION_MS_MAX))
    }

    pub(crate) fn of(source: Source, tasks: &Tasks, question: Duration) -> Self {
        Self { source, flights: Flights::new(tasks.clone(), question), question }
    }

    /// The addresses of a host, by A and AAAA together. One family that fails does no harm while the other one answers, which says so.
    ///
    /// # Errors
    /// When there is no address to be had; see [`NameFault`].
    pub async fn addresses(&self, name: &str) -> Result<Answer<IpAddr>, NameFault> {
        if let Some(address) = literal(name) {
            return literal_answer(vec![address]);
        }
        let name = parse(name)?;
        let view = self.source.view();
        if let Some(answer) = view.hosts(&name) {
            return Ok(answer);
        }
        match reserved::addresses(&name) {
            Some(known) => literal_answer(known?),
            None => self.first_candidate(&view, name, 2, families::addresses).await,
        }
    }

    /// The addresses of a host in one family, for whoever knows those of the other one.
    ///
    /// # Errors
    /// When there is no address to be had; see [`NameFault`].
    pub async fn addresses_in(&self, name: &str, family: Family) -> Result<Answer<IpAddr>, NameFault> {
        if let Some(address) = literal(name) {
            return of_family(literal_answer(vec![address])?, family);
        }
        let name = parse(name)?;
        let view = self.source.view();
        match view.hosts(&name).map(Ok).or_else(|| reserved::addresses(&name).map(|known| known.and_then(literal_answer))) {
            Some(known) => of_family(known?, family),
            None => match family {
                Family::Four => self.first_candidate(&view, name, 1, families::four).await,
                Family::Six => self.first_candidate(&view, name, 1, families::six).await,
            },
        }
    }

    /// The targets of a service name such as `_http._tcp.orders.demo`.
    ///
    /// # Errors
    /// When there is none to be had, also when the service is declared absent by the target `.`; see [`NameFault`].
    pub async fn services(&self, name: &str) -> Result<Services, NameFault> {
        let name = parse(name)?;
        if let Some(known) = reserved::addresses(&name) {
            return Err(known.err().unwrap_or(NameFault::NoRecords));
        }
        let view = self.source.view();
        self.first_candidate(&view, name, 1, services).await
    }

    /// Asks for each candidate of the search list until one is known. Whatever is not a plain no ends the search.
    async fn first_candidate<T>(
        &self,
        view: &Arc<View>,
        name: Name,
        kinds: usize,
        ask: impl AsyncFn(&Flights, &Arc<View>, Name) -> Result<T, NameFault>,
    ) -> Result<T, NameFault> {
        let candidates = view.candidates(name.clone());
        if let Some(warning) = view.fan_out(&name, &candidates, kinds) {
            tracing::warn!("{warning}");
        }
        let search = async {
            let mut last = NameFault::NoSuchName;
            for candidate in candidates {
                match ask(&self.flights, view, candidate).await {
                    // "No such name" for one candidate must not hide that another one exists without records.
                    Err(NameFault::NoSuchName) => {}
                    Err(NameFault::NoRecords) => last = NameFault::NoRecords,
                    done => return done,
                }
            }
            Err(last)
        };
        tokio::time::timeout(self.question, search).await.unwrap_or(Err(NameFault::Timeout))
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("source", &self.source).finish_non_exhaustive()
    }
}

/// An address, bare or in the brackets of a URL.
fn literal(name: &str) -> Option<IpAddr> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse().ok()
}

fn literal_answer(items: Vec<IpAddr>) -> Result<Answer<IpAddr>, NameFault> {
    answer(items, LITERAL_TTL, Arc::from("literal"))
}

fn of_family(all: Answer<IpAddr>, family: Family) -> Result<Answer<IpAddr>, NameFault> {
    let items = all.items.into_iter().filter(|address| Family::of(address) == family).collect();
    answer(items, all.ttl, all.server)
}

/// A name in ASCII of at most 255 bytes; internationalised names come in their ASCII form (RFC 5891).
fn parse(name: &str) -> Result<Name, NameFault> {
    let lawful = !name.is_empty() && name != "." && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if !lawful {
        return Err(NameFault::NotAName);
    }
    Name::from_ascii(name).map(|name| name.to_lowercase()).map_err(|_| NameFault::NotAName)
}

async fn services(flights: &Flights, view: &Arc<View>, name: Name) -> Result<Services, NameFault> {
    flights.ask(view, name, RecordType::SRV).await.and_then(targets)
}

/// Reads SRV records; the target `.` says that the service is decidedly not there.
fn targets(records: Records) -> Result<Services, NameFault> {
    let mut items = Vec::new();
    for data in records.data {
        let RData::SRV(srv) = data else { continue };
        let target = spelled(&srv.target);
        if !target.is_empty() && srv.port != 0 {
            items.push(SrvTarget { priority: srv.priority, weight: srv.weight, target, port: srv.port });
        }
    }
    let mut targets = answer(items, records.ttl, records.server)?;
    let mut additional: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for (owner, address, ttl) in records.beside {
        if reserved::addresses(&owner).is_some() {
            continue;
        }
        let owner = spelled(&owner);
        // What was not asked for and what no target needs may be anything.
        if targets.items.iter().any(|target| target.target == owner) {
            targets.ttl = targets.ttl.min(ttl);
            additional.entry(owner).or_default().push(address);
        }
    }
    for addresses in additional.values_mut() {
        addresses.sort_unstable();
        addresses.dedup();
    }
    Ok(Services { targets, additional: additional.into_iter().collect() })
}

/// As [`SrvTarget::target`] is spelled.
fn spelled(name: &Name) -> String {
    name.to_lowercase().to_ascii().trim_end_matches('.').to_owned()
}

/// Puts items in order; an answer without any is none.
fn answer<T: Ord>(mut items: Vec<T>, ttl: Duration, server: Arc<str>) -> Result<Answer<T>, NameFault> {
    items.sort_unstable();
    items.dedup();
    if items.len() > ITEMS_MAX {
        tracing::warn!(
            server = &*server,
            items = items.len(),
            kept = ITEMS_MAX,
            "an answer of DNS has too many items; the rest is not used"
        );
        items.truncate(ITEMS_MAX);
    }
    if items.is_empty() { Err(NameFault::NoRecords) } else { Ok(Answer { items, ttl, server, unanswered: None }) }
}
