//! The strict reader of chunked bodies (RFC 9112 §7.1).
//!
//! In: body bytes in any portions. Out: how many of them belong to the body, and whether it has ended. It refuses chunk extensions, white
//! space, bare LF, sizes that overflow, and trailer fields that are malformed or that change what the head said. It holds no data, and of a
//! trailer section only up to `trailer_bytes_max` bytes, until the section has ended.

use contract::headers;
use http::HeaderName;

use crate::guard::fault::GuardFault;
use crate::guard::field::{self, Line};
use crate::guard::head::BODY_BYTES_MAX;
use crate::guard::limits::GuardLimits;

/// More digits overflow 64 bits.
const SIZE_DIGITS_MAX: u32 = 16;

/// Where in a chunked body the reader stands.
#[derive(Default)]
pub(crate) struct ChunkReader {
    at: At,
    /// The trailer section so far; empty, and never allocated, in nearly every request.
    trailer: Vec<u8>,
    /// Bytes of complete trailer lines.
    trailer_read: usize,
    trailer_fields: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size { digits: u32, size: u64 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailer,
    End,
}

impl Default for At {
    fn default() -> Self {
        Self::Size { digits: 0, size: 0 }
    }
}

impl ChunkReader {
    /// Whether the body has ended.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at == At::End
    }

    /// Data bytes that are still to come in the present chunk.
    pub(crate) fn data_left(&self) -> u64 {
        match self.at {
            At::Data { left } => left,
            _ => 0,
        }
    }

    /// Takes bytes until they or the body end, and says how many. After a fault nothing more may be taken.
    pub(crate) fn take(&mut self, bytes: &[u8], limits: &GuardLimits) -> Result<usize, GuardFault> {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.at {
                At::End => break,
                At::Data { left } => {
                    let now = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let left = left - now as u64;
                    self.at = if left == 0 { At::DataCr } else { At::Data { left } };
                    taken += now;
                }
                At::Trailer => taken += self.take_trailer(rest, limits)?,
                at => {
                    self.at = at.after(rest[0])?;
                    taken += 1;
                }
            }
        }
        Ok(taken)
    }

    /// Takes bytes up to the end of the trailer section. Lines are judged when they are whole.
    fn take_trailer(&mut self, bytes: &[u8], limits: &GuardLimits) -> Result<usize, GuardFault> {
        for (place, &byte) in bytes.iter().enumerate() {
            if self.trailer.len() >= limits.trailer_bytes_max {
                return Err(GuardFault::TrailerTooLarge);
            }
            self.trailer.push(byte);
            if byte == b'\n' && self.trailer_line(limits)? {
                self.at = At::End;
                return Ok(place + 1);
            }
        }
        Ok(bytes.len())
    }

    /// Judges the line that has just ended; `true` when it was the empty one.
    fn trailer_line(&mut self, limits: &GuardLimits) -> Result<bool, GuardFault> {
        match field::read(&self.trailer[self.trailer_read..]) {
            Ok(Line::End) => return Ok(true),
            Ok(Line::Field(line)) if !is_forbidden(line.name) => self.trailer_read += line.len,
            _ => return Err(GuardFault::TrailerMalformed),
        }
        self.trailer_fields += 1;
        if self.trailer_fields > limits.headers_max {
            return Err(GuardFault::TrailerTooLarge);
        }
        Ok(false)
    }
}

impl At {
    /// The place behind one byte of chunk framing.
    fn after(self, byte: u8) -> Result<Self, GuardFault> {
        match (self, byte) {
            (Self::Size { digits, size }, _) if byte.is_ascii_hexdigit() && digits < SIZE_DIGITS_MAX => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                Ok(Self::Size { digits: digits + 1, size: size << 4 | digit })
            }
            (Self::Size { digits: 1.., size: size @ ..=BODY_BYTES_MAX }, b'\r') => Ok(Self::SizeLf { size }),
            (Self::SizeLf { size: 0 }, b'\n') => Ok(Self::Trailer),
            (Self::SizeLf { size }, b'\n') => Ok(Self::Data { left: size }),
            (Self::DataCr, b'\r') => Ok(Self::DataLf),
            (Self::DataLf, b'\n') => Ok(Self::default()),
            _ => Err(GuardFault::ChunkMalformed),
        }
    }
}

/// Whether a field may not stand here: what the door would take out of the trailers of an HTTP/2 request, under any spelling.
fn is_forbidden(name: &[u8]) -> bool {
    HeaderName::from_bytes(name).map_or(true, |name| headers::is_not_for_trailers(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict on `body` whole, after it was found to be the same byte by byte.
    fn verdict(body: &[u8]) -> Result<(usize, bool), GuardFault> {
        let limits = GuardLimits::default();
        let mut whole = ChunkReader::default();
        let verdict = whole.take(body, &limits).map(|taken| (taken, whole.is_at_end()));
        let mut dribbled = ChunkReader::default();
        let mut total = 0;
        let slowly = body
            .iter()
            .try_for_each(|byte| {
                total += dribbled.take(&[*byte], &limits)?;
                Ok(())
            })
            .map(|()| (total, dribbled.is_at_end()));
        assert_eq!(verdict, slowly);
        verdict
    }

    #[test]
    fn lawful_bodies() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "A\r\n0123456789\r\n00\r\n\r\n",
            "1\r\nx\r\n0\r\nA: b\r\nGrpc-Status: 0\r\n\r\n",
            "0000000000000001\r\nx\r\n0\r\n\r\n",
        ] {
            assert_eq!(verdict(body.as_bytes()), Ok((body.len(), true)), "{body:?}");
            assert_eq!(verdict(format!("{body}GET").as_bytes()), Ok((body.len(), true)), "{body:?}");
        }
        assert_eq!(verdict(b"7fffffffffffffff\r\nx"), Ok((19, false)));
    }

    #[test]
    fn unlawful_bodies() {
        for body in [
            "\r\n",
            "5 \r\n",
            " 5\r\n",
            "5;a=b\r\n",
            "5\n",
            "5\rx",
            "0x5\r\n",
            "-1\r\n",
            "+1\r\n",
            "g\r\n",
            "00000000000000001\r\n",
            "8000000000000000\r\n",
            "ffffffffffffffff\r\n",
            "1\r\nxx",
            "1\r\nx\n",
            "1\r\nx\r\r",
            "0\r\n\n",
            "0\r\nA\r\n",
            "0\r\nA : b\r\n",
            "0\r\n b: c\r\n",
            "0\r\nContent-Length: 5\r\n",
            "0\r\nX-Gw-Trail: 5\r\n",
            "0\r\nx_gw_subject: a\r\n",
            "0\r\nTransfer_Encoding: a\r\n",
            "0\r\nX-Forwarded-For: a\r\n",
            "0\r\nX_Forwarded_Proto: a\r\n",
            "0\r\nHOST: a\r\n",
            "0\r\nA: b\n",
        ] {
            assert!(verdict(body.as_bytes()).is_err(), "{body:?}");
        }
    }

    #[test]
    fn trailers_have_ceilings() {
        let long = format!("0\r\nA: {}\r\n\r\n", "x".repeat(4096));
        assert_eq!(verdict(long.as_bytes()), Err(GuardFault::TrailerTooLarge));
        let many = format!("0\r\n{}\r\n", "A: b\r\n".repeat(101));
        assert_eq!(verdict(many.as_bytes()), Err(GuardFault::TrailerTooLarge));
    }
}
