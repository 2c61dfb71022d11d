//! Why a name gave no answer.

use hickory_proto::op::ResponseCode;
use hickory_resolver::net::{DnsError, NetError};

/// Why a name gave no answer. The first three are answers in themselves; the others say nothing about the name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// NXDOMAIN: the name does not exist.
    #[error("the name does not exist")]
    NoSuchName,
    /// The name exists without records of the kind asked for.
    #[error("the name has no records of this kind")]
    NoRecords,
    /// The text is not a name.
    #[error("the text is not a host name")]
    NotAName,
    /// The server answered with an error of its own: SERVFAIL, NOTIMP, FORMERR…
    #[error("the name server answered {0}")]
    ServerFailure(String),
    /// REFUSED: the server answers nobody here, or not about this name.
    #[error("the name server refuses to answer for this name")]
    Refused,
    /// The server named other servers instead of an answer: it knows nothing and does not ask on.
    #[error("the name server refers to others and does not ask them itself")]
    Referral,
    /// The aliases of the name lead in a circle, or through too many names.
    #[error("the aliases of the name lead in a circle, or through more than {aliases} names", aliases = super::ALIASES_MAX)]
    AliasLoop,
    /// No answer came in time.
    #[error("no name server answered in time")]
    Timeout,
    /// What came was not an answer that can be believed.
    #[error("the answer of the name server is malformed")]
    Malformed,
    /// No server could be reached.
    #[error("no name server could be reached: {0}")]
    Unreachable(String),
    /// There is no server to ask.
    #[error("no name server is configured")]
    NoServers,
}

impl NameFault {
    /// The stable word for logs, metrics and the admin API.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchName => "no-such-name",
            Self::NoRecords => "no-records",
            Self::NotAName => "not-a-name",
            Self::ServerFailure(_) => "server-failure",
            Self::Refused => "refused",
            Self::Referral => "referral",
            Self::AliasLoop => "alias-loop",
            Self::Timeout => "timeout",
            Self::Malformed => "malformed",
            Self::Unreachable(_) => "unreachable",
            Self::NoServers => "no-servers",
        }
    }

    /// Whether a server said for certain that there is nothing. Otherwise what was known before is still the best that is known.
    #[must_use]
    pub fn is_definite(&self) -> bool {
        matches!(self, Self::NoSuchName | Self::NoRecords | Self::NotAName)
    }

    pub(crate) fn of(error: &NetError) -> Self {
        match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
                ResponseCode::NXDomain => Self::NoSuchName,
                // A referral is not a "no": this server does not know, and did not ask on.
                ResponseCode::NoError if none.soa.is_none() && none.ns.is_some() => Self::Referral,
                ResponseCode::NoError => Self::NoRecords,
                ResponseCode::Refused => Self::Refused,
                other => Self::ServerFailure(other.to_string()),
            },
            NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => Self::Refused,
            NetError::Dns(DnsError::ResponseCode(code)) => Self::ServerFailure(code.to_string()),
            NetError::Timeout => Self::Timeout,
            NetError::Io(error) => Self::Unreachable(error.kind().to_string()),
            NetError::NoConnections | NetError::Busy => Self::Unreachable(error.to_string()),
            _ => Self::Malformed,
        }
    }

    /// Of two faults that both leave us without an answer, the one that says more; a certain no counts only where both are one.
    pub(crate) fn or(self, other: Self) -> Self {
        let rank = |fault: &Self| match fault {
            Self::NotAName => 0,
            Self::ServerFailure(_) => 1,
            Self::Refused => 2,
            Self::Referral => 3,
            Self::AliasLoop => 4,
            Self::Malformed => 5,
            Self::Unreachable(_) => 6,
            Self::Timeout => 7,
            Self::NoServers => 8,
            Self::NoSuchName => 9,
            Self::NoRecords => 10,
        };
        if rank(&other) < rank(&self) { other } else { self }
    }
}
