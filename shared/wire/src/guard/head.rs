//! The strict reader of HTTP/1 request heads.
//!
//! In: the bytes of a head, as many as there are; what was read of it before is not read again. Out: once it is complete, its length and
//! what it says about framing. It refuses what RFC 9112 calls an error and what it leaves to taste: whatever two readers could frame
//! differently. It copies nothing, allocates nothing, and forgets every name and value when it is done.

use std::ops::Range;

use crate::guard::authority;
use crate::guard::fault::GuardFault;
use crate::guard::field::{self, FieldLine, Line};
use crate::guard::limits::GuardLimits;
use crate::guard::octets::{is_token, trimmed};
use crate::guard::request_line;

/// More digits may not fit 64 bits.
const LENGTH_DIGITS_MAX: usize = 19;

/// A greater length, or size of a chunk, is negative to readers that count in signed numbers.
pub(crate) const BODY_BYTES_MAX: u64 = i64::MAX as u64;

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes; 0 where nothing is said (RFC 9112 §6.3).
    Length(u64),
    /// Chunks.
    Chunked,
}

/// What a complete head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of it, its empty line included.
    pub(crate) len: usize,
    pub(crate) framing: Framing,
    /// `Connection: upgrade` and `Upgrade` on HTTP/1.1.
    pub(crate) upgrade: bool,
    /// The client sends nothing after this request.
    pub(crate) last: bool,
}

/// Reads one head, over as many calls as it takes to arrive.
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    /// Bytes of complete lines, which are not looked at again.
    read: usize,
    fields: usize,
    is_11: bool,
    authority: Option<Range<usize>>,
    host: bool,
    length: Option<u64>,
    chunked: bool,
    expect: bool,
    upgrade: bool,
    options: Options,
}

/// What `Connection` said.
#[derive(Debug, Default)]
struct Options {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

impl HeadReader {
    /// Reads on in `bytes`, which begin with the head and hold all that was shown before. `None` while it is lawful so far and not
    /// complete.
    pub(crate) fn read(&mut self, bytes: &[u8], limits: &GuardLimits) -> Result<Option<Head>, GuardFault> {
        // Nothing behind the ceiling is looked at, so that the verdict does not depend on how much arrived at once.
        let window = &bytes[..bytes.len().min(limits.head_bytes_max)];
        match self.read_lines(window, limits)? {
            None if bytes.len() >= limits.head_bytes_max => Err(GuardFault::HeadTooLarge),
            head => Ok(head),
        }
    }

    fn read_lines(&mut self, bytes: &[u8], limits: &GuardLimits) -> Result<Option<Head>, GuardFault> {
        if self.read == 0 {
            let Some(line) = request_line::read(bytes, limits.target_bytes_max)? else { return Ok(None) };
            self.read = line.len;
            self.is_11 = line.is_11;
            self.authority = line.authority;
        }
        loop {
            match field::read(&bytes[self.read..])? {
                Line::Field(line) => {
                    self.fields += 1;
                    if self.fields > limits.headers_max {
                        return Err(GuardFault::TooManyHeaders);
                    }
                    self.learn(bytes, &line)?;
                    self.read += line.len;
                }
                Line::End => return self.end().map(Some),
                Line::Partial => return Ok(None),
            }
        }
    }

    /// Takes in the fields that decide over framing. Lengths are told apart first: most names need no comparison.
    #[inline]
    fn learn(&mut self, bytes: &[u8], line: &FieldLine<'_>) -> Result<(), GuardFault> {
        match line.name.len() {
            4 if line.name.eq_ignore_ascii_case(b"host") => self.learn_host(bytes, line.value),
            6 if line.name.eq_ignore_ascii_case(b"expect") => self.learn_expect(line.value),
            7 if line.name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade = true;
                Ok(())
            }
            10 if line.name.eq_ignore_ascii_case(b"connection") => self.options.learn(line.value),
            14 if line.name.eq_ignore_ascii_case(b"content-length") => self.learn_length(line.value),
            17 if line.name.eq_ignore_ascii_case(b"transfer-encoding") => self.learn_encoding(line.value),
            // To servers that fold both marks into one, these are the two above.
            14 if line.name.eq_ignore_ascii_case(b"content_length") => Err(GuardFault::HeaderNameMalformed),
            17 if line.name.eq_ignore_ascii_case(b"transfer_encoding") => Err(GuardFault::HeaderNameMalformed),
            _ => Ok(()),
        }
    }

