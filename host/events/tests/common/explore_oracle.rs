//! A second way to answer queries, which shares nothing with the first: row by row, with texts for keys, sorted lists for
//! everything else, and a calendar that counts the days one by one.

use super::oracle::{Row, holds, scaled, sum};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use tidegate_events::explore::{AnswerRows, Cell, EventRow, GroupRow};
use tidegate_model::query::{
    Bin, Bound, Comparison, Figure, Fold, Granularity, Having, OrderTerm, VirtualColumn, VirtualKind,
};
use tidegate_model::{Condition, ObjectId, Operator, Query, Value};

/// What an answer should be.
pub struct Expected {
    pub rows: AnswerRows,
    pub events: u64,
    pub groups: u64,
    pub groups_having: u64,
}

struct Questioned<'a> {
    query: &'a Query,
    /// Attributes that hold something else than text in some event of the project.
    mixed: BTreeSet<String>,
}

pub fn answer(all: &[Row], query: &Query) -> Expected {
    let values = all.iter().flat_map(|row| row.attributes.iter());
    let mut mixed: BTreeSet<String> =
        values.filter(|(_, value)| !matches!(value, Value::Str(_))).map(|(name, _)| name.clone()).collect();
    // Events without a time get one, which is a number.
    mixed.extend(["_tx".to_owned(), "timestamp".to_owned()]);
    mixed.extend(query.virtual_columns.iter().map(|column| column.name.clone()));
    let asked = Questioned { query, mixed };
    let passes = |row: &&Row| {
        query.filter.is_empty()
            || query.filter.iter().any(|all| all.iter().all(|c| holds(c, asked.get(row, &c.attribute))))
    };
    let passed: Vec<&Row> = all.iter().filter(passes).collect();
    if query.selects() { asked.events(all, &passed) } else { asked.groups(&passed) }
}

