//! What is canonical, what is not and why, and what no reading of a path may reach.

use proptest::prelude::*;

use super::readings::{agree, pattern};
use super::*;

#[test]
fn canonical_targets_pass() {
    for target in [
        "/",
        "/a",
        "/a/",
        "/a/b.c/d",
        "/...",
        "/.well-known/x",
        "/a..b/c",
        "/a;v=1/b",
        "/%C3%A9",
        "/%c3%a9",
        "/a%20b",
        "/a:b@c!$&'()*+,=~",
        "/?",
        "/a?b=c&d=%00%2F..//\\|^",
        "/a?x?y",
        "/%F0%9F%A6%80",
        "/a%2Cb",
        "/%61dmin",
        "/a%7Eb%2D%5f%30",
    ] {
        assert!(check(target, false).is_ok(), "{target}");
    }
    assert_eq!(check("*", true), Ok(Shape::default()));
    assert_eq!(check("/a?b%2F;", false), Ok(Shape::default()));
    assert_eq!(check("/a%2fb", false), Ok(Shape { escapes: true, encoded_slashes: true, parameters: false }));
    assert_eq!(check("/a;b/c", false), Ok(Shape { parameters: true, ..Shape::default() }));
}

#[test]
fn each_other_form_is_refused_with_its_fault() {
    use TargetFault as F;
    for (target, fault) in [
        ("", F::NotAPath),
        ("a", F::NotAPath),
        ("*", F::NotAPath),
        ("?a", F::NotAPath),
        ("http://a/b", F::NotAPath),
        ("//", F::EmptySegment),
        ("//a", F::EmptySegment),
        ("/a//b", F::EmptySegment),
        ("/a/;x/b", F::EmptySegment),
        ("/;", F::EmptySegment),
        ("/.", F::DotSegment),
        ("/..", F::DotSegment),
        ("/a/./b", F::DotSegment),
        ("/a/../b", F::DotSegment),
        ("/a/..;/b", F::DotSegment),
        ("/a/..;x=1/b", F::DotSegment),
        ("/a/.?b", F::DotSegment),
        ("/%2e%2e/a", F::Encoded),
        ("/a/%2E/b", F::Encoded),
        ("/a%5Cb", F::Encoded),
        ("/a%00b", F::Encoded),
        ("/a%0d%0ab", F::Encoded),
        ("/a%7Fb", F::Encoded),
        ("/a%3Bb", F::Encoded),
        ("/a%252e", F::Encoded),
        ("/a%3Fb", F::Encoded),
        ("/a%23b", F::Encoded),
        ("/a\\b", F::Byte),
        ("/a#b", F::Byte),
        ("/a b", F::Byte),
        ("/a\tb", F::Byte),
        ("/a\u{7f}", F::Byte),
        ("/é", F::Byte),
        ("/a?b#c", F::Byte),
        ("/a?b c", F::Byte),
        ("/a?é", F::Byte),
        ("/a%", F::Escape),
        ("/a%2", F::Escape),
        ("/a%zz", F::Escape),
        ("/a%+1", F::Escape),
        ("/a?b%", F::Escape),
        ("/a?b%g0", F::Escape),
        ("/%C0%AF", F::NotUtf8),
        ("/%E0%80%AF", F::NotUtf8),
        ("/%FF", F::NotUtf8),
        ("/%C3", F::NotUtf8),
        ("/%C3/%A9", F::NotUtf8),
        ("/%ED%A0%80", F::NotUtf8),
    ] {
        assert_eq!(check(target, false), Err(fault), "{target}");
    }
    assert_eq!(check(&format!("/{}", "a".repeat(TARGET_BYTES_MAX)), false), Err(F::TooLong));
}

#[test]
fn an_allowed_encoded_slash_separates_segments_in_every_check() {
    for (target, fault) in [
        ("/a%2F..%2Fb", TargetFault::DotSegment),
        ("/a%2f%2Fb", TargetFault::EmptySegment),
        ("/%2Fa", TargetFault::EmptySegment),
        ("/a%2F.", TargetFault::DotSegment),
    ] {
        assert_eq!(check(target, false), Err(fault), "{target}");
    }
}

#[test]
fn the_client_learns_length_apart_from_form() {
    assert_eq!(TargetFault::TooLong.reason(), Reason::TargetTooLong);
    assert_eq!(TargetFault::DotSegment.reason(), Reason::TargetNotCanonical);
}

/// Decodes one layer, as an instance would.
fn decode(path: &str) -> Vec<u8> {
    let mut bytes = path.as_bytes();
    let mut out = Vec::new();
    while let Some((&byte, after)) = bytes.split_first() {
        let (byte, after) = if byte == b'%' { escape(after).unwrap() } else { (byte, after) };
        out.push(byte);
        bytes = after;
    }
    out
}

