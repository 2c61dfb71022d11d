//! Asks a replica of tier 2 how it does, over the link's own terms.
//!
//! In: an endpoint and the link's TLS. Out: the replica's word, or a stable code of failure. Refuses: answers over a ceiling, and what is no word.
//! Never: takes a place below the service's ceiling of connections, so that a full link is still heard; sends a byte of anybody's request.

use contract::headers;
use contract::health::{ASKED, HEALTH_BYTES_MAX, Word};
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use wire::tls::client::ClientTls;

use crate::connect::dial;
use crate::endpoint::Endpoint;
use crate::health::standing::Outcome;

/// The most that is read ahead of an answer's head, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The connection that is kept from one check to the next.
#[derive(Default)]
pub(super) struct LinkProbe {
    kept: Option<Kept>,
}

/// A connection; what moves its bytes ends with it.
struct Kept {
    sender: SendRequest<Empty<Bytes>>,
    _driver: JoinSet<()>,
}

impl LinkProbe {
    /// Asks once. Whoever breaks the wait off asks over a new connection next time.
    pub(super) async fn ask(&mut self, endpoint: &Endpoint, tls: Option<&ClientTls>) -> Outcome {
        // A kept connection that has ended meanwhile says nothing about the replica.
        if let Some(mut kept) = self.kept.take()
            && kept.sender.is_ready()
            && let Ok(outcome) = exchange(&mut kept).await
        {
            return self.keep(kept, outcome);
        }
        let mut kept = open(endpoint, tls).await.ok_or("connect")?;
        endpoint.connected();
        match exchange(&mut kept).await {
            Ok(outcome) => self.keep(kept, outcome),
            Err(_) => Err("reset"),
        }
    }

    /// A replica that leaves may have a successor at its address already, which only a new connection finds.
    fn keep(&mut self, kept: Kept, outcome: Outcome) -> Outcome {
        if !matches!(&outcome, Ok(Some(word)) if word.draining) {
            self.kept = Some(kept);
        }
        outcome
    }
}

async fn open(endpoint: &Endpoint, tls: Option<&ClientTls>) -> Option<Kept> {
    // The question is asked over HTTP/1.1, whatever requests travel by.
    let tls = tls.map(|tls| tls.speaking(&[b"http/1.1"]));
    let layer = dial(endpoint, tls.as_ref())
        .await
        .map_err(|fault| tracing::debug!(instance = endpoint.name(), %fault, "a check found no way in"))
        .ok()?;
    let (sender, connection) = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(layer)).await.ok()?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        if let Err(fault) = connection.await {
            tracing::debug!(%fault, "the connection of a check ended in an error");
        }
    });
    Some(Kept { sender, _driver: driver })
}

/// One question and its answer; the outer fault when the connection broke.
async fn exchange(kept: &mut Kept) -> Result<Outcome, hyper::Error> {
    let mut request = Request::new(Empty::new());
    // HTTP/1.1 demands a host, and nothing reads this one (RFC 9112 §3.2).
    request.headers_mut().insert(HOST, http::HeaderValue::from_static("routing-gw"));
    request.headers_mut().insert(headers::HEALTH.clone(), http::HeaderValue::from_static(ASKED));
    kept.sender.ready().await?;
    let response = kept.sender.send_request(request).await?;
    Ok(match response.status() {
        StatusCode::OK => match Limited::new(response.into_body(), HEALTH_BYTES_MAX).collect().await {
            Ok(body) => Word::parse(&body.to_bytes()).map(Some).ok_or("malformed"),
            Err(_) => Err("malformed"),
        },
        // A build from before the question was invented takes it for a request without an assertion.
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => match Limited::new(response.into_body(), HEALTH_BYTES_MAX).collect().await {
            Ok(_) => Ok(None),
            Err(_) => Err("malformed"),
        },
        _ => Err("status"),
    })
}