    fn learn_host(&mut self, bytes: &[u8], value: &[u8]) -> Result<(), GuardFault> {
        if self.host {
            return Err(GuardFault::HostDuplicate);
        }
        self.host = true;
        if !authority::is_lawful(value) {
            return Err(GuardFault::HostMalformed);
        }
        match self.authority.clone().and_then(|place| bytes.get(place)) {
            Some(authority) if !authority.eq_ignore_ascii_case(value) => Err(GuardFault::HostMismatch),
            _ => Ok(()),
        }
    }

    fn learn_expect(&mut self, value: &[u8]) -> Result<(), GuardFault> {
        if self.expect || !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(GuardFault::ExpectRefused);
        }
        self.expect = true;
        Ok(())
    }

    fn learn_length(&mut self, value: &[u8]) -> Result<(), GuardFault> {
        if self.chunked {
            return Err(GuardFault::BothLengths);
        }
        // A leading zero makes a number octal to some readers.
        let is_number = matches!(value, [b'0'] | [b'1'..=b'9', ..]) && value.iter().all(u8::is_ascii_digit);
        if !is_number || value.len() > LENGTH_DIGITS_MAX {
            return Err(GuardFault::ContentLengthMalformed);
        }
        let length = value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0'));
        if length > BODY_BYTES_MAX {
            return Err(GuardFault::ContentLengthMalformed);
        }
        if self.length.is_some() {
            return Err(GuardFault::ContentLengthConflict);
        }
        self.length = Some(length);
        Ok(())
    }

    fn learn_encoding(&mut self, value: &[u8]) -> Result<(), GuardFault> {
        if self.length.is_some() {
            return Err(GuardFault::BothLengths);
        }
        if self.chunked || !self.is_11 || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(GuardFault::TransferEncodingRefused);
        }
        self.chunked = true;
        Ok(())
    }

    fn end(&mut self) -> Result<Head, GuardFault> {
        if self.is_11 && !self.host {
            return Err(GuardFault::HostMissing);
        }
        Ok(Head {
            len: self.read + 2,
            framing: if self.chunked { Framing::Chunked } else { Framing::Length(self.length.unwrap_or(0)) },
            upgrade: self.is_11 && self.upgrade && self.options.upgrade,
            last: self.options.close || !(self.is_11 || self.options.keep_alive),
        })
    }
}

