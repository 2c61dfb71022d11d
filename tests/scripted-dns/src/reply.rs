//! What is said to a question, and what to the next one.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Record;
use tokio::sync::watch;

/// What is said to one question.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These records. Over UDP they are cut off, and told to be, where they need more bytes than the asker takes: 512, or what it offers by EDNS.
    Answer {
        /// The answer itself.
        answers: Vec<Record>,
        /// What comes along.
        additional: Vec<Record>,
    },
    /// NOERROR without records: the name exists, without any of this type.
    Empty,
    /// As [`Reply::Empty`], without the SOA record that belongs there (RFC 2308).
    EmptyWithoutSoa,
    /// Nothing but a code: NXDOMAIN (with its SOA record), SERVFAIL, REFUSED…
    Code(ResponseCode),
    /// NOERROR with other name servers in place of an answer.
    Referral,
    /// Nothing at all.
    Silence,
    /// What stands in the box, as soon as the gate is open.
    Held(Gate, Box<Reply>),
    /// Over UDP only that the answer is cut, however short it is; the records over TCP.
    Truncated(Vec<Record>),
    /// As [`Reply::Truncated`] over UDP; over TCP the connection is closed in place of an answer.
    TruncatedThenClosed,
    /// As [`Reply::Truncated`] over UDP; over TCP it is cut off too.
    TruncatedTwice(Vec<Record>),
    /// As [`Reply::Truncated`] over UDP; over TCP this code, with its SOA record, as the answer to another question.
    TruncatedThenWrongNo(ResponseCode),
    /// The question's id, and then bytes that are no message.
    Garbage,
    /// The question itself, sent back as it came: no answer by its header.
    Echo,
    /// The records under another id, and nothing more.
    ForgedId(Vec<Record>),
    /// The records under another id, and then what stands in the box.
    ForgedFirst(Vec<Record>, Box<Reply>),
    /// The records as the answer to another question under the right id, and nothing more.
    WrongQuestion(Vec<Record>),
}

impl Reply {
    /// These records and nothing beside them.
    #[must_use]
    pub fn records(answers: Vec<Record>) -> Self {
        Self::Answer { answers, additional: Vec::new() }
    }

    /// NXDOMAIN.
    #[must_use]
    pub fn no_such_name() -> Self {
        Self::Code(ResponseCode::NXDomain)
    }

    /// SERVFAIL.
    #[must_use]
    pub fn server_failure() -> Self {
        Self::Code(ResponseCode::ServFail)
    }

    /// REFUSED.
    #[must_use]
    pub fn refused() -> Self {
        Self::Code(ResponseCode::Refused)
    }

    /// This reply when the gate is open.
    #[must_use]
    pub fn held(self, gate: &Gate) -> Self {
        Self::Held(gate.clone(), Box::new(self))
    }
}

/// Holds replies back until it is opened, and never again after that.
#[derive(Clone, Debug)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// A gate that is shut.
    #[must_use]
    pub fn shut() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets everything pass from now on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(crate) async fn opened(&self) {
        // The sender lives in `self`, so that there is no end before it is open.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// What is said to one question after the other. A question that is repeated because its datagram may be lost is the same question.
#[derive(Clone, Debug)]
pub struct Script {
    pub(crate) replies: Vec<Reply>,
    pub(crate) again: bool,
}

impl Script {
    /// Each once, the last one for ever.
    #[must_use]
    pub fn sequence(replies: Vec<Reply>) -> Self {
        Self { replies, again: false }
    }

    /// One after the other, and from the beginning again: answers that flap.
    #[must_use]
    pub fn cycle(replies: Vec<Reply>) -> Self {
        Self { replies, again: true }
    }

    pub(crate) fn at(&self, turn: usize) -> Option<&Reply> {
        let last = self.replies.len().checked_sub(1)?;
        self.replies.get(if self.again { turn % self.replies.len() } else { turn.min(last) })
    }
}

impl From<Reply> for Script {
    fn from(reply: Reply) -> Self {
        Self::sequence(vec![reply])
    }
}
