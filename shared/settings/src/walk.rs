//! serde's way through the tree.
//!
//! In: a node, and the type that serde-derived code wants to see there. Out: that type, or a fault with the node's number. The wanted type
//! decides what a scalar is: `port: 80` is a number for a `u16` and a text for a `String`. Unknown keys do not stop it: they are noted and
//! taken out. Never: reads a node that is gone.

use std::cell::RefCell;

use serde::de::{DeserializeSeed, Deserializer, Error, Expected, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use crate::choice::Choice;
use crate::fault::{Cause, Fault};
use crate::keys::Key;
use crate::scalars::{Guess, boolean, float, guess, is_null, signed, unexpected, unsigned};
use crate::tree::{Entry, Node, Scalar, Shape};
use crate::wild::Wild;

/// What was noticed on the way without stopping: the number of the node whose key is at fault, and why.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) unknown_keys: RefCell<Vec<(u32, Cause)>>,
    /// This reading is only a trial: unknown keys are neither noted nor taken out.
    pub(crate) trial: bool,
}

/// A deserializer that stands at one node.
#[derive(Clone, Copy)]
pub(crate) struct At<'t> {
    pub(crate) node: &'t Node,
    pub(crate) notes: &'t Notes,
}

impl<'t> At<'t> {
    /// Reads the node by `seed`; whatever fault comes out has a place from here on.
    pub(crate) fn read<S: DeserializeSeed<'t>>(self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(self).map_err(|fault| fault.at(self.node.id))
    }

    fn place<T>(self, result: Result<T, Fault>) -> Result<T, Fault> {
        result.map_err(|fault| fault.at(self.node.id))
    }

    fn scalar(self) -> Option<&'t Scalar> {
        match &self.node.shape {
            Shape::Scalar(scalar) => Some(scalar),
            Shape::Sequence(_) | Shape::Mapping(_) => None,
        }
    }

    fn wrong<T>(self, visitor: &impl Visitor<'t>) -> Result<T, Fault> {
        let unexpected = match &self.node.shape {
            Shape::Scalar(scalar) => unexpected(scalar),
            Shape::Sequence(_) => Unexpected::Seq,
            Shape::Mapping(_) => Unexpected::Map,
        };
        Err(Fault::invalid_type(unexpected, visitor).at(self.node.id))
    }

    pub(crate) fn step(self, node: &'t Node) -> Self {
        Self { node, notes: self.notes }
    }

    fn sequence(self, nodes: &'t [Node]) -> Elements<'t> {
        Elements { at: self, nodes: nodes.iter() }
    }

    fn mapping(self, entries: &'t [Entry]) -> Entries<'t> {
        Entries { at: self, entries: entries.iter(), value: None, stand_ins: self.node.stand_ins.borrow().clone().into_iter() }
    }

    /// Notes and takes out the keys that a struct with these `fields` does not have.
    fn sift(self, entries: &[Entry], fields: &'static [&'static str]) {
        if self.notes.trial {
            return;
        }
        for entry in entries.iter().filter(|entry| !entry.value.gone.get() && !fields.contains(&entry.key.as_str())) {
            entry.value.gone.set(true);
            let cause = Cause::UnknownKey { key: entry.key.clone(), known: fields };
            self.notes.unknown_keys.borrow_mut().push((entry.value.id, cause));
        }
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $parse:ident,)*) => {$(
        fn $method<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self.scalar().filter(|scalar| scalar.plain || scalar.from_env).and_then(|scalar| $parse(&scalar.text)) {
                Some(number) => self.place(visitor.$visit(number)),
                // A number of another kind (too large, negative, a fraction) is worded better by the visitor itself.
                None => match self.scalar().map(guess) {
                    Some(Guess::Unsigned(number)) => self.place(visitor.visit_u64(number)),
                    Some(Guess::Signed(number)) => self.place(visitor.visit_i64(number)),
                    _ => self.wrong(&visitor),
                },
            }
        }
    )*};
}

