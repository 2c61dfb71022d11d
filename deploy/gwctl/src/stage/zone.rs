//! One DNS zone, read from lines in the style of a master file (RFC 1035 §5).
//!
//! In: lines `NAME TTL TYPE DATA` (types A, AAAA, SRV, CNAME; `;` opens a comment; a name without a dot at its end
//! stands below the origin; `@` is the origin). Out: records by name, empty non-terminals included. Refuses: whatever it
//! does not understand, with the line's number, so that no edit is half taken. Never: looks outside its own zone.

use std::collections::BTreeMap;
use std::str::FromStr;

use hickory_proto::rr::rdata::{A, AAAA, CNAME, SRV};
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};

/// A zone's text may be this long.
pub const ZONE_BYTES_MAX: usize = 1024 * 1024;
/// A zone may have this many records.
pub const RECORDS_MAX: usize = 10_000;
/// A time to live may be a week at most.
pub const TTL_SECONDS_MAX: u32 = 604_800;

/// Why a zone's text was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ZoneFault {
    /// From 1; 0 when the whole text is meant.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// A zone: its origin and every name in it.
#[derive(Clone, Debug)]
pub struct Zone {
    origin: LowerName,
    names: BTreeMap<LowerName, Vec<Record>>,
}

impl Zone {
    /// Reads the zone below `origin` (as `demo.`) from `text`. A text without records is an empty zone.
    ///
    /// # Errors
    /// The first line that is not understood.
    pub fn parse(origin: &str, text: &str) -> Result<Self, ZoneFault> {
        let whole = |what: String| ZoneFault { line: 0, what };
        if text.len() > ZONE_BYTES_MAX {
            return Err(whole(format!("the zone is longer than {ZONE_BYTES_MAX} bytes")));
        }
        let mut apex = Name::from_ascii(origin).map_err(|error| whole(format!("the origin {origin}: {error}")))?;
        apex.set_fqdn(true);
        let mut zone = Self { origin: LowerName::from(&apex), names: BTreeMap::new() };
        zone.names.insert(zone.origin.clone(), Vec::new());
        let mut count = 0;
        for (index, line) in text.lines().enumerate() {
            let fault = |what| ZoneFault { line: index + 1, what };
            let Some(record) = record(line, &apex).map_err(fault)? else { continue };
            count += 1;
            if count > RECORDS_MAX {
                return Err(fault(format!("more than {RECORDS_MAX} records")));
            }
            zone.add(record).map_err(fault)?;
        }
        Ok(zone)
    }

    /// The name at the top of the zone.
    #[must_use]
    pub fn origin(&self) -> Name {
        Name::from(self.origin.clone())
    }

    /// Whether `name` is in this zone, present or not.
    #[must_use]
    pub fn covers(&self, name: &LowerName) -> bool {
        self.origin.zone_of(name)
    }

    /// The records at `name`. `Some` of nothing is a name that exists without data of its own (RFC 8020).
    #[must_use]
    pub fn find(&self, name: &LowerName) -> Option<&[Record]> {
        self.names.get(name).map(Vec::as_slice)
    }

    /// How many records there are.
    #[must_use]
    pub fn records(&self) -> usize {
        self.names.values().map(Vec::len).sum()
    }

    fn add(&mut self, record: Record) -> Result<(), String> {
        let name = LowerName::from(&record.name);
        if !self.covers(&name) {
            return Err(format!("{} is not below {}", record.name, self.origin));
        }
        let here = self.names.entry(name.clone()).or_default();
        // RFC 1034 §3.6.2: where an alias stands, nothing else does.
        let alias = record.record_type() == RecordType::CNAME;
        if here.iter().any(|other| alias || other.record_type() == RecordType::CNAME) {
            return Err(format!("{} has a CNAME and something else; an alias stands alone", record.name));
        }
        if !here.contains(&record) {
            here.push(record);
        }
        let mut above = name.base_name();
        while above != self.origin && self.covers(&above) {
            self.names.entry(above.clone()).or_default();
            above = above.base_name();
        }
        Ok(())
    }
}

/// The record in one line, or none in an empty one.
fn record(line: &str, apex: &Name) -> Result<Option<Record>, String> {
    let text = line.split(';').next().unwrap_or_default();
    let mut words = text.split_ascii_whitespace();
    let Some(owner) = words.next() else { return Ok(None) };
    let owner = name(owner, apex)?;
    let ttl_word = words.next().ok_or("a line is `NAME TTL TYPE DATA`; the TTL is missing")?;
    let ttl = ttl_word.parse::<u32>().ok().filter(|ttl| *ttl <= TTL_SECONDS_MAX);
    let ttl = ttl.ok_or_else(|| format!("the TTL {ttl_word} is not a number of seconds up to {TTL_SECONDS_MAX}"))?;
    let kind = words.next().filter(|word| !word.eq_ignore_ascii_case("IN")).or_else(|| words.next());
    let kind = kind.ok_or("a line is `NAME TTL TYPE DATA`; the type is missing")?.to_ascii_uppercase();
    let data: Vec<&str> = words.collect();
    Ok(Some(Record::from_rdata(owner, ttl, rdata(&kind, &data, apex)?)))
}

