//! Answers of a status alone: hyper gives them by itself, and hands nobody the request.
//!
//! In: the frames that are written to the client, and the resets that it sends. Out: the fault that stands behind such an answer: 431, for a head
//! beyond hyper's ceiling, is the only one. Never: a fault for trailers, which can look the same once both sides know the status by an index.
//!
//! Ours and those of instances all have a date and a request id. So an answer of a status alone is hyper's where the status is spelled out; where it
//! is one index, it is trailers or hyper's, and what tells is whether its stream has had an answer before. That has to be known only on a
//! connection on which somebody has answered 431 with more than a status: no other 431 gets into the table, for hyper's first one is the end.

use crate::guard::fault::GuardFault;
use crate::guard::frames::Frame;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;

const END_STREAM: u8 = 0x1;

/// How an answer begins in HPACK, index 8 being `:status` (RFC 7541 §6.2): a literal that is kept, as it stands there the first time on a
/// connection, or that is not, where the client keeps nothing.
const LITERAL_STATUS: [u8; 3] = [KEPT, 0x08, 0x18];
const KEPT: u8 = 0x48;
/// 431 as h2 spells it, with its length: in Huffman's code (RFC 7541, appendix B).
const TOO_LARGE: [u8; 4] = [0x83, 0x69, 0x90, 0xff];

/// The first index of the table that is made on the way (RFC 7541 §2.3.3); no status before it is 431.
const DYNAMIC: u8 = 0x80 | 62;
/// An index of an octet, and the first of a longer one (RFC 7541 §6.1).
const INDEX_LONG: u8 = 0xff;

/// Answers under way that are known at once on a connection with a 431 in its table. Streams end by themselves far earlier; should there be more, the
/// oldest is forgotten.
const BEGUN_MAX: usize = 1024;

/// What is known of the answers of one connection.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The client can be told 431 by an index; streams up to this one were begun before.
    indexed_since: Option<u32>,
    /// Later streams that have an answer which has not ended.
    begun: Vec<u32>,
}

impl Answers {
    /// One frame of ours, with the lead of its payload; `stream_max` is the last stream that the client has begun.
    pub(crate) fn sent(&mut self, frame: Frame, lead: &[u8], stream_max: u32) -> Option<GuardFault> {
        let ends = frame.flags & END_STREAM != 0;
        match frame.kind {
            HEADERS => {
                let is_whole = usize::try_from(frame.length).is_ok_and(|length| length == lead.len());
                let block = behind_table_sizes(lead);
                if ends && is_whole && is_status_alone(block) {
                    return Some(GuardFault::HeadTooLarge);
                }
                let Some(since) = self.indexed_since else {
                    self.indexed_since =
                        block.strip_prefix(&[KEPT]).is_some_and(|value| value.starts_with(&TOO_LARGE)).then_some(stream_max);
                    return None;
                };
                if frame.stream <= since {
                    return None;
                }
                let was_begun = if ends { self.end(frame.stream) } else { self.begin(frame.stream) };
                (ends && !was_begun && is_whole && is_index_alone(block)).then_some(GuardFault::HeadTooLarge)
            }
            DATA if ends => {
                self.end(frame.stream);
                None
            }
            RST_STREAM => {
                self.end(frame.stream);
                None
            }
            _ => None,
        }
    }

    /// The client has reset a stream: nothing more is said on it.
    pub(crate) fn reset(&mut self, stream: u32) {
        self.end(stream);
    }

    /// Whether it was begun before.
    fn begin(&mut self, stream: u32) -> bool {
        if self.begun.contains(&stream) {
            return true;
        }
        if self.begun.len() == BEGUN_MAX {
            self.begun.remove(0);
        }
        self.begun.push(stream);
        false
    }

    /// Whether it was begun.
    fn end(&mut self, stream: u32) -> bool {
        let place = self.begun.iter().position(|&begun| begun == stream);
        place.map(|place| self.begun.remove(place)).is_some()
    }
}

/// What stands behind changes of the table's size (RFC 7541 §6.3).
fn behind_table_sizes(mut block: &[u8]) -> &[u8] {
    while let [first @ 0x20..=0x3f, rest @ ..] = block {
        block = rest;
        if *first == 0x3f {
            let more = block.iter().take_while(|&&octet| octet & 0x80 != 0).count();
            block = block.get(more + 1..).unwrap_or_default();
        }
    }
    block
}

