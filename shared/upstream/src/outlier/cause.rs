//! Why an instance is left alone.

/// Why an instance is left alone. The order is that of [`Cause::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No connection to it can be made.
    ConnectFailed,
    /// It resets connections, does not answer in time, or answers what is no HTTP.
    Failures,
    /// It answers 502, 503 or 504.
    GatewayErrors,
    /// It is much slower than the others.
    Latency,
}

impl Cause {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::ConnectFailed, Self::Failures, Self::GatewayErrors, Self::Latency];

    /// The word for it in metrics, logs and `/services`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ConnectFailed => "connect_failed",
            Self::Failures => "failures",
            Self::GatewayErrors => "gateway_errors",
            Self::Latency => "latency",
        }
    }

    pub(crate) fn from_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Failures)
    }
}
