//! A reply as bytes.
//!
//! In: a question, a reply, and the way that the answer goes. Out: the messages to send, or that the connection is closed.

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::rdata::NS;
use hickory_proto::rr::{RData, Record};

use crate::records::{authority, name};
use crate::reply::Reply;

/// The longest datagram of an asker that offers nothing (RFC 1035 §2.3.4).
const UDP_BYTES: u16 = 512;

/// What is done.
pub(crate) struct Spoken {
    /// These messages are sent, in this order.
    pub(crate) messages: Vec<Vec<u8>>,
    /// The message is marked as cut.
    pub(crate) cut: bool,
    /// The connection is closed.
    pub(crate) closed: bool,
}

/// Says it to the question, by a message that is `question` and holds `query`.
pub(crate) fn speak(question: &Message, query: &Query, reply: &Reply, tcp: bool) -> Spoken {
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    if question.edns.is_some() {
        answer.set_edns(Edns::new());
    }
    let mut said = Spoken { messages: Vec::new(), cut: false, closed: false };
    match reply {
        Reply::Answer { answers, additional } => {
            answer.add_answers(answers.iter().cloned());
            answer.add_additionals(additional.iter().cloned());
        }
        Reply::Empty => drop(answer.add_authority(authority(query.name()))),
        Reply::EmptyWithoutSoa => {}
        Reply::Code(code) => {
            answer.metadata.response_code = *code;
            if *code == ResponseCode::NXDomain {
                answer.add_authority(authority(query.name()));
            }
        }
        Reply::Referral => {
            let elsewhere = RData::NS(NS(name("ns.elsewhere.")));
            answer.add_authority(Record::from_rdata(query.name().clone(), 60, elsewhere));
        }
        Reply::Silence => return said,
        Reply::Held(_, inner) => return speak(question, query, inner, tcp),
        Reply::Truncated(records) if tcp => drop(answer.add_answers(records.iter().cloned())),
        Reply::TruncatedThenClosed if tcp => {
            said.closed = true;
            return said;
        }
        Reply::TruncatedTwice(records) if tcp => {
            answer.add_answers(records.iter().cloned());
            answer.metadata.truncation = true;
        }
        Reply::TruncatedThenWrongNo(code) if tcp => {
            answer.queries = vec![Query::query(name("another.question."), query.query_type())];
            answer.metadata.response_code = *code;
            answer.add_authority(authority(query.name()));
        }
        Reply::TruncatedThenWrongNo(_) | Reply::Truncated(_) | Reply::TruncatedThenClosed | Reply::TruncatedTwice(_) => {
            answer.metadata.truncation = true
        }
        Reply::Garbage => {
            let mut bytes = question.metadata.id.to_be_bytes().to_vec();
            bytes.extend_from_slice(&[0xff; 40]);
            said.messages.push(bytes);
            return said;
        }
        Reply::Echo => {
            answer = question.clone();
            answer.metadata.message_type = MessageType::Query;
        }
        Reply::ForgedId(records) => forge(&mut answer, records),
        Reply::ForgedFirst(records, inner) => {
            forge(&mut answer, records);
            let inner = speak(question, query, inner, tcp);
            said.messages.push(bytes(&answer));
            said.messages.extend(inner.messages);
            return Spoken { messages: said.messages, ..inner };
        }
        Reply::WrongQuestion(records) => {
            answer.queries = vec![Query::query(name("another.question."), query.query_type())];
            answer.add_answers(records.iter().cloned());
        }
    }
    let takes = question.edns.as_ref().map_or(UDP_BYTES, |edns| edns.max_payload().max(UDP_BYTES));
    let mut sent = bytes(&answer);
    if !tcp && sent.len() > usize::from(takes) {
        answer.metadata.truncation = true;
        sent = bytes(&answer.truncate());
    }
    said.cut = answer.metadata.truncation;
    said.messages.push(sent);
    said
}

fn forge(answer: &mut Message, records: &[Record]) {
    answer.metadata.id = answer.metadata.id.wrapping_add(1);
    answer.add_answers(records.iter().cloned());
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap_or_else(|fault| panic!("the answer cannot be written: {fault}"))
}
