//! Reads documents in which a record is an object and nothing else.
//!
//! The trap is a courtesy of serde's: where a record is expected, it takes a list of the members in their order, too. A document that
//! nobody meant, `retention: [30, null]`, would be taken for one; and a member that is added to a record one day would change what
//! such a list says.

use serde::Deserialize;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde_json::{Error, Value};

/// A value whose records have to be objects, at every level.
#[derive(Debug)]
pub struct Strict(pub Value);

/// Reads a value.
///
/// # Errors
/// What serde says of a member that is missing, unknown or of another type, and of a list in the place of an object.
pub fn read<T: for<'de> Deserialize<'de>>(json: Value) -> Result<T, Error> {
    T::deserialize(Strict(json))
}

impl<'de> IntoDeserializer<'de, Error> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Strict {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(Strict));
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            Value::Object(members) => {
                let mut members = MapDeserializer::new(members.into_iter().map(|(name, value)| (name, Strict(value))));
                let value = visitor.visit_map(&mut members)?;
                members.end()?;
                Ok(value)
            }
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(_) => Err(Error::invalid_type(Unexpected::Seq, &"an object")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        name: String,
        inner: Option<Inner>,
        #[serde(default)]
        list: Vec<Inner>,
        #[serde(default)]
        numbers: BTreeMap<String, (u8, f64)>,
        #[serde(default)]
        kind: Option<Kind>,
        #[serde(default)]
        any: Value,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        days: Option<u32>,
        megabytes: Option<u64>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Kind {
        OneWord,
        Other,
    }

    #[test]
    fn a_list_in_the_place_of_an_object_is_refused_at_every_level_and_a_list_of_objects_is_not() {
        for wrong in [
            json!(["a", null]),
            json!({"name": "a", "inner": [30, null]}),
            json!({"name": "a", "list": [[30, null]]}),
            json!({"name": "a", "list": [{"days": 1}, [1, 2]]}),
        ] {
            // What it is for: serde itself takes each of them.
            assert!(serde_json::from_value::<Outer>(wrong.clone()).is_ok() || wrong.is_array(), "{wrong}");
            let told = read::<Outer>(wrong).unwrap_err().to_string();
            assert_eq!(told, "invalid type: sequence, expected an object");
        }
        let right = json!({"name": "a", "list": [{"days": 1}], "inner": null, "numbers": {"x": [1, 2.5]}, "kind": "one-word",
            "any": [[1], {"a": []}]});
        assert_eq!(read::<Outer>(right.clone()).unwrap(), serde_json::from_value(right).unwrap());
    }

    #[test]
    fn everything_else_is_refused_in_serdes_own_words() {
        for wrong in [
            json!({"name": 1}),
            json!({"name": "a", "colour": 1}),
            json!({}),
            json!("a"),
            json!(null),
            json!({"name": "a", "inner": 7}),
            json!({"name": "a", "inner": {"days": -1}}),
            json!({"name": "a", "kind": "none"}),
        ] {
            let (ours, theirs) = (read::<Outer>(wrong.clone()), serde_json::from_value::<Outer>(wrong.clone()));
            assert_eq!(ours.unwrap_err().to_string(), theirs.unwrap_err().to_string(), "{wrong}");
        }
        // Of a list that is too long ours tells how long it should be.
        let told = read::<Outer>(json!({"name": "a", "numbers": {"x": [1, 2, 3]}})).unwrap_err().to_string();
        assert_eq!(told, "invalid length 3, expected 2 elements in sequence");
    }

    proptest! {
        /// Whatever it takes, serde takes as the same; and a plain value comes through as it is.
        #[test]
        fn it_never_takes_what_serde_does_not_nor_as_anything_else(
            days in prop::option::of(any::<i64>()), text in ".{0,8}", number in any::<f64>(), shape in 0_u8..4,
        ) {
            let inner = match shape {
                0 => json!({"days": days}),
                1 => json!([days, null]),
                2 => json!(number),
                _ => json!({"days": days, "megabytes": text}),
            };
            let document = json!({"name": text, "inner": inner, "any": {"deep": [inner, text]}});
            prop_assert_eq!(&read::<Value>(document.clone()).unwrap(), &document);
            if let Ok(read) = read::<Outer>(document.clone()) {
                prop_assert!(shape != 1);
                prop_assert_eq!(read, serde_json::from_value::<Outer>(document).unwrap());
            }
        }
    }
}