fn rdata(kind: &str, data: &[&str], apex: &Name) -> Result<RData, String> {
    match (kind, data) {
        ("A", [address]) => Ok(RData::A(A(number(address, "an IPv4 address")?))),
        ("AAAA", [address]) => Ok(RData::AAAA(AAAA(number(address, "an IPv6 address")?))),
        ("CNAME", [target]) => Ok(RData::CNAME(CNAME(name(target, apex)?))),
        ("SRV", [priority, weight, port, target]) => {
            let small = |word| number::<u16>(word, "a number from 0 to 65535");
            Ok(RData::SRV(SRV::new(small(priority)?, small(weight)?, small(port)?, name(target, apex)?)))
        }
        ("A" | "AAAA" | "CNAME", _) => Err(format!("{kind} takes one word of data, not {}", data.len())),
        ("SRV", _) => Err(format!("SRV takes `PRIORITY WEIGHT PORT TARGET`, not {} words", data.len())),
        _ => Err(format!("the type {kind} is not served; use A, AAAA, SRV or CNAME")),
    }
}

fn number<T: FromStr>(word: &str, what: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word} is not {what}"))
}

fn name(word: &str, apex: &Name) -> Result<Name, String> {
    if word == "@" {
        return Ok(apex.clone());
    }
    if word.split('.').any(|label| label == "*") {
        return Err(format!("{word}: wildcards are not served; write each name"));
    }
    if !word.is_ascii() {
        return Err(format!("{word} is not ASCII; write its punycode"));
    }
    Name::parse(word, Some(apex)).map_err(|error| format!("{word} is not a name: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lower(name: &str) -> LowerName {
        LowerName::from(&Name::from_ascii(name).unwrap())
    }

    #[test]
    fn records_comments_and_relative_names_are_read() {
        let zone = Zone::parse(
            "demo.",
            "; the demo\n_http._tcp.orders.demo. 2 SRV 0 1 9201 orders-1.demo. ; one\norders-1 2 IN A 127.0.0.1\n\nsix.demo. 2 aaaa ::1\nalias 5 CNAME orders-1\n",
        )
        .unwrap();
        assert_eq!(zone.records(), 4);
        let srv = &zone.find(&lower("_HTTP._tcp.orders.demo.")).unwrap()[0];
        assert_eq!(srv.data.to_string(), "0 1 9201 orders-1.demo.");
        assert_eq!((srv.ttl, srv.record_type()), (2, RecordType::SRV));
        assert_eq!(zone.find(&lower("alias.demo.")).unwrap()[0].data.to_string(), "orders-1.demo.");
    }

    #[test]
    fn names_between_the_origin_and_a_record_exist_without_data() {
        let zone = Zone::parse("demo.", "_http._tcp.orders.demo. 2 SRV 0 1 1 x.demo.").unwrap();
        assert_eq!(zone.find(&lower("orders.demo.")), Some(&[][..]));
        assert_eq!(zone.find(&lower("_tcp.orders.demo.")), Some(&[][..]));
        assert_eq!(zone.find(&lower("demo.")), Some(&[][..]));
        assert_eq!(zone.find(&lower("users.demo.")), None);
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        for (text, line, what) in [
            ("a.demo. 2 A 127.0.0.1\nb.demo. two A 127.0.0.1", 2, "the TTL two"),
            ("a.demo. 2 A 127.0.0.300", 1, "127.0.0.300 is not an IPv4 address"),
            ("a.demo. 2 MX 1 b", 1, "the type MX is not served"),
            ("a.demo. 2 SRV 0 1 b.demo.", 1, "SRV takes `PRIORITY WEIGHT PORT TARGET`"),
            ("a.demo. 2 SRV 0 1 70000 b.demo.", 1, "70000 is not a number"),
            ("a.demo.", 1, "the TTL is missing"),
            ("a.demo. 2", 1, "the type is missing"),
            ("a.example. 2 A 127.0.0.1", 1, "is not below"),
            ("*.demo. 2 A 127.0.0.1", 1, "wildcards are not served"),
            ("a 2 A 127.0.0.1\na 2 CNAME b", 2, "an alias stands alone"),
            ("a 2 CNAME b\na 2 A 127.0.0.1", 2, "an alias stands alone"),
        ] {
            let fault = Zone::parse("demo.", text).unwrap_err();
            assert_eq!(fault.line, line, "{text}: {fault}");
            assert!(fault.what.contains(what), "{text}: {fault}");
        }
    }
}
