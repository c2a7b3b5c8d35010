//! Which events of a segment count. Text is tested once per distinct value; the tests themselves are the evaluator's.

use super::{Columns, Texts};
use crate::evaluate::Test;
use crate::segment::Column;
use crate::source::SourceError;
use serde_json::Value as Json;
use tidegate_model::{Condition, Operator, Query};

/// The attribute by which events tell their own time.
pub(super) const TIME: &str = "timestamp";

/// Truth values of texts by their codes: not known yet, or one of these.
const FALSE: u8 = 1;
const TRUE: u8 = 2;

struct Prepared {
    test: Test,
    slot: usize,
    operator: Operator,
    negative: bool,
    /// Whether it is about the events' own time.
    of_time: bool,
    /// By dictionary code.
    truths: Vec<u8>,
}

/// The filter of a query.
pub(super) struct Filter {
    conditions: Vec<Prepared>,
    /// Any of these groups of conditions must hold as a whole.
    any: Vec<Vec<usize>>,
    times: Option<(i64, i64)>,
}

/// The rows of a segment that count.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rows {
    /// The first so many.
    All(usize),
    /// These, ascending.
    Some(Vec<u32>),
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::All(count) => *count,
            Self::Some(rows) => rows.len(),
        }
    }

    /// The last so many of them, or all if there are fewer; descending.
    pub(super) fn last(&self, most: usize) -> Box<dyn Iterator<Item = usize> + '_> {
        match self {
            Self::All(count) => Box::new((0..*count).rev().take(most)),
            Self::Some(rows) => Box::new(rows.iter().rev().take(most).map(|&row| row as usize)),
        }
    }

    /// Calls `each` with every row.
    #[inline]
    pub(super) fn for_each(&self, mut each: impl FnMut(usize)) {
        match self {
            Self::All(count) => (0..*count).for_each(each),
            Self::Some(rows) => rows.iter().for_each(|&row| each(row as usize)),
        }
    }
}

impl Filter {
    pub(super) fn new(query: &Query, slot: &mut dyn FnMut(&str) -> usize) -> Result<Self, SourceError> {
        let mut new = Self { conditions: Vec::new(), any: Vec::new(), times: times(query) };
        // A group without conditions always holds, and so does the whole filter then.
        if query.filter.iter().any(Vec::is_empty) {
            return Ok(new);
        }
        for all in &query.filter {
            let mut places = Vec::with_capacity(all.len());
            for condition in all {
                let test = Test::new(condition).map_err(|reason| SourceError::Unanswerable { reason })?;
                let (slot, positive) = (slot(&condition.attribute), condition.operator.complement_of());
                places.push(new.conditions.len());
                let (operator, negative) = (positive.unwrap_or(condition.operator), positive.is_some());
                let of_time = condition.attribute == TIME && new.times.is_some();
                new.conditions.push(Prepared { test, slot, operator, negative, of_time, truths: Vec::new() });
            }
            new.any.push(places);
        }
        Ok(new)
    }

    /// Whether no event with a time from `first` to `last` can pass.
    pub(super) fn excludes(&self, first: i64, last: i64) -> bool {
        self.times.is_some_and(|(from, to)| last < from || to < first)
    }