proptest! {
    #[test]
    fn nothing_panics(target in any::<String>(), escapes: bool, encoded_slashes: bool, parameters: bool) {
        let shape = Shape { escapes, encoded_slashes, parameters };
        for target in [target.clone(), format!("/{target}")] {
            let _ = (check(&target, true), pattern(&target));
            let _ = agree(&target, shape, |path| (path.len() > 3).then_some(path.len()));
        }
    }

    /// What passes means the same before and after one more decoding: the same segments, none of them empty, dots or controls.
    #[test]
    fn what_passes_reads_the_same_once_decoded(path in "/([a-c./;%2eEfF5C0?#é \\\\]|%2[0-9a-fA-F]|%[0-9a-f]{2}|%C3%A9){0,12}") {
        if check(&path, false).is_ok_and(|shape| !shape.encoded_slashes) {
            let path = path.split('?').next().unwrap();
            let decoded = String::from_utf8(decode(path)).unwrap();
            prop_assert_eq!(path.matches('/').count(), decoded.matches('/').count());
            let segments: Vec<&str> = decoded.split('/').skip(1).map(|segment| segment.split(';').next().unwrap()).collect();
            for (at, segment) in segments.iter().enumerate() {
                prop_assert!(*segment != "." && *segment != "..");
                prop_assert!(!segment.is_empty() || at + 1 == segments.len());
            }
            prop_assert!(!decoded.contains(|c: char| c.is_ascii_control() || c == '\\' || c == '%'));
        }
    }

    #[test]
    fn plain_segments_always_pass(segments in proptest::collection::vec("[a-zA-Z0-9_~-]{1,8}", 1..6)) {
        prop_assert_eq!(check(&format!("/{}", segments.join("/")), false), Ok(Shape::default()));
    }

    /// A pattern reads back as itself, and once decoded there is nothing left to decode.
    #[test]
    fn a_pattern_is_read_once(path in ANY_PATH) {
        if let Ok(once) = pattern(&path) {
            prop_assert!(!once.contains('%'));
            prop_assert_eq!(pattern(&once.replace(' ', "%20").replace('\u{e9}', "%C3%A9")), Ok(once));
        }
    }

    /// Prefix and exact paths, the longest first, as tier 1 has them: what is found is what every reading of the path finds.
    #[test]
    fn no_reading_finds_anything_else(path in ANY_PATH, paths in proptest::collection::vec("/([abc]|[abc]/){0,4}", 1..5)) {
        let Ok(shape) = check(&path, false) else { return Ok(()) };
        let path = path.split('?').next().unwrap();
        let find = |path: &str| {
            let takes = |rule: &&String| if rule.ends_with('/') { path.starts_with(rule.as_str()) } else { path == rule.as_str() };
            paths.iter().filter(takes).max_by_key(|rule| rule.len()).cloned()
        };
        if let Ok(Some(found)) = agree(path, shape, find) {
            let decoded = String::from_utf8(decode(path)).unwrap();
            // The servlet family's two orders: parameters cut before, and after escapes are decoded.
            let cut = |path: &str| path.split('/').map(|segment| segment.split(';').next().unwrap()).collect::<Vec<_>>().join("/");
            for reading in [decoded.clone(), cut(&decoded), String::from_utf8(decode(&cut(path))).unwrap()] {
                prop_assert_eq!(find(&reading), Some(found.clone()), "{} as {}", path, reading);
            }
        }
    }
}

/// Escapes of all that has a second reading, in either case, and what stands around them.
const ANY_PATH: &str = "/([abc.;@\u{e9}/]|%6[123]|%2[fF]|%40|%20|%C3%A9|%c3%a9){0,10}";

#[test]
fn what_has_two_readings_is_found_only_where_they_agree() {
    let find = |path: &str| ["/admin", "/files/"].into_iter().find(|rule| path == *rule || (rule.ends_with('/') && path.starts_with(rule)));
    let said = |path: &str| agree(path, check(path, false).unwrap(), |path| Some(find(path).unwrap_or("/")));
    let split = Err(TargetFault::TwoReadings);
    for (path, expected) in [
        ("/admin", Ok(Some("/admin"))),
        ("/admin;x", split),
        ("/admin;x/y", Ok(Some("/"))),
        ("/files/1;v=2", Ok(Some("/files/"))),
        ("/files;x/1", split),
        ("/files/a%2Fb", Ok(Some("/files/"))),
        ("/files%2Fb", split),
        ("/files;x%2Fb", split),
        ("/b%2Ffiles/", Ok(Some("/"))),
        ("/%C3%A9", Ok(Some("/"))),
        ("/%61dmin", Ok(Some("/admin"))),
        ("/%61dmi%6E;x", split),
        ("/%66iles/%7Ea", Ok(Some("/files/"))),
    ] {
        assert_eq!(said(path), expected, "{path}");
    }
    // Where nobody takes the decoded form, it is the route's own word that counts.
    let one = |path: &str| (path.starts_with("/a/") && path.matches('/').count() == 2).then_some(());
    assert_eq!(agree("/a/x%2Fy", check("/a/x%2Fy", false).unwrap(), one), Ok(Some(())));
    assert_eq!(agree("/a%2Fx", check("/a%2Fx", false).unwrap(), one), split.map(|_: Option<&str>| Some(())));
}

#[test]
fn a_pattern_is_matched_decoded_and_has_one_reading() {
    assert_eq!(pattern("/caf%c3%a9/%40"), Ok("/caf\u{e9}/@".to_owned()));
    for (path, fault) in [
        ("/a%2Fb", TargetFault::EncodedSlash),
        ("/a;v=1", TargetFault::TwoReadings),
        ("/a?b", TargetFault::Byte),
        ("a", TargetFault::NotAPath),
    ] {
        assert_eq!(pattern(path), Err(fault), "{path}");
    }
}