impl Questioned<'_> {
    fn get(&self, row: &Row, name: &str) -> Option<Value> {
        match self.query.virtual_columns.iter().find(|column| column.name == name) {
            Some(column) => virtual_value(column, row.get(&column.backing)?),
            None => row.get(name),
        }
    }

    fn groups(&self, passed: &[&Row]) -> Expected {
        let query = self.query;
        let mut groups: BTreeMap<Vec<Option<String>>, Vec<&Row>> = BTreeMap::new();
        if query.group.is_empty() {
            groups.insert(vec![], vec![]);
        }
        for row in passed {
            let text = |name: &String| self.get(row, name).map(|value| value.text().into_owned());
            groups.entry(query.group.iter().map(text).collect()).or_default().push(row);
        }
        let all: Vec<&Row> = passed.to_vec();
        let mut rows: Vec<GroupRow> = groups
            .into_iter()
            .map(|(key, rows)| GroupRow {
                key: query.group.iter().zip(key).map(|(name, text)| Some(self.typed(name, text?))).collect(),
                events: rows.len() as u64,
                cells: query.fold.iter().map(|spec| self.cell(&rows, &all, &spec.attribute, spec.fold)).collect(),
            })
            .collect();
        let groups = rows.len() as u64;
        rows.retain(|row| kept(query, row));
        let groups_having = rows.len() as u64;
        rows.sort_by(|a, b| {
            let by_key = |descending| {
                let both = a.key.iter().zip(&b.key);
                both.map(|(a, b)| order(a, b, descending)).fold(Ordering::Equal, Ordering::then)
            };
            let term = |term: &OrderTerm| match &term.by {
                Figure::Group => by_key(term.descending),
                figure => order(&figure_of(figure, a), &figure_of(figure, b), term.descending),
            };
            query.order.iter().map(term).fold(Ordering::Equal, Ordering::then).then(by_key(false))
        });
        Expected { rows: AnswerRows::Groups(page(query, rows)), events: passed.len() as u64, groups, groups_having }
    }

    fn events(&self, all: &[Row], passed: &[&Row]) -> Expected {
        let query = self.query;
        let mut columns = query.select.clone();
        if query.wildcard.physical {
            let names = all.iter().flat_map(|row| row.attributes.iter().map(|(name, _)| name.clone()));
            let times = all.iter().take(1).map(|_| "timestamp".to_owned());
            columns.extend(names.chain(times).collect::<BTreeSet<String>>());
        }
        if query.wildcard.virtuals {
            columns.extend(query.virtual_columns.iter().map(|column| column.name.clone()));
        }
        let mut seen = BTreeSet::new();
        columns.retain(|name| seen.insert(name.clone()));
        let mut rows: Vec<&Row> = passed.to_vec();
        rows.sort_by(|a, b| {
            let term = |term: &OrderTerm| match &term.by {
                Figure::Attribute(name) => order(&self.get(a, name), &self.get(b, name), term.descending),
                other => panic!("{other:?} orders no events"),
            };
            query.order.iter().map(term).fold(Ordering::Equal, Ordering::then).then(a.object.cmp(&b.object))
        });
        let row = |row: &Row| EventRow {
            object: ObjectId(row.object),
            values: columns.iter().map(|name| self.get(row, name)).collect(),
        };
        let rows = page(query, rows.into_iter().map(row).collect());
        Expected {
            rows: AnswerRows::Events { columns, rows },
            events: passed.len() as u64,
            groups: 0,
            groups_having: 0,
        }
    }

    /// A value from the text that equal values share: of the type that reads so, unless the attribute never had but texts.
    fn typed(&self, name: &str, text: String) -> Value {
        if !self.mixed.contains(name) {
            return Value::Str(text);
        }
        let mut candidates: Vec<Value> = [true, false].map(Value::Bool).to_vec();
        candidates.extend(text.parse().ok().map(Value::Int));
        candidates.extend(text.parse().ok().filter(|f: &f64| f.is_finite()).map(Value::Float));
        candidates.into_iter().find(|value| value.text() == text).unwrap_or(Value::Str(text))
    }

    fn cell(&self, rows: &[&Row], all: &[&Row], name: &str, fold: Fold) -> Cell {
        let present: Vec<Value> = rows.iter().filter_map(|row| self.get(row, name)).collect();
        let count = |n: usize| Cell::Value(Some(Value::Int(n as i64)));
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        present.iter().for_each(|value| *counts.entry(value.text().into_owned()).or_default() += 1);
        match fold {
            Fold::Head => Cell::Value(present.first().cloned()),
            Fold::Tail => Cell::Value(present.last().cloned()),
            Fold::Unique => count(counts.len()),
            Fold::Count => count(present.len()),
            Fold::Min => Cell::Value(extremes(&present).map(|range| range.0)),
            Fold::Max => Cell::Value(extremes(&present).map(|range| range.1)),
            Fold::Range => Cell::Range(extremes(&present)),
            Fold::Sum => {
                let whole = |value: &Value| match value {
                    Value::Int(int) => Some(i128::from(*int)),
                    Value::Bool(flag) => Some(i128::from(*flag)),
                    Value::Str(_) => Some(0),
                    Value::Float(_) => None,
                };
                // Whole if nothing else went in.
                let exact = present.iter().map(whole).sum::<Option<i128>>().and_then(|sum| i64::try_from(sum).ok());
                Cell::Value(Some(exact.map_or_else(|| Value::Float(sum(&present)), Value::Int)))
            }
            Fold::Mean => {
                let numbers = present.iter().filter(|value| value.number().is_some()).count();
                Cell::Value((numbers > 0).then(|| Value::Float(sum(&present) / numbers as f64)))
            }
            Fold::Histogram => Cell::Histogram(self.frequent(name, counts)),
            Fold::Distribution { listed } => {
                let (keys, all) = (counts.len() as u64, counts.values().sum::<u64>());
                let mut frequent = self.frequent(name, counts);
                frequent.truncate(listed.unwrap_or(10) as usize);
                Cell::Distribution { keys, tail: all - frequent.iter().map(|e| e.1).sum::<u64>(), listed: frequent }
            }
            Fold::Bin(bin) => {
                let of_all: Vec<Value> = all.iter().filter_map(|row| self.get(row, name)).collect();
                Cell::Bins(bins(bin, &numbers(&present), &numbers(&of_all)))
            }
            Fold::Object => {
                let objects = rows.iter().filter(|row| self.get(row, name).is_some()).map(|row| row.object);
                Cell::Object(objects.max().map(ObjectId))
            }
        }
    }

    fn frequent(&self, name: &str, counts: BTreeMap<String, u64>) -> Vec<(Value, u64)> {
        let mut all: Vec<_> = counts.into_iter().map(|(text, n)| (self.typed(name, text), n)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(ascending(&a.0, &b.0)));
        all
    }
}