fn is_status_alone(block: &[u8]) -> bool {
    matches!(block, [how, length, value @ ..] if LITERAL_STATUS.contains(how) && usize::from(length & 0x7f) == value.len())
}

fn is_index_alone(block: &[u8]) -> bool {
    matches!(block, [index] if (DYNAMIC..INDEX_LONG).contains(index)) || matches!(block, [INDEX_LONG, 0..0x80])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::verdict::LEAD;

    fn sent(answers: &mut Answers, stream: u32, flags: u8, block: &[u8]) -> Option<GuardFault> {
        let length = u32::try_from(block.len()).unwrap();
        answers.sent(Frame { length, kind: HEADERS, flags: flags | 4, stream }, &block[..block.len().min(LEAD)], 9)
    }

    /// A 431 of ours, with what else stands in it.
    fn ours() -> Vec<u8> {
        [&[KEPT][..], &TOO_LARGE, &[0x61; 60]].concat()
    }

    const FAULT: Option<GuardFault> = Some(GuardFault::HeadTooLarge);

    #[test]
    fn an_answer_of_a_status_alone_is_none_of_ours() {
        let bare = [&[KEPT][..], &TOO_LARGE].concat();
        let mut answers = Answers::default();
        assert_eq!(sent(&mut answers, 1, END_STREAM, &bare), FAULT);
        for sizes in [&[0x20][..], &[0x20, 0x3f, 0xe1, 0x1f], &[0x3f, 0xe1, 0x1f, 0x3e]] {
            assert_eq!(sent(&mut answers, 1, END_STREAM, &[sizes, &[0x08], &TOO_LARGE].concat()), FAULT, "{sizes:x?}");
        }
        assert_eq!(sent(&mut answers, 1, END_STREAM, &[0xbe]), None, "trailers that both sides know already");
        assert_eq!(sent(&mut answers, 1, END_STREAM, &[&bare[..], b"x-request-id"].concat()), None);
        assert_eq!(sent(&mut Answers::default(), 1, 0, &bare), None, "a body follows");
    }

    #[test]
    fn behind_a_431_of_ours_hypers_own_is_one_index() {
        let mut answers = Answers::default();
        assert_eq!(sent(&mut answers, 9, 0, &[&[0x20, 0x3f, 0xe1, 0x1f][..], &ours()].concat()), None);
        assert_eq!(sent(&mut answers, 7, END_STREAM, &[0xbe]), None, "its answer may have begun before");
        for block in [&[0xbe][..], &[0xc1], &[0xff, 0x05], &[0x3e, 0xbe]] {
            assert_eq!(sent(&mut answers, 11, END_STREAM, block), FAULT, "{block:x?}");
        }
        assert_eq!(sent(&mut answers, 11, END_STREAM, &[0x88]), None, "no index of 431");
        assert_eq!(sent(&mut answers, 11, END_STREAM, &[0xbe, 0xbf, 0xc0]), None, "more than a status");
    }

    #[test]
    fn trailers_stay_trailers() {
        let mut answers = Answers::default();
        assert_eq!(sent(&mut answers, 9, 0, &ours()), None);
        assert_eq!((sent(&mut answers, 11, 0, &[0x88]), sent(&mut answers, 11, END_STREAM, &[0xbe])), (None, None));
        assert_eq!(sent(&mut answers, 11, END_STREAM, &[0xbe]), FAULT, "it had ended");
        let data = Frame { length: 0, kind: DATA, flags: END_STREAM, stream: 13 };
        assert_eq!((sent(&mut answers, 13, 0, &[0x88]), answers.sent(data, &[], 13)), (None, None));
        assert_eq!(sent(&mut answers, 15, 0, &[0x88]), None);
        answers.reset(15);
        assert_eq!(answers.begun, Vec::<u32>::new());
    }

    #[test]
    fn what_is_kept_has_a_ceiling() {
        let mut answers = Answers::default();
        sent(&mut answers, 9, 0, &ours());
        for stream in 0..5000 {
            sent(&mut answers, 11 + 2 * stream, 0, &[0x88]);
        }
        assert_eq!(answers.begun.len(), BEGUN_MAX);
    }
}
