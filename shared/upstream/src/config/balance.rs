//! How an instance is picked, as written.
//!
//! In: `balance`, `hash`, `sticky`, `slow_start` and `panic_percent` of a service. Out: its `BalancePlan`. Refuses: a key that nothing goes by and a
//! rule without its key; names that no header or cookie can have; a secret that is too short to be one. Never: makes a key.

use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;
use settings::files::Files;
use settings::report::Report;
use settings::units::Span;

use crate::config::Demands;
use crate::plan::balance::{BalancePlan, HashOn, HashPlan, StickyKey, StickyPlan};

/// Bytes of the secret of sticky cookies at least: as many as the digest has (RFC 2104 §3).
const KEY_BYTES_MIN: usize = 32;

/// Bytes of the file of that secret at most.
const KEY_BYTES_MAX: usize = 4_096;

/// The longest time for which an instance is spared.
const SLOW_START_MAX: Span = Span::secs(3_600);

/// The longest life of a sticky cookie: what browsers keep at most, 400 days.
const LIFE_MAX: Span = Span::secs(400 * 24 * 3_600);

/// Bytes of a cookie's name at most.
const COOKIE_BYTES_MAX: usize = 64;

/// How an instance is picked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// The one with fewer requests under way for its weight, of two drawn at random.
    #[default]
    LeastRequest,
    /// One after the other, each as often as its weight says.
    RoundRobin,
    /// One drawn at random, in proportion to the weights.
    Weighted,
    /// The one expected to be done first, of two drawn at random: its latest answer times, with peaks and failures counted in full, times its
    /// requests under way.
    PeakEwma,
    /// The one that the request's key belongs to, unless it has more than its part of the load.
    ConsistentHash,
}

/// What `consistent_hash` goes by.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HashConfig {
    /// Where the key of a request stands; a request without one is sent as `least_request` would.
    pub on: HashSource,
    /// The name of the header or cookie.
    #[serde(default)]
    pub name: Option<String>,
    /// How many requests an instance may have under way, in percent of the mean; the next one in the key's order takes what is over.
    #[serde(default = "default_load_max_percent")]
    pub load_max_percent: u32,
}

/// Where the key of a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HashSource {
    /// In a header of the request, the first of that name.
    Header,
    /// In a cookie of the request, the first of that name.
    Cookie,
    /// The subject of the caller; an anonymous one has none.
    Caller,
    /// The address of the client, as far as the proxies before it are believed.
    Address,
}

/// A signed cookie that brings a client back to the instance that has served it, for as long as that one is well.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StickyConfig {
    /// Its name, which no other service's cookie may have; `gw-instance-NAME` with the service's name by default. No instance of any service sees it.
    #[serde(default)]
    pub cookie: Option<String>,
    /// The file of the secret that signs it, the same for all replicas; 32 bytes or more, as `openssl rand -base64 48` makes them.
    pub key: String,
    /// How long it holds; renewed when half of it is over.
    #[serde(default = "default_life")]
    pub life: Span,
}

/// Everything about the choice of an instance that a service has written.
pub(crate) struct Written<'c> {
    /// The service's name.
    pub(crate) name: &'c str,
    pub(crate) balance: Balance,
    pub(crate) hash: Option<&'c HashConfig>,
    pub(crate) sticky: Option<&'c StickyConfig>,
    pub(crate) slow_start: Span,
    pub(crate) panic_percent: u32,
}

/// The part of a level's instances that must be usable, where nothing is written.
pub fn default_panic_percent() -> u32 {
    50
}

fn default_load_max_percent() -> u32 {
    125
}

/// A browser keeps one cookie of a name for all services of a host, so that each service has its own.
fn default_cookie(service: &str) -> Box<str> {
    format!("gw-instance-{service}").into()
}

fn default_life() -> Span {
    Span::secs(3_600)
}

