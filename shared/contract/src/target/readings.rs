//! What servers make of one canonical path, and what a rule or a route says of it under every reading.
//!
//! In: a path that came through [`check`], and who finds what takes it. Out: what is found, if it is one. Refuses: a path that is one thing to some
//! servers and another to others. Never: decides what a path means; that is for the instance.
//!
//! Escapes are decoded before a rule or a route is asked, so `/a%40b` is `/a@b` and `%c3%a9` is `%C3%A9`. Two things are left that servers
//! read differently, and [`agree`] asks under each reading:
//! - *Parameters* (`/admin;x`): servers of the servlet family cut them off, others keep them. Only what both find is found.
//! - *Encoded slashes* (`/a%2Fb`): one segment to some, two to others. Whoever is found must allow them, and must take the path too when they
//!   separate segments, unless then nobody takes it, with any method. Who allows them so grants what lies below a pattern and has no route of its own:
//!   an instance that separates there is reached under the terms of the pattern.

use std::borrow::Cow;

use crate::target::{Shape, TargetFault, check, escape};

/// The path of a rule or route as it is matched: decoded. What [`agree`] could never find under every reading is refused.
///
/// # Errors
/// The path is not canonical, or has an encoded slash or parameters; a query makes it no path.
pub fn pattern(path: &str) -> Result<String, TargetFault> {
    if path.contains('?') {
        return Err(TargetFault::Byte);
    }
    let shape = check(path, false)?;
    if shape.encoded_slashes {
        return Err(TargetFault::EncodedSlash);
    }
    if shape.parameters {
        return Err(TargetFault::TwoReadings);
    }
    Ok(read(path, Slashes::Data, Parameters::Kept).into_owned())
}

/// What `find` says of a canonical path, once under every reading that servers have of it.
///
/// `find` says `None` only of a path that nobody takes: one that is taken with other methods is somebody's, and says so.
///
/// `find` is given the decoded path; an encoded slash that is data stands in it as `%2F`, which no pattern holds. Whoever is found must still be
/// asked whether it allows encoded slashes. A plain path is asked for once, and nothing is allocated for it.
///
/// # Errors
/// Two readings find different things.
pub fn agree<T: PartialEq>(path: &str, shape: Shape, find: impl Fn(&str) -> Option<T>) -> Result<Option<T>, TargetFault> {
    if shape == Shape::default() {
        return Ok(find(path));
    }
    let ask = |slashes, parameters| find(&read(path, slashes, parameters));
    let found = ask(Slashes::Data, Parameters::Kept);
    if shape.parameters && ask(Slashes::Data, Parameters::Cut) != found {
        return Err(TargetFault::TwoReadings);
    }
    if shape.encoded_slashes {
        let cut = if shape.parameters { &[Parameters::Kept, Parameters::Cut, Parameters::CutFirst][..] } else { &[Parameters::Kept] };
        for parameters in cut {
            // Where nobody takes the decoded form, with any method, nobody's terms are passed by; whoever takes it must be the one that was found.
            let split = ask(Slashes::Separators, *parameters);
            if split.is_some() && split != found {
                return Err(TargetFault::TwoReadings);
            }
        }
    }
    Ok(found)
}

/// How a reading takes `%2F`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slashes {
    Data,
    Separators,
}

/// How a reading takes `;` and what follows it in a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parameters {
    Kept,
    /// Cut up to the next separator.
    Cut,
    /// Cut before anything is decoded, so that an encoded slash goes too.
    CutFirst,
}

/// A canonical path under one reading.
fn read(path: &str, slashes: Slashes, parameters: Parameters) -> Cow<'_, str> {
    if !path.contains('%') && (parameters == Parameters::Kept || !path.contains(';')) {
        return Cow::Borrowed(path);
    }
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    let mut cutting = false;
    while let Some((&byte, after)) = rest.split_first() {
        let decoded = if byte == b'%' { escape(after).ok() } else { None };
        let (byte, after, escaped) = decoded.map_or((byte, after, false), |(byte, after)| (byte, after, true));
        rest = after;
        let separates = byte == b'/' && (!escaped || slashes == Slashes::Separators);
        let ends = separates && !(escaped && parameters == Parameters::CutFirst);
        cutting = !ends && (cutting || (byte == b';' && parameters != Parameters::Kept));
        if cutting {
            continue;
        }
        if byte == b'/' && !separates {
            out.extend_from_slice(b"%2F");
        } else {
            out.push(byte);
        }
    }
    // A canonical path decodes to UTF-8, and no pattern takes an empty one.
    Cow::Owned(String::from_utf8(out).unwrap_or_default())
}
