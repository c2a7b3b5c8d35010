//! Answers in the form that Backtrace's query clients read: run-length encoded columns, described columns, and figures that
//! some clients insist on.

use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::time::Duration;
use tidegate_events::ValueType;
use tidegate_events::explore::{Answer, AnswerRows, AttributeDescription, Cell, EventRow, GroupRow};
use tidegate_model::query::{Bound, format_of};
use tidegate_model::{Query, Value};

/// What no group, and a group of events that lack the attribute, are called.
const NONE: &str = "*";
/// Greatest whole number that every client reads exactly; greater ones are sent as text.
const EXACT: u64 = 1 << 53;

/// The types of attributes in Backtrace's words.
fn type_of(types: &[ValueType]) -> &'static str {
    match types {
        [ValueType::Integer] => "uint64",
        [ValueType::Boolean] => "bitmap",
        _ if types.contains(&ValueType::Text) || types.contains(&ValueType::Boolean) => "dictionary",
        _ => "double",
    }
}

/// The reply to `action=describe`.
pub(crate) fn describe(attributes: &[AttributeDescription]) -> Json {
    let compare = ["equal", "not-equal", "at-least", "at-most", "greater-than", "less-than", "is-set", "is-not-set"];
    let text = ["contains", "not-contains", "regular-expression", "inverse-regular-expression"];
    let item = |attribute: &AttributeDescription| {
        let filter: Vec<&str> = compare.into_iter().chain(text).collect();
        json!({
            "name": attribute.name, "description": attribute.name, "type": type_of(&attribute.types), "format": attribute.format,
            "custom": !attribute.built_in, "state": "enabled", "filter": filter, "aggregate": aggregates(attribute),
            "group": true, "statistics": {"used": true},
        })
    };
    json!({"describe": attributes.iter().map(item).collect::<Vec<_>>()})
}

fn aggregates(attribute: &AttributeDescription) -> Vec<&'static str> {
    let mut all = vec!["head", "tail", "unique", "count", "min", "max", "range", "histogram", "distribution", "object"];
    if attribute.types.iter().any(|kind| matches!(kind, ValueType::Integer | ValueType::Float)) {
        all.extend(["mean", "sum", "bin"]);
    }
    all
}

/// The reply to a query.
pub(crate) fn response(
    query: &Query,
    answer: &Answer,
    described: &[AttributeDescription],
    project: &str,
    took: Duration,
) -> Json {
    let types: HashMap<&str, &'static str> = described.iter().map(|a| (a.name.as_str(), type_of(&a.types))).collect();
    let kind = |name: &str| types.get(name).copied().unwrap_or("uint64");
    let mut response = json!({"version": "1.2.0", "seq": 1, "encoding": "rle"});
    match &answer.rows {
        AnswerRows::Groups(rows) => {
            let labels = query.fold.iter().map(|spec| json!([spec.label(), format_of(&spec.attribute)]));
            response["columns"] = labels.collect();
            let described = query.fold.iter().map(|spec| {
                let name = &spec.attribute;
                json!({"name": name, "format": format_of(name), "type": kind(name), "op": spec.fold.as_str()})
            });
            response["columns_desc"] = described.collect();
            if !query.group.is_empty() {
                let factor = |name: &String| json!({"name": name, "format": format_of(name), "type": kind(name)});
                response["factors_desc"] = query.group.iter().map(factor).collect();
            }
            // One row that only says that there is nothing is what nobody asked for here.
            response["values"] = rows.iter().filter(|row| row.events > 0).map(group_row).collect();
        }
        AnswerRows::Events { columns, rows } => {
            response["columns"] = columns.iter().map(|name| json!([name, format_of(name)])).collect();
            let described =
                columns.iter().map(|name| json!({"name": name, "format": format_of(name), "type": kind(name)}));
            response["columns_desc"] = described.collect();
            response["values"] = (0..columns.len()).map(|place| runs(rows, place)).collect();
            response["objects"] = json!([objects(rows)]);
        }
    }
    let groups = if query.selects() { 1 } else { answer.groups_having };
    let limit = query.limit.unwrap_or(groups.max(answer.rows.len() as u64));
    response["pagination"] = json!({"limit": limit, "offset": query.offset});
    let initial = if query.selects() { 1 } else { answer.groups };
    response["cardinalities"] = json!({
        "initial": {"rows": answer.events, "groups": initial},
        "having": {"rows": answer.events_having, "groups": groups},
        "pagination": {"rows": answer.events_having, "groups": groups},
    });
    json!({"response": response, "_": figures(query, answer, project, took)})
}

