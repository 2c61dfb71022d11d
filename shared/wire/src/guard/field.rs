//! One field line of a head or a trailer section, read strictly.
//!
//! In: bytes that begin with the line. Out: its name, its value, and how long it is; or that bytes are missing. It refuses whatever two
//! readers may see differently: white space before the colon, folding, bare CR or LF, control characters. It never looks behind the line.
//!
//! obs-text (octets above 0x7f) passes in values. It cannot move a border between messages, and refusing it would break lawful traffic:
//! UTF-8 in `Referer`, in cookies, in file names. Fields that the guard itself understands have grammars that exclude it.

use crate::guard::fault::GuardFault;
use crate::guard::octets::{token_end, trimmed, value_end};

/// A complete line.
pub(crate) struct FieldLine<'a> {
    /// A token, in the case that it was written.
    pub(crate) name: &'a [u8],
    /// Without the white space around it.
    pub(crate) value: &'a [u8],
    /// Bytes of the line with its CRLF.
    pub(crate) len: usize,
}

/// What stands at the beginning of the bytes.
pub(crate) enum Line<'a> {
    /// A field.
    Field(FieldLine<'a>),
    /// The empty line that ends the section: two bytes.
    End,
    /// Lawful so far, and not complete.
    Partial,
}

/// Reads one line. The answer depends on the shortest run of bytes that settles it, so that it is the same however they arrive.
#[inline]
pub(crate) fn read(bytes: &[u8]) -> Result<Line<'_>, GuardFault> {
    let colon = token_end(bytes, 0);
    match bytes.get(colon) {
        Some(b':') if colon > 0 => {}
        Some(&byte) if colon > 0 => return Err(name_fault(byte)),
        Some(_) => return first_octet(bytes),
        None => return Ok(Line::Partial),
    }
    let end = value_end(bytes, colon + 1);
    match bytes.get(end..) {
        Some([b'\r', b'\n', ..]) => {}
        Some([] | [b'\r']) | None => return Ok(Line::Partial),
        Some([b'\r', ..]) => return Err(GuardFault::BareCr),
        Some([b'\n', ..]) => return Err(GuardFault::BareLf),
        Some(_) => return Err(GuardFault::ControlCharacter),
    }
    Ok(Line::Field(FieldLine { name: &bytes[..colon], value: trimmed(&bytes[colon + 1..end]), len: end + 2 }))
}

/// The line does not begin with a name.
fn first_octet(bytes: &[u8]) -> Result<Line<'_>, GuardFault> {
    match bytes {
        [b'\r', b'\n', ..] => Ok(Line::End),
        [b'\r'] => Ok(Line::Partial),
        [b'\r', ..] => Err(GuardFault::BareCr),
        [b'\n', ..] => Err(GuardFault::BareLf),
        [b' ' | b'\t', ..] => Err(GuardFault::ObsFold),
        _ => Err(GuardFault::HeaderNameMalformed),
    }
}

/// The name ends in something else than a colon.
fn name_fault(byte: u8) -> GuardFault {
    match byte {
        b' ' | b'\t' => GuardFault::SpaceBeforeColon,
        b'\n' => GuardFault::BareLf,
        b'\r' => GuardFault::HeaderNameMalformed,
        0..0x20 | 0x7f => GuardFault::ControlCharacter,
        _ => GuardFault::HeaderNameMalformed,
    }
}
