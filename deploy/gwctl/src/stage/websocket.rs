//! A WebSocket that says everything back (RFC 6455).
//!
//! In: an upgraded connection. Out: each frame unmasked, in the pieces it came in; a ping becomes a pong; a close is
//! answered and ends it. Refuses: unmasked frames and long control frames, by closing with 1002. Never: holds more than
//! one piece of a frame.

use std::io;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The piece of a frame that is held.
pub const PIECE_BYTES_MAX: usize = 16 * 1024;
/// RFC 6455 §5.5.
const CONTROL_BYTES_MAX: u64 = 125;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (RFC 6455 §4.2.2).
#[must_use]
pub fn accept(key: &[u8]) -> String {
    let text = [key, b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text))
}

/// Says frames back until the peer closes.
///
/// # Errors
/// When the connection breaks.
pub async fn echo(mut io: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    loop {
        let [first, second] = two_bytes(&mut io).await?;
        let length = match second & 0x7f {
            126 => u64::from(io.read_u16().await?),
            127 => io.read_u64().await?,
            short => u64::from(short),
        };
        let opcode = first & 0x0f;
        let masked = second & 0x80 != 0;
        if !masked || (opcode >= CLOSE && (length > CONTROL_BYTES_MAX || first & 0x80 == 0)) {
            // 1002, protocol error (RFC 6455 §7.4.1).
            return io.write_all(&[0x80 | CLOSE, 2, 0x03, 0xea]).await;
        }
        let mut mask = [0; 4];
        io.read_exact(&mut mask).await?;
        let back = if opcode == PING { (first & 0xf0) | PONG } else { first };
        io.write_all(&head(back, length)).await?;
        payload(&mut io, length, mask).await?;
        io.flush().await?;
        if opcode == CLOSE {
            return io.shutdown().await;
        }
    }
}

async fn two_bytes(io: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; 2]> {
    let mut bytes = [0; 2];
    io.read_exact(&mut bytes).await?;
    Ok(bytes)
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

async fn payload(io: &mut (impl AsyncRead + AsyncWrite + Unpin), length: u64, mask: [u8; 4]) -> io::Result<()> {
    let mut piece = vec![0; usize::try_from(length).map_or(PIECE_BYTES_MAX, |length| length.min(PIECE_BYTES_MAX))];
    let mut left = length;
    // A piece is a multiple of four long, except the last: the mask begins anew with each.
    while left > 0 {
        let take = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
        let bytes = &mut piece[..take];
        io.read_exact(bytes).await?;
        for (byte, key) in bytes.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        io.write_all(bytes).await?;
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
            let _ended = echo(server).await;
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
    }
}