impl Written<'_> {
    /// Checks the options of the service at `key`.
    pub(crate) fn check(&self, key: &str, files: &Files, report: &mut Report) -> Option<BalancePlan> {
        let mut demands = Demands::of(key, report);
        let what = "an instance that comes back would get less than its part for hours";
        demands.that(self.slow_start <= SLOW_START_MAX, "slow_start", what, "set at most 1h");
        demands.that(self.panic_percent <= 100, "panic_percent", "it is more than the whole", "set 0 to 100");
        let met = demands.met();
        let hash = match (self.balance, self.hash) {
            (Balance::ConsistentHash, Some(hash)) => hash.check(&format!("{key}.hash"), report).map(Some),
            (Balance::ConsistentHash, None) => {
                let what = "consistent_hash has no key to go by";
                report.complain_of_absence(
                    &format!("{key}.hash"),
                    what,
                    "add hash: { on: header, name: … }, or on: cookie, caller or address",
                );
                None
            }
            (_, Some(_)) => {
                let remedy = "set balance: consistent_hash, or take hash out";
                report.complain(&format!("{key}.hash"), "nothing goes by this key: the service is not balanced by it", remedy);
                None
            }
            (_, None) => Some(None),
        };
        let sticky = match self.sticky {
            None => Some(None),
            Some(sticky) => sticky.check(self.name, &format!("{key}.sticky"), files, report).map(Some),
        };
        let (hash, sticky) = (hash?, sticky?);
        met.then(|| BalancePlan {
            picker: self.balance,
            hash,
            sticky,
            slow_start: self.slow_start.get(),
            panic_percent: self.panic_percent,
        })
    }
}

impl HashConfig {
    fn check(&self, key: &str, report: &mut Report) -> Option<HashPlan> {
        let mut demands = Demands::of(key, report);
        let bounds = (100..=1_000).contains(&self.load_max_percent);
        let what = "an instance may have between the mean and ten times the mean under way";
        demands.that(bounds, "load_max_percent", what, "set 100 to 1000; 125 is a good bound");
        let met = demands.met();
        let on = self.place(&format!("{key}.name"), report)?;
        met.then_some(HashPlan { on, load_max_percent: self.load_max_percent })
    }

    fn place(&self, key: &str, report: &mut Report) -> Option<HashOn> {
        match (self.on, self.name.as_deref()) {
            (HashSource::Header, Some(name)) => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => Some(HashOn::Header(name)),
                Err(_) => {
                    report.complain(key, format!("{name:?} is no header name"), "write the name of a header, like x-tenant");
                    None
                }
            },
            (HashSource::Cookie, Some(name)) => cookie_name(name, key, report).map(HashOn::Cookie),
            (HashSource::Header | HashSource::Cookie, None) => {
                report.complain_of_absence(key, "the key has no name", "write the name of the header or cookie");
                None
            }
            (HashSource::Caller | HashSource::Address, Some(_)) => {
                report.complain(key, "the caller and the address have no name", "take name out, or set on: header or on: cookie");
                None
            }
            (HashSource::Caller, None) => Some(HashOn::Caller),
            (HashSource::Address, None) => Some(HashOn::Address),
        }
    }
}

impl StickyConfig {
    fn check(&self, service: &str, key: &str, files: &Files, report: &mut Report) -> Option<StickyPlan> {
        let mut demands = Demands::of(key, report);
        demands.that(self.life >= Span::secs(1), "life", "the cookie would have ended before it comes back", "set at least 1s");
        demands.that(self.life <= LIFE_MAX, "life", "no browser keeps a cookie for that long", "set at most 9600h (400 days)");
        let met = demands.met();
        let cookie = match &self.cookie {
            Some(cookie) => cookie_name(cookie, &format!("{key}.cookie"), report),
            // A service's name is a token.
            None => Some(default_cookie(service)),
        };
        let in_key = format!("{key}.key");
        const REMEDY: &str = "name a file with a secret that all replicas share, as `openssl rand -base64 48` makes it";
        let secret = match files.read_secret(&self.key, KEY_BYTES_MAX) {
            Ok(secret) if secret.expose().len() >= KEY_BYTES_MIN => Some(StickyKey::new(secret.expose().as_bytes())),
            Ok(_) => {
                report.complain(&in_key, format!("the secret has less than {KEY_BYTES_MIN} bytes"), REMEDY);
                None
            }
            Err(what) => {
                report.complain(&in_key, what, REMEDY);
                None
            }
        };
        let (cookie, secret) = (cookie?, secret?);
        // Cookies count in seconds.
        met.then(|| StickyPlan { cookie, key: secret, life: std::time::Duration::from_secs(self.life.get().as_secs()) })
    }
}

/// A token (RFC 6265 §4.1.1), as header names are.
fn cookie_name(name: &str, key: &str, report: &mut Report) -> Option<Box<str>> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if (1..=COOKIE_BYTES_MAX).contains(&name.len()) && name.bytes().all(token) {
        return Some(name.into());
    }
    report.complain(key, format!("{name:?} is no name for a cookie"), "write 1 to 64 letters, digits, '-' and '_'");
    None
}
