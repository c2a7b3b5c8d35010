//! The aggregates, over rows and groups. All are exact but sums of floats, which are compensated.

use super::answer::{Cell, by_frequency};
use super::bins::Bins;
use super::coder::Coder;
use super::extremes::Extremes;
use super::filter::Rows;
use super::{Texts, text_values};
use crate::evaluate::{PairList, PairTable, Sum};
use crate::segment::{Cell as Stored, Column};
use crate::source::SourceError;
use tidegate_model::query::Fold;
use tidegate_model::{ObjectId, Value};

/// The rows of a segment that count, as the aggregates see them.
pub(super) struct Batch<'a> {
    pub(super) rows: &'a Rows,
    /// The group of each row.
    pub(super) groups: &'a [u32],
    /// One more than the greatest group.
    pub(super) width: usize,
    /// Number of the event in the first row of the segment.
    pub(super) first_object: u64,
}

impl Batch<'_> {
    /// Calls `each` with every group and its stored value.
    #[inline]
    pub(super) fn for_each(&self, column: &Column, mut each: impl FnMut(usize, Stored)) {
        let mut at = 0;
        self.rows.for_each(|row| {
            if let Some(cell) = column.cell(row) {
                each(self.groups[at] as usize, cell);
            }
            at += 1;
        });
    }
}

/// Pairs of group and value that a distinct count keeps with repetitions before it throws those out.
const LISTED_PAIRS: usize = 4 << 20;

/// One aggregate, a place for each group.
pub(super) enum Accumulator {
    /// Every event has a value, and another one: what is asked for are the events of the group.
    Events,
    Count(Vec<u64>),
    Unique(PairList),
    /// Distinct values where there is but one group: its classes.
    UniqueOfAll,
    Extremes {
        fold: Fold,
        extremes: Extremes,
    },
    Sum {
        mean: bool,
        sums: Vec<Sum>,
    },
    /// Earliest or latest value.
    Edge {
        last: bool,
        values: Vec<Option<Stored>>,
    },
    /// Events with each value.
    Values {
        fold: Fold,
        pairs: PairTable,
        counts: Vec<u64>,
    },
    Bins(Bins),
    Object(Vec<Option<u64>>),
}

impl Accumulator {
    pub(super) fn new(fold: Fold, object: bool, grouped: bool) -> Self {
        match fold {
            Fold::Count | Fold::Unique if object => Self::Events,
            Fold::Count => Self::Count(Vec::new()),
            Fold::Unique if !grouped => Self::UniqueOfAll,
            Fold::Unique => Self::Unique(PairList::new(LISTED_PAIRS)),
            Fold::Min | Fold::Max | Fold::Range => Self::Extremes { fold, extremes: Extremes::default() },
            Fold::Sum | Fold::Mean => Self::Sum { mean: fold == Fold::Mean, sums: Vec::new() },
            Fold::Head | Fold::Tail => Self::Edge { last: fold == Fold::Tail, values: Vec::new() },
            Fold::Histogram | Fold::Distribution { .. } => {
                Self::Values { fold, pairs: PairTable::default(), counts: vec![0] }
            }
            Fold::Bin(bin) => Self::Bins(Bins::new(bin)),
            Fold::Object => Self::Object(Vec::new()),
        }
    }

    /// Whether it counts events, whatever their values.
    pub(super) fn only_counts(&self) -> bool {
        matches!(self, Self::Events | Self::Count(_))
    }

    /// Takes in that so many events of the only group have a value.
    pub(super) fn count(&mut self, values: u64) {
        if let Self::Count(counts) = self {
            counts.resize(counts.len().max(1), 0);
            counts[0] += values;
        }
    }

    /// Whether it wants the classes of the values.
    pub(super) fn wants_classes(&self) -> bool {
        matches!(self, Self::Unique(_) | Self::UniqueOfAll | Self::Values { .. })
    }

    /// Whether it wants the column.
    pub(super) fn wants_column(&self) -> bool {
        !matches!(self, Self::Events) && !self.wants_classes()
    }

    /// Takes in the rows of a segment; `classes` has those of the rows if they are wanted.
    pub(super) fn push(
        &mut self,
        batch: &Batch<'_>,
        column: Option<&Column>,
        classes: &[u32],
        slot: usize,
        texts: &dyn Texts,
    ) -> Result<(), SourceError> {
        let empty = Column::default();
        let column = column.unwrap_or(&empty);
        match self {
            Self::Events | Self::UniqueOfAll => {}
            Self::Count(counts) => {
                counts.resize(batch.width, 0);
                batch.for_each(column, |group, _| counts[group] += 1);
            }
            Self::Unique(pairs) => pairs.extend(batch.groups, classes),
            Self::Extremes { extremes, .. } => extremes.push(batch, column, slot, texts)?,
            Self::Sum { sums, .. } => {
                sums.resize(batch.width, Sum::default());
                batch.for_each(column, |group, cell| match cell {
                    Stored::Int(int) => sums[group].put_int(int),
                    Stored::Float(float) => sums[group].put_float(float),
                    Stored::Bool(flag) => sums[group].put_int(flag.into()),
                    Stored::Text(_) => {}
                });
            }
            Self::Edge { last, values } => {
                values.resize(batch.width, None);
                let last = *last;
                batch.for_each(column, |group, cell| {
                    if last || values[group].is_none() {
                        values[group] = Some(cell);
                    }
                });
            }
            Self::Values { pairs, counts, .. } => {
                for (&group, &class) in batch.groups.iter().zip(classes).filter(|(_, class)| **class != 0) {
                    let number = pairs.number(group, class) as usize;
                    counts.resize(counts.len().max(number + 1), 0);
                    counts[number] += 1;
                }
            }
            Self::Bins(bins) => bins.push(batch, column),
            Self::Object(objects) => {
                objects.resize(batch.width, None);
                let mut at = 0;
                batch.rows.for_each(|row| {
                    if column.cell(row).is_some() {
                        objects[batch.groups[at] as usize] = Some(batch.first_object + row as u64);
                    }
                    at += 1;
                });
            }
        }
        Ok(())
    }

