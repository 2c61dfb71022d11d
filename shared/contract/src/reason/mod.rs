//! Why a request was refused: the closed list of both tiers, with the answer that each reason gets.
//!
//! The same code stands in the problem document, the record, the metric and the trail. A reason says what the client may do next;
//! it never tells internals. To add one, add a line to the table: the enum, the list and the exhaustive match grow with it.

use http::StatusCode;

/// Whose fault a refusal is, which decides whom an alert wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The request itself.
    Client,
    /// This gateway: its limits, its state, its configuration.
    Gateway,
    /// What stands behind it.
    Upstream,
}

impl Blame {
    /// The form in records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Upstream => "upstream",
        }
    }
}

/// Everything that is known of one reason.
struct Facts {
    code: &'static str,
    status: u16,
    blame: Blame,
    title: &'static str,
    detail: &'static str,
}

macro_rules! reasons {
    ($($name:ident $code:literal $status:literal $blame:ident $title:literal $detail:literal;)+) => {
        /// Why a request was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $(#[doc = $title] $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            fn facts(self) -> Facts {
                match self {
                    $(Self::$name => Facts { code: $code, status: $status, blame: Blame::$blame, title: $title, detail: $detail },)+
                }
            }

            /// Reads a code back, as a trail or an operator wrote it.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)+
                    _ => None,
                }
            }
        }
    };
}