impl<'t> Deserializer<'t> for At<'t> {
    type Error = Fault;

    numbers! {
        deserialize_u8 visit_u64 unsigned,
        deserialize_u16 visit_u64 unsigned,
        deserialize_u32 visit_u64 unsigned,
        deserialize_u64 visit_u64 unsigned,
        deserialize_i8 visit_i64 signed,
        deserialize_i16 visit_i64 signed,
        deserialize_i32 visit_i64 signed,
        deserialize_i64 visit_i64 signed,
        deserialize_f32 visit_f64 float,
        deserialize_f64 visit_f64 float,
    }

    fn deserialize_bool<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.scalar().filter(|scalar| scalar.plain || scalar.from_env).and_then(|scalar| boolean(&scalar.text)) {
            Some(value) => self.place(visitor.visit_bool(value)),
            None => self.wrong(&visitor),
        }
    }

    fn deserialize_str<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.scalar().filter(|scalar| !is_null(scalar)) {
            Some(scalar) => self.place(visitor.visit_borrowed_str(&scalar.text)),
            None => self.wrong(&visitor),
        }
    }

    fn deserialize_string<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.node.names_variant.set(true);
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.scalar().filter(|scalar| !is_null(scalar)) {
            Some(scalar) => self.place(visitor.visit_borrowed_bytes(scalar.text.as_bytes())),
            None => self.wrong(&visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        let nothing = self.scalar().is_some_and(is_null);
        self.place(if nothing { visitor.visit_none() } else { visitor.visit_some(self) })
    }

    fn deserialize_unit<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.scalar().is_some_and(is_null) { self.place(visitor.visit_unit()) } else { self.wrong(&visitor) }
    }

    fn deserialize_unit_struct<V: Visitor<'t>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        self.place(visitor.visit_newtype_struct(self))
    }

    fn deserialize_seq<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.shape {
            Shape::Sequence(nodes) => self.place(visitor.visit_seq(self.sequence(nodes))),
            Shape::Scalar(_) | Shape::Mapping(_) => self.wrong(&visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'t>>(self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        // The visitor complains about too few elements, but not about too many.
        match &self.node.shape {
            Shape::Sequence(nodes) if nodes.len() > length => {
                let wanted = format!("an array of length {length}");
                Err(Fault::invalid_length(nodes.len(), &wanted.as_str() as &dyn Expected).at(self.node.id))
            }
            _ => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'t>>(self, _name: &'static str, length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.shape {
            Shape::Mapping(entries) => self.place(visitor.visit_map(self.mapping(entries))),
            Shape::Scalar(_) | Shape::Sequence(_) => self.wrong(&visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'t>>(self, _: &'static str, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        if let Shape::Mapping(entries) = &self.node.shape {
            self.sift(entries, fields);
        }
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'t>>(self, _: &'static str, choices: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        match &self.node.shape {
            Shape::Scalar(scalar) if !is_null(scalar) => {
                self.place(visitor.visit_enum(Choice { at: self, name: &scalar.text, entry: None }))
            }
            Shape::Mapping(entries) => {
                let mut live = entries.iter().filter(|entry| !entry.value.gone.get());
                match (live.next(), live.next()) {
                    (Some(entry), None) => self.place(visitor.visit_enum(Choice { at: self, name: &entry.key, entry: Some(entry) })),
                    _ => {
                        let message = format!("found a mapping of {} keys; write one of: {}", entries.len(), choices.join(", "));
                        Err(Fault::custom(message).at(self.node.id))
                    }
                }
            }
            Shape::Scalar(_) | Shape::Sequence(_) => self.wrong(&visitor),
        }
    }

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.shape {
            Shape::Scalar(scalar) => self.place(match guess(scalar) {
                Guess::Null => visitor.visit_unit(),
                Guess::Bool(value) => visitor.visit_bool(value),
                Guess::Unsigned(number) => visitor.visit_u64(number),
                Guess::Signed(number) => visitor.visit_i64(number),
                Guess::Float(number) => visitor.visit_f64(number),
                Guess::Text(text) => visitor.visit_borrowed_str(text),
            }),
            Shape::Sequence(nodes) => {
                self.node.buffered.set(true);
                self.place(visitor.visit_seq(self.sequence(nodes)))
            }
            Shape::Mapping(entries) => {
                self.node.buffered.set(true);
                self.place(visitor.visit_map(self.mapping(entries)))
            }
        }
    }

    fn deserialize_ignored_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { <V: Visitor<'t>> i128 u128 }
}

struct Elements<'t> {
    at: At<'t>,
    nodes: std::slice::Iter<'t, Node>,
}

impl<'t> SeqAccess<'t> for Elements<'t> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let live = self.nodes.find(|node| !node.gone.get());
        live.map(|node| self.at.step(node).read(seed)).transpose()
    }
}

struct Entries<'t> {
    at: At<'t>,
    entries: std::slice::Iter<'t, Entry>,
    value: Option<&'t Node>,
    /// Missing keys that were complained about, and are now made up.
    stand_ins: std::vec::IntoIter<&'static str>,
}

impl<'t> MapAccess<'t> for Entries<'t> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let Some(entry) = self.entries.find(|entry| !entry.value.gone.get()) else {
            return self.stand_ins.next().map(|field| seed.deserialize(Key(field))).transpose();
        };
        self.value = Some(&entry.value);
        seed.deserialize(Key(&entry.key)).map(Some).map_err(|fault| fault.at_key_of(entry.value.id))
    }

    fn next_value_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        match self.value.take() {
            Some(node) => self.at.step(node).read(seed),
            None => seed.deserialize(Wild).map_err(|_| Fault::custom("nothing can stand in for the missing key").at(self.at.node.id)),
        }
    }
}
