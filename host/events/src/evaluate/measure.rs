//! The aggregates, over rows and groups. All are exact but sums of floats, which are compensated; and all can be folded over
//! several groups as if these had been one from the start.

use super::distinct::{PairList, Sets};
use super::load::{BOOL, Coded, FLOAT, INT};
use super::pairs::PairTable;
use super::plan::Measure;
use std::ops::Range;
use tidegate_model::{Aggregate, Value};

/// The rows of a chunk that a filter lets through.
pub(super) enum Rows<'a> {
    /// Every one of these.
    All(Range<usize>),
    /// These, ascending.
    Some(&'a [u32]),
}

/// Calls `each` with every row and its group.
#[inline]
fn for_each(rows: &Rows, groups: Option<&[u32]>, mut each: impl FnMut(usize, usize)) {
    match (rows, groups) {
        (Rows::All(range), None) => range.clone().for_each(|row| each(row, 0)),
        (Rows::All(range), Some(groups)) => {
            range.clone().zip(&groups[range.clone()]).for_each(|(row, &group)| each(row, group as usize));
        }
        (Rows::Some(rows), None) => rows.iter().for_each(|&row| each(row as usize, 0)),
        (Rows::Some(rows), Some(groups)) => {
            rows.iter().for_each(|&row| each(row as usize, groups[row as usize] as usize));
        }
    }
}

/// Counts the rows of each group.
pub(super) fn count(counts: &mut [u64], rows: &Rows, groups: Option<&[u32]>) {
    match (rows, groups) {
        (Rows::All(range), None) => counts[0] += range.len() as u64,
        (Rows::Some(rows), None) => counts[0] += rows.len() as u64,
        _ => for_each(rows, groups, |_, group| counts[group] += 1),
    }
}

/// A sum: integers exact, floats with what rounding lost kept beside them (Neumaier).
#[derive(Clone, Copy, Default)]
pub(crate) struct Sum {
    ints: i128,
    float: f64,
    lost: f64,
    count: u64,
}

impl Sum {
    fn add_float(&mut self, value: f64) {
        let sum = self.float + value;
        self.lost += if self.float.abs() >= value.abs() { self.float - sum + value } else { value - sum + self.float };
        self.float = sum;
    }

    fn add(&mut self, other: &Self) {
        self.ints += other.ints;
        self.add_float(other.float);
        self.add_float(other.lost);
        self.count += other.count;
    }

    fn value(&self, mean: bool) -> f64 {
        let sum = if self.float == 0.0 && self.lost == 0.0 {
            self.ints as f64
        } else {
            let mut all = *self;
            let ints = self.ints as f64;
            all.add_float(ints);
            all.add_float((self.ints - ints as i128) as f64);
            all.float + all.lost
        };
        if mean { sum / self.count as f64 } else { sum }
    }

    pub(crate) fn put_int(&mut self, value: i64) {
        self.ints += i128::from(value);
        self.count += 1;
    }

    pub(crate) fn put_float(&mut self, value: f64) {
        self.add_float(value);
        self.count += 1;
    }

    /// The sum as a value: whole if only whole numbers went in and it fits; none if it is too great for a number.
    pub(crate) fn total(&self) -> Option<Value> {
        match i64::try_from(self.ints) {
            Ok(whole) if self.float == 0.0 && self.lost == 0.0 => Some(Value::Int(whole)),
            _ => Some(self.value(false)).filter(|sum| sum.is_finite()).map(Value::Float),
        }
    }

    /// The mean; none if there is nothing to take it of.
    pub(crate) fn mean(&self) -> Option<Value> {
        Some(self.value(true)).filter(|mean| mean.is_finite()).map(Value::Float)
    }
}

/// One aggregate of one job, a place for each group.
pub(super) enum Accumulator {
    /// Every event counts: what is asked for are the job's own counts.
    Events,
    Count(Vec<u64>),
    /// Bits of the (group, value) pairs that were seen, and how many of each group.
    Unique {
        pairs: usize,
        seen: Vec<u64>,
        counts: Vec<u64>,
    },
    /// The pairs that were seen, and in the end the values of each group.
    Listed {
        list: PairList,
        sets: Sets,
    },
    /// Least or greatest number; NaN if there is none.
    Extreme {
        greatest: bool,
        values: Vec<f64>,
    },
    /// Sums, or means of them.
    Sum {
        mean: bool,
        sums: Vec<Sum>,
    },
    /// Earliest or latest number and the row that it is from; NaN if there is none.
    Edge {
        last: bool,
        values: Vec<(u64, f64)>,
    },
}

