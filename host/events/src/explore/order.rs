//! The order of values, and what `having` and `order` make of it. Every order is total, so rows never come out in another
//! order the next time.

use crate::evaluate::Number;
use serde_json::Value as Json;
use std::cmp::Ordering;
use tidegate_model::query::Comparison;
use tidegate_model::{Condition, Operator, Value};

/// Booleans before numbers before texts; no value after all of them. Numbers by what they are worth, texts by their bytes.
pub(super) fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => match (a, b) {
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Str(a), Value::Str(b)) => a.cmp(b),
            (Value::Int(a), number) if is_number(number) => number_of(number).compare_int(*a),
            (Value::Float(a), number) if is_number(number) => number_of(number).compare_float(*a),
            _ => rank(a).cmp(&rank(b)),
        },
    }
}

/// Like [`compare`], great values first if `descending`; no value comes last either way.
pub(super) fn directed(a: Option<&Value>, b: Option<&Value>, descending: bool) -> Ordering {
    let order = compare(a, b);
    if descending && a.is_some() && b.is_some() { order.reverse() } else { order }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::Float(_))
}

pub(super) fn number_of(value: &Value) -> Number {
    match value {
        Value::Float(float) => Number::Float(*float),
        Value::Int(int) => Number::Int((*int).into()),
        Value::Bool(_) | Value::Str(_) => Number::Int(0),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Bool(_) => 0,
        Value::Int(_) | Value::Float(_) => 1,
        Value::Str(_) => 2,
    }
}

/// The condition that a comparison of `having` is: both compare by the type of the value at hand.
pub(super) fn condition(comparison: Comparison, operand: &Json) -> Condition {
    let operator = match comparison {
        Comparison::Equal => Operator::Equal,
        Comparison::NotEqual => Operator::NotEqual,
        Comparison::Less => Operator::LessThan,
        Comparison::Greater => Operator::GreaterThan,
        Comparison::AtMost => Operator::AtMost,
        Comparison::AtLeast => Operator::AtLeast,
    };
    Condition { attribute: "having".to_owned(), operator, operand: operand.clone(), case_insensitive: false }
}
