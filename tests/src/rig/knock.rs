//! One request to the front door, built as a sentence.

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::Full;

use crate::rig::Rig;
use crate::rig::client::{Line, Version};
use crate::rig::reply::Reply;

/// A request that is not yet sent.
#[must_use]
pub struct Knock<'a> {
    rig: &'a Rig,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    version: Version,
}

impl<'a> Knock<'a> {
    /// `line` is `METHOD /path`.
    pub(super) fn new(rig: &'a Rig, line: &str) -> Self {
        let (method, path) = line.split_once(' ').unwrap_or_else(|| panic!("{line} is not METHOD /path"));
        let method = method.parse().unwrap_or_else(|fault| panic!("{method}: {fault}"));
        Self { rig, method, path: path.to_owned(), headers: HeaderMap::new(), body: Bytes::new(), version: Version::H1 }
    }

    /// With a bearer token.
    pub fn with(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// With one more header line.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap_or_else(|fault| panic!("{name}: {fault}"));
        self.headers.append(name, HeaderValue::from_str(value).unwrap_or_else(|fault| panic!("{value}: {fault}")));
        self
    }

    /// With a body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Over HTTP/2.
    pub fn h2(mut self) -> Self {
        self.version = Version::H2;
        self
    }

    /// The request, for a client that sends several over one connection.
    #[must_use]
    pub fn request(&self) -> Request<Full<Bytes>> {
        let port = self.rig.door().port();
        let uri = match self.version {
            Version::H1 => self.path.clone(),
            Version::H2 => format!("https://localhost:{port}{}", self.path),
        };
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri.parse().unwrap_or_else(|fault| panic!("{uri}: {fault}"));
        *request.headers_mut() = self.headers.clone();
        if self.version == Version::H1 && !self.headers.contains_key(HOST) {
            let host = HeaderValue::try_from(format!("localhost:{port}")).unwrap_or_else(|fault| panic!("{fault}"));
            request.headers_mut().insert(HOST, host);
        }
        request
    }

    /// Sends it over a connection of its own and reads the whole answer.
    #[must_use]
    pub fn go(&self) -> Reply {
        self.try_go().unwrap_or_else(|fault| {
            panic!("{} {} got no answer: {fault}; tier 1 says:\n{}", self.method, self.path, self.rig.security.log())
        })
    }

    /// As [`Self::go`], but an exchange that breaks is an answer too.
    ///
    /// # Errors
    /// The connection broke or was refused.
    pub fn try_go(&self) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
        let identity = self.rig.identity();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut line = Line::open(self.rig.door(), &identity, self.version).await?;
            line.exchange(self.request()).await
        })
    }

    /// Sends it and checks what the answer says.
    #[track_caller]
    pub fn check(&self, expected: &str) -> Reply {
        let reply = self.go();
        reply.check(expected);
        reply
    }
}