/// Figures about the run. The parts run into one another here, so all of the time is told in one of them.
fn figures(query: &Query, answer: &Answer, project: &str, took: Duration) -> Json {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let conditions: usize = query.filter.iter().map(Vec::len).sum();
    let (rows, groups) = (answer.events, answer.groups);
    json!({
        "project": project, "tx": answer.newest.map_or(0, |object| object.0), "latency": format!("{micros} us"),
        "navigation": [],
        "runtime": {
            "filter": {"time": micros, "rows": rows, "n_filters": conditions},
            "group_by": {"time": 0, "groups": groups, "rows": rows},
            "having": {"time": 0, "groups": answer.groups_having, "rows": answer.events_having},
            "aggregate": {"time": 0, "pre_sort": 0, "post_sort": 0, "n_aggregates": query.fold.len()},
            "sort": {"time": 0, "groups": answer.groups_having, "rows": answer.events_having},
            "set": {"time": 0},
            "total_time": micros,
        },
    })
}

fn value(value: &Value) -> Json {
    match value {
        Value::Int(int) if int.unsigned_abs() > EXACT => json!(int.to_string()),
        other => json!(other),
    }
}

fn key(key: &[Option<Value>]) -> Json {
    let one = |part: &Option<Value>| part.as_ref().map_or_else(|| json!(NONE), value);
    match key {
        [] => json!(NONE),
        [only] => one(only),
        several => several.iter().map(one).collect(),
    }
}

fn group_row(row: &GroupRow) -> Json {
    json!([key(&row.key), row.cells.iter().map(element).collect::<Vec<_>>(), row.events])
}

fn bound(bound: Bound) -> Json {
    match bound {
        Bound::Int(int) => value(&Value::Int(int)),
        Bound::Float(float) => json!(float),
    }
}

fn element(cell: &Cell) -> Json {
    let counted = |list: &[(Value, u64)]| list.iter().map(|(v, n)| json!([value(v), n])).collect::<Vec<Json>>();
    match cell {
        Cell::Value(found) => found.iter().map(value).collect(),
        Cell::Range(range) => range.iter().flat_map(|(least, greatest)| [value(least), value(greatest)]).collect(),
        Cell::Histogram(values) => counted(values).into(),
        Cell::Distribution { keys, tail, listed } => json!([{"keys": keys, "tail": tail, "vals": counted(listed)}]),
        Cell::Bins(bins) => bins.iter().map(|(from, to, n)| json!([bound(*from), bound(*to), n])).collect(),
        Cell::Object(object) => object.iter().map(|object| json!(object.to_string())).collect(),
    }
}

/// One column of selected events: each value with the length of its run.
fn runs(rows: &[EventRow], place: usize) -> Json {
    let mut runs: Vec<(Option<&Value>, u64)> = Vec::new();
    for row in rows {
        let value = row.values.get(place).and_then(Option::as_ref);
        match runs.last_mut() {
            Some((last, length)) if *last == value => *length += 1,
            _ => runs.push((value, 1)),
        }
    }
    let runs = runs.into_iter().map(|(found, length)| json!([found.map(value), length]));
    std::iter::once(json!(NONE)).chain(runs).collect()
}

/// The numbers of selected events: each first one of a run, with how many follow it.
fn objects(rows: &[EventRow]) -> Json {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for row in rows {
        match runs.last_mut() {
            Some((first, extra)) if *first + *extra + 1 == row.object.0 => *extra += 1,
            _ => runs.push((row.object.0, 0)),
        }
    }
    let run = |(first, extra): (u64, u64)| if extra == 0 { json!([first]) } else { json!([first, extra]) };
    json!([NONE, runs.into_iter().map(run).collect::<Vec<_>>()])
}
