//! A stand-in for a required key that is missing.
//!
//! In: the number of the mapping that lacks the key. Out: some value of whatever type is wanted, so that reading goes on and the *other*
//! missing keys of the mapping are complained about too. Never: part of what the caller gets; the mapping is taken out afterwards.

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::fault::Fault;

pub(crate) struct Wild;

macro_rules! stand_ins {
    ($($method:ident $visit:ident $value:expr,)*) => {$(
        fn $method<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.$visit($value)
        }
    )*};
}

impl<'t> Deserializer<'t> for Wild {
    type Error = Fault;

    stand_ins! {
        deserialize_bool visit_bool false,
        deserialize_u8 visit_u64 1,
        deserialize_u16 visit_u64 1,
        deserialize_u32 visit_u64 1,
        deserialize_u64 visit_u64 1,
        deserialize_i8 visit_i64 1,
        deserialize_i16 visit_i64 1,
        deserialize_i32 visit_i64 1,
        deserialize_i64 visit_i64 1,
        deserialize_f32 visit_f64 1.0,
        deserialize_f64 visit_f64 1.0,
        deserialize_str visit_borrowed_str "",
        deserialize_string visit_borrowed_str "",
        deserialize_seq visit_seq SeqDeserializer::new(std::iter::empty::<()>()),
        deserialize_map visit_map MapDeserializer::new(std::iter::empty::<((), ())>()),
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'t>>(self, _: &'static str, choices: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        let name: StrDeserializer<'t, Fault> = choices.first().copied().unwrap_or_default().into_deserializer();
        visitor.visit_enum(name)
    }

    /// Every field is made up, for nobody knows which of them have a default.
    fn deserialize_struct<V: Visitor<'t>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_map(MapDeserializer::new(fields.iter().map(|field| (*field, Self))))
    }

    /// Zero is also a length of time and an amount of bytes. What wants something else is refused, and the mapping is read no further.
    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_u64(0)
    }

    forward_to_deserialize_any! {
        <V: Visitor<'t>>
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

impl IntoDeserializer<'_, Fault> for Wild {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