reasons! {
    // What was sent cannot be read in one way only.
    TargetNotCanonical "target-not-canonical" 400 Client "The request target is not in canonical form."
        "Send the path without dot segments, empty segments, backslashes, parameters, encoded slashes or other escapes of reserved characters.";
    HostMissing "host-missing" 400 Client "The request names no host."
        "Send exactly one Host header.";
    HostMalformed "host-malformed" 400 Client "The Host header cannot be read."
        "Send a Host header of the form name or name:port.";
    HostMismatch "host-mismatch" 400 Client "The Host header and the request target name different hosts."
        "Send the same host in both places.";
    FramingInvalid "framing-invalid" 400 Client "The framing of the request is invalid or ambiguous."
        "Send a request that conforms to RFC 9112 or RFC 9113 on a new connection.";
    CredentialsConflicting "credentials-conflicting" 400 Client "The request carries more than one credential."
        "Send exactly one credential.";
    SplitView "split-view" 400 Gateway "The two tiers of the gateway read the request differently."
        "Send the request in its plainest form; the operator has been told.";
    PipelineTooDeep "pipeline-too-deep" 400 Client "Too many requests were sent ahead of their answers."
        "Wait for answers before sending further requests on one connection.";

    // Who is asking was not proved.
    NoCredentials "no-credentials" 401 Client "The request carries no credential."
        "Obtain an access token and send it as a bearer token.";
    CredentialMalformed "credential-malformed" 401 Client "The credential cannot be read."
        "Send the access token exactly as it was issued, after the word Bearer.";
    TokenExpired "token-expired" 401 Client "The access token has expired."
        "Obtain a new access token.";
    TokenNotYetValid "token-not-yet-valid" 401 Client "The access token is not valid yet."
        "Check the clock of the token's issuer, or try again later.";
    TokenSignatureInvalid "token-signature-invalid" 401 Client "The signature of the access token is wrong."
        "Obtain a new access token and send it unchanged.";
    TokenIssuerUnknown "token-issuer-unknown" 401 Client "The access token comes from an issuer that is not accepted here."
        "Obtain an access token from an issuer that is accepted here.";
    TokenAudienceWrong "token-audience-wrong" 401 Client "The access token is meant for somebody else."
        "Obtain an access token for this audience.";
    TokenAlgorithmRefused "token-algorithm-refused" 401 Client "The access token is signed in a way that is not accepted here."
        "Obtain an access token signed with an accepted algorithm.";
    TokenKeyUnknown "token-key-unknown" 401 Client "The key that signed the access token is not known."
        "Obtain a new access token.";
    TokenClaimsInvalid "token-claims-invalid" 401 Client "The access token lacks a needed claim, or one has the wrong form."
        "Obtain an access token with a subject and an expiry.";
    TokenTooLarge "token-too-large" 401 Client "The access token is too large."
        "Obtain an access token with fewer claims.";
    AuthenticationRequired "authentication-required" 401 Client "This resource is not open to anonymous callers."
        "Obtain an access token and send it as a bearer token.";

    // Who is asking may not do this, or came by a way that is not believed.
    NoRule "no-rule" 403 Client "No rule admits this request."
        "Check the path; ask the operator to admit it.";
    NotPermitted "not-permitted" 403 Client "The caller may not do this."
        "Ask the owner of the resource for the permission that is needed.";
    AssertionMissing "assertion-missing" 403 Client "The request did not come through the entrance."
        "Send the request to the public entrance.";
    AssertionMalformed "assertion-malformed" 403 Gateway "The identity assertion cannot be read."
        "Try again later; the operator has been told.";
    AssertionAlgorithm "assertion-algorithm" 403 Gateway "The identity assertion is signed in a way that is not accepted."
        "Try again later; the operator has been told.";
    AssertionKeyUnknown "assertion-key-unknown" 403 Gateway "The identity assertion is signed with an unknown key."
        "Try again later; the operator has been told.";
    AssertionSignature "assertion-signature" 403 Gateway "The signature of the identity assertion is wrong."
        "Try again later; the operator has been told.";
    AssertionIssuer "assertion-issuer" 403 Gateway "The identity assertion comes from somebody who is not believed."
        "Try again later; the operator has been told.";
    AssertionAudience "assertion-audience" 403 Gateway "The identity assertion is meant for somebody else."
        "Try again later; the operator has been told.";
    AssertionExpired "assertion-expired" 403 Gateway "The identity assertion has expired."
        "Send the request again.";
    AssertionNotYet "assertion-not-yet" 403 Gateway "The identity assertion is not valid yet."
        "Send the request again.";
    AssertionTreaty "assertion-treaty" 403 Gateway "The two tiers speak different versions of their treaty."
        "Try again later; the operator has been told.";
    PeerCertificateMissing "peer-certificate-missing" 403 Client "The peer showed no certificate."
        "Connect with a client certificate.";
    PeerNotAllowed "peer-not-allowed" 403 Client "The peer is not on the list of those who may connect."
        "Connect with a certificate or a user that is allowed.";

    // There is no such thing.
    NoRoute "no-route" 404 Client "Nothing is served here."
        "Check the host and the path.";
    MethodNotAllowed "method-not-allowed" 405 Client "The resource does not take this method."
        "Use one of the methods in the Allow header.";

    // The request is too slow, too large, or at the wrong place.
    HeadTimeout "head-timeout" 408 Client "The head of the request did not arrive in time."
        "Send the request again on a new connection.";
    BodyTimeout "body-timeout" 408 Client "The body of the request did not arrive in time."
        "Send the request again on a new connection.";
    BodyTooLarge "body-too-large" 413 Client "The body of the request is too large."
        "Send a smaller body.";
    TargetTooLong "target-too-long" 414 Client "The request target is too long."
        "Send a shorter target.";
    Misdirected "misdirected" 421 Client "This connection does not serve that host."
        "Send the request again on a new connection made for that host.";
    HeadTooLarge "head-too-large" 431 Client "The head of the request is too large."
        "Send fewer or smaller headers.";
    ClientClosed "client-closed" 499 Client "The client went away before the answer."
        "Wait for the answer.";

    // The gateway itself.
    InternalError "internal-error" 500 Gateway "The gateway failed."
        "Try again later; quote the request id to the operator.";
    MethodNotSupported "method-not-supported" 501 Client "The gateway does not forward this method."
        "Use another method.";
    VersionNotSupported "version-not-supported" 505 Client "The gateway does not speak this version of HTTP."
        "Use HTTP/1.1 or HTTP/2.";

    // What stands behind it gave no usable answer.
    UpstreamReset "upstream-reset" 502 Upstream "The service broke off before it answered."
        "The request may have been carried out; check before sending it again.";
    UpstreamConnectFailed "upstream-connect-failed" 502 Upstream "The service could not be reached."
        "Send the request again.";
    UpstreamProtocol "upstream-protocol" 502 Upstream "The service gave an answer that cannot be read."
        "The request may have been carried out; check before sending it again.";
    LinkReset "link-reset" 502 Gateway "The inner gateway broke off before it answered."
        "The request may have been carried out; check before sending it again.";
    LinkProtocol "link-protocol" 502 Gateway "The inner gateway gave an answer that cannot be read."
        "The request may have been carried out; check before sending it again.";

    // Not now.
    KeysUnavailable "keys-unavailable" 503 Gateway "The keys of the token's issuer are not available."
        "Send the request again shortly.";
    Overloaded "overloaded" 503 Gateway "The gateway is at its limit."
        "Send the request again shortly.";
    Draining "draining" 503 Gateway "The gateway is shutting down."
        "Send the request again on a new connection.";
    ReplicaDraining "replica-draining" 503 Gateway "This replica of the inner gateway is shutting down."
        "Send the request again.";
    NoInstances "no-instances" 503 Upstream "The service has no instance that could answer."
        "Try again later.";
    AllEjected "all-ejected" 503 Upstream "Every instance of the service is set aside because it failed."
        "Try again later.";
    BreakerOpen "breaker-open" 503 Upstream "The service fails, and is not asked for a moment."
        "Send the request again after the time that Retry-After tells.";
    QueueFull "queue-full" 503 Upstream "The service is at its limit, and too many requests wait for it."
        "Send the request again shortly.";
    QueueTimeout "queue-timeout" 503 Upstream "The service is at its limit, and the request has waited too long for it."
        "Send the request again shortly.";
    UpstreamOverloaded "upstream-overloaded" 503 Upstream "The service is at its limit."
        "Send the request again shortly.";
    LinkUnavailable "link-unavailable" 503 Gateway "The inner gateway cannot be reached."
        "Try again later.";
    LinkNoReplicas "link-no-replicas" 503 Gateway "No replica of the inner gateway is known that could answer."
        "Try again later.";
    LinkAllEjected "link-all-ejected" 503 Gateway "Every replica of the inner gateway is set aside because it failed."
        "Try again later.";
    LinkBreakerOpen "link-breaker-open" 503 Gateway "The inner gateway fails, and is not asked for a moment."
        "Send the request again after the time that Retry-After tells.";
    LinkQueueFull "link-queue-full" 503 Gateway "The inner gateway is at its limit, and too many requests wait for it."
        "Send the request again shortly.";
    LinkQueueTimeout "link-queue-timeout" 503 Gateway "The inner gateway is at its limit, and the request has waited too long for it."
        "Send the request again shortly.";

    // Too late.
    UpstreamTimeout "upstream-timeout" 504 Upstream "The service did not answer in time."
        "The request may have been carried out; check before sending it again.";
    LinkTimeout "link-timeout" 504 Gateway "The inner gateway did not answer in time."
        "The request may have been carried out; check before sending it again.";
    DeadlineExceeded "deadline-exceeded" 504 Gateway "The time for this request ran out."
        "The request may have been carried out; check before sending it again.";
}

impl Reason {
    /// The stable code: the name in kebab case.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.facts().code
    }

    /// The status that the client gets.
    #[must_use]
    pub fn status(self) -> StatusCode {
        // Every row's number is lawful (a test walks the table), so the fallback is never taken.
        StatusCode::from_u16(self.facts().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// One sentence on what is wrong.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.facts().title
    }

    /// One sentence on what the client may do next.
    #[must_use]
    pub fn detail(self) -> &'static str {
        self.facts().detail
    }

    /// Whether a client that comes again in a second may be served: its answer bears `Retry-After`.
    #[must_use]
    pub fn passes_soon(self) -> bool {
        matches!(
            self,
            Self::Overloaded
                | Self::KeysUnavailable
                | Self::Draining
                | Self::ReplicaDraining
                | Self::UpstreamOverloaded
                | Self::AllEjected
                | Self::BreakerOpen
                | Self::QueueFull
                | Self::QueueTimeout
                | Self::LinkAllEjected
                | Self::LinkBreakerOpen
                | Self::LinkQueueFull
                | Self::LinkQueueTimeout
        )
    }

    /// Whose fault it is.
    #[must_use]
    pub fn blame(self) -> Blame {
        self.facts().blame
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests;
