//! Which octets may stand where in an HTTP/1 head: tables and one fast scan.
//!
//! In: bytes. Out: places and answers. It never allocates and knows nothing of lines or fields.

/// `tchar` (RFC 9110 §5.6.2): methods and field names.
const TOKEN: u8 = 1;
/// May stand in a path. RFC 3986 has fewer; browsers send `|`, `{`, `}` and `"` raw, and `contract::target` judges the meaning. `\` and
/// broken escapes pass here too, for the same reason: they are answered in the corridor, with a record that has a path.
const PATH: u8 = 2;
/// May stand in a query.
const QUERY: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut octet = 0x21;
    while octet < 0x7f {
        let byte = octet as u8;
        if byte.is_ascii_alphanumeric() || in_set(b"!#$%&'*+-.^_`|~", byte) {
            table[octet] |= TOKEN;
        }
        // What `http::Uri` takes, without what it silently cuts off (`#`): where the two differ, hyper would refuse without a record.
        if !in_set(b"#<>`?", byte) {
            table[octet] |= PATH;
        }
        if !in_set(b"#<\"", byte) && byte != b'>' {
            table[octet] |= QUERY;
        }
        octet += 1;
    }
    // `^` is fine for `http::Uri` in both, so nothing is taken back here.
    table
};

const fn in_set(set: &[u8], byte: u8) -> bool {
    let mut place = 0;
    while place < set.len() {
        if set[place] == byte {
            return true;
        }
        place += 1;
    }
    false
}

/// Whether `byte` may stand in a token.
#[inline]
pub(crate) fn is_token(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & TOKEN != 0
}

/// Whether `byte` may stand in a path.
#[inline]
pub(crate) fn is_path(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & PATH != 0
}

/// Whether `byte` may stand in a query.
#[inline]
pub(crate) fn is_query(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & QUERY != 0
}

/// The first place from `at` on that is not a token octet, or the end.
#[inline]
pub(crate) fn token_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at;
    while at < bytes.len() && is_token(bytes[at]) {
        at += 1;
    }
    at
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The first place from `at` on that no field value may hold (a control character other than HTAB), or the end.
///
/// Eight octets at a time: values are most of a head. The lowest flag of either test is exact; only flags above it may be false.
#[inline]
pub(crate) fn value_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at;
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*eight);
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let deletes = word ^ (ONES * 0x7f);
        let deletes = deletes.wrapping_sub(ONES) & !deletes & HIGHS;
        let flags = controls | deletes;
        if flags == 0 {
            at += 8;
            continue;
        }
        at += flags.trailing_zeros() as usize / 8;
        if bytes[at] != b'\t' {
            return at;
        }
        at += 1;
    }
    while at < bytes.len() && (bytes[at] == b'\t' || (bytes[at] >= 0x20 && bytes[at] != 0x7f)) {
        at += 1;
    }
    at
}

/// `value` without the optional white space around it (RFC 9110 §5.6.3: SP and HTAB).
#[inline]
pub(crate) fn trimmed(value: &[u8]) -> &[u8] {
    let mut value = value;
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_scan_agrees_with_the_plain_one() {
        for byte in 0..=u8::MAX {
            for place in 0..20 {
                let mut bytes = vec![b'a'; 20];
                bytes[place] = byte;
                let lawful = byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
                assert_eq!(value_end(&bytes, 0), if lawful { 20 } else { place }, "octet {byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn the_first_of_several_ends_the_scan() {
        assert_eq!(value_end(b"ab\tcd\t\r\x7fxxxxxxxx", 0), 6);
        assert_eq!(value_end(b"abcd\x7f\r\nxxxxxxxxx", 0), 4);
    }

    #[test]
    fn targets_take_what_the_uri_type_takes_and_no_fragment() {
        for byte in 0..=u8::MAX {
            let path = [b"/".as_slice(), &[byte]].concat();
            let whole = |text: &[u8]| http::Uri::try_from(text).is_ok_and(|uri| uri.to_string().as_bytes() == text);
            if is_path(byte) {
                assert!(whole(&path), "path {byte:#x}");
            } else if byte != b'?' && byte < 0x80 {
                assert!(!whole(&path), "path {byte:#x} is refused without need");
            }
            let query = [b"/?".as_slice(), &[byte]].concat();
            if is_query(byte) {
                assert!(whole(&query), "query {byte:#x}");
            }
        }
    }
}
