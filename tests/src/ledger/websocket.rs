//! A client that sends numbered messages over a WebSocket and expects each back (RFC 6455).

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

use crate::ledger::client::{Client, Knocked};
use crate::ledger::entries::{Kind, Outcome, Sent};
use crate::rig::client::EXCHANGE_MAX;

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const MASK: u8 = 0x80;
const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;
const HEAD_BYTES_MAX: usize = 16 * 1024;

type Stream = TlsStream<TcpStream>;

/// Opens one session after the other until it is over.
pub(super) async fn run(client: &Client) {
    while let Some(knocked) = client.connect(&client.terms.h1).await {
        let (replica, name) = (knocked.replica, knocked.name.clone());
        let (number, begun) = (client.number(), client.now());
        let Some((outcome, request_id)) = session(client, knocked, &number).await else {
            client.turned_away(replica);
            continue;
        };
        client.leave(replica);
        let (kind, ended, delay) = (Kind::Session, client.now(), Duration::ZERO);
        client.note(Sent { number, kind, replica, connection: name, begun, ended, outcome, request_id, delay });
    }
}

/// One session from its first byte to its end; `None` when not even that was written.
async fn session(client: &Client, mut knocked: Knocked, number: &str) -> Option<(Outcome, Option<String>)> {
    let request = format!(
        "GET /orders/{number} HTTP/1.1\r\nhost: localhost:{}\r\nauthorization: Bearer {}\r\nx-ledger: {number}\r\n\
         connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        client.terms.doors[knocked.replica].port(),
        client.terms.token
    );
    // The first write that succeeds has taken a byte.
    let taken = knocked.stream.write(request.as_bytes()).await.ok().filter(|taken| *taken > 0)?;
    let opened = timeout(EXCHANGE_MAX, open(&mut knocked.stream, &request.as_bytes()[taken..])).await;
    let head = match opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(head) => head,
        Err(fault) => return Some((Outcome::Lost(fault.to_string()), None)),
    };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).map(|id| id.trim().to_owned());
    if status != 101 {
        return Some((Outcome::Refused(status, reason(&mut knocked.stream).await), id));
    }
    Some((talk(client, &mut knocked).await.map_or_else(|why| Outcome::Cut(101, why), |()| Outcome::Answered(101)), id))
}

async fn open(stream: &mut Stream, rest: &[u8]) -> io::Result<String> {
    stream.write_all(rest).await?;
    stream.flush().await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// The reason in what follows a head that is no 101; the connection is given up.
async fn reason(stream: &mut Stream) -> String {
    let mut body = vec![0; HEAD_BYTES_MAX];
    let length = timeout(EXCHANGE_MAX, stream.read(&mut body)).await.ok().and_then(Result::ok).unwrap_or_default();
    let said: serde_json::Value = serde_json::from_slice(&body[..length]).unwrap_or_default();
    said["reason"].as_str().unwrap_or("without a reason").to_owned()
}

/// Messages until it is over or the other side says 1001; why not, when it ends in any other way.
async fn talk(client: &Client, knocked: &mut Knocked) -> Result<(), String> {
    let who = knocked.who();
    loop {
        tokio::select! {
            frame = frame(&mut knocked.stream) => return told(&mut knocked.stream, frame).await,
            () = sleep(client.rest()) => {}
        }
        // An end that has arrived while the client rested is seen before anything is sent.
        tokio::task::yield_now().await;
        if let Ok(frame) = timeout(Duration::ZERO, frame(&mut knocked.stream)).await {
            return told(&mut knocked.stream, frame).await;
        }
        if client.is_over() {
            return bye(&mut knocked.stream).await;
        }
        let (number, begun) = (client.number(), client.now());
        let message = masked(TEXT, number.as_bytes());
        let sent = |outcome, ended| Sent {
            number: number.clone(),
            kind: Kind::Message,
            replica: who.1,
            connection: who.0.clone(),
            begun,
            ended,
            outcome,
            request_id: None,
            delay: Duration::ZERO,
        };
        let answer = timeout(EXCHANGE_MAX, say(&mut knocked.stream, &message)).await;
        let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match answer {
            Ok((TEXT, echo)) if echo == number.as_bytes() => client.note(sent(Outcome::Answered(200), client.now())),
            Ok((TEXT, echo)) => {
                client.note(sent(Outcome::Foreign(String::from_utf8_lossy(&echo).into_owned()), client.now()));
            }
            other => {
                let end = told(&mut knocked.stream, other).await;
                let outcome = end.as_ref().map_or_else(|why| Outcome::Lost(why.clone()), |()| Outcome::Farewell);
                client.note(sent(outcome, client.now()));
                return end;
            }
        }
    }
}

async fn say(stream: &mut Stream, message: &[u8]) -> io::Result<(u8, Vec<u8>)> {
    stream.write_all(message).await?;
    stream.flush().await?;
    frame(stream).await
}

/// A frame that ends the session: lawfully with 1001, which is answered.
async fn told(stream: &mut Stream, frame: io::Result<(u8, Vec<u8>)>) -> Result<(), String> {
    match frame {
        Ok((CLOSE, reason)) if reason.starts_with(&GOING_AWAY.to_be_bytes()) => {
            // The other side may be gone before it reads the answer.
            let _gone = stream.write_all(&masked(CLOSE, &reason)).await;
            let _gone = stream.shutdown().await;
            Ok(())
        }
        Ok((first, payload)) => Err(format!("a frame {first:#x} {payload:?} came")),
        Err(fault) => Err(format!("the connection ended without a Close: {fault}")),
    }
}

/// Ends the session from this side.
async fn bye(stream: &mut Stream) -> Result<(), String> {
    match timeout(EXCHANGE_MAX, say(stream, &masked(CLOSE, &NORMAL.to_be_bytes()))).await {
        Ok(Ok((CLOSE, _))) => Ok(()),
        Ok(other) => Err(format!("no answer to our Close: {other:?}")),
        Err(_) => Err("no answer to our Close in time".to_owned()),
    }
}

/// A frame of up to 125 bytes from a server. A frame that was begun is waited for: dropping this future is sound before its first byte alone, and
/// the frames of an instance come in one write.
async fn frame(stream: &mut Stream) -> io::Result<(u8, Vec<u8>)> {
    let first = stream.read_u8().await?;
    let length = stream.read_u8().await?;
    let mut payload = vec![0; usize::from(length & !MASK)];
    stream.read_exact(&mut payload).await?;
    Ok((first, payload))
}

/// A frame of a client with an empty mask, which is a lawful one.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[first, MASK | length, 0, 0, 0, 0][..], payload].concat()
}
