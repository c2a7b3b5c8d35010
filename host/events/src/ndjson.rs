//! One flat JSON object per line: the bulk form of events.
//!
//! Every member is an attribute, but `uuid`, which is the id that a repeat is known by. Null is no value. `timestamp` is the
//! event's own Unix second. An object or a list as a value is an error that names the member, and so is a name that occurs
//! twice: bulk lines are made by programs that can be put right, and nothing is to be dropped in silence. Integers beyond 64
//! bits become text with all their digits. The parser goes straight from the line to the event.

use crate::scalar::{self, Attributes, FieldError, Scalar, shown};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use tidegate_model::{Event, EventLimits};

/// Why a line is not an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", field.as_ref().map(|f| format!("{f:?}: ")).unwrap_or_default())]
pub struct LineError {
    /// The field at fault; none if the line as a whole is.
    pub field: Option<String>,
    /// What was expected and what came.
    pub message: String,
}

/// Makes an event of one line.
///
/// # Errors
/// [`LineError`] names the field at fault.
pub fn parse_line(line: &[u8], limits: &EventLimits) -> Result<Event, LineError> {
    let whole = |message| LineError { field: None, message };
    let json = scalar::utf8(line, limits).map_err(whole)?;
    let mut fault = None;
    let mut from = serde_json::Deserializer::from_str(json);
    let event = from.deserialize_map(Line { limits, fault: &mut fault }).and_then(|event| from.end().map(|()| event));
    event.map_err(|error| match fault {
        Some((field, message)) => LineError { field, message },
        None => whole(format!("expected one JSON object: {error}")),
    })
}

struct Line<'a> {
    limits: &'a EventLimits,
    /// Where the reason goes when a field is at fault: the parser's own errors are only text.
    fault: &'a mut Option<FieldError>,
}

impl<'de> Visitor<'de> for Line<'_> {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event, A::Error> {
        let mut attributes = Attributes::new(self.limits);
        let mut uuid = None;
        while let Some(name) = map.next_key::<String>()? {
            let json = map.next_value::<&RawValue>()?.get();
            if let Err(fault) = member(&mut attributes, &mut uuid, name, json) {
                *self.fault = Some(fault);
                return Err(A::Error::custom("a field is at fault"));
            }
        }
        if let Err(fault) = attributes.check_count() {
            *self.fault = Some(fault);
            return Err(A::Error::custom("too many fields"));
        }
        Ok(Event { uuid, attributes: attributes.list, report: None, attachments: Vec::new() })
    }
}

