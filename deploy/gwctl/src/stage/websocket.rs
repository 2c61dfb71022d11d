//! A WebSocket that says everything back (RFC 6455).
//!
//! In: an upgraded connection, and the moment at which this end leaves. Out: each frame unmasked, in the pieces it came in; a short message is
//! told to the listener first, and said back in one write; a ping becomes a pong; a close is answered and ends it. On leaving a close with 1001 goes
//! out, and what still comes is neither told nor said back. Refuses: unmasked frames and long control frames, by closing with 1002; a message that
//! the listener refuses, with 1008. Never: holds more than one piece of a frame.

use std::io;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The piece of a frame that is held.
pub const PIECE_BYTES_MAX: usize = 16 * 1024;
/// A message of one frame that is not longer is told to the listener (RFC 6455 §5.2: the length fits the second byte).
pub const TOLD_BYTES_MAX: u64 = 125;
/// RFC 6455 §5.5.
const CONTROL_BYTES_MAX: u64 = 125;
const FINAL: u8 = 0x80;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// Reasons to close (RFC 6455 §7.4.1).
const GOING_AWAY: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
const POLICY: u16 = 1008;

/// The `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (RFC 6455 §4.2.2).
#[must_use]
pub fn accept(key: &[u8]) -> String {
    let text = [key, b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text))
}

/// Says frames back until the peer closes. `heard` is given every short text message before it is said back, and may refuse it;
/// once `leaving` is done the peer is told to go elsewhere.
///
/// # Errors
/// When the connection breaks.
pub async fn echo(
    mut io: impl AsyncRead + AsyncWrite + Unpin,
    leaving: impl Future<Output = ()>,
    mut heard: impl FnMut(&[u8]) -> bool,
) -> io::Result<()> {
    tokio::pin!(leaving);
    let mut left = false;
    loop {
        // One byte at a time can be waited for and given up without loss.
        let first = tokio::select! {
            first = io.read_u8() => first?,
            () = &mut leaving, if !left => {
                left = true;
                io.write_all(&farewell(GOING_AWAY)).await?;
                io.flush().await?;
                continue;
            }
        };
        let (masked, length) = length(&mut io).await?;
        let opcode = first & 0x0f;
        if !masked || (opcode >= CLOSE && (length > CONTROL_BYTES_MAX || first & FINAL == 0)) {
            return refuse(io, PROTOCOL_ERROR).await;
        }
        let mut mask = [0; 4];
        io.read_exact(&mut mask).await?;
        if left {
            // Nothing follows our own close (RFC 6455 §5.5.1).
            payload(&mut io, &mut tokio::io::sink(), length, mask).await?;
        } else if length <= TOLD_BYTES_MAX {
            let back = if opcode == PING { (first & 0xf0) | PONG } else { first };
            let mut whole = head(back, length);
            let at = whole.len();
            payload(&mut io, &mut whole, length, mask).await?;
            if first == FINAL | TEXT && !heard(whole.get(at..).unwrap_or_default()) {
                return refuse(io, POLICY).await;
            }
            io.write_all(&whole).await?;
        } else {
            io.write_all(&head(first, length)).await?;
            let (mut from, mut to) = tokio::io::split(&mut io);
            payload(&mut from, &mut to, length, mask).await?;
        }
        io.flush().await?;
        if opcode == CLOSE {
            return io.shutdown().await;
        }
    }
}

/// A close frame with a reason.
fn farewell(reason: u16) -> [u8; 4] {
    let [high, low] = reason.to_be_bytes();
    [FINAL | CLOSE, 2, high, low]
}

async fn refuse(mut io: impl AsyncWrite + Unpin, reason: u16) -> io::Result<()> {
    io.write_all(&farewell(reason)).await?;
    io.shutdown().await
}

/// Whether a frame is masked, and how long it is (RFC 6455 §5.2).
async fn length(io: &mut (impl AsyncRead + Unpin)) -> io::Result<(bool, u64)> {
    let second = io.read_u8().await?;
    let length = match second & 0x7f {
        126 => u64::from(io.read_u16().await?),
        127 => io.read_u64().await?,
        short => u64::from(short),
    };
    Ok((second & 0x80 != 0, length))
}

