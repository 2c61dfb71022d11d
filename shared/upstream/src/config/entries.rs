//! Instances as somebody has written them down, in the configuration or in a file beside it.
//!
//! In: `IP:PORT`, or `{ address, weight, priority }`. Out: the instances. Refuses: what is no address, port 0, an address twice, an empty list where
//! one is in the configuration, more than a service may have. Never: resolves a name.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use settings::report::Report;

use crate::endpoints::ENDPOINTS_MAX;
use crate::plan::discover::Entry;

/// What an instance without a weight gets beside others that have one.
const WEIGHT: u16 = 1;

/// A list of instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Entries(Vec<EntryConfig>);

/// One instance: its address alone, or with its share and its tier of failover.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum EntryConfig {
    /// `IP:PORT`.
    Plain(String),
    /// The same with a weight or a priority.
    Weighed(WeighedConfig),
}

/// One instance with its share and its tier of failover.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeighedConfig {
    /// `IP:PORT`.
    pub address: String,
    /// Its share of the traffic against the others, 0 to 65535; 1 by default. 0 gets next to nothing while others have more.
    #[serde(default = "weight")]
    pub weight: u16,
    /// Its tier of failover, 0 to 65535: the lowest number is used first; 0 by default.
    #[serde(default)]
    pub priority: u16,
}

fn weight() -> u16 {
    WEIGHT
}

impl FromIterator<String> for Entries {
    fn from_iter<I: IntoIterator<Item = String>>(addresses: I) -> Self {
        Self(addresses.into_iter().map(EntryConfig::Plain).collect())
    }
}

impl<'de> Deserialize<'de> for EntryConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = EntryConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IP:PORT, or a mapping with `address`")
    }

    fn visit_str<E: serde::de::Error>(self, address: &str) -> Result<EntryConfig, E> {
        Ok(EntryConfig::Plain(address.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<EntryConfig, A::Error> {
        WeighedConfig::deserialize(MapAccessDeserializer::new(members)).map(EntryConfig::Weighed)
    }
}

impl Entries {
    /// Checks a list at `key` in which there must be an instance.
    pub(crate) fn check_some(&self, key: &str, report: &mut Report) -> Option<Vec<Entry>> {
        if self.0.is_empty() {
            let what = format!("a service has 1 to {ENDPOINTS_MAX} instances, this one 0");
            report.complain_of_absence(key, what, "list the instances as IP:PORT");
            return None;
        }
        self.check(key, report)
    }

    /// Checks a list at `key`, which may be empty.
    pub(crate) fn check(&self, key: &str, report: &mut Report) -> Option<Vec<Entry>> {
        if self.0.len() > ENDPOINTS_MAX {
            let what = format!("a service has 1 to {ENDPOINTS_MAX} instances, this one {}", self.0.len());
            report.complain(key, what, "split the service, or list fewer");
            return None;
        }
        let mut seen = HashSet::new();
        let mut entries = Vec::with_capacity(self.0.len());
        for (index, one) in self.0.iter().enumerate() {
            let place = format!("{key}[{index}]");
            let (text, place, weight, priority) = match one {
                EntryConfig::Plain(text) => (text, place, WEIGHT, 0),
                EntryConfig::Weighed(one) => (&one.address, format!("{place}.address"), one.weight, one.priority),
            };
            match text.parse::<SocketAddr>() {
                Ok(address) if address.port() != 0 && seen.insert(address) => entries.push(Entry { address, weight, priority }),
                Ok(address) if address.port() != 0 => {
                    report.complain(&place, format!("{text} is listed twice"), "list each instance once; its weight says how much it gets");
                }
                _ => report.complain(
                    &place,
                    format!("{text:.80?} is no address"),
                    "write IP:PORT, like 10.0.0.7:8080 or [::1]:8080; for a name use kind: dns",
                ),
            }
        }
        (entries.len() == self.0.len()).then_some(entries)
    }
}