fn member(
    attributes: &mut Attributes<'_>,
    uuid: &mut Option<[u8; 16]>,
    name: String,
    json: &str,
) -> Result<(), FieldError> {
    attributes.check_name(&name)?;
    let at = |message: String| (Some(name.clone()), message);
    let value = match scalar::scalar(json).map_err(at)? {
        Scalar::Nothing => return Ok(()),
        Scalar::Value(value) => value,
        Scalar::Nested => {
            return Err(at(format!("expected text, a number, a boolean or null, found {}", shown(json))));
        }
    };
    let new = match name.as_str() {
        "uuid" => {
            let id = scalar::uuid(&value.text()).map_err(at)?;
            uuid.replace(id).is_none()
        }
        "timestamp" => {
            let value = scalar::seconds(value).map_err(at)?;
            attributes.put(name.clone(), value)?
        }
        _ => {
            // The usual case, without a copy of the name: it is told only if it is there already.
            if attributes.find(&name).is_none() {
                return attributes.put(name, value).map(drop);
            }
            false
        }
    };
    if new { Ok(()) } else { Err((Some(name), "expected each name once, this one is there twice".to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_model::Value;

    fn parse(line: &str) -> Result<Event, LineError> {
        parse_line(line.as_bytes(), &EventLimits::default())
    }

    fn told(line: &str) -> (Option<String>, String) {
        let error = parse(line).unwrap_err();
        (error.field, error.message)
    }

    fn limited(line: &str, limits: EventLimits) -> String {
        parse_line(line.as_bytes(), &limits).unwrap_err().to_string()
    }

    #[test]
    fn a_line_becomes_attributes_of_the_types_that_it_has_and_nulls_are_left_out() {
        let event = parse(
            r#" {"uuid":"550e8400-e29b-41d4-a716-446655440000","timestamp":1700000000,"a":"x\n\u00e9","b":-1,"c":1.5,"d":true,"e":null,"f":""} "#,
        )
        .unwrap();
        assert_eq!(event.uuid.unwrap()[..2], [0x55, 0x0e]);
        let expected = [
            ("timestamp", Value::Int(1_700_000_000)),
            ("a", Value::Str("x\né".to_owned())),
            ("b", Value::Int(-1)),
            ("c", Value::Float(1.5)),
            ("d", Value::Bool(true)),
            ("f", Value::Str(String::new())),
        ];
        assert_eq!(event.attributes, expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn numbers_keep_every_digit_or_are_refused_with_their_name() {
        let event = parse(
            r#"{"a":9223372036854775807,"b":9223372036854775808,"c":-123456789012345678901234567890,"d":1e2,"e":-0}"#,
        );
        let values: Vec<_> = event.unwrap().attributes.into_iter().map(|(_, value)| value).collect();
        let text = |digits: &str| Value::Str(digits.to_owned());
        let digits = [text("9223372036854775808"), text("-123456789012345678901234567890")];
        let [b, c] = digits;
        assert_eq!(values, [Value::Int(i64::MAX), b, c, Value::Float(100.0), Value::Int(0)]);
        let (field, message) = told(r#"{"big":1e999}"#);
        assert_eq!((field.as_deref(), message.as_str()), (Some("big"), "expected a number of 64 bits, found 1e999"));
    }

    #[test]
    fn a_field_at_fault_is_named() {
        let (field, message) = told(r#"{"a":1,"deep":{"b":1}}"#);
        assert_eq!(field.as_deref(), Some("deep"));
        assert_eq!(message, r#"expected text, a number, a boolean or null, found {"b":1}"#);
        assert_eq!(
            told(r#"{"a":1,"a":2}"#),
            (Some("a".to_owned()), "expected each name once, this one is there twice".to_owned())
        );
        assert_eq!(told(r#"{"uuid":"x"}"#).0.as_deref(), Some("uuid"));
        assert!(told(r#"{"uuid":"x"}"#).1.contains("expected a UUID such as"));
        assert!(
            told(r#"{"timestamp":"yesterday"}"#)
                .1
                .contains("expected Unix seconds such as 1700000000, found yesterday")
        );
        assert_eq!(told(r#"{"":1}"#).1, "the name of an attribute must not be empty");
        assert_eq!(told(r#"{"a\nb":1}"#).1, r"the name of an attribute must not contain '\n'");
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for line in [
            "",
            "[]",
            "1",
            "null",
            "{",
            r#"{"a":1"#,
            r#"{"a":}"#,
            r#"{"a":01}"#,
            "{} {}",
            r#"{"a":NaN}"#,
            r#"{"a":"b}"#,
        ] {
            let (field, message) = told(line);
            assert_eq!(field, None, "{line}");
            assert!(message.starts_with("expected one JSON object: "), "{line}: {message}");
        }
        let error = parse_line(b"{\"a\":\"\xff\"}", &EventLimits::default()).unwrap_err();
        assert_eq!(error.to_string(), "expected UTF-8, byte 6 is not");
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(told(&deep).0.as_deref(), Some("a"));
    }

    #[test]
    fn half_of_a_surrogate_pair_is_replaced_and_the_event_is_kept() {
        let event = parse(r#"{"a":"cut \ud83d"}"#).unwrap();
        assert!(event.attributes[0].1.text().starts_with("cut \u{fffd}"));
    }

    #[test]
    fn each_limit_is_told_with_what_was_asked() {
        let limits = EventLimits::default();
        assert_eq!(limited(r#"{"a":1}"#, EventLimits { body_bytes: 6, ..limits }), "6 bytes are allowed, here are 7");
        let error = limited(r#"{"a":1,"b":null,"c":1}"#, EventLimits { attributes: 2, ..limits });
        assert_eq!(error, "an event may have 2 attributes, this one has 3");
        let error = limited(r#"{"abcd":1}"#, EventLimits { name_bytes: 3, ..limits });
        assert_eq!(error, r#""abcd": the name of an attribute may have 3 bytes, this one has 4"#);
        let error = limited(r#"{"a":"abcd"}"#, EventLimits { value_bytes: 3, ..limits });
        assert_eq!(error, r#""a": a value may have 3 bytes, this one has 4"#);
        let error = limited(r#"{"a":12345678901234567890}"#, EventLimits { value_bytes: 3, ..limits });
        assert_eq!(error, r#""a": a value may have 3 bytes, this one has 20"#);
    }
}
