//! One JSON object as one line, written straight into a byte buffer.
//!
//! In: keys of our own and values from anywhere. Out: one RFC 8259 object without a newline in it. Never: allocates
//! (beyond the buffer's growth), fails, or lets a value break out of its string; a line in a log cannot be forged.

use std::net::IpAddr;
use std::time::Duration;

const HEX_LOWER: &[u8; 16] = b"0123456789abcdef";
const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// For each byte, what must follow a backslash in place of it: 0 for nothing, `u` for a `\u00XX` escape.
static ESCAPES: [u8; 256] = escapes();

const fn escapes() -> [u8; 256] {
    let mut table = [0_u8; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    // DEL is lawful in JSON, yet terminals act on it.
    table[0x7f] = b'u';
    table
}

/// A JSON object being written. Keys are constants of ours (see `names`), which need no escaping: they are static,
/// so that nothing from a request can become one, and they are checked in debug builds.
#[derive(Debug)]
pub struct Line<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Line<'a> {
    /// Begins an object at the end of `out`.
    pub fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// Ends the object. Without this call the line is not JSON.
    pub fn close(self) {
        self.out.push(b'}');
    }

    /// A string.
    pub fn str(&mut self, key: &'static str, value: &str) -> &mut Self {
        self.key(key);
        quote(self.out, value.as_bytes());
        self
    }

    /// A string, or no field at all.
    pub fn opt_str(&mut self, key: &'static str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.str(key, value),
            None => self,
        }
    }

    /// Bytes that should be UTF-8; what is not is shown as U+FFFD.
    pub fn bytes_lossy(&mut self, key: &'static str, value: &[u8]) -> &mut Self {
        self.key(key);
        self.out.push(b'"');
        for chunk in value.utf8_chunks() {
            escape(self.out, chunk.valid().as_bytes());
            if !chunk.invalid().is_empty() {
                self.out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
        self.out.push(b'"');
        self
    }

    /// An array of strings.
    pub fn strs<S: AsRef<str>>(&mut self, key: &'static str, values: &[S]) -> &mut Self {
        self.key(key);
        self.out.push(b'[');
        for (place, value) in values.iter().enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            quote(self.out, value.as_ref().as_bytes());
        }
        self.out.push(b']');
        self
    }

    /// A whole number.
    pub fn u64(&mut self, key: &'static str, value: u64) -> &mut Self {
        self.key(key);
        digits(self.out, value);
        self
    }

    /// A whole number, or no field at all.
    pub fn opt_u64(&mut self, key: &'static str, value: Option<u64>) -> &mut Self {
        match value {
            Some(value) => self.u64(key, value),
            None => self,
        }
    }

    /// True or false.
    pub fn bool(&mut self, key: &'static str, value: bool) -> &mut Self {
        self.key(key);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        self
    }

    /// A duration as milliseconds with three decimals, rounded down to the microsecond.
    pub fn ms(&mut self, key: &'static str, value: Duration) -> &mut Self {
        self.us_as_ms(key, u64::try_from(value.as_micros()).unwrap_or(u64::MAX))
    }

    /// A duration as milliseconds, or no field at all.
    pub fn opt_ms(&mut self, key: &'static str, value: Option<Duration>) -> &mut Self {
        match value {
            Some(value) => self.ms(key, value),
            None => self,
        }
    }

    /// Microseconds (as the Trail counts them) shown as milliseconds with three decimals.
    pub fn us_as_ms(&mut self, key: &'static str, value_us: u64) -> &mut Self {
        self.key(key);
        digits(self.out, value_us / 1000);
        let rest = (value_us % 1000) as u16;
        let digit = |place: u16| b'0' + (rest / place % 10) as u8;
        self.out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
        self
    }

    /// A moment, as RFC 3339 in UTC with milliseconds.
    pub fn time(&mut self, key: &'static str, unix_ms: u64) -> &mut Self {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(&rfc3339_ms(unix_ms));
        self.out.push(b'"');
        self
    }

    /// Bytes as lower-case hex digits.
    pub fn hex(&mut self, key: &'static str, value: &[u8]) -> &mut Self {
        self.hex_with(key, value, HEX_LOWER)
    }

    /// Bytes as upper-case hex digits, the form of certificate hashes in OpenTelemetry's conventions.
    pub fn hex_upper(&mut self, key: &'static str, value: &[u8]) -> &mut Self {
        self.hex_with(key, value, HEX_UPPER)
    }

    /// An IP address; IPv4 in its own form also where it came mapped into IPv6.
    pub fn ip(&mut self, key: &'static str, value: IpAddr) -> &mut Self {
        self.key(key);
        self.out.push(b'"');
        match value.to_canonical() {
            IpAddr::V4(v4) => {
                for (place, octet) in v4.octets().into_iter().enumerate() {
                    if place > 0 {
                        self.out.push(b'.');
                    }
                    digits(self.out, u64::from(octet));
                }
            }
            IpAddr::V6(v6) => {
                // Writing to a Vec does not fail.
                let _ = std::io::Write::write_fmt(self.out, format_args!("{v6}"));
            }
        }
        self.out.push(b'"');
        self
    }

    fn hex_with(&mut self, key: &'static str, value: &[u8], alphabet: &[u8; 16]) -> &mut Self {
        self.key(key);
        self.out.push(b'"');
        for byte in value {
            self.out.extend_from_slice(&[alphabet[usize::from(byte >> 4)], alphabet[usize::from(byte & 15)]]);
        }
        self.out.push(b'"');
        self
    }

    fn key(&mut self, key: &'static str) {
        debug_assert!(key.bytes().all(|byte| ESCAPES[usize::from(byte)] == 0), "a key must need no escaping");
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

fn quote(out: &mut Vec<u8>, utf8: &[u8]) {
    out.push(b'"');
    escape(out, utf8);
    out.push(b'"');
}

/// Runs of plain bytes are copied whole: nearly every value is one run.
fn escape(out: &mut Vec<u8>, utf8: &[u8]) {
    let mut rest = utf8;
    while let Some(place) = rest.iter().position(|byte| ESCAPES[usize::from(*byte)] != 0) {
        let (plain, tail) = rest.split_at(place);
        out.extend_from_slice(plain);
        let byte = tail[0];
        match ESCAPES[usize::from(byte)] {
            b'u' => {
                let (high, low) = (HEX_LOWER[usize::from(byte >> 4)], HEX_LOWER[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            short => out.extend_from_slice(&[b'\\', short]),
        }
        rest = &tail[1..];
    }
    out.extend_from_slice(rest);
}

fn digits(out: &mut Vec<u8>, mut value: u64) {
    let mut text = [0_u8; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

/// Milliseconds since the Unix epoch as `2026-02-03T04:05:06.789Z` (RFC 3339). What lies after the year 9999 is shown
/// as its last millisecond, for the form has four digits for the year.
#[must_use]
pub fn rfc3339_ms(unix_ms: u64) -> [u8; 24] {
    const LAST_MS: u64 = 253_402_300_799_999;
    let unix_ms = unix_ms.min(LAST_MS);
    let (days, ms_of_day) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (seconds, ms) = (ms_of_day / 1000, ms_of_day % 1000);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut put = |at: usize, width: usize, mut value: u64| {
        for place in (at..at + width).rev() {
            text[place] = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    put(0, 4, year);
    put(5, 2, month);
    put(8, 2, day);
    put(11, 2, seconds / 3600);
    put(14, 2, seconds / 60 % 60);
    put(17, 2, seconds % 60);
    put(20, 3, ms);
    text
}

/// Days since 1970-01-01 to year, month, day in the Gregorian calendar. Years are counted from March, so that the leap
/// day is a year's last and every 400 years are alike.
fn civil(days: u64) -> (u64, u64, u64) {
    let from_march_0 = days + 719_468;
    let era = from_march_0 / 146_097;
    let day_of_era = from_march_0 % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
