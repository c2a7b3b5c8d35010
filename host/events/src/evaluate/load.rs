//! One attribute over the rows of a chunk, as the aggregates read it: what each row holds, and a dense code for it.
//!
//! The columns of small windows are kept and shared between evaluations, so nothing here may depend on the query that happened
//! to load it. What costs and what many queries do without (classes of values that are not text, and groups) is there or not
//! ([`Coded::suffices`]); who needs it and finds it missing loads the column again.

use super::coder::{Coder, Ranks, Scalar};
use super::plan::Slot;
use super::{Chunk, Texts};
use crate::segment::Column;
use crate::source::SourceError;
use std::ops::Range;
use std::sync::OnceLock;

/// What a row holds: nothing (0), or one of these.
pub(super) const TEXT: u8 = 1;
pub(super) const INT: u8 = 2;
pub(super) const FLOAT: u8 = 3;
pub(super) const BOOL: u8 = 4;

/// One attribute over the rows of a chunk. Lists that nobody asked for, or that would hold nothing, are empty.
#[derive(Default)]
pub(crate) struct Coded {
    pub(super) coder: Coder,
    /// What each row holds.
    pub(super) kinds: Vec<u8>,
    /// Locals of texts.
    pub(super) locals: Vec<u32>,
    /// Integers, bits of floats, booleans.
    pub(super) bits: Vec<u64>,
    /// A bit for each kind that occurs among them.
    occurring: u8,
    numbers: OnceLock<Vec<f64>>,
    classes: Vec<u32>,
    groups: Vec<u32>,
    has_classes: bool,
    has_groups: bool,
    ranks: OnceLock<Ranks>,
}

impl Coded {
    /// Reads the attribute's columns of a chunk. Codes given to chunks before stay as they are.
    pub(super) fn fill(
        &mut self,
        index: usize,
        slot: &Slot,
        chunk: &Chunk,
        texts: &dyn Texts,
    ) -> Result<(), SourceError> {
        self.kinds.clear();
        self.kinds.resize(chunk.rows, 0);
        self.locals.clear();
        self.bits.clear();
        self.numbers = OnceLock::new();
        self.ranks = OnceLock::new();
        self.occurring = 0;
        if slot.object {
            self.bits.extend(chunk.pieces.iter().flat_map(|p| p.first_object..p.first_object + p.rows.len() as u64));
            self.kinds.fill(INT);
            self.occurring = 1 << INT;
        } else {
            self.coder.start(index, chunk.rows, slot.groups, texts)?;
            self.gather(index, chunk)?;
        }
        if !self.bits.is_empty() {
            self.coder.mix();
        }
        self.has_classes = slot.classes || !self.coder.is_mixed();
        self.has_groups = slot.groups;
        if self.has_classes {
            self.fill_classes(index, texts)?;
            self.fill_groups();
        }
        Ok(())
    }

    /// Makes it as small as it can be, now that no other chunk follows.
    pub(super) fn close(&mut self) {
        self.coder.close();
    }

    /// Whether it has all that is wanted of the slot.
    pub(super) fn suffices(&self, slot: &Slot) -> bool {
        (self.has_classes || !slot.classes) && (self.has_groups || !slot.groups)
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.kinds.len()
    }

    fn gather(&mut self, index: usize, chunk: &Chunk) -> Result<(), SourceError> {
        let mut start = 0;
        for piece in &chunk.pieces {
            let end = start + piece.rows.len();
            if let Some(column) = piece.columns.get(index).and_then(Option::as_ref) {
                self.gather_texts(column, &piece.rows, start)?;
                self.gather_scalars(column, &piece.rows, start..end);
            }
            start = end;
        }
        if !self.locals.is_empty() {
            self.locals.resize(chunk.rows, 0);
        }
        if !self.bits.is_empty() {
            self.bits.resize(chunk.rows, 0);
        }
        Ok(())
    }

    fn gather_texts(&mut self, column: &Column, rows: &Range<usize>, start: usize) -> Result<(), SourceError> {
        let Some(codes) = column.texts.as_ref().and_then(|codes| codes.get(rows.clone())) else { return Ok(()) };
        self.locals.resize(start, 0);
        self.coder.encode(codes, &mut self.locals)?;
        for (kind, &local) in self.kinds[start..].iter_mut().zip(&self.locals[start..]) {
            *kind = u8::from(local != 0) * TEXT;
        }
        self.occurring |= 1 << TEXT;
        Ok(())
    }

