//! What a scalar's text means.
//!
//! In: a text, and whether it was written without quotes. Out: nothing, a boolean, a number or a text, by YAML 1.2's core schema alone: `yes`
//! and `on` are texts, and so are `inf` and `nan`. Never: octal by a leading zero.

use serde::de::Unexpected;

use crate::tree::Scalar;

/// What a scalar is where the wanted type does not say (YAML 1.2.2 §10.3.2).
pub(crate) enum Guess<'t> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'t str),
}

pub(crate) fn guess(scalar: &Scalar) -> Guess<'_> {
    let text = scalar.text.as_str();
    if is_null(scalar) {
        return Guess::Null;
    }
    if !scalar.plain && !scalar.from_env {
        return Guess::Text(text);
    }
    boolean(text)
        .map(Guess::Bool)
        .or_else(|| unsigned(text).map(Guess::Unsigned))
        .or_else(|| signed(text).map(Guess::Signed))
        .or_else(|| float(text).map(Guess::Float))
        .unwrap_or(Guess::Text(text))
}

pub(crate) fn unexpected(scalar: &Scalar) -> Unexpected<'_> {
    match guess(scalar) {
        Guess::Null => Unexpected::Unit,
        Guess::Bool(value) => Unexpected::Bool(value),
        Guess::Unsigned(number) => Unexpected::Unsigned(number),
        Guess::Signed(number) => Unexpected::Signed(number),
        Guess::Float(number) => Unexpected::Float(number),
        Guess::Text(text) => Unexpected::Str(text),
    }
}

/// A variable that is set but empty is an empty text, not nothing.
pub(crate) fn is_null(scalar: &Scalar) -> bool {
    scalar.plain && !scalar.from_env && matches!(scalar.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
}

pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

pub(crate) fn unsigned(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(hex), _) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u64::from_str_radix(hex, 16).ok(),
        (_, Some(octal)) if octal.bytes().all(|b| b.is_ascii_digit()) => u64::from_str_radix(octal, 8).ok(),
        _ if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    }
}

pub(crate) fn signed(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        Some(_) => None,
        None => unsigned(text).and_then(|number| i64::try_from(number).ok()),
    }
}

/// Rust also reads `inf` and `nan`, which are texts in YAML; no setting of ours is infinite.
pub(crate) fn float(text: &str) -> Option<f64> {
    let numeric = text.bytes().any(|b| b.is_ascii_digit()) && text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    numeric.then(|| text.parse().ok()).flatten().filter(|number: &f64| number.is_finite())
}
