//! The sentences of a complaint: what is wrong, and what to do.
//!
//! In: the cause of a fault. Out: two halves of one line. Never: Rust type names, serde's vocabulary, or more than a clipped piece of a value.

use crate::fault::Cause;
use crate::names::nearest;

const QUOTED_CHARS_MAX: usize = 64;
const LISTED_NAMES_MAX: usize = 24;

/// A value in quotes, clipped, with control characters escaped, so that a hostile file cannot write to the operator's terminal.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// What a visitor says that it expects, in the words of someone who writes YAML.
pub(crate) fn wants(expected: &str) -> String {
    if let Some(length) = expected.strip_prefix("a tuple of size ").or_else(|| expected.strip_prefix("an array of length ")) {
        return format!("a list of {length} elements");
    }
    let range = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "u128" | "usize" => "a whole number, 0 or more",
        "i8" => "a whole number from -128 to 127",
        "i16" => "a whole number from -32768 to 32767",
        "i32" | "i64" | "i128" | "isize" => "a whole number",
        "a nonzero u16" => "a whole number from 1 to 65535",
        "a nonzero u32" | "a nonzero u64" | "a nonzero usize" => "a whole number, 1 or more",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" | "a character" => "a text",
        "a sequence" => "a list",
        "a map" | "string or map" => "a mapping of keys",
        "variant identifier" | "unit variant" => "the name of a choice",
        other if other.starts_with("struct ") || other.starts_with("struct variant ") || other.starts_with("internally tagged enum ") => {
            "a mapping of keys"
        }
        other if other.starts_with("enum ") => "a choice",
        other if other.starts_with("newtype variant ") => "a mapping with the choice as its key",
        other => other,
    };
    range.to_owned()
}

/// The two halves for a cause: what is wrong, and the remedy.
pub(crate) fn sentence(cause: &Cause) -> (String, String) {
    match cause {
        Cause::Missing(field) => (format!("the required key {} is missing", quote(field)), format!("add \"{field}: …\"")),
        Cause::UnknownKey { key, known } => (format!("unknown key {}", quote(key)), did_you_mean("the keys here are", key, known)),
        Cause::UnknownVariant { name, known } => (format!("unknown choice {}", quote(name)), did_you_mean("the choices are", name, known)),
        Cause::Wrong { found, wants } => (format!("found {found}"), format!("write {wants}")),
        Cause::Length { found, wants } => (format!("found a list of {found} elements"), format!("write {wants}")),
        Cause::Message(message) => match message.split_once("; ") {
            Some((what, remedy)) => (what.to_owned(), remedy.to_owned()),
            None => (message.clone(), "see the output of the command `schema` for what this may be".to_owned()),
        },
    }
}

fn did_you_mean(list: &str, name: &str, known: &[&'static str]) -> String {
    if let Some(near) = nearest(name, known.iter().copied()) {
        return format!("did you mean \"{near}\"?");
    }
    match known {
        [] => "remove it".to_owned(),
        _ => format!("{list}: {}", names(known.iter().copied())),
    }
}

/// A list of names for a sentence, cut where nobody would read on.
pub(crate) fn names<'a>(known: impl Iterator<Item = &'a str>) -> String {
    let mut listed: Vec<&str> = known.take(LISTED_NAMES_MAX + 1).collect();
    if listed.len() > LISTED_NAMES_MAX {
        listed.truncate(LISTED_NAMES_MAX);
        listed.push("…");
    }
    listed.join(", ")
}
