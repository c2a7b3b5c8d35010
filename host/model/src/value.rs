//! The value of an attribute.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The value of one attribute of one event. A null is the absence of a value: it is not stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number. Those outside the signed 64-bit range arrive as text, so that no digit is lost.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// Text.
    Str(String),
}

impl Value {
    /// Text that is the same for values that a person would call equal: `1`, `1.0` and `"1"` give `1`.
    /// Groups are formed by it.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Bool(b) => Cow::Borrowed(if *b { "true" } else { "false" }),
            Self::Int(i) => Cow::Owned(i.to_string()),
            Self::Float(f) => Cow::Owned(float_text(*f)),
            Self::Str(s) => Cow::Borrowed(s),
        }
    }

    /// The number, if the value is one. Booleans count as 1 and 0; text is never a number.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Bool(b) => Some(f64::from(u8::from(*b))),
            Self::Int(i) => Some(*i as f64),
            Self::Float(f) => Some(*f),
            Self::Str(_) => None,
        }
    }
}

/// Shortest text that reads back as the same number; whole numbers without a fraction.
#[must_use]
pub fn float_text(f: f64) -> String {
    if f == 0.0 { "0".to_owned() } else { format!("{f}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_of_different_types_have_one_text() {
        for value in [Value::Int(1), Value::Float(1.0), Value::Str("1".to_owned())] {
            assert_eq!(value.text(), "1");
        }
        assert_eq!(Value::Float(-0.0).text(), "0");
        assert_eq!(Value::Float(0.1).text(), "0.1");
    }
}
