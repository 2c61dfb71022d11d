//! One listener as meant: its address, its certificates, its peers.
//!
//! In: the entries of `listen`. Out: a [`ListenerPlan`] each, certificates and keys loaded. Refuses: plaintext on TCP that nobody allowed,
//! a Unix socket that says nothing about who may connect, redirects to what is no origin, proxies that are everybody or nobody. Never: binds.

use std::sync::Arc;

use http::uri::Scheme;
use http::{HeaderValue, Uri};
use ipnet::IpNet;
use settings::files::Files;
use settings::report::Report;
use wire::tls::server::ServerTls;

use crate::address::Address;
use crate::config::{ListenConfig, ProxyProtocolConfig, UnixConfig};
use crate::network::network;
use crate::{hsts, plan_tls};

/// A listener as meant.
#[derive(Clone, Debug)]
pub struct ListenerPlan {
    /// Its name in records and metrics.
    pub name: Arc<str>,
    /// Where it is bound, unless a socket is inherited for it.
    pub address: Address,
    /// The mode of a Unix socket's file.
    pub mode: u32,
    /// The user ids that may connect to a Unix socket.
    pub uids: Vec<u32>,
    /// TLS; `None` is plaintext.
    pub tls: Option<ServerTls>,
    /// The origin that every request is sent to instead of being served.
    pub redirect_to: Option<String>,
    /// Whether requests are served for hosts that the certificate of their connection does not cover.
    pub any_authority: bool,
    /// Whether it publishes the tier's keys.
    pub publish_keys: bool,
    /// `Strict-Transport-Security` of every answer.
    pub hsts: Option<HeaderValue>,
    /// Networks of proxies that tell by a PROXY header whose connection they pass on, and must; empty for none.
    pub proxies: Vec<IpNet>,
}

impl ListenerPlan {
    /// Whether requests are served over TCP where whoever is in between can read and change them.
    #[must_use]
    pub fn is_plaintext(&self) -> bool {
        self.tls.is_none() && self.redirect_to.is_none() && matches!(self.address, Address::Tcp(_))
    }

    /// Whether everybody whom `before` let in may come by this one too, and on the same terms.
    pub(crate) fn lets_in_all_of(&self, before: &Self) -> bool {
        let same_tls = match (&self.tls, &before.tls) {
            (Some(now), Some(before)) => now.asks_clients_as(before),
            (now, before) => now.is_none() == before.is_none(),
        };
        // Whose connections the proxies pass on was believed to those that were listed then.
        same_tls && self.proxies == before.proxies && before.uids.iter().all(|uid| self.uids.contains(uid))
    }
}

/// The user id that the kernel shows for one that has no place in our user namespace (`/proc/sys/kernel/overflowuid`).
pub(crate) const UNMAPPED_UID: u32 = 65534;

/// Checks all listeners; `None` if any of them cannot be meant.
pub(crate) fn check_all(configs: &[ListenConfig], files: &Files, report: &mut Report) -> Option<Vec<ListenerPlan>> {
    if configs.is_empty() {
        report.complain_of_absence("listen", "there is no listener", "write at least one entry with name and address");
        return None;
    }
    // Every entry is checked, so that every complaint comes out at once.
    let plans: Vec<_> =
        configs.iter().enumerate().map(|(index, config)| check(config, &format!("listen[{index}]"), files, report)).collect();
    plans.into_iter().collect()
}

fn check(config: &ListenConfig, key: &str, files: &Files, report: &mut Report) -> Option<ListenerPlan> {
    let name = name(&config.name, key, report);
    let address = Address::parse(&config.address, files.base())
        .map_err(|(what, remedy)| report.complain(&format!("{key}.address"), what, remedy))
        .ok();
    let redirect = redirect(config.redirect_to.as_deref(), key, report);
    let tls = config.tls.as_ref().map(|tls| plan_tls::check(tls, &format!("{key}.tls"), files, report));
    let hsts = hsts::check(config.hsts, config.tls.is_some(), &format!("{key}.hsts"), report);
    let proxies = proxies(config.proxy_protocol.as_ref(), address.as_ref(), &format!("{key}.proxy_protocol"), report);
    if config.publish_keys && config.redirect_to.is_some() {
        report.complain(
            &format!("{key}.publish_keys"),
            "one listener cannot publish keys and redirect",
            "take one of `publish_keys` and `redirect_to` away",
        );
    }
    let address = address?;
    let peers = match (&address, &config.unix) {
        (Address::Unix(_), Some(unix)) => unix_peers(unix, &format!("{key}.unix"), report),
        (Address::Unix(_), None) => {
            report.complain(
                &format!("{key}.unix"),
                "nothing says who may connect to this Unix socket",
                "add unix: { uids: [UID] } with the user id of the other process",
            );
            None
        }
        (Address::Tcp(_), Some(_)) => {
            complain_of_users_on_tcp(&format!("{key}.unix"), report);
            None
        }
        (Address::Tcp(_), None) => Some((0, Vec::new())),
    };
    if matches!(address, Address::Tcp(_)) && config.tls.is_none() && config.redirect_to.is_none() && !config.allow_plaintext {
        report.complain(
            key,
            "requests would be served over TCP without TLS",
            "add a tls section, or redirect_to; allow_plaintext: true if nobody else can reach this network",
        );
        return None;
    }
    let (mode, uids) = peers?;
    // A TLS section that failed its check must not become plaintext.
    let tls = match tls {
        Some(tls) => Some(tls?),
        None => None,
    };
    let any_authority = config.tls.as_ref().is_some_and(|tls| tls.any_authority);
    let publish_keys = config.publish_keys;
    let (name, redirect_to, hsts, proxies) = (name?, redirect?, hsts?, proxies?);
    Some(ListenerPlan { name, address, mode, uids, tls, redirect_to, any_authority, publish_keys, hsts, proxies })
}

