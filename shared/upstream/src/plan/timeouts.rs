//! How long things may take.

use std::time::Duration;

/// The limits of one exchange with an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutsPlan {
    /// How long a connection may take to be made, TLS included.
    pub connect: Duration,
    /// How long an instance may take to begin its answer, counted from the last byte of the request that it took.
    pub first_byte: Option<Duration>,
    /// How long one attempt may take until its answer begins, making a connection included.
    pub per_try: Option<Duration>,
    /// How long the whole exchange may take, the answer's body included; of that it is noticed when the client asks for more.
    pub total: Option<Duration>,
    /// How long a client may be silent in the middle of its request's body.
    pub upload_idle: Duration,
    /// How long an instance may be silent in the middle of its answer.
    pub idle: Duration,
}