    /// Memory that it would take at least with so many groups.
    pub(super) fn bytes_for(&self, width: usize) -> usize {
        match self {
            Self::Bins(bins) => bins.bytes_for(width),
            _ => self.bytes(),
        }
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Events | Self::UniqueOfAll => 0,
            Self::Count(counts) => counts.capacity() * 8,
            // Sorting takes half as much again.
            Self::Unique(pairs) => pairs.bytes() * 3 / 2,
            Self::Extremes { extremes, .. } => extremes.bytes(),
            Self::Sum { sums, .. } => sums.capacity() * size_of::<Sum>(),
            Self::Edge { values, .. } => values.capacity() * size_of::<Option<Stored>>(),
            // The places of a pair table are at most four times the pairs, 4 bytes each.
            Self::Values { counts, pairs, .. } => counts.capacity() * 8 + pairs.len() * 24,
            Self::Bins(bins) => bins.bytes(),
            Self::Object(objects) => objects.capacity() * 16,
        }
    }

    /// What it found for some groups, in their order.
    pub(super) fn cells(&mut self, groups: &[u32], found: &Found<'_>) -> Result<Vec<Cell>, SourceError> {
        let count = |n: u64| Cell::Value(Some(Value::Int(i64::try_from(n).unwrap_or(i64::MAX))));
        let each = |cell: &dyn Fn(usize) -> Cell| Ok(groups.iter().map(|&group| cell(group as usize)).collect());
        match self {
            Self::Events => each(&|group| count(found.counts[group])),
            Self::Count(counts) => each(&|group| count(counts.get(group).copied().unwrap_or(0))),
            Self::UniqueOfAll => each(&|_| count(found.coder.len() as u64 - 1)),
            Self::Unique(pairs) => {
                let sets = pairs.sets(found.counts.len(), found.coder.len());
                each(&|group| count(sets.count(group) as u64))
            }
            Self::Extremes { fold, extremes } => each(&|group| extremes.cell(*fold, group)),
            Self::Sum { mean, sums } => each(&|group| {
                let sum = sums.get(group).copied().unwrap_or_default();
                Cell::Value(if *mean { sum.mean() } else { sum.total() })
            }),
            Self::Edge { values, .. } => {
                let stored: Vec<_> =
                    groups.iter().map(|&group| values.get(group as usize).copied().flatten()).collect();
                let values = text_values(&stored, found.slot, found.texts)?;
                Ok(values.into_iter().map(Cell::Value).collect())
            }
            Self::Values { fold, pairs, counts } => value_cells(*fold, pairs, counts, groups, found),
            Self::Bins(bins) => Ok(bins.cells(groups)),
            Self::Object(objects) => each(&|group| Cell::Object(objects.get(group).copied().flatten().map(ObjectId))),
        }
    }
}

/// What is known at the end.
pub(super) struct Found<'a> {
    /// Events of each group.
    pub(super) counts: &'a [u64],
    /// The classes of the aggregate's attribute.
    pub(super) coder: &'a Coder,
    /// Its slot.
    pub(super) slot: usize,
    pub(super) texts: &'a dyn Texts,
}

fn value_cells(
    fold: Fold,
    pairs: &PairTable,
    counts: &[u64],
    groups: &[u32],
    found: &Found<'_>,
) -> Result<Vec<Cell>, SourceError> {
    let mut place_of = vec![usize::MAX; found.counts.len()];
    for (place, &group) in groups.iter().enumerate() {
        place_of[group as usize] = place;
    }
    let mut lists: Vec<Vec<(u32, u64)>> = vec![Vec::new(); groups.len()];
    for (number, &(group, class)) in pairs.pairs().iter().enumerate().skip(1) {
        if let Some(list) = lists.get_mut(place_of[group as usize]) {
            list.push((class, counts[number]));
        }
    }
    lists.into_iter().map(|list| value_cell(fold, list, found)).collect()
}

fn value_cell(fold: Fold, mut list: Vec<(u32, u64)>, found: &Found<'_>) -> Result<Cell, SourceError> {
    let (keys, all) = (list.len() as u64, list.iter().map(|entry| entry.1).sum::<u64>());
    let most = match fold {
        Fold::Distribution { listed } => listed.unwrap_or(Fold::LISTED) as usize,
        _ => usize::MAX,
    };
    // Only those that may be listed need their values; among equals all may, since their values decide.
    if list.len() > most {
        list.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.1));
        let least = list[most - 1].1;
        list.retain(|entry| entry.1 >= least);
    }
    let classes: Vec<u32> = list.iter().map(|entry| entry.0).collect();
    let values = found.coder.values(&classes, found.texts)?;
    let listed = values.into_iter().zip(list).filter_map(|(value, entry)| Some((value?, entry.1))).collect();
    let mut listed = by_frequency(listed);
    listed.truncate(most);
    Ok(match fold {
        Fold::Distribution { .. } => {
            Cell::Distribution { keys, tail: all - listed.iter().map(|entry| entry.1).sum::<u64>(), listed }
        }
        _ => Cell::Histogram(listed),
    })
}