/// An unmasked frame's head: a server does not mask (RFC 6455 §5.1).
fn head(first: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => head.push(short),
        (_, Ok(medium)) => {
            head.push(126);
            head.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend_from_slice(&length.to_be_bytes());
        }
    }
    head
}

async fn payload(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin), length: u64, mask: [u8; 4]) -> io::Result<()> {
    let mut piece = vec![0; usize::try_from(length).map_or(PIECE_BYTES_MAX, |length| length.min(PIECE_BYTES_MAX))];
    let mut left = length;
    // A piece is a multiple of four long, except the last: the mask begins anew with each.
    while left > 0 {
        let take = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
        let bytes = &mut piece[..take];
        from.read_exact(bytes).await?;
        for (byte, key) in bytes.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        to.write_all(bytes).await?;
        left -= take as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the server says to `frames`, and then to the end of the stream.
    fn said_to(frames: &[u8]) -> Vec<u8> {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let (mut client, server) = tokio::io::duplex(1 << 20);
            client.write_all(frames).await.unwrap();
            client.shutdown().await.unwrap();
            let _ended = echo(server, std::future::pending(), |message| message != b"bad").await;
            let mut said = Vec::new();
            client.read_to_end(&mut said).await.unwrap();
            said
        })
    }

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut frame = head(first, payload.len() as u64);
        frame[1] |= 0x80;
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    #[test]
    fn the_key_of_the_rfc_gives_the_accept_of_the_rfc() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn frames_come_back_unmasked_whatever_their_length() {
        for length in [0, 5, 125, 126, 65_535, 65_536, 100_001] {
            let payload: Vec<u8> = (0..length).map(|n: u32| n.to_be_bytes()[3]).collect();
            assert_eq!(said_to(&masked(0x82, &payload)), [head(0x82, payload.len() as u64), payload].concat());
        }
    }

    #[test]
    fn ping_close_and_misuse() {
        let talk = [masked(0x89, b"hi"), masked(0x88, &[3, 0xe8]), masked(0x81, b"after the close")].concat();
        assert_eq!(said_to(&talk), [&[0x8a, 2][..], b"hi", &[0x88, 2, 3, 0xe8]].concat());
        assert_eq!(said_to(&[0x81, 1, b'x']), [0x88, 2, 0x03, 0xea], "an unmasked frame");
        assert_eq!(said_to(&masked(0x89, &[0; 126])), [0x88, 2, 0x03, 0xea], "a long ping");
        assert_eq!(said_to(&masked(0x81, b"bad")), [0x88, 2, 0x03, 0xf0], "a message that the listener refuses");
    }

    #[test]
    fn who_leaves_says_so_and_hears_nothing_more() {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let (mut client, server) = tokio::io::duplex(1 << 20);
            let (leave, leaving) = tokio::sync::oneshot::channel::<()>();
            let mut told = Vec::new();
            let talk = async {
                let mut back = [0; 3];
                client.write_all(&masked(0x81, b"1")).await.unwrap();
                client.read_exact(&mut back).await.unwrap();
                assert_eq!(back, [0x81, 1, b'1']);
                drop(leave);
                let mut farewell = [0; 4];
                client.read_exact(&mut farewell).await.unwrap();
                assert_eq!(farewell, [0x88, 2, 0x03, 0xe9]);
                client.write_all(&[masked(0x81, b"2"), masked(0x88, &[3, 0xe9])].concat()).await.unwrap();
                let mut rest = Vec::new();
                client.read_to_end(&mut rest).await.unwrap();
                rest
            };
            let leaving = async {
                let _gone = leaving.await;
            };
            let echoed = echo(server, leaving, |message| {
                told.push(message.to_vec());
                true
            });
            let (ended, rest) = tokio::join!(echoed, talk);
            ended.unwrap();
            assert_eq!((told, rest), (vec![b"1".to_vec()], Vec::new()));
        });
    }
}
