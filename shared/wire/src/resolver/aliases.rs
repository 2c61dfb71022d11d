//! From a name over its aliases to its records (RFC 1034 §3.6.2).
//!
//! In: a name and a type, and the answers on the way. Out: the records at the end of the chain with the shortest time to live, or the next question.
//! Refuses: chains that come back to a name or are too long, and answers that speak of other names. Never: asks for what an answer already holds.

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::resolver::ALIASES_MAX;
use crate::resolver::fault::NameFault;
use crate::resolver::reserved;

/// What stands at the end of a chain.
#[derive(Debug)]
pub(crate) struct Found {
    /// Data of the type asked for, at least one.
    pub(crate) data: Vec<RData>,
    /// The addresses in the additional section, each with the name and the time to live of its record.
    pub(crate) beside: Vec<(Name, IpAddr, Duration)>,
    /// The shortest time to live, aliases included.
    pub(crate) ttl: Duration,
}

/// What an answer leads to.
pub(crate) enum Step {
    /// The end.
    Found(Found),
    /// A name that the server did not follow by itself.
    Ask(Name),
}

/// The names from the one asked for to the one at which the walk has arrived.
pub(crate) struct Chain {
    /// All names on the way, none twice.
    names: Vec<Name>,
    ttl: u32,
}

fn found(data: Vec<RData>, message: &Message, ttl: u32) -> Found {
    let beside = message.additionals.iter().filter(|record| record.dns_class == DNSClass::IN);
    let beside = beside.filter_map(|record| Some((record.name.clone(), record.data.ip_addr()?, Duration::from_secs(record.ttl.into()))));
    Found { data, beside: beside.collect(), ttl: Duration::from_secs(ttl.into()) }
}

impl Chain {
    /// At its first name.
    pub(crate) fn from(name: Name) -> Self {
        Self { names: vec![name], ttl: u32::MAX }
    }

    /// Where the answer to a question for the present end leads.
    pub(crate) fn step(&mut self, message: &Message, kind: RecordType) -> Result<Step, NameFault> {
        let before = self.names.len();
        if let Some(data) = self.walk(&message.answers, kind)? {
            return Ok(Step::Found(found(data, message, self.ttl)));
        }
        match message.metadata.response_code {
            // The code speaks of the end of the chain (RFC 2308 §2.1).
            ResponseCode::NXDomain => return Err(NameFault::NoSuchName),
            ResponseCode::NoError => {}
            ResponseCode::Refused => return Err(NameFault::Refused),
            other => return Err(NameFault::ServerFailure(other.to_string())),
        }
        let is_complete = message.authorities.iter().any(|record| record.record_type() == RecordType::SOA);
        match (self.names.len() > before, message.answers.is_empty()) {
            (false, false) => Err(NameFault::Malformed),
            (false, true) => Err(NameFault::NoRecords),
            (true, _) if is_complete => Err(NameFault::NoRecords),
            (true, _) => Ok(Step::Ask(self.end())),
        }
    }

    fn end(&self) -> Name {
        self.names.last().cloned().unwrap_or_default()
    }

    /// Goes as far as these answers lead; data where they lead to some.
    fn walk(&mut self, answers: &[Record], kind: RecordType) -> Result<Option<Vec<RData>>, NameFault> {
        loop {
            let end = self.end();
            // An alias may lead to a name of which no server has anything to say.
            if let Some(known) = reserved::addresses(&end) {
                return reserved::data(&known?, kind).map(Some);
            }
            let here = || answers.iter().filter(|record| record.name == end && record.dns_class == DNSClass::IN);
            let (records, ttl) =
                here().filter(|record| record.record_type() == kind).fold((Vec::new(), self.ttl), |(mut data, ttl), record| {
                    data.push(record.data.clone());
                    (data, ttl.min(record.ttl))
                });
            if !records.is_empty() {
                self.ttl = ttl;
                return Ok(Some(records));
            }
            let alias = here().find_map(|record| match &record.data {
                RData::CNAME(target) => Some((target.0.to_lowercase(), record.ttl)),
                _ => None,
            });
            let Some((target, ttl)) = alias else { return Ok(None) };
            if self.names.contains(&target) || self.names.len() > ALIASES_MAX {
                return Err(NameFault::AliasLoop);
            }
            self.ttl = self.ttl.min(ttl);
            self.names.push(target);
        }
    }
}
