//! The process as meant: every address parsed, every certificate loaded, nothing left that means "default".
//!
//! In: the sections of a tier's file. Out: a [`HostPlan`], after which nothing about the process can be misconfigured.
//! Refuses, all at once: addresses that clash, plaintext that nobody allowed, an admin door off loopback, ceilings of zero.
//! Never: binds; that is `listen`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use settings::files::Files;
use settings::report::Report;
use settings::units::Span;
use telemetry::logs::{LogsConfig, LogsPlan};
use telemetry::record::config::RecordsConfig;
use telemetry::record::plan::RecordsPlan;
use telemetry::traces::config::{TracesConfig, TracesPlan};
use wire::fetch::FetchTerms;
use wire::tls::roots::{Believed, Roots};

use crate::address::Address;
use crate::certificates::CertificateInUse;
use crate::config::{
    AdminConfig, DnsConfig, DrainConfig, FetchConfig, ListenConfig, READY_WITHIN_MAX, READY_WITHIN_MIN, ReloadConfig, TrustRootsConfig,
    UpgradeConfig,
};
use crate::inherit::PREDECESSOR;
use crate::limits_config::LimitsConfig;
use crate::network::network;
use crate::plan_limits::{self, LimitsPlan};
use crate::plan_listener::{self, ListenerPlan};

/// The sections that every tier's file has, as written.
#[derive(Clone, Debug)]
pub struct HostSections {
    /// `name`: what this process is called in traces, and at tier 1 in assertions.
    pub name: String,
    /// `workers`: threads that serve; the number of cores when absent.
    pub workers: Option<u32>,
    /// `listen`.
    pub listen: Vec<ListenConfig>,
    /// `admin`.
    pub admin: AdminConfig,
    /// `drain`.
    pub drain: DrainConfig,
    /// `upgrade`.
    pub upgrade: UpgradeConfig,
    /// `reload`.
    pub reload: ReloadConfig,
    /// `limits`.
    pub limits: LimitsConfig,
    /// `logs`.
    pub logs: LogsConfig,
    /// `records`.
    pub records: RecordsConfig,
    /// `traces`.
    pub traces: TracesConfig,
    /// `dns`.
    pub dns: DnsConfig,
    /// `roots`.
    pub roots: TrustRootsConfig,
    /// `fetch`.
    pub fetch: FetchConfig,
}

/// The process as meant.
#[derive(Clone, Debug)]
pub struct HostPlan {
    /// What this process is called in traces.
    pub name: String,
    /// Where connections are accepted; at least one.
    pub listeners: Vec<ListenerPlan>,
    /// The operator's door.
    pub admin: AdminPlan,
    /// How the process leaves.
    pub drain: DrainPlan,
    /// How long a new process may take to become ready before it takes over.
    pub ready_within: Duration,
    /// How often files are looked at; `None`: never.
    pub watch: Option<Duration>,
    /// The ceilings.
    pub limits: LimitsPlan,
    /// Networks whose addresses may have as many connections as there are places, because they stand for many clients: what the tier adds.
    pub infrastructure: Vec<IpNet>,
    /// Threads that serve; 1 or more.
    pub workers: usize,
    /// Diagnostics.
    pub logs: LogsPlan,
    /// Where records go.
    pub records: RecordsPlan,
    /// Where spans go.
    pub traces: TracesPlan,
    /// DNS servers; empty means those of resolv.conf.
    pub dns_servers: Vec<SocketAddr>,
    /// Whom we believe when documents are fetched, and from where they may come.
    pub fetch: FetchTerms,
    /// The certificates that are served and shown, for the gauges of their ends: those of the listeners, and what the tier adds.
    pub certificates: Vec<CertificateInUse>,
}

/// The operator's door as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminPlan {
    /// Loopback or a Unix socket.
    pub address: Address,
    /// Mode of the socket's file.
    pub mode: u32,
    /// Who may connect to a Unix socket; `None`: root and our own user.
    pub uids: Option<Vec<u32>>,
}

/// How the process leaves, as meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainPlan {
    /// Accepting goes on for so long.
    pub wait: Duration,
    /// Requests in flight have so long after that.
    pub deadline: Duration,
}

/// Mode of an admin socket that says nothing about it: ours alone.
const ADMIN_MODE_DEFAULT: u32 = 0o600;

/// More threads than this never help and are more likely a slip of the pen.
const WORKERS_MAX: u32 = 512;

