//! A client that sends one request after the other over HTTP/1.1 connections that it keeps.

use http::Version;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::sleep;

use crate::ledger::client::Client;
use crate::ledger::exchange::{After, follow, request};
use crate::ledger::written::Written;

/// Sends until it is over.
pub(super) async fn run(client: &Client) {
    while let Some(knocked) = client.connect(&client.terms.h1).await {
        let (name, replica) = knocked.who();
        let (io, written) = Written::new(knocked.stream);
        let Ok((mut sender, connection)) = http1::handshake(TokioIo::new(io)).await else {
            client.turned_away(replica);
            continue;
        };
        tokio::task::spawn_local(async move {
            // How it ended is told by the request on it.
            let _ended = connection.await;
        });
        while !client.is_over() {
            sleep(client.rest()).await;
            // An end that has arrived while the client rested is seen before anything is sent.
            tokio::task::yield_now().await;
            if sender.ready().await.is_err() {
                client.turned_away(replica);
                break;
            }
            let ask = client.ask();
            let before = written.get();
            let answer = sender.try_send_request(request(client, &ask, Version::HTTP_11, replica));
            match follow(client, (&name, replica), ask, answer, || written.get() > before).await {
                After::Kept => {}
                After::Ended => {
                    client.leave(replica);
                    break;
                }
                After::Unsent => {
                    client.turned_away(replica);
                    break;
                }
            }
        }
    }
}

/// Sends one request over one connection.
pub(super) async fn once(client: &Client) {
    while let Some(knocked) = client.connect(&client.terms.h1).await {
        let (name, replica) = knocked.who();
        let (io, written) = Written::new(knocked.stream);
        let Ok((mut sender, connection)) = http1::handshake(TokioIo::new(io)).await else {
            client.turned_away(replica);
            continue;
        };
        tokio::task::spawn_local(async move {
            let _ended = connection.await;
        });
        let ask = client.ask();
        let answer = sender.try_send_request(request(client, &ask, Version::HTTP_11, replica));
        match follow(client, (&name, replica), ask, answer, || written.get() > 0).await {
            After::Unsent => client.turned_away(replica),
            After::Kept | After::Ended => return,
        }
    }
}
