//! Events and conditions for property tests: few distinct values, many of them equal in some way and different in another.

use super::text;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tidegate_model::Value;

pub type Attributes = Vec<(&'static str, Value)>;

pub const TEXTS: [&str; 18] = [
    "",
    "1",
    "1.0",
    "-1",
    "0",
    "true",
    "other",
    "abc",
    "ABC",
    "é",
    "Éa",
    "a\nb",
    "0.1",
    "NaN",
    "9007199254740993",
    "1152921504606847000",
    "99999999999999999999",
    "日本",
];
pub const INTS: [i64; 8] = [0, 1, -1, 7, 1 << 53, (1 << 53) + 1, i64::MAX, 1_152_921_504_606_847_000];
pub const FLOATS: [f64; 9] =
    [0.0, -0.0, 1.0, -1.0, 0.1, 2.5, 9_007_199_254_740_992.0, 1_152_921_504_606_846_976.0, -7e17];

pub fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => prop::sample::select(&TEXTS[..]).prop_map(text),
        3 => prop::sample::select(&INTS[..]).prop_map(Value::Int),
        2 => prop::sample::select(&FLOATS[..]).prop_map(Value::Float),
        1 => any::<bool>().prop_map(Value::Bool),
    ]
}

/// One attribute keeps to one type in many projects, so half of the cases have it so.
pub fn event_attributes() -> impl Strategy<Value = Attributes> {
    let of = |name: &'static str, values: BoxedStrategy<Value>| prop::option::of(values).prop_map(move |v| (name, v));
    (
        of("a", prop::sample::select(&TEXTS[..]).prop_map(text).boxed()),
        of("b", value().boxed()),
        of("c", prop::sample::select(&INTS[..]).prop_map(Value::Int).boxed()),
        of("d", prop::sample::select(&FLOATS[..]).prop_map(Value::Float).boxed()),
        prop::option::weighted(0.3, of("timestamp", (1i64..9).prop_map(Value::Int).boxed())),
    )
        .prop_map(|(a, b, c, d, timestamp)| {
            [Some(a), Some(b), Some(c), Some(d), timestamp]
                .into_iter()
                .flatten()
                .filter_map(|(n, v)| Some((n, v?)))
                .collect()
        })
}

pub fn operand() -> impl Strategy<Value = Json> {
    prop_oneof![
        prop::sample::select(&TEXTS[..]).prop_map(|t| json!(t)),
        prop::sample::select(&INTS[..]).prop_map(|i| json!(i)),
        prop::sample::select(&INTS[..]).prop_map(|i| json!(format!("{i}."))),
        prop::sample::select(&FLOATS[..]).prop_map(|f| json!(f)),
        any::<bool>().prop_map(|b| json!(b)),
    ]
}

pub fn condition() -> impl Strategy<Value = Json> {
    let fold_case = any::<bool>().prop_map(|fold| json!({"case_insensitive": fold}));
    let compare = prop::sample::select(&["equal", "not-equal", "at-least", "at-most", "greater-than", "less-than"][..]);
    let part = prop::sample::select(&["contains", "not-contains"][..]);
    let pattern = prop::sample::select(&["regular-expression", "inverse-regular-expression"][..]);
    let set = prop::sample::select(&["is-set", "is-not-set"][..]);
    let patterns = prop::sample::select(&["^a", "é", "1$", "^$", ".*", "[0-9]{3}", "true|b"][..]);
    prop_oneof![
        4 => (compare, operand()).prop_map(|(op, operand)| json!([op, operand])),
        2 => (part, operand(), fold_case.clone()).prop_map(|(op, operand, fold)| json!([op, operand, fold])),
        2 => (pattern, patterns, fold_case).prop_map(|(op, operand, fold)| json!([op, operand, fold])),
        1 => set.prop_map(|op| json!([op])),
    ]
}