impl Accumulator {
    /// `listed` is for distinct counts: how many pairs a list keeps, if a list is what there is to be.
    pub(super) fn new(measure: &Measure, listed: Option<usize>) -> Self {
        match (measure.aggregate, listed) {
            (Aggregate::Unique, Some(pairs)) => Self::Listed { list: PairList::new(pairs), sets: Sets::default() },
            _ => Self::plain(measure),
        }
    }

    fn plain(measure: &Measure) -> Self {
        match measure.aggregate {
            Aggregate::Count | Aggregate::Unique if measure.object => Self::Events,
            Aggregate::Count => Self::Count(Vec::new()),
            Aggregate::Unique => {
                Self::Unique { pairs: measure.distinct.unwrap_or_default(), seen: Vec::new(), counts: Vec::new() }
            }
            Aggregate::Min | Aggregate::Max => {
                Self::Extreme { greatest: measure.aggregate == Aggregate::Max, values: Vec::new() }
            }
            Aggregate::Sum | Aggregate::Mean => {
                Self::Sum { mean: measure.aggregate == Aggregate::Mean, sums: Vec::new() }
            }
            Aggregate::First | Aggregate::Last => {
                Self::Edge { last: measure.aggregate == Aggregate::Last, values: Vec::new() }
            }
        }
    }

    /// Takes in rows of a chunk. `distinct` has the pair of each row, and one more than the greatest pair; `before` is the
    /// number of rows in the chunks before.
    pub(super) fn push(
        &mut self,
        rows: &Rows,
        groups: Option<&[u32]>,
        width: usize,
        values: &Coded,
        distinct: Option<(&[u32], usize)>,
        before: u64,
    ) {
        match self {
            Self::Events => {}
            Self::Count(counts) => {
                counts.resize(width, 0);
                for_each(rows, groups, |row, group| counts[group] += u64::from(values.kinds[row] != 0));
            }
            Self::Unique { seen, counts, .. } => {
                let (pairs, greatest) = distinct.unwrap_or_default();
                counts.resize(width, 0);
                seen.resize(greatest.div_ceil(64), 0);
                for_each(rows, groups, |row, group| {
                    let pair = pairs[row];
                    let word = &mut seen[pair as usize / 64];
                    let new = (*word >> (pair % 64) & 1 ^ 1) & u64::from(pair != 0);
                    *word |= new << (pair % 64);
                    counts[group] += new;
                });
            }
            Self::Listed { list, .. } => list.push(rows, groups.unwrap_or_default(), values.class_codes()),
            Self::Extreme { greatest, values: extremes } => {
                extremes.resize(width, f64::NAN);
                let (greatest, numbers) = (*greatest, values.numbers());
                for_each(rows, groups, |row, group| {
                    let extreme = &mut extremes[group];
                    // Either function gives the other number if one of them is NaN.
                    *extreme = if greatest { extreme.max(numbers[row]) } else { extreme.min(numbers[row]) };
                });
            }
            Self::Sum { sums, .. } => push_sums(sums, rows, groups, width, values),
            Self::Edge { last, values: edges } => {
                edges.resize(width, (0, f64::NAN));
                let (last, numbers) = (*last, values.numbers());
                for_each(rows, groups, |row, group| {
                    let number = numbers[row];
                    if !number.is_nan() && (last || edges[group].1.is_nan()) {
                        edges[group] = (before + row as u64, number);
                    }
                });
            }
        }
    }

    /// Whether it asks for nothing but the number of events.
    pub(super) fn is_events(&self) -> bool {
        matches!(self, Self::Events)
    }

