//! A client with several streams at once on one HTTP/2 connection.
//!
//! It counts what was sent as RFC 9113 §6.8 does: a request whose HEADERS were not yet written when GOAWAY came is not sent, and goes elsewhere. One
//! whose HEADERS were written before, and of which the other side says that it did not process it, is in the book.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::Version;
use tokio::time::sleep;

use crate::ledger::client::Client;
use crate::ledger::entries::Outcome;
use crate::ledger::exchange::{After, Told, chain, follow, request};
use crate::ledger::frames::{Frames, Watched};

/// Sends until it is over.
pub(super) async fn run(client: &Client) {
    while let Some(knocked) = client.connect(&client.terms.h2).await {
        let (name, replica) = knocked.who();
        let (io, frames) = Watched::new(knocked.stream);
        let Ok((sender, connection)) = h2::client::handshake(io).await else {
            client.turned_away(replica);
            continue;
        };
        tokio::task::spawn_local(async move {
            // How it ended is told by the requests on it.
            let _ended = connection.await;
        });
        let line = Line { name, replica, frames, is_over: Cell::new(false) };
        let lane = || line.streams(client, sender.clone());
        tokio::join!(lane(), lane(), lane());
        client.leave(replica);
    }
}

/// A connection.
struct Line {
    name: String,
    replica: usize,
    frames: Rc<RefCell<Frames>>,
    is_over: Cell<bool>,
}

impl Line {
    /// One stream after the other, until the connection takes no more.
    async fn streams(&self, client: &Client, mut sender: SendRequest<Bytes>) {
        while !client.is_over() && !self.is_over.get() {
            sleep(client.rest()).await;
            tokio::task::yield_now().await;
            let Ok(ready) = sender.ready().await else { break };
            sender = ready;
            let ask = client.ask();
            let (head, body) = request(client, &ask, Version::HTTP_2, self.replica).into_parts();
            let sent = sender.send_request(http::Request::from_parts(head, ()), body.is_empty());
            let Ok((answer, mut stream)) = sent else { break };
            if !body.is_empty() {
                // Where the stream is over already, the answer says so.
                let _over = stream.send_data(body, true);
            }
            match follow(client, (&self.name, self.replica), ask, self.told(answer)).await {
                After::Kept => {}
                After::Ended | After::Unsent => break,
            }
        }
        self.is_over.set(true);
    }

    async fn told(&self, answer: ResponseFuture) -> Told {
        let stream = answer.stream_id().as_u32();
        match answer.await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                Told::Answer(head.status, head.headers, whole(body).await)
            }
            Err(_) if !self.frames.borrow().was_sent(stream) => Told::Unsent,
            Err(fault) if fault.is_remote() && fault.is_go_away() => Told::Nothing(Outcome::Unprocessed("GOAWAY")),
            Err(fault) if fault.is_remote() && fault.reason() == Some(Reason::REFUSED_STREAM) => {
                Told::Nothing(Outcome::Unprocessed("REFUSED_STREAM"))
            }
            Err(fault) => Told::Nothing(Outcome::Lost(chain(&fault))),
        }
    }
}

async fn whole(mut body: RecvStream) -> Result<Bytes, String> {
    let mut whole = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|fault| chain(&fault))?;
        whole.extend_from_slice(&data);
        // It fails where the stream is over, and then nothing more comes.
        let _over = body.flow_control().release_capacity(data.len());
    }
    Ok(whole.freeze())
}
