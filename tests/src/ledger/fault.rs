//! What can be wrong in the books, and a single case of it with all that is known.

use std::time::Duration;

use crate::ledger::entries::Kind;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// No answer after the first byte.
    Lost,
    /// A whole answer that is no 2xx.
    Refused,
    /// An answer, or a WebSocket, that ended after its head.
    Cut,
    /// The server said that it did not process it.
    Unprocessed,
    /// A message that was on its way when its WebSocket was closed with 1001.
    Farewell,
    /// Its outcome was known after its deadline.
    Late,
    /// The answer to another request.
    Foreign,
    /// Not idempotent, and executed more than once.
    Twice,
    /// Answered, and executed by nobody.
    Unexecuted,
    /// Said to be unprocessed, and executed.
    Haunting,
    /// No access record, although a replica of tier 1 has read its head.
    RecordMissing,
    /// The same, but the replica was killed within the flush window: the price that is stated.
    RecordUnflushed,
    /// More than one access record.
    RecordDouble,
    /// The access record tells another status or id than the client was told.
    RecordWrong,
    /// An access record of no request, or one that cannot be read.
    RecordOfNothing,
    /// Executed, and sent by nobody.
    ExecutedOfNothing,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 16] = [
        Self::Lost,
        Self::Refused,
        Self::Cut,
        Self::Unprocessed,
        Self::Farewell,
        Self::Late,
        Self::Foreign,
        Self::Twice,
        Self::Unexecuted,
        Self::Haunting,
        Self::RecordMissing,
        Self::RecordUnflushed,
        Self::RecordDouble,
        Self::RecordWrong,
        Self::RecordOfNothing,
        Self::ExecutedOfNothing,
    ];

    /// What it is called in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Refused => "refused",
            Self::Cut => "cut after its head",
            Self::Unprocessed => "said to be unprocessed",
            Self::Farewell => "ended by 1001",
            Self::Late => "after its deadline",
            Self::Foreign => "another's answer",
            Self::Twice => "executed twice",
            Self::Unexecuted => "answered, not executed",
            Self::Haunting => "unprocessed, executed",
            Self::RecordMissing => "record missing",
            Self::RecordUnflushed => "record not yet flushed",
            Self::RecordDouble => "record double",
            Self::RecordWrong => "record wrong",
            Self::RecordOfNothing => "record of nothing",
            Self::ExecutedOfNothing => "execution of nothing",
        }
    }
}

/// One case.
#[derive(Clone, Debug)]
pub struct Deviation {
    /// What is wrong.
    pub fault: Fault,
    /// With which number.
    pub number: String,
    /// Of which kind; `None` for what nobody sent.
    pub kind: Option<Kind>,
    /// The replica of tier 1, where it is known.
    pub replica: Option<usize>,
    /// When it began and ended, where it was sent.
    pub time: Option<(Duration, Duration)>,
    /// It was under way in a replica of tier 1 while that was killed.
    pub in_killed: bool,
    /// The id of the request, where any book has it.
    pub request_id: Option<String>,
    /// All that the books say, in several lines.
    pub story: String,
}

impl Deviation {
    /// Whether it may be repeated by who carries it.
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.kind.is_some_and(Kind::is_idempotent)
    }
}
