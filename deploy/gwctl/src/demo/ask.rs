//! One small HTTP question to a part of the demo, over loopback.
//!
//! In: an address and a request. Out: the status and the body. Refuses: answers longer than [`ANSWER_BYTES_MAX`] or later
//! than [`ANSWER_SECONDS_MAX`]. Never: follows a redirect or speaks TLS.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest answer that is read.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long an answer may take.
pub const ANSWER_SECONDS_MAX: u64 = 2;

/// Why there was no answer, in words for the terminal.
type Why = Box<dyn std::error::Error + Send + Sync>;

/// Asks `address`; `form` is a content type and a body.
///
/// # Errors
/// When nothing answers there in time, or it does not speak HTTP.
pub async fn ask(address: SocketAddr, method: Method, path: &str, form: Option<(&str, String)>) -> Result<(StatusCode, Bytes), Why> {
    let answered = timeout(Duration::from_secs(ANSWER_SECONDS_MAX), exchange(address, method, path, form)).await;
    answered.unwrap_or_else(|_| Err(format!("{address} did not answer within {ANSWER_SECONDS_MAX} s").into()))
}

async fn exchange(address: SocketAddr, method: Method, path: &str, form: Option<(&str, String)>) -> Result<(StatusCode, Bytes), Why> {
    let mut request = Request::builder().method(method).uri(path).header(HOST, address.to_string());
    if let Some((kind, _)) = &form {
        request = request.header(CONTENT_TYPE, *kind);
    }
    let request = request.body(Full::new(Bytes::from(form.map(|(_, body)| body).unwrap_or_default())))?;
    let stream = TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The sender goes out of scope with the answer, which ends the connection too.
    let answer = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?;
        Ok::<_, Why>((status, body.to_bytes()))
    };
    tokio::join!(answer, connection).0
}