    /// Comes after the last chunk. Groups are below `width`, values below `classes`.
    pub(super) fn settle(&mut self, width: usize, classes: usize) {
        if let Self::Listed { list, sets } = self {
            *sets = list.sets(width, classes);
            *list = PairList::new(0);
        }
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Events => 0,
            Self::Count(counts) => counts.capacity() * 8,
            Self::Unique { seen, counts, .. } => (seen.capacity() + counts.capacity()) * 8,
            Self::Listed { list, sets } => list.bytes() + sets.bytes(),
            Self::Extreme { values, .. } => values.capacity() * 8,
            Self::Sum { sums, .. } => sums.capacity() * size_of::<Sum>(),
            Self::Edge { values, .. } => values.capacity() * 16,
        }
    }

    /// Memory that it takes for each group.
    pub(super) fn bytes_per_group(&self) -> usize {
        match self {
            Self::Events => 0,
            Self::Count(_) | Self::Unique { .. } | Self::Listed { .. } | Self::Extreme { .. } => 8,
            Self::Sum { .. } => size_of::<Sum>(),
            Self::Edge { .. } => 16,
        }
    }

    /// The value of a group. `events` are the job's counts. Never infinite: what is too great for a number has no value.
    pub(super) fn value(&self, events: &[u64], group: usize) -> f64 {
        let count = |counts: &[u64]| counts.get(group).copied().unwrap_or(0) as f64;
        finite(match self {
            Self::Events => count(events),
            Self::Count(counts) | Self::Unique { counts, .. } => count(counts),
            Self::Listed { sets, .. } => sets.count(group) as f64,
            Self::Extreme { values, .. } => values.get(group).copied().unwrap_or(f64::NAN),
            Self::Sum { mean, sums } => sums.get(group).copied().unwrap_or_default().value(*mean),
            Self::Edge { values, .. } => values.get(group).map_or(f64::NAN, |edge| edge.1),
        })
    }

    /// The value of several groups taken as one; `inside` tells of every group whether it belongs to them, `groups` names them
    /// in a fixed order. `distincts` has the pairs of the distinct counts, and `values` is one more than the greatest value.
    pub(super) fn folded(
        &self,
        events: &[u64],
        groups: &[u32],
        inside: &[bool],
        distincts: &[PairTable],
        values: usize,
    ) -> f64 {
        let count = |counts: &[u64]| groups.iter().map(|&g| counts[g as usize]).sum::<u64>() as f64;
        finite(match self {
            Self::Events => count(events),
            Self::Count(counts) => count(counts),
            Self::Unique { pairs, seen, .. } => distinct_in(&distincts[*pairs], seen, inside, values) as f64,
            Self::Listed { sets, .. } => sets.count_in(groups) as f64,
            Self::Extreme { greatest, values } => {
                let numbers = groups.iter().map(|&g| values[g as usize]);
                numbers.fold(f64::NAN, if *greatest { f64::max } else { f64::min })
            }
            Self::Sum { mean, sums } => {
                let mut all = Sum::default();
                groups.iter().for_each(|&g| all.add(&sums[g as usize]));
                all.value(*mean)
            }
            Self::Edge { last, values } => {
                let edges = groups.iter().map(|&g| values[g as usize]).filter(|edge| !edge.1.is_nan());
                let edge = if *last { edges.max_by_key(|edge| edge.0) } else { edges.min_by_key(|edge| edge.0) };
                edge.map_or(f64::NAN, |edge| edge.1)
            }
        })
    }
}

fn finite(value: f64) -> f64 {
    if value.is_infinite() { f64::NAN } else { value }
}

fn push_sums(sums: &mut Vec<Sum>, rows: &Rows, groups: Option<&[u32]>, width: usize, values: &Coded) {
    sums.resize(width, Sum::default());
    if values.bits.is_empty() {
        return;
    }
    for_each(rows, groups, |row, group| {
        let (sum, bits) = (&mut sums[group], values.bits[row]);
        match values.kinds[row] {
            INT => sum.ints += i128::from(bits.cast_signed()),
            BOOL => sum.ints += i128::from(bits),
            FLOAT => sum.add_float(f64::from_bits(bits)),
            _ => return,
        }
        sum.count += 1;
    });
}

/// Distinct values among the pairs that were seen in the groups inside.
fn distinct_in(table: &PairTable, seen: &[u64], inside: &[bool], values: usize) -> u64 {
    let mut found = vec![0u64; values.div_ceil(64)];
    for (number, &(group, value)) in table.pairs().iter().enumerate().skip(1) {
        let seen = seen.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1);
        if seen && inside[group as usize] {
            found[value as usize / 64] |= 1 << (value % 64);
        }
    }
    found.iter().map(|word| u64::from(word.count_ones())).sum()
}
