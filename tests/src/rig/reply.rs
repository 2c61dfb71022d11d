//! An answer as a test reads it.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

/// Head and whole body.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// `STATUS REASON` for a problem document, `STATUS SERVICE` for what an instance said, else the status alone.
    #[must_use]
    pub fn says(&self) -> String {
        let word = self.try_json().and_then(|json| json["reason"].as_str().or(json["service"].as_str()).map(str::to_owned));
        match word {
            Some(word) => format!("{} {word}", self.status.as_u16()),
            None => self.status.as_u16().to_string(),
        }
    }

    /// Fails the test unless the answer says what is expected.
    #[track_caller]
    pub fn check(&self, expected: &str) -> &Self {
        assert_eq!(self.says(), expected, "{self:?}");
        self
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        self.try_json().unwrap_or_else(|| panic!("the body is no JSON: {:?}", self.body))
    }

    /// A header that must be there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("the answer has no {name}: {:?}", self.headers));
        value.to_str().unwrap_or_else(|fault| panic!("{name}: {fault}"))
    }

    /// What the instance says that it saw in a header; `None` where it saw none.
    #[must_use]
    pub fn saw(&self, header: &str) -> Option<String> {
        self.json()["headers"][header].as_str().map(str::to_owned)
    }

    /// The name of the instance that answered.
    #[must_use]
    pub fn instance(&self) -> String {
        self.json()["instance"].as_str().unwrap_or_default().to_owned()
    }

    fn try_json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}
