//! Lists events. First their numbers (and what they are ordered by) are gathered, then the attributes of those that are shown
//! are read: a query for the latest hundred of many millions keeps little more than a hundred.

use super::answer::EventRow;
use super::filter::Rows;
use super::order::directed;
use super::plan::Origin;
use super::{Columns, ExploreLimits, Texts, over_budget, text_values};
use crate::segment::Cell as Stored;
use crate::source::SourceError;
use std::cmp::Ordering;
use std::collections::HashMap;
use tidegate_model::{ObjectId, Query, Value};

/// Events that are gathered beyond those wanted before the others are thrown away.
const SPARE: usize = 1 << 16;

/// The order that events are listed in.
#[derive(Debug)]
pub(super) enum Order {
    /// By their numbers, which no two events share, so nothing else matters.
    Numbers {
        /// The newest first.
        newest: bool,
    },
    /// By these slots, each with whether it descends; then by their numbers.
    Values(Vec<(usize, bool)>),
}

impl Order {
    /// What the terms of an order come to.
    pub(super) fn new(terms: &[(usize, bool)], origins: &[Origin]) -> Self {
        match terms.first() {
            None => Self::Numbers { newest: false },
            Some(&(slot, descending)) if origins[slot] == Origin::Object => Self::Numbers { newest: descending },
            Some(_) => Self::Values(terms.to_vec()),
        }
    }

    fn terms(&self) -> &[(usize, bool)] {
        match self {
            Self::Numbers { .. } => &[],
            Self::Values(terms) => terms,
        }
    }
}

/// A list of events under way.
pub(super) struct Listing {
    order: Order,
    offset: usize,
    limit: usize,
    /// Events to keep, in the order they are shown in or of their numbers.
    found: Vec<Found>,
    shown: HashMap<u64, Vec<Option<Value>>>,
    bytes: usize,
}

/// An event that may be shown: its number, and a value for each term of the order.
struct Found {
    object: u64,
    by: Vec<Option<Value>>,
}

impl Listing {
    pub(super) fn new(query: &Query, order: Order) -> Self {
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let (offset, limit) = (size(query.offset), query.limit.map_or(usize::MAX, size));
        Self { order, offset, limit, found: Vec::new(), shown: HashMap::new(), bytes: 0 }
    }

    fn wanted(&self) -> usize {
        if self.limit == 0 { 0 } else { self.offset.saturating_add(self.limit) }
    }

    /// Takes in the rows of a segment that count.
    pub(super) fn push(
        &mut self,
        columns: &mut dyn Columns,
        rows: &Rows,
        texts: &dyn Texts,
        limits: &ExploreLimits,
        used: usize,
    ) -> Result<(), SourceError> {
        let first = columns.first_object();
        match &self.order {
            Order::Numbers { newest: true } => self.push_newest(first, rows),
            Order::Numbers { newest: false } => {
                // Segments come in the order of the numbers, so whatever comes later is not wanted.
                let mut left = self.wanted().saturating_sub(self.found.len());
                rows.for_each(|row| {
                    if left > 0 {
                        left -= 1;
                        self.found.push(Found { object: first + row as u64, by: Vec::new() });
                    }
                });
            }
            Order::Values(terms) => {
                let mut by: Vec<std::vec::IntoIter<Option<Value>>> = Vec::with_capacity(terms.len());
                for &(slot, _) in terms {
                    let column = columns.column(slot)?;
                    let mut cells = Vec::with_capacity(rows.len());
                    rows.for_each(|row| cells.push(column.as_ref().and_then(|column| column.cell(row))));
                    by.push(text_values(&cells, slot, texts)?.into_iter());
                }
                rows.for_each(|row| {
                    let by = by.iter_mut().filter_map(Iterator::next).collect();
                    self.found.push(Found { object: first + row as u64, by });
                });
                if self.found.len() > self.wanted().saturating_add(SPARE) {
                    self.prune();
                }
            }
        }
        let terms = self.order.terms().len();
        let text = |value: &Option<Value>| if let Some(Value::Str(text)) = value { text.len() } else { 0 };
        let value_bytes = terms * size_of::<Option<Value>>();
        self.bytes = self.found.len() * (size_of::<Found>() + value_bytes);
        if terms > 0 {
            self.bytes += self.found.iter().flat_map(|found| &found.by).map(text).sum::<usize>();
        }
        if self.bytes + used > limits.bytes {
            return Err(over_budget(limits.bytes, self.bytes + used));
        }
        Ok(())
    }

