//! A second evaluator, which shares nothing with the first: row by row, with texts for groups, and numbers compared as whole
//! multiples of 2^-56. It is slow and plain on purpose.

use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use tidegate_model::{Aggregate, Condition, Instant, MetricQuery, Operator, Value, Window};

/// An event as it should have been stored.
#[derive(Clone, Debug)]
pub struct Row {
    pub object: u64,
    pub arrival: Instant,
    pub attributes: Vec<(String, Value)>,
}

impl Row {
    pub fn get(&self, name: &str) -> Option<Value> {
        if name == "_tx" {
            return Some(Value::Int(self.object as i64));
        }
        let own = self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        if name == "timestamp" { own.or(Some(Value::Int(self.arrival.seconds() as i64))) } else { own }
    }
}

pub type Rows = Vec<(Vec<String>, Vec<f64>)>;

/// The rows of a metric, and how many groups share the last one.
pub fn evaluate(events: &[Row], window: Window, query: &MetricQuery, cap: usize) -> (Rows, u64) {
    let inside = |row: &&Row| window.start() <= row.arrival && row.arrival < window.end();
    let passes = |row: &&Row| {
        query.filter.is_empty() || query.filter.iter().any(|all| all.iter().all(|c| holds(c, row.get(&c.attribute))))
    };
    let mut groups: BTreeMap<Vec<String>, Vec<&Row>> = BTreeMap::new();
    if query.group.is_empty() {
        groups.insert(vec![], vec![]);
    }
    for row in events.iter().filter(inside).filter(passes) {
        let text = |name: &String| row.get(name).map(|value| value.text().into_owned()).unwrap_or_default();
        groups.entry(query.group.iter().map(text).collect()).or_default().push(row);
    }
    let values =
        |rows: &[&Row]| query.measures.iter().map(|m| measure(rows, &m.attribute, m.aggregate)).collect::<Vec<_>>();
    let mut all: Vec<(Vec<String>, Vec<f64>, Vec<&Row>)> =
        groups.into_iter().map(|(key, rows)| (key, values(&rows), rows)).collect();
    if all.len() <= cap {
        return (all.into_iter().map(|(key, values, _)| (key, values)).collect(), 0);
    }
    // Greatest first measure first, none last, then by key: `all` is in the order of the keys, and sorting is stable.
    all.sort_by(|a, b| match (a.1[0].is_nan(), b.1[0].is_nan()) {
        (false, false) => b.1[0].partial_cmp(&a.1[0]).unwrap(),
        (left, right) => left.cmp(&right),
    });
    let (mut kept, mut rest) = (vec![], vec![]);
    for (key, values, rows) in all {
        if kept.len() < cap - 1 && key.iter().any(|text| text != "other") {
            kept.push((key, values));
        } else {
            rest.push(rows);
        }
    }
    kept.sort_by(|a, b| a.0.cmp(&b.0));
    let folded = rest.len() as u64;
    let mut rest: Vec<&Row> = rest.concat();
    rest.sort_by_key(|row| row.object);
    kept.push((vec!["other".to_owned(); query.group.len()], values(&rest)));
    (kept, folded)
}

fn measure(rows: &[&Row], attribute: &str, aggregate: Aggregate) -> f64 {
    let present: Vec<Value> = rows.iter().filter_map(|row| row.get(attribute)).collect();
    let numbers: Vec<f64> = present.iter().filter_map(Value::number).collect();
    match aggregate {
        Aggregate::Count => present.len() as f64,
        Aggregate::Unique => present.iter().map(|v| v.text().into_owned()).collect::<BTreeSet<_>>().len() as f64,
        Aggregate::Min => numbers.iter().copied().reduce(f64::min).unwrap_or(f64::NAN),
        Aggregate::Max => numbers.iter().copied().reduce(f64::max).unwrap_or(f64::NAN),
        Aggregate::First => numbers.first().copied().unwrap_or(f64::NAN),
        Aggregate::Last => numbers.last().copied().unwrap_or(f64::NAN),
        Aggregate::Sum => sum(&present),
        Aggregate::Mean => sum(&present) / numbers.len() as f64,
    }
}

/// Rounded once, at the end.
pub fn sum(values: &[Value]) -> f64 {
    let exact: i128 = values.iter().filter_map(scaled).sum();
    exact as f64 / SCALE
}

const SCALE: f64 = (1u64 << 56) as f64;

/// A number as a multiple of 2^-56; the tests use no finer ones.
pub fn scaled(value: &Value) -> Option<i128> {
    match value {
        Value::Int(i) => Some(i128::from(*i) << 56),
        Value::Bool(b) => Some(i128::from(*b) << 56),
        Value::Float(f) => {
            let scaled = f * SCALE;
            assert_eq!(scaled.trunc(), scaled, "{f} is too fine for the oracle");
            Some(scaled as i128)
        }
        Value::Str(_) => None,
    }
}

pub fn holds(condition: &Condition, value: Option<Value>) -> bool {
    use Operator::*;
    let positive = match condition.operator {
        NotEqual => Equal,
        NotContains => Contains,
        InverseRegularExpression => RegularExpression,
        IsNotSet => IsSet,
        other => return value.is_some_and(|value| holds_for(other, condition, &value)),
    };
    !value.is_some_and(|value| holds_for(positive, condition, &value))
}

fn holds_for(operator: Operator, condition: &Condition, value: &Value) -> bool {
    use std::cmp::Ordering::*;
    let operand = &condition.operand;
    let order = match operator {
        Operator::IsSet => return true,
        Operator::Contains => {
            let (whole, part) = (value.text().into_owned(), as_text(operand));
            return if condition.case_insensitive {
                whole.to_lowercase().contains(&part.to_lowercase())
            } else {
                whole.contains(&part)
            };
        }
        Operator::RegularExpression => {
            let flag = if condition.case_insensitive { "(?i)" } else { "" };
            return regex::Regex::new(&format!("{flag}{}", as_text(operand))).unwrap().is_match(&value.text());
        }
        _ => match value {
            Value::Str(text) => Some(text.as_bytes().cmp(as_text(operand).as_bytes())),
            Value::Bool(flag) => match as_text(operand).as_str() {
                "true" | "1" => Some(flag.cmp(&true)),
                "false" | "0" => Some(flag.cmp(&false)),
                _ => None,
            },
            number => as_number(operand).and_then(|operand| Some(scaled(number)?.cmp(&scaled(&operand)?))),
        },
    };
    let Some(order) = order else { return false };
    match operator {
        Operator::Equal => order == Equal,
        Operator::AtLeast => order != Less,
        Operator::AtMost => order != Greater,
        Operator::GreaterThan => order == Greater,
        Operator::LessThan => order == Less,
        other => panic!("{other} is not an order"),
    }
}

fn as_text(operand: &Json) -> String {
    match operand {
        Json::String(text) => text.clone(),
        Json::Bool(flag) => flag.to_string(),
        Json::Number(n) if n.is_i64() => n.to_string(),
        number => Value::Float(number.as_f64().unwrap()).text().into_owned(),
    }
}

fn as_number(operand: &Json) -> Option<Value> {
    let of_text = |text: &str| {
        let whole = text.trim_end_matches('.').parse().map(Value::Int).ok();
        whole.or_else(|| text.parse().ok().filter(|f: &f64| f.is_finite()).map(Value::Float))
    };
    match operand {
        Json::String(text) => of_text(text),
        Json::Number(n) => n.as_i64().map(Value::Int).or_else(|| n.as_f64().map(Value::Float)),
        _ => None,
    }
}
