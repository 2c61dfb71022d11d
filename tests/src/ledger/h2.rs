//! A client with several streams at once on one HTTP/2 connection.

use std::cell::Cell;

use bytes::Bytes;
use http::Version;
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::sleep;

use crate::ledger::client::Client;
use crate::ledger::exchange::{After, follow, request};

/// Sends until it is over.
pub(super) async fn run(client: &Client) {
    while let Some(knocked) = client.connect(&client.terms.h2).await {
        let who = knocked.who();
        let Ok((sender, connection)) = http2::handshake(TokioExecutor::new(), TokioIo::new(knocked.stream)).await else {
            client.turned_away(who.1);
            continue;
        };
        tokio::task::spawn_local(async move {
            // How it ended is told by the requests on it.
            let _ended = connection.await;
        });
        let ended = Cell::new(false);
        let lane = || streams(client, (&who.0, who.1), sender.clone(), &ended);
        tokio::join!(lane(), lane(), lane());
        client.leave(who.1);
    }
}

/// One stream after the other, until the connection takes no more.
async fn streams(client: &Client, who: (&str, usize), mut sender: SendRequest<Full<Bytes>>, ended: &Cell<bool>) {
    while !client.is_over() && !ended.get() {
        sleep(client.rest()).await;
        tokio::task::yield_now().await;
        if sender.ready().await.is_err() {
            return;
        }
        let ask = client.ask();
        let answer = sender.try_send_request(request(client, &ask, Version::HTTP_2, who.1));
        // Once hyper has taken it, its HEADERS are on their way.
        match follow(client, who, ask, answer, || true).await {
            After::Kept => {}
            After::Ended | After::Unsent => ended.set(true),
        }
    }
}