    /// The rows of a segment that pass.
    pub(super) fn rows(&mut self, columns: &mut dyn Columns, texts: &dyn Texts) -> Result<Rows, SourceError> {
        let count = columns.rows();
        if self.any.is_empty() {
            return Ok(Rows::All(count));
        }
        let mut passed = vec![0u64; count.div_ceil(64)];
        for all in &self.any {
            let mut held = vec![u64::MAX; passed.len()];
            for &place in all {
                if columns.times().is_some_and(|times| self.conditions[place].covers(times)) {
                    continue;
                }
                let column = columns.column(self.conditions[place].slot)?;
                self.conditions[place].narrow(&mut held, column.as_deref(), count, texts)?;
                // Columns of conditions that cannot matter any more are not even read.
                if held.iter().all(|word| *word == 0) {
                    break;
                }
            }
            passed.iter_mut().zip(held).for_each(|(all, held)| *all |= held);
        }
        if let (Some(last), true) = (passed.last_mut(), !count.is_multiple_of(64)) {
            *last &= (1 << (count % 64)) - 1;
        }
        let left: usize = passed.iter().map(|word| word.count_ones() as usize).sum();
        if left == count {
            return Ok(Rows::All(count));
        }
        let mut rows = Vec::with_capacity(left);
        for (word, mut bits) in passed.into_iter().enumerate() {
            while bits != 0 {
                let row = word * 64 + bits.trailing_zeros() as usize;
                rows.push(u32::try_from(row).unwrap_or(u32::MAX));
                bits &= bits - 1;
            }
        }
        Ok(Rows::Some(rows))
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.conditions.iter().map(|condition| condition.truths.capacity()).sum()
    }
}

impl Prepared {
    /// Whether it holds for every event, if the times of all lie from `first` to `last`.
    fn covers(&self, (first, last): (i64, i64)) -> bool {
        self.of_time
            && match self.operator {
                Operator::AtLeast | Operator::GreaterThan => !self.negative && self.test.int_holds(first),
                Operator::AtMost | Operator::LessThan => !self.negative && self.test.int_holds(last),
                _ => false,
            }
    }

    /// Takes the rows out of `held` where the condition does not hold.
    fn narrow(
        &mut self,
        held: &mut [u64],
        column: Option<&Column>,
        count: usize,
        texts: &dyn Texts,
    ) -> Result<(), SourceError> {
        let empty = Column::default();
        let column = column.unwrap_or(&empty);
        let mut holds = vec![0u64; held.len()];
        if let Some(codes) = &column.texts {
            self.text_rows(&mut holds, held, codes, texts)?;
        }
        let is_set = self.operator == Operator::IsSet;
        if let Some(ints) = &column.ints {
            let test = |row: usize| ints.valid.get(row) && (is_set || self.test.int_holds(ints.values[row]));
            mark(&mut holds, held, count.min(ints.values.len()), test);
        }
        if let Some(floats) = &column.floats {
            let test = |row: usize| floats.valid.get(row) && (is_set || self.test.float_holds(floats.values[row]));
            mark(&mut holds, held, count.min(floats.values.len()), test);
        }
        if let Some(bools) = &column.bools {
            let test = |row: usize| bools[row] != 0 && (is_set || self.test.bool_holds(bools[row] == 2));
            mark(&mut holds, held, count.min(bools.len()), test);
        }
        let flip = if self.negative { u64::MAX } else { 0 };
        held.iter_mut().zip(holds).for_each(|(held, holds)| *held &= holds ^ flip);
        Ok(())
    }

    fn text_rows(
        &mut self,
        holds: &mut [u64],
        held: &[u64],
        codes: &[u32],
        texts: &dyn Texts,
    ) -> Result<(), SourceError> {
        match self.operator {
            Operator::IsSet => mark(holds, held, codes.len(), |row| codes[row] != 0),
            Operator::Equal => {
                if let Some(code) = texts.code(self.slot, self.test.operand())? {
                    mark(holds, held, codes.len(), |row| codes[row] == code);
                }
            }
            _ => {
                self.learn(codes, held, texts)?;
                mark(holds, held, codes.len(), |row| self.truths[codes[row] as usize] == TRUE);
            }
        }
        Ok(())
    }

