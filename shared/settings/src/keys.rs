//! The key of a mapping entry as serde sees it.
//!
//! In: a text. Out: a text, a number where the type wants one, or a choice. Never: anything with parts.

use serde::de::value::StrDeserializer;
use serde::de::{Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::fault::Fault;
use crate::scalars::{signed, unsigned};

/// A key is a text; where the wanted type is a number, it may be one.
pub(crate) struct Key<'t>(pub(crate) &'t str);

macro_rules! key_numbers {
    ($($method:ident $visit:ident $parse:ident,)*) => {$(
        fn $method<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
            match $parse(self.0) {
                Some(number) => visitor.$visit(number),
                None => visitor.visit_borrowed_str(self.0),
            }
        }
    )*};
}

impl<'t> Deserializer<'t> for Key<'t> {
    type Error = Fault;

    key_numbers! {
        deserialize_u8 visit_u64 unsigned,
        deserialize_u16 visit_u64 unsigned,
        deserialize_u32 visit_u64 unsigned,
        deserialize_u64 visit_u64 unsigned,
        deserialize_i64 visit_i64 signed,
    }

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'t>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        let name: StrDeserializer<'t, Fault> = self.0.into_deserializer();
        visitor.visit_enum(name)
    }

    forward_to_deserialize_any! {
        <V: Visitor<'t>>
        bool i8 i16 i32 i128 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}
