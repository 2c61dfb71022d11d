//! What discovery asks of a name service, so that tests can script the answers.
//!
//! In: a name. Out: addresses or SRV targets with the time they may be kept, or a stable code of failure.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use wire::resolver::families::Family;
use wire::resolver::fault::NameFault;
use wire::resolver::{Answer, Names, Services, SrvTarget};

/// Who gave an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// `IP:PORT` of the name server; `hosts` for the hosts file, `literal` for an address that needs nobody.
    pub server: Arc<str>,
    /// The code of the answer as the protocol calls it, `NOERROR` for everything that has records.
    pub rcode: &'static str,
}

/// The addresses of a name, from its A and AAAA records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// All of them, in any order.
    pub addresses: Vec<IpAddr>,
    /// How long the answer may be kept, as its records say.
    pub ttl: Duration,
    /// Who said so.
    pub said: Provenance,
    /// The family of which nobody said whether there are addresses; `None` where both were answered for.
    pub unanswered: Option<Unanswered>,
}

/// A family of addresses of which nobody said whether there are any, while the other one was answered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// The family.
    pub family: Family,
    /// Why; never a definite one.
    pub fault: LookupFault,
}

/// One SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The lowest number is used first.
    pub priority: u16,
    /// The share among targets of one priority.
    pub weight: u16,
    /// The port of the instance.
    pub port: u16,
    /// The name of the host, without a final dot; empty where the record says that the service is not there.
    pub host: String,
}

/// The SRV records of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// All of them, in any order.
    pub targets: Vec<Target>,
    /// How long the answer may be kept, as its records say.
    pub ttl: Duration,
    /// Who said so.
    pub said: Provenance,
    /// The addresses of hosts that came along (RFC 2782, additional section), by the spelling of [`Target::host`]; they need no look-up of their
    /// own. A server may leave out those of one family. How long they may be kept is in `ttl`.
    pub additional: Vec<(String, Vec<IpAddr>)>,
}

/// Why a look-up gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupFault {
    /// A code from a closed list, for metrics, logs and `/services`: those of `wire::resolver::fault::NameFault`.
    pub code: &'static str,
    /// Whether a server said for certain that there is nothing.
    pub definite: bool,
}

impl LookupFault {
    /// The name is there without a record that could be used.
    pub const NO_RECORDS: Self = Self { code: "no-records", definite: true };

    /// No answer came in time.
    pub const TIMEOUT: Self = Self { code: "timeout", definite: false };
}

/// A name service. `wire::resolver::Names` is the one in use.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of `name`, both families.
    ///
    /// # Errors
    /// A stable code, also where the answer holds no address at all.
    fn addresses(&self, name: &str) -> impl Future<Output = Result<Addresses, LookupFault>> + Send;

    /// The addresses of `name` in one family, for whoever knows those of the other one.
    ///
    /// # Errors
    /// As [`Lookup::addresses`].
    fn addresses_in(&self, name: &str, family: Family) -> impl Future<Output = Result<Addresses, LookupFault>> + Send;

    /// The SRV records of `name`.
    ///
    /// # Errors
    /// As [`Lookup::addresses`].
    fn targets(&self, name: &str) -> impl Future<Output = Result<Targets, LookupFault>> + Send;
}

impl Lookup for Names {
    async fn addresses(&self, name: &str) -> Result<Addresses, LookupFault> {
        Self::addresses(self, name).await.map(found).map_err(|fault| of(&fault))
    }

    async fn addresses_in(&self, name: &str, family: Family) -> Result<Addresses, LookupFault> {
        Self::addresses_in(self, name, family).await.map(found).map_err(|fault| of(&fault))
    }

    async fn targets(&self, name: &str) -> Result<Targets, LookupFault> {
        let Services { targets: answer, additional } = self.services(name).await.map_err(|fault| of(&fault))?;
        let target = |one: SrvTarget| Target { priority: one.priority, weight: one.weight, port: one.port, host: one.target };
        let targets = answer.items.into_iter().map(target).collect();
        Ok(Targets { targets, ttl: answer.ttl, said: said(answer.server), additional })
    }
}

fn found(answer: Answer<IpAddr>) -> Addresses {
    let unanswered = answer.unanswered.map(|(family, fault)| Unanswered { family, fault: of(&fault) });
    Addresses { addresses: answer.items, ttl: answer.ttl, said: said(answer.server), unanswered }
}

/// Every other code of the protocol is a fault.
fn said(server: Arc<str>) -> Provenance {
    Provenance { server, rcode: "NOERROR" }
}

fn of(fault: &NameFault) -> LookupFault {
    LookupFault { code: fault.code(), definite: fault.is_definite() }
}
