//! What both parsers share: JSON values that may be attributes, and the limits on names, values and their number.
//!
//! The trap is the number: a generic JSON value keeps 64 bits of it. Here the parsers look at the digits themselves, so an
//! integer beyond 64 bits becomes text with every digit in place.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use serde::de::{Deserializer, Visitor};
use std::fmt;
use std::hash::BuildHasher;
use tidegate_model::{EventLimits, Value};

/// What is wrong with one field.
pub(crate) type FieldError = (Option<String>, String);

/// A JSON value, seen as an attribute.
pub(crate) enum Scalar {
    /// Null: no value.
    Nothing,
    Value(Value),
    /// An object or a list.
    Nested,
}

/// Reads one JSON value, of which it is known that it is well-formed.
pub(crate) fn scalar(json: &str) -> Result<Scalar, String> {
    Ok(match json.as_bytes().first() {
        Some(b'n') | None => Scalar::Nothing,
        Some(b't') => Scalar::Value(Value::Bool(true)),
        Some(b'f') => Scalar::Value(Value::Bool(false)),
        Some(b'{' | b'[') => Scalar::Nested,
        Some(b'"') => Scalar::Value(Value::Str(text(json)?)),
        Some(_) => Scalar::Value(number(json)?),
    })
}

/// The text of a JSON string. Half of a surrogate pair, which clients that cut texts send, becomes U+FFFD.
pub(crate) fn text(json: &str) -> Result<String, String> {
    let inside = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let inside = inside.ok_or_else(|| format!("expected text, found {}", shown(json)))?;
    if !inside.contains('\\') {
        return Ok(inside.to_owned());
    }
    let mut from = serde_json::Deserializer::from_str(json);
    let bytes = from.deserialize_bytes(Bytes).map_err(|error| format!("expected text: {error}"))?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

fn number(json: &str) -> Result<Value, String> {
    if !json.contains(['.', 'e', 'E']) {
        return Ok(json.parse().map_or_else(|_| Value::Str(json.to_owned()), Value::Int));
    }
    match json.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Value::Float(number)),
        _ => Err(format!("expected a number of 64 bits, found {}", shown(json))),
    }
}

/// The beginning of a JSON text, for messages.
pub(crate) fn shown(json: &str) -> String {
    match json.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", &json[..cut]),
        None => json.to_owned(),
    }
}

/// Attributes on their way into an event, within the limits, each name once.
pub(crate) struct Attributes<'a> {
    pub(crate) list: Vec<(String, Value)>,
    limits: &'a EventLimits,
    places: HashTable<usize>,
    hasher: RandomState,
    given: usize,
}

impl<'a> Attributes<'a> {
    pub(crate) fn new(limits: &'a EventLimits) -> Self {
        let list = Vec::with_capacity(40);
        Self { list, limits, places: HashTable::with_capacity(40), hasher: RandomState::default(), given: 0 }
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.places.find(self.hasher.hash_one(name), |&place| self.list[place].0 == name).copied()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.find(name).map(|place| &self.list[place].1)
    }

    /// Counts one attribute that a client gave, null or not, and checks its name.
    pub(crate) fn check_name(&mut self, name: &str) -> Result<(), FieldError> {
        self.given += 1;
        let most = self.limits.name_bytes;
        if name.is_empty() {
            return Err((None, "the name of an attribute must not be empty".to_owned()));
        }
        if name.len() > most {
            let message = format!("the name of an attribute may have {most} bytes, this one has {}", name.len());
            return Err((Some(shown(name)), message));
        }
        if let Some(c) = name.chars().find(|c| c.is_control()) {
            return Err((Some(name.to_owned()), format!("the name of an attribute must not contain {c:?}")));
        }
        Ok(())
    }

    /// Checks the number of attributes that the client gave.
    pub(crate) fn check_count(&self) -> Result<(), FieldError> {
        let most = self.limits.attributes;
        if self.given > most {
            return Err((None, format!("an event may have {most} attributes, this one has {}", self.given)));
        }
        Ok(())
    }

    /// Puts a value that a client gave; gives back false if the name has one already, which stays.
    pub(crate) fn put(&mut self, name: String, value: Value) -> Result<bool, FieldError> {
        self.check_length(&name, &value)?;
        if self.given > self.limits.attributes {
            // Only counted from here on, so that the message can tell how many there are.
            return Ok(true);
        }
        Ok(self.put_own(name, value))
    }

    fn check_length(&self, name: &str, value: &Value) -> Result<(), FieldError> {
        let most = self.limits.value_bytes;
        match value {
            Value::Str(text) if text.len() > most => {
                Err((Some(name.to_owned()), format!("a value may have {most} bytes, this one has {}", text.len())))
            }
            _ => Ok(()),
        }
    }

    /// Puts a value that is not the client's, unless the name has one already.
    pub(crate) fn put_own(&mut self, name: String, value: Value) -> bool {
        if self.find(&name).is_some() {
            return false;
        }
        let hash = self.hasher.hash_one(name.as_str());
        self.list.push((name, value));
        let (list, hasher) = (&self.list, &self.hasher);
        self.places.insert_unique(hash, list.len() - 1, |&place| hasher.hash_one(list[place].0.as_str()));
        true
    }

    /// Puts a value in place of the one that the name has, if it has one.
    pub(crate) fn replace(&mut self, name: String, value: Value) -> Result<(), FieldError> {
        match self.find(&name) {
            Some(place) => {
                self.check_length(&name, &value)?;
                self.list[place].1 = value;
                Ok(())
            }
            None => self.put(name, value).map(drop),
        }
    }
}

/// Checks the length of what came and that it is text.
pub(crate) fn utf8<'a>(bytes: &'a [u8], limits: &EventLimits) -> Result<&'a str, String> {
    let most = limits.body_bytes;
    if bytes.len() > most {
        return Err(format!("{most} bytes are allowed, here are {}", bytes.len()));
    }
    std::str::from_utf8(bytes).map_err(|error| format!("expected UTF-8, byte {} is not", error.valid_up_to()))
}

/// The uuid that a text is.
pub(crate) fn uuid(text: &str) -> Result<[u8; 16], String> {
    let expected = "expected a UUID such as 550e8400-e29b-41d4-a716-446655440000";
    uuid::Uuid::try_parse(text).map(uuid::Uuid::into_bytes).map_err(|_| format!("{expected}, found {}", shown(text)))
}

/// Unix seconds: a number, or text that reads as one.
pub(crate) fn seconds(value: Value) -> Result<Value, String> {
    let wrong = |found: &str| format!("expected Unix seconds such as 1700000000, found {}", shown(found));
    let float = match &value {
        Value::Int(_) => return Ok(value),
        Value::Float(float) => Some(*float),
        Value::Str(text) => text.parse().ok(),
        Value::Bool(_) => None,
    };
    match float.map(f64::floor) {
        Some(whole) if whole.abs() < 9e15 => Ok(Value::Int(whole as i64)),
        _ => Err(wrong(&value.text())),
    }
}
