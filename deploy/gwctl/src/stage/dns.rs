//! One authoritative answer to one DNS question (RFC 1035, RFC 2308, RFC 6891).
//!
//! In: the bytes of a message, and the zone. Out: the bytes of the answer, or nothing where silence is right. Refuses:
//! other zones (REFUSED), transfers (REFUSED), other operations (NOTIMP), what it cannot read (FORMERR). Never: recurses.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{DNSClass, LowerName, Name, RData, Record, RecordType};

use crate::stage::zone::Zone;

/// How a message came, which decides how long its answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram: 512 bytes, or what the asker offers by EDNS up to [`UDP_BYTES_MAX`].
    Udp,
    /// A stream: 65535 bytes.
    Tcp,
}

/// The longest datagram that is sent: it passes every ordinary path unfragmented.
pub const UDP_BYTES_MAX: u16 = 1232;
/// How many aliases are followed for one answer.
pub const ALIASES_MAX: usize = 8;
/// How long nobody may remember that a name does not exist (RFC 2308 §5): instances come and go.
pub const NEGATIVE_TTL_SECONDS: u32 = 1;

/// The answer to `request`, or `None` for what is no question at all (an answer, or fewer bytes than a header has).
#[must_use]
pub fn answer(zone: &Zone, request: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let Ok(query) = Message::from_vec(request) else { return malformed(request) };
    if query.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut reply = reply_to(&query);
    match question(&query) {
        Ok(question) => resolve(zone, question, &mut reply),
        Err(code) => reply.metadata.response_code = code,
    }
    let limit = match transport {
        Transport::Tcp => u16::MAX,
        Transport::Udp => query.edns.as_ref().map_or(512, |edns| edns.max_payload().clamp(512, UDP_BYTES_MAX)),
    };
    encode(reply, usize::from(limit))
}

/// A refusal of `request` with `code`, as SERVFAIL.
#[must_use]
pub fn failure(request: &[u8], code: ResponseCode) -> Option<Vec<u8>> {
    let Ok(query) = Message::from_vec(request) else { return malformed(request) };
    let mut reply = reply_to(&query);
    reply.metadata.response_code = code;
    encode(reply, 512)
}

/// What begins as an answer to `request` and is none.
#[must_use]
pub fn garbled(request: &[u8]) -> Option<Vec<u8>> {
    let (id, _) = request.split_at_checked(2)?;
    // It says that it is an answer with a question and 0xffff records, and the first name is longer than the message.
    Some([id, &[0x84, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 63, b'x']].concat())
}

/// `answer` under an id that nobody asked by.
#[must_use]
pub fn forged(mut answer: Vec<u8>) -> Vec<u8> {
    if let Some(first) = answer.first_mut() {
        *first ^= 0xa5;
    }
    answer
}

fn reply_to(query: &Message) -> Message {
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.add_queries(query.queries.iter().cloned());
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_BYTES_MAX);
        reply.set_edns(edns);
    }
    reply
}

/// The one question that is answered, or why it is not.
fn question(query: &Message) -> Result<&Query, ResponseCode> {
    if query.metadata.op_code != OpCode::Query {
        return Err(ResponseCode::NotImp);
    }
    if query.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return Err(ResponseCode::BADVERS);
    }
    let [question] = query.queries.as_slice() else { return Err(ResponseCode::FormErr) };
    let lawful = matches!(question.query_class(), DNSClass::IN | DNSClass::ANY)
        && !matches!(question.query_type(), RecordType::AXFR | RecordType::IXFR);
    if lawful { Ok(question) } else { Err(ResponseCode::Refused) }
}

fn resolve(zone: &Zone, question: &Query, reply: &mut Message) {
    // The owner of the answer is spelled as in the question: some resolvers mix the case and compare (0x20).
    let mut name = question.name().clone();
    if !zone.covers(&LowerName::from(&name)) {
        reply.metadata.response_code = ResponseCode::Refused;
        return;
    }
    reply.metadata.authoritative = true;
    for _ in 0..ALIASES_MAX {
        let Some(records) = zone.find(&LowerName::from(&name)) else {
            reply.metadata.response_code = ResponseCode::NXDomain;
            reply.add_authority(soa(zone));
            return;
        };
        if question.query_type() == RecordType::SOA && LowerName::from(&name) == LowerName::from(&zone.origin()) {
            reply.add_answer(soa(zone));
            return;
        }
        let matching = matching(records, question.query_type(), &name);
        if !matching.is_empty() {
            reply.add_additionals(targets(zone, &matching));
            reply.add_answers(matching);
            return;
        }
        let Some(alias) = matching_alias(records, &name) else {
            reply.add_authority(soa(zone));
            return;
        };
        let RData::CNAME(target) = &alias.data else { return };
        name = target.0.clone();
        reply.add_answer(alias);
        // Whoever asked follows an alias out of the zone himself.
        if !zone.covers(&LowerName::from(&name)) {
            return;
        }
    }
    reply.metadata.response_code = ResponseCode::ServFail;
}

fn matching(records: &[Record], kind: RecordType, owner: &Name) -> Vec<Record> {
    let wanted = records.iter().filter(|record| kind == RecordType::ANY || record.record_type() == kind);
    wanted.map(|record| owned(record, owner)).collect()
}

fn matching_alias(records: &[Record], owner: &Name) -> Option<Record> {
    records.iter().find(|record| record.record_type() == RecordType::CNAME).map(|record| owned(record, owner))
}

fn owned(record: &Record, owner: &Name) -> Record {
    Record::from_rdata(owner.clone(), record.ttl, record.data.clone())
}

/// The addresses of the targets of SRV records (RFC 2782), which spare the asker a question each.
fn targets(zone: &Zone, answers: &[Record]) -> Vec<Record> {
    let mut found: Vec<Record> = Vec::new();
    for record in answers {
        let RData::SRV(srv) = &record.data else { continue };
        let at_target = zone.find(&LowerName::from(&srv.target)).unwrap_or_default();
        for address in at_target.iter().filter(|record| record.data.ip_addr().is_some()) {
            if !found.contains(address) {
                found.push(address.clone());
            }
        }
    }
    found
}

fn soa(zone: &Zone) -> Record {
    let origin = zone.origin();
    // The origin itself is lawful where the longer names would not fit.
    let within = |label: &str| origin.prepend_label(label).unwrap_or_else(|_| origin.clone());
    let data = SOA::new(within("ns"), within("hostmaster"), 1, 3600, 600, 86_400, NEGATIVE_TTL_SECONDS);
    Record::from_rdata(origin.clone(), NEGATIVE_TTL_SECONDS, RData::SOA(data))
}

/// Additional records go first, silently (RFC 2181 §9); when the answer itself does not fit, TC sends the asker to TCP.
fn encode(mut reply: Message, bytes_max: usize) -> Option<Vec<u8>> {
    let fits = |reply: &Message| reply.to_vec().ok().filter(|bytes| bytes.len() <= bytes_max);
    if let Some(bytes) = fits(&reply) {
        return Some(bytes);
    }
    reply.additionals.clear();
    fits(&reply).or_else(|| reply.truncate().to_vec().ok())
}

/// FORMERR to what has at least a header (12 bytes) and is not itself an answer.
fn malformed(request: &[u8]) -> Option<Vec<u8>> {
    let [high, low, flags, _, ..] = *request else { return None };
    if request.len() < 12 || flags & 0x80 != 0 {
        return None;
    }
    let code = OpCode::from_u8((flags >> 3) & 0x0f);
    Message::error_msg(u16::from_be_bytes([high, low]), code, ResponseCode::FormErr).to_vec().ok()
}