    fn gather_scalars(&mut self, column: &Column, rows: &Range<usize>, at: Range<usize>) {
        if column.ints.is_none() && column.floats.is_none() && column.bools.is_none() {
            return;
        }
        self.bits.resize(at.end, 0);
        let (cells, kinds) = (&mut self.bits[at.clone()], &mut self.kinds[at]);
        if let Some(ints) = &column.ints {
            self.occurring |= 1 << INT;
            put(cells, kinds, rows, INT, |row| ints.valid.get(row).then(|| ints.values[row].cast_unsigned()));
        }
        if let Some(floats) = &column.floats {
            self.occurring |= 1 << FLOAT;
            put(cells, kinds, rows, FLOAT, |row| floats.valid.get(row).then(|| floats.values[row].to_bits()));
        }
        if let Some(bools) = &column.bools {
            self.occurring |= 1 << BOOL;
            put(cells, kinds, rows, BOOL, |row| (bools[row] != 0).then(|| u64::from(bools[row] == 2)));
        }
    }

    /// Whether no row holds anything but text.
    pub(super) fn only_texts(&self) -> bool {
        self.bits.is_empty() && !self.locals.is_empty()
    }

    /// Whether no row holds anything but a value of this kind.
    pub(super) fn only(&self, kind: u8) -> bool {
        self.occurring == 1 << kind
    }

    /// The number in each row; NaN where there is none.
    pub(super) fn numbers(&self) -> &[f64] {
        self.numbers.get_or_init(|| {
            if self.bits.is_empty() {
                return vec![f64::NAN; self.kinds.len()];
            }
            let number = |(kind, &bits): (&u8, &u64)| match *kind {
                INT => bits.cast_signed() as f64,
                FLOAT => f64::from_bits(bits),
                BOOL => bits as f64,
                _ => f64::NAN,
            };
            self.kinds.iter().zip(&self.bits).map(number).collect()
        })
    }

    fn fill_classes(&mut self, index: usize, texts: &dyn Texts) -> Result<(), SourceError> {
        self.classes.clear();
        if !self.coder.is_mixed() {
            self.locals.resize(self.kinds.len(), 0);
            return Ok(());
        }
        let class_of_local = self.coder.classify_texts(index, texts)?;
        self.classes.reserve(self.kinds.len());
        for (row, kind) in self.kinds.iter().enumerate() {
            let class = match *kind {
                TEXT => class_of_local[self.locals[row] as usize],
                INT => self.coder.scalar_class(Scalar::Int(self.bits[row].cast_signed())),
                FLOAT => self.coder.scalar_class(Scalar::of_float(f64::from_bits(self.bits[row]))),
                BOOL => self.coder.scalar_class(Scalar::Bool(self.bits[row] != 0)),
                _ => 0,
            };
            self.classes.push(class);
        }
        Ok(())
    }

    fn fill_groups(&mut self) {
        self.groups.clear();
        if let Some(empty) = self.coder.empty_class() {
            let mut groups = std::mem::take(&mut self.groups);
            groups.extend(self.class_codes().iter().map(|&class| if class == empty { 0 } else { class }));
            self.groups = groups;
        }
    }

    /// The class of each row, 0 where there is no value.
    pub(super) fn class_codes(&self) -> &[u32] {
        if self.coder.is_mixed() { &self.classes } else { &self.locals }
    }

    /// The class of each row, 0 where there is no value or empty text.
    pub(super) fn group_codes(&self) -> &[u32] {
        if self.groups.is_empty() { self.class_codes() } else { &self.groups }
    }

    /// The order of the texts of its classes.
    pub(super) fn ranks(&self, index: usize, texts: &dyn Texts) -> Result<&Ranks, SourceError> {
        if let Some(ranks) = self.ranks.get() {
            return Ok(ranks);
        }
        let ranks = Ranks::new(&self.coder.class_texts(index, texts)?);
        Ok(self.ranks.get_or_init(|| ranks))
    }

    /// Memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let wide = (self.bits.capacity() + self.numbers.get().map_or(0, Vec::len)) * 8;
        let codes = (self.locals.capacity() + self.classes.capacity() + self.groups.capacity()) * 4;
        let ranks = self.ranks.get().map_or(0, Ranks::bytes);
        size_of::<Self>() + self.coder.bytes() + self.kinds.len() + wide + codes + ranks
    }
}

/// Puts the values of one kind in their places; rows that have none keep what they hold.
fn put(cells: &mut [u64], kinds: &mut [u8], rows: &Range<usize>, kind: u8, value: impl Fn(usize) -> Option<u64>) {
    for ((row, cell), held) in rows.clone().zip(cells).zip(kinds) {
        if let Some(bits) = value(row) {
            (*cell, *held) = (bits, kind);
        }
    }
}