impl Options {
    fn learn(&mut self, value: &[u8]) -> Result<(), GuardFault> {
        for option in value.split(|&byte| byte == b',').map(trimmed) {
            match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                // Whoever strips what `Connection` names would strip the framing itself from what is forwarded.
                4 if option.eq_ignore_ascii_case(b"host") => return Err(GuardFault::ConnectionMalformed),
                14 if option.eq_ignore_ascii_case(b"content-length") => return Err(GuardFault::ConnectionMalformed),
                17 if option.eq_ignore_ascii_case(b"transfer-encoding") => return Err(GuardFault::ConnectionMalformed),
                _ if option.iter().all(|&byte| is_token(byte)) => {}
                _ => return Err(GuardFault::ConnectionMalformed),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(head: &str) -> Result<Option<Head>, GuardFault> {
        HeadReader::default().read(head.as_bytes(), &GuardLimits::default())
    }

    fn with(fields: &str) -> Result<Head, GuardFault> {
        verdict(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).map(|head| head.expect("the head is complete"))
    }

    #[test]
    fn framing_of_lawful_heads() {
        assert_eq!(with("").unwrap().framing, Framing::Length(0));
        assert_eq!(with("Content-Length: 7 \r\n").unwrap().framing, Framing::Length(7));
        assert_eq!(with("Content-Length: 0\r\n").unwrap().framing, Framing::Length(0));
        assert_eq!(with("Content-Length: 9223372036854775807\r\n").unwrap().framing, Framing::Length(i64::MAX as u64));
        assert_eq!(with("Transfer-Encoding:\tChunked\r\n").unwrap().framing, Framing::Chunked);
        assert!(with("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n").unwrap().upgrade);
        assert!(!with("Upgrade: websocket\r\n").unwrap().upgrade);
        assert!(with("Connection: Close\r\n").unwrap().last);
        assert!(!with("Connection: ,keep-alive,\r\n").unwrap().last);
        assert!(verdict("GET / HTTP/1.0\r\n\r\n").unwrap().unwrap().last);
        assert!(!verdict("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").unwrap().unwrap().last);
        assert!(!verdict("GET / HTTP/1.0\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n").unwrap().unwrap().upgrade);
    }

    #[test]
    fn unlawful_fields() {
        use GuardFault::*;
        for (fields, fault) in [
            ("Content-Length: 1\r\nContent-Length: 1\r\n", ContentLengthConflict),
            ("Content-Length: 1\r\nContent-Length: 2\r\n", ContentLengthConflict),
            ("Content-Length: 1, 1\r\n", ContentLengthMalformed),
            ("Content-Length: +1\r\n", ContentLengthMalformed),
            ("Content-Length: -1\r\n", ContentLengthMalformed),
            ("Content-Length: 0x1\r\n", ContentLengthMalformed),
            ("Content-Length: 01\r\n", ContentLengthMalformed),
            ("Content-Length: 00\r\n", ContentLengthMalformed),
            ("Content-Length: 9223372036854775808\r\n", ContentLengthMalformed),
            ("Content-Length: 9999999999999999999\r\n", ContentLengthMalformed),
            ("Content_Length: 1\r\n", HeaderNameMalformed),
            ("transfer_encoding: chunked\r\n", HeaderNameMalformed),
            ("Content-Length: 1 1\r\n", ContentLengthMalformed),
            ("Content-Length:\r\n", ContentLengthMalformed),
            ("Content-Length: 18446744073709551616\r\n", ContentLengthMalformed),
            ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", BothLengths),
            ("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", BothLengths),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", TransferEncodingRefused),
            ("Transfer-Encoding: gzip, chunked\r\n", TransferEncodingRefused),
            ("Transfer-Encoding: xchunked\r\n", TransferEncodingRefused),
            ("Transfer-Encoding: \"chunked\"\r\n", TransferEncodingRefused),
            ("Transfer-Encoding:\r\n", TransferEncodingRefused),
            ("Transfer-Encoding: chunked;q=1\r\n", TransferEncodingRefused),
            ("Transfer-Encoding: \u{b}chunked\r\n", ControlCharacter),
            ("X: a\0b\r\n", ControlCharacter),
            ("X: a\x7fb\r\n", ControlCharacter),
            ("X: a\nY: b\r\n", BareLf),
            ("X: a\rY: b\r\n", BareCr),
            ("X: a\r\n b\r\n", ObsFold),
            ("X: a\r\n\tb\r\n", ObsFold),
            ("X : a\r\n", SpaceBeforeColon),
            ("X\r\n", HeaderNameMalformed),
            (": a\r\n", HeaderNameMalformed),
            ("X(: a\r\n", HeaderNameMalformed),
            ("\u{e9}: a\r\n", HeaderNameMalformed),
            ("X\0: a\r\n", ControlCharacter),
            ("Host: a\r\n", HostDuplicate),
            ("Expect: 200-maybe\r\n", ExpectRefused),
            ("Expect: 100-continue\r\nExpect: 100-continue\r\n", ExpectRefused),
            ("Connection: content-length\r\n", ConnectionMalformed),
            ("Connection: close, Host\r\n", ConnectionMalformed),
            ("Connection: a b\r\n", ConnectionMalformed),
        ] {
            assert_eq!(with(fields), Err(fault), "{fields:?}");
        }
    }

    #[test]
    fn hosts() {
        use GuardFault::*;
        assert_eq!(verdict("GET / HTTP/1.1\r\n\r\n"), Err(HostMissing));
        assert_eq!(verdict("GET / HTTP/1.1\r\nHost:\r\n\r\n"), Err(HostMalformed));
        assert_eq!(verdict("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), Err(HostMalformed));
        assert_eq!(verdict("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"), Err(HostMismatch));
        assert_eq!(verdict("GET http://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n"), Err(HostMismatch));
        assert!(verdict("GET http://A:80/ HTTP/1.1\r\nHost: a:80\r\n\r\n").unwrap().is_some());
    }

    #[test]
    fn ceilings() {
        let limits = GuardLimits { head_bytes_max: 64, headers_max: 2, target_bytes_max: 16, ..GuardLimits::default() };
        let read = |head: &str| HeadReader::default().read(head.as_bytes(), &limits);
        let full = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(32));
        assert_eq!(full.len(), 64);
        assert!(read(&full).unwrap().is_some());
        assert_eq!(read(&full.replace("xx\r\n", "xxx\r\n")), Err(GuardFault::HeadTooLarge));
        assert_eq!(read("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 1\r\n\r\n"), Err(GuardFault::TooManyHeaders));
        assert_eq!(read("GET /12345678901234567890"), Err(GuardFault::TargetTooLong));
    }
}
