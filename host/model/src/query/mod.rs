//! The query language: filter, group-by, aggregates, order, in the JSON form that Backtrace clients use, as types.
//!
//! [`Query::parse`] reads that form and [`Query::to_json`] writes it; nothing of a query is ignored in silence, and what is
//! written reads back as the same query. [`MetricQuery`] is the part of the language whose result is numbers, which metrics
//! are made of; `metric` alone decides which queries have one.
//!
//! What an operator means: a stored value is compared by its own type. A number is compared as a number (the operand may be
//! text that reads as one, `"1700000000."` too), text by its bytes, a boolean with `true`, `false`, 1 or 0. No operator holds
//! for an event that lacks the attribute, except the negative ones (`not-equal`, `not-contains`,
//! `inverse-regular-expression`, `is-not-set`), which are the exact complements of their positive partners.

mod column;
mod condition;
mod error;
mod fold;
mod format;
mod metric;
mod parse;
mod rows;
#[cfg(test)]
mod tests;

pub use column::{Granularity, VirtualColumn, VirtualKind};
pub use condition::{Condition, Operator};
pub use error::QueryError;
pub use fold::{Bin, Bound, Fold, FoldSpec};
pub use format::format_of;
pub use metric::{MeasureSpec, MetricQuery, OnlyText, Parsed};
pub use parse::Query;
pub use rows::{Comparison, Figure, Having, OrderTerm};

use crate::value::Value;
use serde_json::{Map, Value as Json, json};

/// Most conditions in a filter, group-by attributes, aggregates, terms of an order, or virtual columns.
pub const MAX_PARTS: usize = 64;
/// Most bytes in an attribute's name or an operand.
pub const MAX_TEXT_BYTES: usize = 4096;
/// Most attributes that a query may select by name.
pub const MAX_SELECTED: usize = 4096;
/// Most intervals of a bin fold, and most values that a distribution lists.
pub const MAX_BINS: u32 = 10_000;

/// The time that the client claims, by which queries choose their range.
const TIME: &str = "timestamp";

fn attribute(member: &str, text: &str) -> Result<String, QueryError> {
    if text.is_empty() || text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) {
        let expected = format!("the name of an attribute, 1 to {MAX_TEXT_BYTES} bytes without control characters");
        return Err(error::form(member, expected, &json!(text)));
    }
    Ok(text.to_owned())
}

/// A finite number, or text that reads as one; the point at the end that clients send (`1700000000.`) is allowed.
fn number(json: &Json) -> Option<Value> {
    match json {
        Json::Number(n) => n.as_i64().map(Value::Int).or_else(|| n.as_f64().map(Value::Float)),
        Json::String(text) => {
            let whole = text.strip_suffix('.').unwrap_or(text).parse().map(Value::Int).ok();
            whole.or_else(|| text.parse().ok().map(Value::Float))
        }
        _ => None,
    }
    .filter(|value| value.number().is_some_and(f64::is_finite))
}

fn push_to(map: &mut Map<String, Json>, key: &str, item: Json) {
    if let Some(list) = map.entry(key.to_owned()).or_insert_with(|| json!([])).as_array_mut() {
        list.push(item);
    }
}
