//! One attribute over the events of a segment, as the evaluator reads it.

use crate::store::ValueType;
use std::ops::Range;
use tidegate_model::Instant;

/// A value in its place in a column; text by its code in the attribute's dictionary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell {
    /// Code of a text, from 1.
    Text(u32),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// Bits, one for each row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bitmap {
    pub(crate) words: Vec<u64>,
}

impl Bitmap {
    pub(crate) fn get(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub(crate) fn set(&mut self, row: usize) {
        if row / 64 >= self.words.len() {
            self.words.resize(row / 64 + 1, 0);
        }
        self.words[row / 64] |= 1 << (row % 64);
    }
}

/// Numbers of one type, one for each row; those whose bit is not set mean nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Numbers<T> {
    pub(crate) valid: Bitmap,
    pub(crate) values: Vec<T>,
}

impl<T: Copy + Default> Numbers<T> {
    fn put(&mut self, row: usize, value: T) {
        self.values.resize(row, T::default());
        self.values.push(value);
        self.valid.set(row);
    }

    fn get(&self, row: usize) -> Option<T> {
        if self.valid.get(row) { self.values.get(row).copied() } else { None }
    }

    fn pad(&mut self, rows: usize) {
        self.values.resize(rows, T::default());
        self.valid.words.resize(rows.div_ceil(64), 0);
    }

    fn bytes(&self) -> usize {
        self.values.len() * size_of::<T>() + self.valid.words.len() * 8
    }
}

/// The values of one attribute. Each part that is there has an entry for every row, and at most one part has a value in a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Column {
    /// Codes of texts; 0 where there is none.
    pub(crate) texts: Option<Vec<u32>>,
    pub(crate) ints: Option<Numbers<i64>>,
    /// Finite numbers.
    pub(crate) floats: Option<Numbers<f64>>,
    /// 1 for false, 2 for true, 0 for none.
    pub(crate) bools: Option<Vec<u8>>,
}

impl Column {
    /// The value in `row`.
    pub(crate) fn cell(&self, row: usize) -> Option<Cell> {
        if let Some(code) = self.texts.as_ref().and_then(|t| t.get(row)).filter(|&&code| code != 0) {
            return Some(Cell::Text(*code));
        }
        if let Some(value) = self.ints.as_ref().and_then(|part| part.get(row)) {
            return Some(Cell::Int(value));
        }
        if let Some(value) = self.floats.as_ref().and_then(|part| part.get(row)) {
            return Some(Cell::Float(value));
        }
        let flag = self.bools.as_ref().and_then(|b| b.get(row)).filter(|&&flag| flag != 0)?;
        Some(Cell::Bool(*flag == 2))
    }

    /// The types of its values, as the bits of [`ValueType`].
    pub(crate) fn types(&self) -> u8 {
        let bit = |there: bool, kind: ValueType| if there { kind.bit() } else { 0 };
        bit(self.texts.is_some(), ValueType::Text)
            | bit(self.ints.is_some(), ValueType::Integer)
            | bit(self.floats.is_some(), ValueType::Float)
            | bit(self.bools.is_some(), ValueType::Boolean)
    }

    /// Whether no row has a value. A part is only there if it has one.
    pub(crate) fn is_empty(&self) -> bool {
        self.types() == 0
    }

    /// Rows that have a value.
    pub(crate) fn filled(&self) -> usize {
        let set = |bits: &Bitmap| bits.words.iter().map(|word| word.count_ones() as usize).sum::<usize>();
        // A row has a value in one part at most.
        self.texts.as_ref().map_or(0, |texts| texts.iter().filter(|&&code| code != 0).count())
            + self.ints.as_ref().map_or(0, |ints| set(&ints.valid))
            + self.floats.as_ref().map_or(0, |floats| set(&floats.valid))
            + self.bools.as_ref().map_or(0, |bools| bools.iter().filter(|&&flag| flag != 0).count())
    }

    /// Whether each of the `rows` rows has a value.
    pub(crate) fn is_full(&self, rows: usize) -> bool {
        (0..rows).all(|row| self.cell(row).is_some())
    }

    /// The rows that are kept, closed up.
    pub(crate) fn select(&self, kept: &[bool]) -> Self {
        let (mut builder, mut rows) = (ColumnBuilder::default(), 0);
        for (row, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
            if let Some(cell) = self.cell(row) {
                builder.put(rows, cell);
            }
            rows += 1;
        }
        builder.finish(rows)
    }

    /// Whole numbers between which all of its values lie, if each of the `rows` rows has a number.
    pub(crate) fn whole_range(&self, rows: usize) -> Option<(i64, i64)> {
        let mut range: Option<(i64, i64)> = None;
        for row in 0..rows {
            let (low, high) = match self.cell(row)? {
                Cell::Int(number) => (number, number),
                Cell::Float(number) if number.abs() < 9e18 => (number.floor() as i64, number.ceil() as i64),
                Cell::Float(_) | Cell::Text(_) | Cell::Bool(_) => return None,
            };
            range = Some(range.map_or((low, high), |(least, greatest)| (least.min(low), greatest.max(high))));
        }
        range
    }