    /// Tests the texts that occur for the first time in the rows that are held.
    fn learn(&mut self, codes: &[u32], held: &[u64], texts: &dyn Texts) -> Result<(), SourceError> {
        if self.truths.is_empty() {
            self.truths = vec![0; texts.codes(self.slot).max(1) as usize];
            self.truths[0] = FALSE;
        }
        let (mut new, mut outside) = (Vec::new(), None);
        for (word, codes) in held.iter().zip(codes.chunks(64)) {
            each_held(*word, codes.len(), |row| match self.truths.get_mut(codes[row] as usize) {
                Some(truth) if *truth == 0 => {
                    *truth = FALSE;
                    new.push(codes[row]);
                }
                Some(_) => {}
                None => outside = Some(codes[row]),
            });
        }
        if let Some(code) = outside {
            return Err(super::beyond(code));
        }
        let (truths, test) = (&mut self.truths, &self.test);
        texts.resolve(self.slot, &new, &mut |place, text| {
            if test.text_holds(text) {
                truths[new[place] as usize] = TRUE;
            }
        })
    }
}

/// Sets the bits of the rows that a test holds for; of those that are held, for the others do not matter.
fn mark(bits: &mut [u64], held: &[u64], rows: usize, holds: impl Fn(usize) -> bool) {
    for ((bits, held), start) in bits.iter_mut().zip(held).zip((0..rows).step_by(64)) {
        each_held(*held, rows - start, |row| *bits |= u64::from(holds(start + row)) << row);
    }
}

/// Calls `each` with the places of the bits that are set, below `rows`.
#[inline]
fn each_held(mut held: u64, rows: usize, mut each: impl FnMut(usize)) {
    if held == u64::MAX {
        return (0..rows.min(64)).for_each(each);
    }
    while held != 0 {
        let row = held.trailing_zeros() as usize;
        if row < rows {
            each(row);
        }
        held &= held - 1;
    }
}

/// The times between which every event lies that can pass, if there are any.
fn times(query: &Query) -> Option<(i64, i64)> {
    // A virtual column of that name hides the attribute.
    if query.filter.is_empty() || query.virtual_columns.iter().any(|column| column.name == TIME) {
        return None;
    }
    let mut whole: Option<(i64, i64)> = None;
    for all in &query.filter {
        let (from, to) = all.iter().filter(|c| c.attribute == TIME).fold((i64::MIN, i64::MAX), |range, condition| {
            let (from, to) = span(condition);
            (range.0.max(from), range.1.min(to))
        });
        whole = Some(whole.map_or((from, to), |range| (range.0.min(from), range.1.max(to))));
    }
    whole
}

/// Whole numbers between which a number lies that a condition holds for; a little more is no mistake.
fn span(condition: &Condition) -> (i64, i64) {
    let number = match &condition.operand {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => text.parse().ok(),
        _ => None,
    };
    // Beyond 2^53 a float is not exact, and nobody's clock is there.
    let Some(number) = number.filter(|number: &f64| number.abs() < 9e15) else { return (i64::MIN, i64::MAX) };
    let (low, high) = (number.floor() as i64, number.ceil() as i64);
    match condition.operator {
        Operator::Equal => (low, high),
        Operator::AtLeast | Operator::GreaterThan => (low, i64::MAX),
        Operator::AtMost | Operator::LessThan => (i64::MIN, high),
        _ => (i64::MIN, i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_that_are_held_are_tested_each_once_and_no_others(
            held in prop::collection::vec(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], 4), rows in 0usize..=256, modulus in 1usize..9,
        ) {
            let (mut bits, tested) = (vec![0; 4], std::cell::RefCell::new(Vec::new()));
            mark(&mut bits, &held, rows, |row| {
                tested.borrow_mut().push(row);
                row.is_multiple_of(modulus)
            });
            let is_held = |row: &usize| held[row / 64] >> (row % 64) & 1 == 1;
            prop_assert_eq!(tested.into_inner(), (0..rows).filter(is_held).collect::<Vec<_>>());
            for row in 0..256 {
                let expected = row < rows && is_held(&row) && row.is_multiple_of(modulus);
                prop_assert_eq!(bits[row / 64] >> (row % 64) & 1 == 1, expected);
            }
        }
    }
}
