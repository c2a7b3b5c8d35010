//! Which queries may be metrics: decided here and nowhere else. A metric's result is one number for each aggregate of each
//! group in each window, so its query has a filter, a group-by and scalar aggregates, and nothing besides.
//!
//! A time frame in the saved query is dropped, since the window decides which events count; [`Parsed`] says so, and whoever
//! saves the metric passes it on.

use super::condition::filter_json;
use super::error::QueryError;
use super::{Condition, Fold, FoldSpec, Query, TIME, push_to};
use crate::batch::Aggregate;
use serde_json::{Map, Value as Json, json};

/// A query whose result is a number per group.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricQuery {
    /// Any of these groups of conditions must hold as a whole. Empty: every event counts.
    pub filter: Vec<Vec<Condition>>,
    /// The attributes to group by.
    pub group: Vec<String>,
    /// The aggregates, at least one.
    pub measures: Vec<MeasureSpec>,
}

/// One aggregate of a metric over one attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MeasureSpec {
    /// The attribute.
    pub attribute: String,
    /// The aggregate.
    pub aggregate: Aggregate,
}

/// A metric's query, and the conditions on `timestamp` that were dropped from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The query.
    pub query: MetricQuery,
    /// The time frame that has no effect, in words; empty if there was none.
    pub dropped_time_frame: Vec<String>,
}

/// Tells of an attribute whether it is known to hold nothing but text, so that numbers cannot be made of it.
pub type OnlyText<'a> = &'a dyn Fn(&str) -> bool;

impl MetricQuery {
    /// Reads a query in Backtrace's JSON form.
    ///
    /// # Errors
    /// [`QueryError`] names the member at fault and what was expected of it.
    pub fn parse(json: &Json) -> Result<Parsed, QueryError> {
        Self::of(&Query::parse(json)?, &|_| false)
    }

    /// The metric that a query can be.
    ///
    /// # Errors
    /// [`QueryError`] names what a metric cannot have, and the nearest query that could be one.
    pub fn of(query: &Query, only_text: OnlyText<'_>) -> Result<Parsed, QueryError> {
        convert(query, only_text).map_err(|error| error.near(nearest(query, only_text).as_ref()))
    }

    /// The query in Backtrace's JSON form; [`parse`](Self::parse) gives the same query back.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut fold = Map::new();
        for measure in &self.measures {
            push_to(&mut fold, &measure.attribute, json!([measure.aggregate.as_str()]));
        }
        let mut query = Map::new();
        if !self.filter.is_empty() {
            query.insert("filter".to_owned(), filter_json(&self.filter));
        }
        if !self.group.is_empty() {
            query.insert("group".to_owned(), json!(self.group));
        }
        query.insert("fold".to_owned(), fold.into());
        query.into()
    }
}

fn convert(query: &Query, only_text: OnlyText<'_>) -> Result<Parsed, QueryError> {
    let there = [
        ("select", query.selects()),
        ("virtual_columns", !query.virtual_columns.is_empty()),
        ("having", !query.having.is_empty()),
        ("order", !query.order.is_empty()),
        ("limit", query.limit.is_some()),
        ("offset", query.offset > 0),
    ];
    if let Some((member, _)) = there.into_iter().find(|(_, there)| *there) {
        return Err(QueryError::NotForMetrics { member: member.to_owned(), nearest: None });
    }
    let measures = measures(&query.fold, only_text)?;
    if measures.is_empty() {
        return Err(QueryError::NoAggregate);
    }
    let mut dropped_time_frame = Vec::new();
    let filter = without_time_frame(&query.filter, &mut dropped_time_frame);
    Ok(Parsed { query: MetricQuery { filter, group: query.group.clone(), measures }, dropped_time_frame })
}

fn measures(folds: &[FoldSpec], only_text: OnlyText<'_>) -> Result<Vec<MeasureSpec>, QueryError> {
    let mut measures = Vec::new();
    for spec in folds {
        let (member, word) = (format!("fold.{}", spec.attribute), spec.fold.as_str().to_owned());
        let Some(aggregate) = aggregate(spec.fold) else {
            return Err(QueryError::NotScalar { member, word, nearest: None });
        };
        if !matches!(aggregate, Aggregate::Count | Aggregate::Unique) && only_text(&spec.attribute) {
            let attribute = spec.attribute.clone();
            return Err(QueryError::NotNumeric { member, attribute, word, nearest: None });
        }
        let measure = MeasureSpec { attribute: spec.attribute.clone(), aggregate };
        if !measures.contains(&measure) {
            measures.push(measure);
        }
    }
    Ok(measures)
}

/// The aggregate of metrics that a fold is.
fn aggregate(fold: Fold) -> Option<Aggregate> {
    Some(match fold {
        Fold::Head => Aggregate::First,
        Fold::Tail => Aggregate::Last,
        Fold::Unique => Aggregate::Unique,
        Fold::Count => Aggregate::Count,
        Fold::Min => Aggregate::Min,
        Fold::Max => Aggregate::Max,
        Fold::Mean => Aggregate::Mean,
        Fold::Sum => Aggregate::Sum,
        Fold::Range | Fold::Histogram | Fold::Distribution { .. } | Fold::Bin(_) | Fold::Object => return None,
    })
}

fn without_time_frame(filter: &[Vec<Condition>], dropped: &mut Vec<String>) -> Vec<Vec<Condition>> {
    let mut any = Vec::new();
    for all in filter {
        let (time, kept): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|c| c.attribute == TIME);
        dropped.extend(time.iter().map(|c| format!("{TIME} {} {}", c.operator, c.operand)));
        any.push(kept);
    }
    // An item without conditions holds for every event, and so does the whole list then.
    if any.iter().any(Vec::is_empty) { Vec::new() } else { any }
}

/// A query that asks nearly the same and can be a metric: aggregates that give no number become those that say most of it in
/// numbers, and what only shapes a list of rows is left out.
fn nearest(query: &Query, only_text: OnlyText<'_>) -> Option<Query> {
    let mut near = Query {
        filter: query.filter.clone(),
        group: if query.selects() { query.select.clone() } else { query.group.clone() },
        ..Query::default()
    };
    // A virtual column is nothing that a metric could group by.
    near.group.retain(|name| query.virtual_columns.iter().all(|column| column.name != *name));
    for spec in &query.fold {
        let instead: &[Fold] = match spec.fold {
            Fold::Range => &[Fold::Min, Fold::Max],
            Fold::Histogram | Fold::Distribution { .. } => &[Fold::Unique],
            Fold::Bin(_) | Fold::Object => &[Fold::Count],
            ref scalar => std::slice::from_ref(scalar),
        };
        for &fold in instead {
            let numbers = !matches!(fold, Fold::Count | Fold::Unique);
            let fold = if numbers && only_text(&spec.attribute) { Fold::Unique } else { fold };
            let spec = FoldSpec { attribute: spec.attribute.clone(), fold };
            if !near.fold.contains(&spec) {
                near.fold.push(spec);
            }
        }
    }
    if near.fold.is_empty() {
        near.fold.push(FoldSpec { attribute: "_tx".to_owned(), fold: Fold::Count });
    }
    convert(&near, only_text).is_ok().then_some(near)
}
