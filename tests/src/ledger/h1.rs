//! A client that sends one request after the other over HTTP/1.1 connections that it keeps, and one that comes for a single request.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use http::Version;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::sleep;

use crate::ledger::client::{Client, Knocked};
use crate::ledger::entries::Outcome;
use crate::ledger::exchange::{After, Told, chain, follow, request};
use crate::ledger::paced::Ask;
use crate::ledger::written::Written;

/// Sends until it is over.
pub(super) async fn run(client: &Client) {
    while let Some(knocked) = client.connect(&client.terms.h1).await {
        let Some(mut line) = Line::open(client, knocked).await else { continue };
        while !client.is_over() {
            sleep(client.rest()).await;
            match line.send(client, client.ask()).await {
                After::Kept => {}
                After::Ended => {
                    client.leave(line.replica);
                    break;
                }
                After::Unsent => {
                    client.turned_away(line.replica);
                    break;
                }
            }
        }
    }
}

/// Sends one request over one connection.
pub(super) async fn once(client: &Client) {
    while let Some(knocked) = client.connect(&client.terms.h1).await {
        let Some(mut line) = Line::open(client, knocked).await else { continue };
        match line.send(client, client.ask()).await {
            After::Unsent => client.turned_away(line.replica),
            After::Kept | After::Ended => return,
        }
    }
}

/// A connection.
struct Line {
    name: String,
    replica: usize,
    sender: SendRequest<Full<Bytes>>,
    written: Rc<Cell<u64>>,
}

impl Line {
    async fn open(client: &Client, knocked: Knocked) -> Option<Self> {
        let (name, replica) = knocked.who();
        let (io, written) = Written::new(knocked.stream);
        let Ok((sender, connection)) = http1::handshake(TokioIo::new(io)).await else {
            client.turned_away(replica);
            return None;
        };
        tokio::task::spawn_local(async move {
            // How it ended is told by the request on it.
            let _ended = connection.await;
        });
        Some(Self { name, replica, sender, written })
    }

    async fn send(&mut self, client: &Client, ask: Ask) -> After {
        // An end that has arrived while the client rested is seen before anything is sent.
        tokio::task::yield_now().await;
        if self.sender.ready().await.is_err() {
            return After::Unsent;
        }
        let request = request(client, &ask, Version::HTTP_11, self.replica).map(Full::new);
        let (sender, written) = (&mut self.sender, &self.written);
        let before = written.get();
        let exchange = async {
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    let body = body.collect().await.map(|body| body.to_bytes()).map_err(|fault| chain(&fault));
                    Told::Answer(head.status, head.headers, body)
                }
                Err(fault) if written.get() > before => Told::Nothing(Outcome::Lost(chain(fault.error()))),
                Err(_) => Told::Unsent,
            }
        };
        follow(client, (&self.name, self.replica), ask, exchange).await
    }
}
