//! Why the guard stops a connection: a closed list, each fault with a stable code and the reason that a client is told.

use contract::reason::Reason;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $code:literal => $reason:ident,)+) => {
        /// What was wrong with the bytes of a connection, or with their pace.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum GuardFault {
            $($(#[$doc])* $name,)+
        }

        impl GuardFault {
            /// Every fault, in the order of the enum.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable kebab-case name for connection records and metrics.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// The reason that a client is told, where it can be told anything: coarser than the code, which is for the operator.
            #[must_use]
            pub fn reason(self) -> Reason {
                match self {
                    $(Self::$name => Reason::$reason,)+
                }
            }
        }
    };
}

faults! {
    /// Two `Content-Length` fields, equal or not (RFC 9112 §6.3 lets equal ones merge; the next reader may not).
    ContentLengthConflict = "content-length-conflict" => FramingInvalid,
    /// `Content-Length` is no decimal number of 63 bits: a sign, a list, a space, a hex number, a leading zero, an overflow.
    ContentLengthMalformed = "content-length-malformed" => FramingInvalid,
    /// `Transfer-Encoding` that is not exactly `chunked`, comes twice, or stands on HTTP/1.0.
    TransferEncodingRefused = "transfer-encoding-refused" => FramingInvalid,
    /// `Content-Length` and `Transfer-Encoding` on one request (RFC 9112 §6.1: the mark of request smuggling).
    BothLengths = "both-lengths" => FramingInvalid,
    /// A line that ends in LF without CR.
    BareLf = "bare-lf" => FramingInvalid,
    /// A CR that no LF follows.
    BareCr = "bare-cr" => FramingInvalid,
    /// A field line that begins with white space: obsolete folding, or a first line that hides (RFC 9112 §2.2, §5.2).
    ObsFold = "obs-fold" => FramingInvalid,
    /// White space between a field name and its colon (RFC 9112 §5.1).
    SpaceBeforeColon = "space-before-colon" => FramingInvalid,
    /// A field name that is empty, has no colon behind it, or is no token (RFC 9110 §5.1); and `Content_Length` and `Transfer_Encoding`.
    HeaderNameMalformed = "header-name-malformed" => FramingInvalid,
    /// NUL or another control character where none may stand.
    ControlCharacter = "control-character" => FramingInvalid,
    /// `Connection` with something else than tokens, or one that names `Host`, `Content-Length` or `Transfer-Encoding` as hop-by-hop.
    ConnectionMalformed = "connection-malformed" => FramingInvalid,
    /// `Expect` other than one `100-continue` (RFC 9110 §10.1.1).
    ExpectRefused = "expect-refused" => FramingInvalid,
    /// HTTP/1.1 without `Host` (RFC 9112 §3.2).
    HostMissing = "host-missing" => HostMissing,
    /// More than one `Host`.
    HostDuplicate = "host-duplicate" => HostMalformed,
    /// `Host`, or the authority of an absolute-form target, is no DNS name, IPv4 or bracketed IPv6 address with an optional port.
    HostMalformed = "host-malformed" => HostMalformed,
    /// `Host` differs from the authority of the absolute-form target.
    HostMismatch = "host-mismatch" => HostMismatch,
    /// The head, or what there is of it, exceeds `head_bytes_max`.
    HeadTooLarge = "head-too-large" => HeadTooLarge,
    /// More than `headers_max` fields.
    TooManyHeaders = "too-many-headers" => HeadTooLarge,
    /// The request target exceeds `target_bytes_max`.
    TargetTooLong = "target-too-long" => TargetTooLong,
    /// The first line is not `method SP target SP version`, or the target has no lawful form.
    RequestLineMalformed = "request-line-malformed" => FramingInvalid,
    /// `CONNECT`, the guard's own synthetic method, or a method longer than any that exists.
    MethodRefused = "method-refused" => MethodNotSupported,
    /// A version other than HTTP/1.0 and HTTP/1.1.
    VersionRefused = "version-refused" => VersionNotSupported,
    /// A chunk-size line with anything but 1 to 16 hex digits that fit 63 bits (extensions too), or data that no CRLF follows.
    ChunkMalformed = "chunk-malformed" => FramingInvalid,
    /// A trailer field that is malformed, or that may not stand in a trailer (RFC 9110 §6.5.1).
    TrailerMalformed = "trailer-malformed" => FramingInvalid,
    /// The trailer section exceeds `trailer_bytes_max`, or has more than `headers_max` fields.
    TrailerTooLarge = "trailer-too-large" => HeadTooLarge,
    /// Bytes behind a request that was the connection's last (`Connection: close`, or HTTP/1.0). They are thrown away; its answer stands.
    DataAfterEnd = "data-after-end" => FramingInvalid,
    /// More than `heads_ahead_max` heads were handed on and not a byte was written since.
    PipelineTooDeep = "pipeline-too-deep" => PipelineTooDeep,
    /// A head was begun and not complete within `head_time_max`.
    HeadTimeout = "head-timeout" => HeadTimeout,
    /// The peer ended the connection inside a head.
    HeadTruncated = "head-truncated" => FramingInvalid,
    /// The peer took nothing of what was to be written for `write_stall_max`.
    Stalled = "stalled" => BodyTimeout,
    /// An HTTP/2 connection that does not open with the preface and SETTINGS (RFC 9113 §3.4).
    H2PrefaceMalformed = "h2-preface-malformed" => FramingInvalid,
    /// More PING frames than the traffic explains.
    H2FloodPing = "h2-flood-ping" => FramingInvalid,
    /// More SETTINGS frames than any client needs.
    H2FloodSettings = "h2-flood-settings" => FramingInvalid,
    /// More PRIORITY or PRIORITY_UPDATE frames than the requests explain.
    H2FloodPriority = "h2-flood-priority" => FramingInvalid,
    /// More WINDOW_UPDATE frames than the data sent explains.
    H2FloodWindowUpdate = "h2-flood-window-update" => FramingInvalid,
    /// More RST_STREAM frames than a client in good faith sends (CVE-2023-44487).
    H2FloodRstStream = "h2-flood-rst-stream" => FramingInvalid,
    /// More DATA frames without data and without END_STREAM than carelessness explains.
    H2FloodEmptyData = "h2-flood-empty-data" => FramingInvalid,
    /// More CONTINUATION frames in a row than a head of lawful size needs.
    H2FloodContinuation = "h2-flood-continuation" => FramingInvalid,
    /// More frames of types without meaning here than greasing explains.
    H2FloodUnknown = "h2-flood-unknown" => FramingInvalid,
    /// More streams beyond `streams_max` than a client opens that has read our SETTINGS.
    H2FloodStreams = "h2-flood-streams" => FramingInvalid,
    /// hyper found more of something than it bears (RFC 9113 §7 ENHANCE_YOUR_CALM): resets, header lists that expand, errors.
    H2Flood = "h2-flood" => FramingInvalid,
    /// hyper found a malformed message or frame (RFC 9113 §5.4, §8.1.1).
    H2ProtocolError = "h2-protocol-error" => FramingInvalid,
    /// hyper found more data than its window, or a window beyond 2^31-1 (RFC 9113 §6.9.1).
    H2FlowControlError = "h2-flow-control-error" => FramingInvalid,
    /// hyper found a frame on a stream that was closed long ago (RFC 9113 §5.1).
    H2StreamClosed = "h2-stream-closed" => FramingInvalid,
    /// hyper found a frame of a length that its type cannot have, or that exceeds SETTINGS_MAX_FRAME_SIZE (RFC 9113 §4.2).
    H2FrameSizeError = "h2-frame-size-error" => FramingInvalid,
    /// hyper could not read a header block (RFC 9113 §4.3).
    H2CompressionError = "h2-compression-error" => FramingInvalid,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_kebab_case_and_unique() {
        let codes: HashSet<_> = GuardFault::ALL.iter().map(|fault| fault.code()).collect();
        assert_eq!(codes.len(), GuardFault::ALL.len());
        for code in codes {
            assert!(code.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{code}");
        }
    }

    #[test]
    fn the_list_is_in_the_order_of_the_enum() {
        for (place, &fault) in GuardFault::ALL.iter().enumerate() {
            assert_eq!(fault as usize, place);
        }
    }
}
