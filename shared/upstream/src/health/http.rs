//! Asks an instance by a `GET`, and judges it by the status.
//!
//! In: an endpoint and the service's TLS. Out: well, or a stable code of failure. Refuses: heads over a ceiling. Never: reads a body, follows a
//! redirect, sends a byte of anybody's request.

use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use wire::tls::client::ClientTls;

use crate::endpoint::Endpoint;
use crate::health::h2::{Question, authority};
use crate::health::place::Place;
use crate::health::standing::Outcome;
use crate::plan::health::HttpProbePlan;
use crate::stream::Layer;

/// The most that is read ahead of an answer's head, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Who asks, so that an instance's log can tell checks from requests.
pub(super) const AGENT: HeaderValue = HeaderValue::from_static("gateway-health");

/// Asks one instance.
pub(super) struct HttpProbe {
    plan: HttpProbePlan,
    place: Place,
}

impl HttpProbe {
    pub(super) fn new(plan: HttpProbePlan, endpoint: &Endpoint) -> Self {
        let place = Place::of(endpoint, plan.port, plan.host.clone());
        Self { plan, place }
    }

    /// Asks once, over a connection that ends with the answer.
    pub(super) async fn ask(&self, endpoint: &Endpoint, tls: Option<&ClientTls>) -> Outcome {
        let status = if self.plan.http2 {
            let tls = tls.map(|tls| tls.speaking(&[b"h2"]));
            self.http2(self.place.connect(endpoint, tls.as_ref()).await?).await?
        } else {
            let tls = tls.map(|tls| tls.speaking(&[b"http/1.1"]));
            self.http1(self.place.connect(endpoint, tls.as_ref()).await?).await.map_err(|fault| {
                tracing::debug!(instance = endpoint.name(), %fault, "a check broke");
                if fault.is_parse() { "malformed" } else { "reset" }
            })?
        };
        if self.plan.expect.iter().any(|range| range.contains(&status.as_u16())) { Ok(None) } else { Err("status") }
    }

    async fn http1(&self, layer: Layer) -> hyper::Result<StatusCode> {
        let (mut sender, connection) = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(layer)).await?;
        // It moves the bytes, and ends with this check.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = Uri::from(self.plan.path.clone());
        request.headers_mut().insert(HOST, self.place.host().clone());
        request.headers_mut().insert(USER_AGENT, AGENT);
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Ok(sender.send_request(request).await?.status())
    }

    async fn http2(&self, layer: Layer) -> Result<StatusCode, &'static str> {
        let secure = matches!(layer, Layer::Tls(_));
        let mut request = Request::new(());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = authority(secure, self.place.host(), self.plan.path.clone()).ok_or("malformed")?;
        request.headers_mut().insert(USER_AGENT, AGENT);
        let mut question = Question::ask(layer, request, None).await?;
        Ok(question.head().await?.status)
    }
}