fn page<T>(query: &Query, rows: Vec<T>) -> Vec<T> {
    let limit = query.limit.unwrap_or(u64::MAX) as usize;
    rows.into_iter().skip(query.offset as usize).take(limit).collect()
}

fn ascending(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Bool(_) => 0,
        Value::Int(_) | Value::Float(_) => 1,
        Value::Str(_) => 2,
    };
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => a.as_bytes().cmp(b.as_bytes()),
        _ if rank(a) == rank(b) => scaled(a).cmp(&scaled(b)),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn order(a: &Option<Value>, b: &Option<Value>, descending: bool) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => {
            if descending {
                ascending(b, a)
            } else {
                ascending(a, b)
            }
        }
        _ => a.is_none().cmp(&b.is_none()),
    }
}

fn figure_of(figure: &Figure, row: &GroupRow) -> Option<Value> {
    match figure {
        Figure::Count => Some(Value::Int(row.events as i64)),
        Figure::Fold { column, part } => match &row.cells[*column] {
            Cell::Value(value) => value.clone(),
            Cell::Range(range) => range.clone().map(|(least, greatest)| [least, greatest][*part].clone()),
            Cell::Distribution { keys, tail, .. } => Some(Value::Int([*keys, *tail][*part] as i64)),
            Cell::Object(object) => object.map(|object| Value::Int(object.0 as i64)),
            other => panic!("{other:?} has no figure"),
        },
        other => panic!("{other:?} is no figure of a group"),
    }
}

fn kept(query: &Query, row: &GroupRow) -> bool {
    let mut stack = Vec::new();
    for item in &query.having {
        let held = match item {
            Having::Compare { of, comparison, operand } => {
                let operator = match comparison {
                    Comparison::Equal => Operator::Equal,
                    Comparison::NotEqual => Operator::NotEqual,
                    Comparison::Less => Operator::LessThan,
                    Comparison::Greater => Operator::GreaterThan,
                    Comparison::AtMost => Operator::AtMost,
                    Comparison::AtLeast => Operator::AtLeast,
                };
                let operand = operand.clone();
                let condition = Condition { attribute: String::new(), operator, operand, case_insensitive: false };
                holds(&condition, figure_of(of, row))
            }
            joined => {
                let (b, a): (bool, bool) = (stack.pop().unwrap(), stack.pop().unwrap());
                if *joined == Having::And { a && b } else { a || b }
            }
        };
        stack.push(held);
    }
    stack.into_iter().all(|held| held)
}

/// Least and greatest number, or text where there is no number. Flags count as 1 and 0.
fn extremes(present: &[Value]) -> Option<(Value, Value)> {
    let number = |value: &Value| match value {
        Value::Bool(flag) => Some(Value::Int(i64::from(*flag))),
        Value::Str(_) => None,
        number => Some(number.clone()),
    };
    let mut of: Vec<Value> = present.iter().filter_map(number).collect();
    if of.is_empty() {
        of = present.to_vec();
    }
    // Of those that are equal, the first one that came.
    let mut found = (of.first()?, of.first()?);
    for value in &of {
        found.0 = if ascending(value, found.0).is_lt() { value } else { found.0 };
        found.1 = if ascending(value, found.1).is_gt() { value } else { found.1 };
    }
    Some((found.0.clone(), found.1.clone()))
}