    /// A column of whole numbers.
    pub(crate) fn of_ints(values: impl Iterator<Item = Option<i64>>, rows: usize) -> Self {
        let mut ints = Numbers { valid: Bitmap::default(), values: Vec::with_capacity(rows) };
        for (row, value) in values.enumerate() {
            ints.values.push(value.unwrap_or_default());
            if value.is_some() {
                ints.valid.set(row);
            }
        }
        ints.pad(rows);
        Self { ints: Some(ints), ..Self::default() }
    }

    /// Memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let texts = self.texts.as_ref().map_or(0, |t| t.len() * 4);
        let ints = self.ints.as_ref().map_or(0, Numbers::bytes);
        let floats = self.floats.as_ref().map_or(0, Numbers::bytes);
        size_of::<Self>() + texts + ints + floats + self.bools.as_ref().map_or(0, Vec::len)
    }
}

/// Makes a column row by row; rows that are left out have no value.
#[derive(Debug, Default)]
pub(crate) struct ColumnBuilder {
    column: Column,
    filled: usize,
}

impl ColumnBuilder {
    /// Puts a value into `row`, which must come after the rows before; a second value for the same row is ignored.
    pub(crate) fn put(&mut self, row: usize, cell: Cell) {
        if row < self.filled {
            return;
        }
        self.filled = row + 1;
        match cell {
            Cell::Text(code) => {
                let texts = self.column.texts.get_or_insert_default();
                texts.resize(row, 0);
                texts.push(code);
            }
            Cell::Int(value) => self.column.ints.get_or_insert_default().put(row, value),
            Cell::Float(value) => self.column.floats.get_or_insert_default().put(row, value),
            Cell::Bool(value) => {
                let bools = self.column.bools.get_or_insert_default();
                bools.resize(row, 0);
                bools.push(1 + u8::from(value));
            }
        }
    }

    /// Appends the `rows` rows of another column from row `at` on.
    pub(crate) fn append(&mut self, at: usize, column: &Column, rows: usize) {
        match column {
            // Most columns are texts and nothing else, and then they are appended at one go.
            Column { texts: Some(codes), ints: None, floats: None, bools: None }
                if codes.len() == rows && at >= self.filled =>
            {
                let texts = self.column.texts.get_or_insert_default();
                texts.resize(at, 0);
                texts.extend_from_slice(codes);
                self.filled = at + rows;
                return;
            }
            _ => {}
        }
        for row in 0..rows {
            if let Some(cell) = column.cell(row) {
                self.put(at + row, cell);
            }
        }
    }

    /// The column, with `rows` rows.
    pub(crate) fn finish(mut self, rows: usize) -> Column {
        if let Some(texts) = &mut self.column.texts {
            texts.resize(rows, 0);
        }
        if let Some(ints) = &mut self.column.ints {
            ints.pad(rows);
        }
        if let Some(floats) = &mut self.column.floats {
            floats.pad(rows);
        }
        if let Some(bools) = &mut self.column.bools {
            bools.resize(rows, 0);
        }
        self.column
    }
}

/// When the events of a segment arrived: runs of rows with one arrival time, which never goes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrivals {
    /// Arrival time and the row after the run.
    runs: Vec<(Instant, u32)>,
}

impl Arrivals {
    /// Adds `count` rows that arrived at `at`.
    pub(crate) fn push(&mut self, at: Instant, count: u32) {
        let end = self.rows() + count;
        match self.runs.last_mut() {
            Some(last) if last.0 == at => last.1 = end,
            _ => self.runs.push((at, end)),
        }
    }

    /// Adds the rows of `later`.
    pub(crate) fn append(&mut self, later: &Self) {
        for (at, count) in later.runs() {
            self.push(at, count);
        }
    }

    /// Arrival time and number of rows of each run.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (Instant, u32)> + '_ {
        let mut start = 0;
        self.runs.iter().map(move |&(at, end)| {
            let count = end - start;
            start = end;
            (at, count)
        })
    }

    /// Memory that they take.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.runs.len() * size_of::<(Instant, u32)>()
    }

    pub(crate) fn rows(&self) -> u32 {
        self.runs.last().map_or(0, |run| run.1)
    }

    pub(crate) fn first(&self) -> Instant {
        self.runs.first().map_or_else(Instant::default, |run| run.0)
    }

    pub(crate) fn last(&self) -> Instant {
        self.runs.last().map_or_else(Instant::default, |run| run.0)
    }

    /// The rows that arrived in `[start, end)`.
    pub(crate) fn between(&self, start: Instant, end: Instant) -> Range<u32> {
        let before = |moment: Instant| {
            let run = self.runs.partition_point(|run| run.0 < moment);
            if run == 0 { 0 } else { self.runs[run - 1].1 }
        };
        before(start)..before(end).max(before(start))
    }
}
