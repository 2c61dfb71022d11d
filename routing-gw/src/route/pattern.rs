//! A path pattern as written: exact `/orders`, with parameters `/orders/{id}`, or everything below a prefix that ends in a slash, `/orders/`.
//!
//! In: the text of a `path:` key. Out: its segments and whether it is a prefix. Refuses: what could never match a canonical path.

use contract::target::{TargetFault, readings};

/// One part between slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Matches this decoded text alone.
    Literal(Box<str>),
    /// Matches one non-empty segment.
    Parameter(Box<str>),
}

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The segments in order.
    pub segments: Vec<Segment>,
    /// Whether everything below matches too. The prefix itself without its slash does not.
    pub prefix: bool,
}

/// What the door lets in.
const CANONICAL: &str = "requests arrive without empty segments, dot segments and refused escapes: write it as in /orders/ or /orders/{id}";

/// Segments of one pattern at most.
const SEGMENTS_MAX: usize = 64;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it and what would be right, for the configuration report.
    pub fn parse(text: &str) -> Result<Self, (String, String)> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err((format!("the path {text:?} does not start with a slash"), format!("write \"/{text}\"")));
        };
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        if let Err(fault) = readings::pattern(&path.replace(['{', '}'], "")) {
            let remedy = match fault {
                TargetFault::TwoReadings => "write it without parameters: requests are matched with and without theirs",
                TargetFault::EncodedSlash => "write a parameter in its place, as in /orders/{id}, and say allow_encoded_slashes: true",
                _ => CANONICAL,
            };
            return Err((format!("the path {text:?} can never match: {fault}"), remedy.to_owned()));
        }
        if !query.is_empty() || text.ends_with('?') {
            return Err((format!("the path {text:?} holds a query"), "match the path alone".to_owned()));
        }
        let prefix = text.ends_with('/');
        let body = rest.strip_suffix('/').unwrap_or(rest);
        let segments: Vec<Segment> = if body.is_empty() { Vec::new() } else { body.split('/').map(segment).collect::<Result<_, _>>()? };
        if segments.len() > SEGMENTS_MAX {
            return Err((format!("the path has {} segments", segments.len()), format!("use at most {SEGMENTS_MAX}")));
        }
        for (index, segment) in segments.iter().enumerate() {
            if let Segment::Parameter(name) = segment
                && segments.iter().take(index).any(|earlier| earlier == segment)
            {
                return Err((format!("the path {text:?} has two parameters named {name:?}"), "give each a name of its own".to_owned()));
            }
        }
        Ok(Self { segments, prefix })
    }
}

/// One segment: `{name}` alone is a parameter; braces within a literal are a mistake, not a literal.
fn segment(text: &str) -> Result<Segment, (String, String)> {
    if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let lawful = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        return if lawful {
            Ok(Segment::Parameter(name.into()))
        } else {
            Err((format!("{text:?} does not name a parameter"), "use letters, digits and underscores, as in {id}".to_owned()))
        };
    }
    // Elsewhere a star takes anything; here it would leave the requests that were meant to another route.
    if matches!(text, "*" | "**") {
        return Err((
            format!("the segment {text:?} would match a star alone"),
            "write a parameter, as in /orders/{id}, or end the path with a slash for everything below".to_owned(),
        ));
    }
    if text.contains(['{', '}']) {
        return Err((
            format!("the segment {text:?} mixes text and a parameter"),
            "a parameter is a whole segment, as in /orders/{id}".to_owned(),
        ));
    }
    // Requests are matched decoded.
    let decoded =
        readings::pattern(&format!("/{text}")).map_err(|fault| (format!("the segment {text:?}: {fault}"), CANONICAL.to_owned()))?;
    Ok(Segment::Literal(decoded.trim_start_matches('/').into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_read() {
        assert_eq!(Pattern::parse("/").expect("root"), Pattern { segments: vec![], prefix: true });
        assert_eq!(Pattern::parse("/a").expect("exact"), Pattern { segments: vec![Segment::Literal("a".into())], prefix: false });
        let parameter = Pattern::parse("/a/{id}/").expect("prefix with a parameter");
        assert_eq!(parameter, Pattern { segments: vec![Segment::Literal("a".into()), Segment::Parameter("id".into())], prefix: true });
    }

    #[test]
    fn what_can_never_match_is_refused() {
        for text in [
            "a",
            "/a//b",
            "/a/../b",
            "/a/%2f",
            "/a?x=1",
            "/a/{}",
            "/a/x{id}",
            "/a/{i-d}",
            "/a/{id}/{id}",
            "/a/*",
            "/**/b",
            "/a;v=1",
            "/a/{id};x",
        ] {
            assert!(Pattern::parse(text).is_err(), "{text} was accepted");
        }
    }
}
