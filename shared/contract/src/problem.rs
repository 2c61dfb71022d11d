//! A refusal as the client sees it: an RFC 9457 problem document with a stable reason code.
//!
//! In: a reason and the ids to quote to an operator. Out: a response. Never: internals, causes, or anything the client wrote.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::json;

use crate::reason::{Blame, Reason};
use crate::request_id::RequestId;

/// A refusal and the ids that go with it.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// Why.
    pub reason: Reason,
    /// The id of the request, where it has one already.
    pub request_id: Option<&'a RequestId>,
    /// The trace, 32 lower-case hexadecimal digits.
    pub trace_id: Option<&'a str>,
    /// The id of the decision that refused, for `gwctl explain`.
    pub decision: Option<&'a str>,
}

impl Problem<'_> {
    /// The document.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut document = json!({
            "type": format!("urn:gateway:reason:{}", self.reason.code()),
            "title": self.reason.title(),
            "status": self.reason.status().as_u16(),
            "detail": self.reason.detail(),
            "reason": self.reason.code(),
        });
        let ids = [
            ("request_id", self.request_id.map(ToString::to_string)),
            ("trace_id", self.trace_id.map(str::to_owned)),
            ("decision_id", self.decision.map(str::to_owned)),
        ];
        if let Some(members) = document.as_object_mut() {
            members.extend(ids.into_iter().filter_map(|(name, id)| Some((name.to_owned(), id?.into()))));
        }
        document.to_string().into_bytes()
    }

    /// The whole answer: document, content type, and what the status demands beside it.
    #[must_use]
    pub fn response(&self) -> http::Response<Vec<u8>> {
        let mut response = http::Response::new(self.body());
        *response.status_mut() = self.reason.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge() {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if self.reason.passes_soon() {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    /// RFC 6750 §3: a request without a credential gets the bare scheme, a bad token learns that it is bad.
    fn challenge(&self) -> Option<HeaderValue> {
        if self.reason.status() != http::StatusCode::UNAUTHORIZED || self.reason.blame() != Blame::Client {
            return None;
        }
        match self.reason {
            Reason::NoCredentials | Reason::AuthenticationRequired => Some(HeaderValue::from_static("Bearer")),
            bad => HeaderValue::try_from(format!(r#"Bearer error="invalid_token", error_description="{}""#, bad.code())).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn plain(reason: Reason) -> Problem<'static> {
        Problem { reason, request_id: None, trace_id: None, decision: None }
    }

    #[test]
    fn the_document_has_the_members_of_rfc_9457_and_ours() {
        let id = RequestId::new(1, [0; 10]);
        let problem = Problem {
            reason: Reason::NotPermitted,
            request_id: Some(&id),
            trace_id: Some("0af7651916cd43dd8448eb211c80319c"),
            decision: Some("d-1"),
        };
        let document: Value = serde_json::from_slice(&problem.body()).unwrap();
        assert_eq!(
            document,
            json!({
                "type": "urn:gateway:reason:not-permitted", "title": "The caller may not do this.", "status": 403,
                "detail": "Ask the owner of the resource for the permission that is needed.", "reason": "not-permitted",
                "request_id": "00000000-0001-7000-8000-000000000000", "trace_id": "0af7651916cd43dd8448eb211c80319c", "decision_id": "d-1",
            })
        );
        let bare: Value = serde_json::from_slice(&plain(Reason::NoRoute).body()).unwrap();
        assert!(bare.get("request_id").is_none() && bare.get("trace_id").is_none() && bare.get("decision_id").is_none());
    }

    #[test]
    fn headers_follow_the_reason() {
        for (reason, challenge, retry) in [
            (Reason::NoCredentials, Some("Bearer"), None),
            (Reason::AuthenticationRequired, Some("Bearer"), None),
            (Reason::TokenExpired, Some(r#"Bearer error="invalid_token", error_description="token-expired""#), None),
            (Reason::NotPermitted, None, None),
            (Reason::Overloaded, None, Some("1")),
            (Reason::KeysUnavailable, None, Some("1")),
            (Reason::Draining, None, Some("1")),
            (Reason::NoInstances, None, None),
        ] {
            let response = plain(reason).response();
            assert_eq!(response.status(), reason.status());
            let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(header(WWW_AUTHENTICATE), challenge, "{reason}");
            assert_eq!(header(RETRY_AFTER), retry, "{reason}");
            assert_eq!(header(CONTENT_TYPE), Some("application/problem+json"));
            assert_eq!(header(CACHE_CONTROL), Some("no-store"));
        }
    }

    #[test]
    fn every_401_challenges() {
        for reason in Reason::ALL.iter().filter(|reason| reason.status() == 401) {
            assert!(plain(*reason).response().headers().contains_key(WWW_AUTHENTICATE), "{reason}");
        }
    }
}