impl HostPlan {
    /// Checks every section and complains about all that is wrong; `None` when there is no plan to be made.
    pub fn check(sections: HostSections, files: &Files, report: &mut Report) -> Option<Self> {
        if sections.name.is_empty() || !sections.name.bytes().all(|byte| byte.is_ascii_graphic()) {
            report.complain(
                "name",
                "the name stands in traces and assertions and cannot be empty or hold spaces",
                "write a name such as gateway-1",
            );
        }
        let workers = workers(sections.workers, report);
        let limits = plan_limits::check(&sections.limits, report);
        let ready_within = ready_within(sections.upgrade, report);
        let watch = watch(sections.reload, report);
        let admin = admin(&sections.admin, files, report);
        let listeners = plan_listener::check_all(&sections.listen, files, report);
        if let (Some(admin), Some(listeners)) = (&admin, &listeners) {
            clashes(admin, listeners, report);
        }
        let logs = sections.logs.check("logs", report);
        let records = sections.records.check("records", files.base(), report);
        let traces = sections.traces.check("traces", report);
        let roots = roots(sections.roots, files, report);
        let allowed = allowed(&sections.fetch, report);
        let dns_servers = dns_servers(&sections.dns, report);
        let listeners = listeners?;
        Some(Self {
            name: sections.name,
            certificates: in_use(&listeners),
            listeners,
            admin: admin?,
            drain: DrainPlan { wait: sections.drain.wait.get(), deadline: sections.drain.deadline.get() },
            ready_within: ready_within?,
            watch: watch?,
            limits: limits?,
            infrastructure: Vec::new(),
            workers: workers?,
            logs,
            records,
            traces,
            dns_servers: dns_servers?,
            fetch: FetchTerms { roots: roots?, allowed: allowed? },
        })
    }
}

fn ready_within(config: UpgradeConfig, report: &mut Report) -> Option<Duration> {
    let within = config.ready_within;
    if within < READY_WITHIN_MIN {
        let what = format!("no new version becomes ready in {within}, so every upgrade would fail");
        report.complain("upgrade.ready_within", what, format!("write {READY_WITHIN_MIN} or more"));
        return None;
    }
    if within > READY_WITHIN_MAX {
        let what = format!("an upgrade would hang for {within} where the new version never becomes ready");
        report.complain("upgrade.ready_within", what, format!("write at most {READY_WITHIN_MAX}"));
        return None;
    }
    Some(within.get())
}

impl HostPlan {
    /// Sessions that clients keep can be resumed after a reload: what a listener's TLS was made from and is made from again stays the same, and another
    /// one goes on with the keys of its tickets.
    pub(crate) fn keep_tls_of(&mut self, before: &Self) {
        for (now, before) in self.listeners.iter_mut().zip(&before.listeners) {
            now.tls = match (now.tls.take(), &before.tls) {
                (Some(now), Some(before)) if now == *before => Some(before.clone()),
                (Some(now), Some(before)) => Some(now.resuming(before)),
                (now, _) => now,
            };
        }
    }
}

fn in_use(listeners: &[ListenerPlan]) -> Vec<CertificateInUse> {
    let of = |listener: &ListenerPlan| {
        let used_by = format!("listener {}", listener.name);
        let expiries = listener.tls.iter().flat_map(|tls| tls.expiries().cloned()).collect::<Vec<_>>();
        expiries.into_iter().map(move |expiry| CertificateInUse { used_by: used_by.clone(), expiry })
    };
    listeners.iter().flat_map(of).collect()
}

fn workers(asked: Option<u32>, report: &mut Report) -> Option<usize> {
    match asked {
        None => Some(std::thread::available_parallelism().map_or(1, std::num::NonZero::get)),
        Some(number @ 1..=WORKERS_MAX) => usize::try_from(number).ok(),
        Some(number) => {
            report.complain(
                "workers",
                format!("{number} workers cannot be run"),
                format!("write a number from 1 to {WORKERS_MAX}, or leave it out for one per core"),
            );
            None
        }
    }
}

/// Outer `None`: complained. Inner `None`: never.
fn watch(config: ReloadConfig, report: &mut Report) -> Option<Option<Duration>> {
    match config.watch.map(Span::get) {
        Some(every) if every < WATCH_MIN => {
            report.complain(
                "reload.watch",
                format!("looking at every file each {every:?} would be most of what this process does"),
                format!("write {WATCH_MIN:?} or more, or null for never"),
            );
            None
        }
        watch => Some(watch),
    }
}