/// The networks whose connections begin with a PROXY header; none without the section.
fn proxies(config: Option<&ProxyProtocolConfig>, address: Option<&Address>, key: &str, report: &mut Report) -> Option<Vec<IpNet>> {
    let Some(config) = config else { return Some(Vec::new()) };
    if let Some(Address::Unix(_)) = address {
        report.complain(key, "a Unix socket has no addresses to believe", "take the section out; unix.uids says who may connect");
        return None;
    }
    if config.from.is_empty() {
        report.complain_of_absence(&format!("{key}.from"), "nobody may tell", "list the networks of the load balancers, as in 10.0.0.0/8");
        return None;
    }
    let mut networks = Vec::with_capacity(config.from.len());
    for (index, text) in config.from.iter().enumerate() {
        let key = format!("{key}.from[{index}]");
        match network(text) {
            Some(network) if network.prefix_len() == 0 => {
                report.complain(&key, "everybody could say to be anybody", "list the networks of the load balancers alone");
            }
            Some(network) => networks.push(network),
            None => report.complain(&key, format!("{text:.80?} is no network"), "write it as in 10.0.0.0/8 or fd00::/8"),
        }
    }
    (networks.len() == config.from.len()).then_some(networks)
}

fn name(name: &str, key: &str, report: &mut Report) -> Option<Arc<str>> {
    // The names travel in LISTEN_FDNAMES, whose separator is the colon, and in metric labels.
    let lawful = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(lawful) {
        report.complain(
            &format!("{key}.name"),
            format!("{name:.80?} is no name for a listener"),
            format!("write 1 to {NAME_BYTES_MAX} letters, digits, dots, dashes or underscores"),
        );
        return None;
    }
    Some(name.into())
}

/// Names stand in every connection record.
const NAME_BYTES_MAX: usize = 64;

/// Outer `None`: complained. Inner `None`: no redirect.
fn redirect(origin: Option<&str>, key: &str, report: &mut Report) -> Option<Option<String>> {
    let Some(text) = origin else { return Some(None) };
    let is_origin = |uri: &Uri| {
        let scheme = uri.scheme() == Some(&Scheme::HTTPS) || uri.scheme() == Some(&Scheme::HTTP);
        scheme
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.path_and_query().is_none_or(|path| path == "/")
    };
    match text.parse::<Uri>() {
        Ok(uri) if is_origin(&uri) => Some(Some(text.trim_end_matches('/').to_owned())),
        _ => {
            report.complain(
                &format!("{key}.redirect_to"),
                format!("{text:.120?} is no origin"),
                "write scheme and host, as in https://gateway.example or https://localhost:8443",
            );
            None
        }
    }
}

pub(crate) fn complain_of_users_on_tcp(key: &str, report: &mut Report) {
    report.complain(key, "a TCP address has no user ids", "take the section out, or write the address as unix:PATH");
}

/// The mode of a socket's file, and the user ids that may connect.
pub(crate) fn unix_peers(config: &UnixConfig, key: &str, report: &mut Report) -> Option<(u32, Vec<u32>)> {
    let mode = mode(&config.mode, &format!("{key}.mode"), report);
    if config.uids.is_empty() {
        report.complain_of_absence(&format!("{key}.uids"), "no user may connect", "list the user id of the other process");
        return None;
    }
    if config.uids.contains(&UNMAPPED_UID) {
        report.complain(
            &format!("{key}.uids"),
            format!("{UNMAPPED_UID} is what the kernel shows for every user that has no id here, so it proves nobody"),
            "run the other process under a user id of its own",
        );
        return None;
    }
    Some((mode?, config.uids.clone()))
}

/// Reads a file mode such as `0660`.
fn mode(text: &str, key: &str, report: &mut Report) -> Option<u32> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Some(mode),
        _ => {
            report.complain(key, format!("{text:.20?} is no file mode"), "write it octal in quotes, as in \"0660\"");
            None
        }
    }
}
