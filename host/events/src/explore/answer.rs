//! What a query gives: rows with typed values. Nothing here tells how or where events are kept.

use super::order::compare;
use tidegate_model::query::Bound;
use tidegate_model::{ObjectId, Value};

/// The answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its rows.
    pub rows: AnswerRows,
    /// Attributes of the query that no event of the project ever had; misspelt ones among them.
    pub unknown: Vec<String>,
    /// Events that the filter let through.
    pub events: u64,
    /// Events that were looked at.
    pub scanned: u64,
    /// The newest event that there was; none if there was none at all. Asking again with `_tx at-most` it sees no later ones.
    pub newest: Option<ObjectId>,
    /// Groups before `having`.
    pub groups: u64,
    /// Groups after `having` and before `limit`.
    pub groups_having: u64,
    /// Events in those groups.
    pub events_having: u64,
}

/// Rows of one of the two kinds of queries.
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerRows {
    /// One for each group.
    Groups(Vec<GroupRow>),
    /// One for each event.
    Events {
        /// The attributes: those named, then those that the wildcards stand for.
        columns: Vec<String>,
        /// The events.
        rows: Vec<EventRow>,
    },
}

impl AnswerRows {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Groups(rows) => rows.len(),
            Self::Events { rows, .. } => rows.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupRow {
    /// A value for each attribute of the group-by; none if its events lack the attribute.
    pub key: Vec<Option<Value>>,
    /// Its events.
    pub events: u64,
    /// One for each aggregate.
    pub cells: Vec<Cell>,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// Its number.
    pub object: ObjectId,
    /// A value for each attribute selected.
    pub values: Vec<Option<Value>>,
}

/// What one aggregate gives for one group.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// One value; none where there is nothing to aggregate.
    Value(Option<Value>),
    /// Least and greatest value.
    Range(Option<(Value, Value)>),
    /// Values with the number of their events: most frequent first, then by value.
    Histogram(Vec<(Value, u64)>),
    /// The most frequent values.
    Distribution {
        /// Distinct values in all.
        keys: u64,
        /// Events whose value is not listed.
        tail: u64,
        /// Values with the number of their events: most frequent first, then by value.
        listed: Vec<(Value, u64)>,
    },
    /// Intervals, each from its start to just before its end, and the number of events in it. Where the query did not say the
    /// bounds, the last interval has its end in it.
    Bins(Vec<(Bound, Bound, u64)>),
    /// The highest object id.
    Object(Option<ObjectId>),
}

impl Cell {
    /// One of its figures, to compare and order by; see [`tidegate_model::query::Fold::parts`].
    #[must_use]
    pub fn figure(&self, part: usize) -> Option<Value> {
        let count = |n: u64| Some(Value::Int(i64::try_from(n).unwrap_or(i64::MAX)));
        match self {
            Self::Value(value) => value.clone(),
            Self::Range(range) => {
                range.as_ref().map(|(least, greatest)| if part == 0 { least.clone() } else { greatest.clone() })
            }
            Self::Distribution { keys, tail, .. } => count(if part == 0 { *keys } else { *tail }),
            Self::Object(object) => object.and_then(|object| count(object.0)),
            Self::Histogram(_) | Self::Bins(_) => None,
        }
    }
}

/// Values with their counts: most frequent first, then by value.
pub(super) fn by_frequency(mut counts: Vec<(Value, u64)>) -> Vec<(Value, u64)> {
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| compare(Some(&a.0), Some(&b.0))));
    counts
}
