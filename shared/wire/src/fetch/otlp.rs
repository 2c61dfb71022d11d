//! The client that spans leave by.
//!
//! In: requests of the OTLP exporter, which runs on a thread of its own. Out: answers of the collector. Refuses: answers above the ceiling.
//! Never: runs on the exporter's thread, where there is no runtime; the request is carried to the control runtime and its answer back.

use std::future::Future;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use reqwest::Client;
use tokio::sync::oneshot;

use crate::fetch::Fetcher;
use crate::fetch::fault::FetchFault;
use crate::tasks::Tasks;

/// A collector answers with a few bytes.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Sends what the exporter hands over.
#[derive(Clone, Debug)]
pub struct OtlpClient {
    fetcher: Fetcher,
    tasks: Tasks,
}

impl OtlpClient {
    /// Sends by `fetcher`'s connections on the runtime behind `tasks`.
    #[must_use]
    pub fn new(fetcher: &Fetcher, tasks: Tasks) -> Self {
        Self { fetcher: fetcher.clone(), tasks }
    }
}

impl HttpClient for OtlpClient {
    fn send_bytes<'client, 'future>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'future>>
    where
        'client: 'future,
        Self: 'future,
    {
        let client = self.fetcher.client();
        let (answered, answer) = oneshot::channel();
        // The exporter may have given up; then nobody takes the answer.
        self.tasks.spawn("otlp-export", async move {
            let _ = answered.send(send(client, request).await);
        });
        Box::pin(async move {
            match answer.await {
                Ok(result) => result.map_err(Into::into),
                Err(_) => Err("the control runtime has ended".into()),
            }
        })
    }
}

async fn send(client: Client, request: Request<Bytes>) -> Result<Response<Bytes>, FetchFault> {
    let request = reqwest::Request::try_from(request).map_err(|_| FetchFault::UrlMalformed)?;
    let mut response = client.execute(request).await.map_err(|error| FetchFault::of(&error))?;
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| FetchFault::of(&error))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(FetchFault::TooLarge { bytes_max: ANSWER_BYTES_MAX });
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = Response::new(body.freeze());
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    Ok(answer)
}
