//! Other readers of HTTP/1, with the bad habits of servers in the field: whatever the guard passes, they all read as the same messages.
//!
//! In: bytes that the guard has passed. Out: the messages that a reader with certain habits finds in them. It is written apart from the guard and
//! from hyper, line by line and without mercy for speed, so that it shares no fault with either.

use http::{HeaderMap, HeaderName, HeaderValue};

/// What a reader makes of doubtful bytes. All off is strict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Habits {
    /// LF alone ends a line.
    pub(super) bare_lf: bool,
    /// CR alone ends a line.
    pub(super) bare_cr: bool,
    /// A line that begins with white space goes on with the one before.
    pub(super) folds: bool,
    /// White space around a name is no part of it.
    pub(super) trims_names: bool,
    /// An underscore in a name is a hyphen.
    pub(super) folds_underscores: bool,
    /// Of both lengths, `Content-Length` counts.
    pub(super) length_first: bool,
    /// Of several fields of one name, the last counts.
    pub(super) last_counts: bool,
    /// A number ends where its digits end, and is octal behind a zero; a coding is chunked if the word stands in it.
    pub(super) reads_loosely: bool,
}

impl Habits {
    pub(super) fn from_bits(bits: [bool; 8]) -> Self {
        let [bare_lf, bare_cr, folds, trims_names, folds_underscores, length_first, last_counts, reads_loosely] = bits;
        Self { bare_lf, bare_cr, folds, trims_names, folds_underscores, length_first, last_counts, reads_loosely }
    }
}

type Field = (Vec<u8>, Vec<u8>);

/// A whole request as a reader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) method: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) fields: Vec<Field>,
    pub(super) trailers: Vec<Field>,
}

impl Message {
    /// What decides where it ends and what is asked for.
    pub(super) fn shape(&self) -> (&[u8], &[u8], &[u8]) {
        (&self.method, &self.target, &self.body)
    }
}

/// Fields as hyper holds them.
pub(super) fn map(fields: &[Field]) -> HeaderMap {
    let pair = |(name, value): &Field| (HeaderName::from_bytes(name).expect("a name"), HeaderValue::from_bytes(value).expect("a value"));
    let mut map = HeaderMap::new();
    for (name, value) in fields.iter().map(pair) {
        map.append(name, value);
    }
    map
}

/// All messages that are whole.
pub(super) fn read(bytes: &[u8], habits: Habits) -> Vec<Message> {
    let mut reader = Reader { bytes, at: 0, habits };
    std::iter::from_fn(|| reader.message()).collect()
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    habits: Habits,
}

impl<'a> Reader<'a> {
    fn message(&mut self) -> Option<Message> {
        let mut parts = self.line()?.split(|&byte| byte == b' ');
        let (method, target) = (parts.next()?.to_vec(), parts.next()?.to_vec());
        let fields = self.fields()?;
        let encodings = self.values(&fields, b"transfer-encoding");
        let length = self.one(&self.values(&fields, b"content-length")).map(|value| self.number(value));
        let chunked = self.one(&encodings).is_some_and(|value| self.is_chunked(value));
        let mut message = Message { method, target, ..Message::default() };
        if chunked && !(self.habits.length_first && length.is_some()) {
            message.trailers = self.chunks(&mut message.body)?;
        } else {
            message.body = self.take(length.unwrap_or_default())?.to_vec();
        }
        message.fields = fields;
        Some(message)
    }

    /// A line without its end.
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let ends = |place: &usize| match rest[*place] {
            b'\n' => self.habits.bare_lf,
            b'\r' => self.habits.bare_cr || rest.get(place + 1) == Some(&b'\n'),
            _ => false,
        };
        let end = (0..rest.len()).find(ends)?;
        let both = rest[end] == b'\r' && rest.get(end + 1) == Some(&b'\n');
        self.at += end + if both { 2 } else { 1 };
        Some(&rest[..end])
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let end = self.at.checked_add(usize::try_from(length).ok()?)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn fields(&mut self) -> Option<Vec<Field>> {
        let mut fields: Vec<Field> = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(fields);
            }
            if self.habits.folds && line[0].is_ascii_whitespace() {
                if let Some((_, value)) = fields.last_mut() {
                    value.extend_from_slice(line);
                    *value = value.trim_ascii().to_vec();
                }
                continue;
            }
            let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
            let name = &line[..colon];
            let name = if self.habits.trims_names { name.trim_ascii() } else { name };
            fields.push((name.to_ascii_lowercase(), line.get(colon + 1..).unwrap_or_default().trim_ascii().to_vec()));
        }
    }

    fn values<'f>(&self, fields: &'f [Field], wanted: &[u8]) -> Vec<&'f [u8]> {
        let fold = |byte: &u8| if self.habits.folds_underscores && *byte == b'_' { b'-' } else { *byte };
        let is_wanted = |name: &[u8]| name.iter().map(fold).eq(wanted.iter().copied());
        fields.iter().filter(|(name, _)| is_wanted(name)).map(|(_, value)| value.as_slice()).collect()
    }

    fn one<'f>(&self, values: &[&'f [u8]]) -> Option<&'f [u8]> {
        if self.habits.last_counts { values.last().copied() } else { values.first().copied() }
    }

    fn number(&self, text: &[u8]) -> u64 {
        let radix = if self.habits.reads_loosely && text.first() == Some(&b'0') { 8 } else { 10 };
        digits(text, radix)
    }

    fn is_chunked(&self, coding: &[u8]) -> bool {
        let coding = coding.to_ascii_lowercase();
        if self.habits.reads_loosely { coding.windows(7).any(|word| word == b"chunked") } else { coding == b"chunked" }
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> Option<Vec<Field>> {
        loop {
            let size = digits(self.line()?, 16);
            if size == 0 {
                return self.fields();
            }
            body.extend_from_slice(self.take(size)?);
            self.line()?;
        }
    }
}

/// The digits at the front, as one who does not look for overflow reads them.
fn digits(text: &[u8], radix: u32) -> u64 {
    let values = text.iter().map_while(|&byte| char::from(byte).to_digit(radix));
    values.fold(0, |number, digit| number.wrapping_mul(radix.into()).wrapping_add(digit.into()))
}

/// Without this, a property over readers that all read alike would say nothing.
#[test]
fn readers_differ_where_the_bytes_are_doubtful() {
    for (habit, doubtful) in [
        "POST / HTTP/1.1\r\nA: b\nContent-Length: 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nA: b\rContent-Length: 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nContent-Length:\r\n 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nContent-Length : 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nContent_Length: 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        "POST / HTTP/1.1\r\nContent-Length: 010\r\n\r\n0123456789",
    ]
    .into_iter()
    .enumerate()
    {
        let mut bits = [false; 8];
        bits[habit] = true;
        let bodies = |habits| read(doubtful.as_bytes(), habits).into_iter().map(|message| message.body).collect::<Vec<_>>();
        assert_ne!(bodies(Habits::default()), bodies(Habits::from_bits(bits)), "{doubtful:?}");
    }
}
