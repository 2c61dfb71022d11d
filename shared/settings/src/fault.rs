//! The error type of the deserializer: what serde says, kept in parts, and the node where it was said.
//!
//! In: the calls that serde-derived code makes on `serde::de::Error`. Out: a cause and a place. Never: a finished sentence (see `words`).

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use crate::words::{quote, wants};

#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) cause: Cause,
    /// The number of the node, once the fault has passed one.
    pub(crate) at: Option<u32>,
    /// The key that leads to the node is at fault, not the node.
    pub(crate) on_key: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Missing(&'static str),
    UnknownKey { key: String, known: &'static [&'static str] },
    UnknownVariant { name: String, known: &'static [&'static str] },
    Wrong { found: String, wants: String },
    Length { found: usize, wants: String },
    Message(String),
}

impl Fault {
    fn new(cause: Cause) -> Self {
        Self { cause, at: None, on_key: false }
    }

    /// Puts the fault at a node, unless it was put deeper before.
    pub(crate) fn at(mut self, node: u32) -> Self {
        if self.at.is_none() {
            self.at = Some(node);
        }
        self
    }

    /// Puts the fault at the key that leads to a node, unless it was put deeper before.
    pub(crate) fn at_key_of(mut self, node: u32) -> Self {
        if self.at.is_none() {
            self.at = Some(node);
            self.on_key = true;
        }
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.cause)
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Cause::Message(message.to_string()))
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Cause::Wrong { found: found(unexpected), wants: wants(&expected.to_string()) })
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(Cause::Length { found: length, wants: wants(&expected.to_string()) })
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Cause::UnknownVariant { name: variant.to_owned(), known: expected })
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Cause::UnknownKey { key: field.to_owned(), known: expected })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Cause::Missing(field))
    }
}

fn found(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        Unexpected::Str(text) => format!("the text {}", quote(text)),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map | Unexpected::StructVariant | Unexpected::NewtypeVariant => "a mapping".to_owned(),
        Unexpected::UnitVariant => "a lone name".to_owned(),
        other => other.to_string(),
    }
}