    /// Keeps the newest events: those found so far are older than all `rows`.
    fn push_newest(&mut self, first: u64, rows: &Rows) {
        let wanted = self.wanted();
        let newer = rows.last(wanted).map(|row| Found { object: first + row as u64, by: Vec::new() });
        let mut newer: Vec<Found> = newer.collect();
        newer.reverse();
        let beyond = (self.found.len() + newer.len()).saturating_sub(wanted);
        self.found.drain(..beyond);
        self.found.append(&mut newer);
    }

    /// Sorts what was found, and throws away what is not wanted.
    fn prune(&mut self) {
        let order = self.order.terms();
        self.found.sort_by(|a, b| {
            let term = |(place, (_, descending)): (usize, &(usize, bool))| {
                directed(a.by[place].as_ref(), b.by[place].as_ref(), *descending)
            };
            let unequal = order.iter().enumerate().map(term).find(|order| order.is_ne());
            unequal.unwrap_or(Ordering::Equal).then(a.object.cmp(&b.object))
        });
        let wanted = self.wanted();
        self.found.truncate(wanted);
        if matches!(self.order, Order::Numbers { newest: true }) {
            self.found.reverse();
        }
    }

    /// Decides which events are shown, and gives their numbers, ascending.
    pub(super) fn choose(&mut self, _texts: &dyn Texts) -> Result<Vec<u64>, SourceError> {
        self.prune();
        let skipped = self.offset.min(self.found.len());
        self.found.drain(..skipped);
        self.found.iter_mut().for_each(|found| found.by = Vec::new());
        let mut objects: Vec<u64> = self.found.iter().map(|found| found.object).collect();
        objects.sort_unstable();
        Ok(objects)
    }

    /// Reads the attributes that are shown of some events of one segment.
    pub(super) fn show(
        &mut self,
        columns: &mut dyn Columns,
        objects: &[u64],
        shown: &[(String, usize)],
        texts: &dyn Texts,
        limits: &ExploreLimits,
    ) -> Result<(), SourceError> {
        let first = columns.first_object();
        let mut rows: Vec<Vec<Option<Value>>> = vec![Vec::with_capacity(shown.len()); objects.len()];
        for (_, slot) in shown {
            let column = columns.column(*slot)?;
            let cell = |&object: &u64| -> Option<Stored> {
                column.as_ref()?.cell(usize::try_from(object.checked_sub(first)?).ok()?)
            };
            let cells: Vec<_> = objects.iter().map(cell).collect();
            for (row, value) in rows.iter_mut().zip(text_values(&cells, *slot, texts)?) {
                self.bytes += size_of::<Option<Value>>();
                self.bytes += if let Some(Value::Str(text)) = &value { text.len() } else { 0 };
                row.push(value);
            }
            if self.bytes > limits.bytes {
                return Err(over_budget(limits.bytes, self.bytes));
            }
        }
        self.shown.extend(objects.iter().copied().zip(rows));
        Ok(())
    }

    /// The rows of the answer.
    pub(super) fn finish(mut self) -> Vec<EventRow> {
        let row = |found: &Found| {
            let values = self.shown.remove(&found.object).unwrap_or_default();
            EventRow { object: ObjectId(found.object), values }
        };
        self.found.iter().map(row).collect()
    }
}
