//! One case of the corpus: its name, its bytes, and what is to become of them.
//!
//! In the bytes stand places that are filled in when the case is sent: `{host}` (the `Host` line), `{auth}` (a valid token, and the number under which an
//! instance would write the request into its ledger), `{ours}` (both), `{front}` (both, for a lawful request in front of the hostile one), `{port}`.

/// One case.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) verdict: Verdict,
    /// The client says that it sends no more, so that what is missing is missing for good.
    pub(super) finishes: bool,
}

/// What is to become of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The statuses of all answers, in order.
    pub(super) statuses: &'static [u16],
    /// The reason in the access record of the last request, and in the answer to it.
    pub(super) told: Option<&'static str>,
    /// The reason in the connection's record.
    pub(super) reason: Option<&'static str>,
    /// Lawful requests in front of the hostile one, which an instance serves.
    pub(super) served: usize,
}

/// Cases that are about one thing.
pub(super) struct Family {
    pub(super) name: &'static str,
    /// Nothing of them may reach an instance, and nothing behind them may be served.
    pub(super) hostile: Vec<Case>,
    /// Their lawful twins, behind which everything is served.
    pub(super) lawful: Vec<Case>,
}

pub(super) fn case(name: impl Into<String>, bytes: impl Into<Vec<u8>>, verdict: Verdict) -> Case {
    Case { name: name.into(), bytes: bytes.into(), verdict, finishes: false }
}

/// A case whose client says that it sends no more, and which no canary can stand behind.
pub(super) fn cut(name: impl Into<String>, bytes: impl Into<Vec<u8>>, verdict: Verdict) -> Case {
    Case { finishes: true, ..case(name, bytes, verdict) }
}

/// A lawful twin, which an instance answers with 200.
pub(super) fn lawful(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Case {
    case(name, bytes, Verdict { statuses: &[200], told: None, reason: None, served: 1 })
}

/// A twin that is framed lawfully and answered without an instance.
pub(super) fn answered(name: impl Into<String>, bytes: impl Into<Vec<u8>>, statuses: &'static [u16], told: &'static str) -> Case {
    case(name, bytes, Verdict { statuses, told: Some(told), reason: None, served: 0 })
}

/// 400, and the guard's own word for it in the connection's record.
pub(super) const fn framing(reason: &'static str) -> Verdict {
    refused(&[400], "framing-invalid", reason)
}

/// The guard refuses.
pub(super) const fn refused(statuses: &'static [u16], told: &'static str, reason: &'static str) -> Verdict {
    Verdict { statuses, told: Some(told), reason: Some(reason), served: 0 }
}

/// The corridor refuses what the guard let pass, and the connection closes as one that has ended.
pub(super) const fn door(statuses: &'static [u16], told: &'static str) -> Verdict {
    Verdict { statuses, told: Some(told), reason: None, served: 0 }
}

/// As `framing`, behind one lawful request.
pub(super) const fn framing_behind(reason: &'static str) -> Verdict {
    Verdict { statuses: &[200, 400], served: 1, ..framing(reason) }
}

/// A client that says in the middle of a body that it sends no more.
pub(super) const fn gone() -> Verdict {
    door(&[499], "client-closed")
}

/// Bytes one after the other.
pub(super) fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A GET that an instance would serve, with more field lines.
pub(super) fn get(fields: impl AsRef<[u8]>) -> Vec<u8> {
    cat(&[b"GET /orders/1 HTTP/1.1\r\n{ours}", fields.as_ref(), b"\r\n"])
}

/// A POST that an instance would serve, with more field lines and a body.
pub(super) fn post(fields: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Vec<u8> {
    cat(&[b"POST /orders/1 HTTP/1.1\r\n{ours}", fields.as_ref(), b"\r\n", body.as_ref()])
}

/// A chunked POST with a body as it is sent.
pub(super) fn chunked(body: impl AsRef<[u8]>) -> Vec<u8> {
    post("Transfer-Encoding: chunked\r\n", body)
}

/// A GET with another first line.
pub(super) fn line(first: impl AsRef<[u8]>) -> Vec<u8> {
    cat(&[first.as_ref(), b"\r\n{ours}\r\n"])
}

/// A GET for another target.
pub(super) fn target(target: impl AsRef<[u8]>) -> Vec<u8> {
    line(cat(&[b"GET ", target.as_ref(), b" HTTP/1.1"]))
}