fn numbers(values: &[Value]) -> Vec<Value> {
    let mut numbers: Vec<Value> =
        values.iter().filter(|value| matches!(value, Value::Int(_) | Value::Float(_))).cloned().collect();
    numbers.sort_by(ascending);
    numbers
}

/// The tests ask for bounds whose bins have whole edges, or compare counts only.
fn bins(bin: Bin, present: &[Value], all: &[Value]) -> Vec<(Bound, Bound, u64)> {
    let count = bin.count.unwrap_or(32) as i128;
    if present.is_empty() {
        return vec![];
    }
    let given = bin.bounds.is_some();
    let (from, to) = match bin.bounds {
        Some((Bound::Int(from), Bound::Int(to))) => (i128::from(from), i128::from(to)),
        Some(other) => panic!("the oracle has no bins of {other:?}"),
        None => {
            let whole =
                |value: &Value| if let Value::Int(int) = value { i128::from(*int) } else { panic!("{value:?}") };
            let (from, to) = (whole(&all[0]), whole(&all[all.len() - 1]));
            (from, if from == to { to + count } else { to })
        }
    };
    // Edges as multiples of 1/count, so that all of them are whole.
    let edge = |place: i128| from * count + (to - from) * place;
    let inside = |value: &Value, place: i128| {
        let value = scaled(value).unwrap() * count;
        let last = !given && place + 1 == count && value == edge(count) << 56;
        (edge(place) << 56 <= value && value < edge(place + 1) << 56) || last
    };
    let bound = |place: i128| match (edge(place) % count, edge(place) / count) {
        (0, whole) => Bound::Int(whole as i64),
        _ => Bound::Float(edge(place) as f64 / count as f64),
    };
    let counted = |place: i128| present.iter().filter(|value| inside(value, place)).count() as u64;
    (0..count).map(|place| (bound(place), bound(place + 1), counted(place))).collect()
}

fn virtual_value(column: &VirtualColumn, value: Value) -> Option<Value> {
    let whole = match value {
        Value::Int(int) => i128::from(int),
        Value::Float(float) if float.fract() == 0.0 && float.abs() < 9e15 => float as i128,
        _ => return None,
    };
    let result = match column.kind {
        VirtualKind::QuantizeUint { size, offset } => {
            let (size, offset) = (i128::from(size), i128::from(offset));
            let mut steps = (whole + offset) / size;
            if steps * size > whole + offset {
                steps -= 1;
            }
            steps * size - offset
        }
        VirtualKind::TruncateTimestamp(granularity) => i128::from(truncated(whole, granularity)?),
    };
    i64::try_from(result).ok().map(Value::Int)
}

/// Day by day from 1970; the tests use no other times than those a few years from it.
fn truncated(seconds: i128, granularity: Granularity) -> Option<i64> {
    let target = i64::try_from(seconds.div_euclid(86_400)).ok()?;
    let (mut year, mut month, mut day, mut at) = (1970i64, 1u32, 1u32, 0i64);
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = |year: i64, month: u32| match month {
        2 => 28 + u32::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let mut starts = (0, 0, 0);
    loop {
        if day == 1 {
            starts.0 = at;
            starts.1 = if matches!(month, 1 | 4 | 7 | 10) { at } else { starts.1 };
            starts.2 = if month == 1 { at } else { starts.2 };
        }
        if at == target {
            break;
        }
        assert!((0..100_000).contains(&target), "{seconds} is not for the oracle");
        (at, day) = (at + 1, day + 1);
        if day > length(year, month) {
            (day, month) = (1, month + 1);
        }
        if month > 12 {
            (month, year) = (1, year + 1);
        }
    }
    let start = match granularity {
        Granularity::Day => target,
        Granularity::Month => starts.0,
        Granularity::Quarter => starts.1,
        Granularity::Year => starts.2,
    };
    Some(start * 86_400)
}
