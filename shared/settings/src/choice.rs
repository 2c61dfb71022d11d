//! An externally tagged choice as serde sees it: `stdout`, or `file: access.log`.
//!
//! In: a name, and the entry that it is the key of, if it has content. Out: the variant. Refuses: content where there is none to have, and the
//! other way round.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, VariantAccess, Visitor};

use crate::fault::Fault;
use crate::scalars::is_null;
use crate::tree::{Entry, Shape};
use crate::walk::At;
use crate::words::quote;

/// `name` alone, or `name: content`.
pub(crate) struct Choice<'t> {
    pub(crate) at: At<'t>,
    pub(crate) name: &'t str,
    pub(crate) entry: Option<&'t Entry>,
}

impl<'t> EnumAccess<'t> for Choice<'t> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'t>>(self, seed: S) -> Result<(S::Value, Self), Fault> {
        let name: StrDeserializer<'t, Fault> = self.name.into_deserializer();
        let value = seed.deserialize(name).map_err(|fault| match self.entry {
            Some(entry) => fault.at_key_of(entry.value.id),
            None => fault.at(self.at.node.id),
        })?;
        Ok((value, self))
    }
}

impl<'t> Choice<'t> {
    fn content(&self, expected: &str) -> Result<At<'t>, Fault> {
        match self.entry {
            Some(entry) => Ok(self.at.step(&entry.value)),
            None => {
                Err(Fault::custom(format!("{} stands alone; write {expected}: \"{}: …\"", quote(self.name), self.name)).at(self.at.node.id))
            }
        }
    }
}

impl<'t> VariantAccess<'t> for Choice<'t> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.entry {
            None => Ok(()),
            Some(entry) if matches!(&entry.value.shape, Shape::Scalar(scalar) if is_null(scalar)) => Ok(()),
            Some(entry) => Err(Fault::custom(format!("{} takes no content; write the name alone", quote(self.name))).at(entry.value.id)),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'t>>(self, seed: S) -> Result<S::Value, Fault> {
        self.content("it with its content")?.read(seed)
    }

    fn tuple_variant<V: Visitor<'t>>(self, _length: usize, visitor: V) -> Result<V::Value, Fault> {
        self.content("it with a list")?.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'t>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        self.content("it with a mapping")?.deserialize_struct("", fields, visitor)
    }
}