/// Files may lie on a network.
const WATCH_MIN: Duration = Duration::from_millis(10);

fn dns_servers(config: &DnsConfig, report: &mut Report) -> Option<Vec<SocketAddr>> {
    let mut servers = Vec::with_capacity(config.servers.len());
    for (index, text) in config.servers.iter().enumerate() {
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => servers.push(address),
            _ => report.complain(
                &format!("dns.servers[{index}]"),
                format!("{text:.80?} is not the address of a DNS server"),
                "write IP:PORT as in 10.0.0.53:53 or [fd00::53]:53; names are not resolved here",
            ),
        }
    }
    (servers.len() == config.servers.len()).then_some(servers)
}

/// The bundle is read here and nowhere else, so that a missing one is told by `check`, and what was checked is what is believed.
fn roots(config: TrustRootsConfig, files: &Files, report: &mut Report) -> Option<Believed> {
    let roots = config.ca_file.map_or(Roots::WebPki, |file| Roots::File(files.watched(file)));
    match Believed::read(&roots) {
        Ok(believed) => Some(believed),
        Err(fault) => {
            report.complain("roots.ca_file", format!("{}: {}", fault.file, fault.what), fault.remedy);
            None
        }
    }
}

/// The networks that fetches may lead to although they are refused by themselves.
fn allowed(config: &FetchConfig, report: &mut Report) -> Option<Arc<[IpNet]>> {
    let mut networks = Vec::with_capacity(config.allow.len());
    for (index, text) in config.allow.iter().enumerate() {
        match network(text) {
            Some(network) => networks.push(network),
            None => report.complain(
                &format!("fetch.allow[{index}]"),
                format!("{text:.80?} is no network"),
                "write it as in 169.254.169.254/32 or fe80::/10; only addresses that are refused by themselves need it",
            ),
        }
    }
    (networks.len() == config.allow.len()).then(|| networks.into())
}

fn admin(config: &AdminConfig, files: &Files, report: &mut Report) -> Option<AdminPlan> {
    let address = match Address::parse(&config.address, files.base()) {
        Ok(address) => address,
        Err((what, remedy)) => {
            report.complain("admin.address", what, remedy);
            return None;
        }
    };
    if !address.is_local() {
        report.complain(
            "admin.address",
            format!("{address} can be reached from other hosts, and this listener cannot ask for certificates"),
            "bind it to 127.0.0.1, to [::1] or to unix:PATH, and reach it through a tunnel or a sidecar",
        );
        return None;
    }
    let (mode, uids) = match (&address, &config.unix) {
        (_, None) => (ADMIN_MODE_DEFAULT, None),
        (Address::Unix(_), Some(unix)) => {
            let (mode, uids) = plan_listener::unix_peers(unix, "admin.unix", report)?;
            (mode, Some(uids))
        }
        (Address::Tcp(_), Some(_)) => {
            plan_listener::complain_of_users_on_tcp("admin.unix", report);
            return None;
        }
    };
    Some(AdminPlan { address, mode, uids })
}

/// Two listeners with one name cannot be told apart in a record; two with one address cannot both be bound.
fn clashes(admin: &AdminPlan, listeners: &[ListenerPlan], report: &mut Report) {
    let mut names = BTreeMap::from([
        ("admin".to_owned(), "the operator's door".to_owned()),
        (PREDECESSOR.to_owned(), "the line to a process that hands over".to_owned()),
    ]);
    let mut bound = vec![(&admin.address, "admin".to_owned())];
    for (index, listener) in listeners.iter().enumerate() {
        let key = format!("listen[{index}]");
        if let Some(owner) = names.get(&*listener.name) {
            let what = format!("the name {:?} is taken by {owner}", listener.name);
            report.complain(&format!("{key}.name"), what, "give every listener a name of its own");
        } else {
            names.insert(listener.name.to_string(), key.clone());
        }
        if let Some((other, owner)) = bound.iter().find(|(other, _)| other.clashes_with(&listener.address)) {
            let what = match *other == &listener.address {
                true => format!("{} is bound by {owner} already", listener.address),
                false => format!("{} and {other} of {owner} cannot both be bound", listener.address),
            };
            report.complain(&format!("{key}.address"), what, "give every listener an address of its own");
        }
        bound.push((&listener.address, key));
    }
}
