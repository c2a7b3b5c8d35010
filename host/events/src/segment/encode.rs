//! The stored form of a segment: a directory, and one compressed piece per column, so that a reader unpacks only the columns
//! that it wants. In a small segment the pieces follow the directory; those of a large one are stored each on its own, so that a
//! reader does not even read the others. Little-endian throughout; every piece and the directory itself carry a checksum.

use super::column::{Arrivals, Bitmap, Column, Numbers};
use super::{APART, ARRIVALS, ENTRY_BYTES, TOGETHER, UUIDS, checksum};
use crate::compress;

/// Pieces shorter than this are stored as they are: the frame of the compressor would eat the gain.
const WORTH_COMPRESSING: usize = 96;
/// Quick: it is done while senders wait.
const LEVEL: i32 = 1;
/// Part bits at the head of a column.
pub(super) const TEXTS: u8 = 1;
pub(super) const INTS: u8 = 2;
pub(super) const FLOATS: u8 = 4;
pub(super) const BOOLS: u8 = 8;

/// Rows from which on the pieces of a segment are stored apart: of one with fewer, reading them all costs less than finding each.
pub(super) const ROWS_APART: u32 = 4_096;

/// A segment as it is stored.
pub(crate) struct Encoded {
    /// The directory, and the pieces if they follow it.
    pub(crate) head: Vec<u8>,
    /// The pieces that are stored apart, one after the other, and where each ends.
    pieces: Vec<u8>,
    ends: Vec<usize>,
}

impl Encoded {
    /// The pieces that are stored apart, in the order of the directory.
    pub(crate) fn apart(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.pieces[start..*end])
    }

    /// Bytes of everything.
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.pieces.len()
    }
}

/// Collects the pieces of one segment. Memory beyond the stored form is one raw piece at a time.
pub(crate) struct Encoder {
    rows: u32,
    directory: Vec<u8>,
    pieces: Vec<u8>,
    ends: Vec<usize>,
    raw: Vec<u8>,
}

impl Encoder {
    /// Begins a segment of as many rows as `arrivals` has.
    ///
    /// # Errors
    /// If the compressor fails.
    pub(crate) fn new(arrivals: &Arrivals) -> std::io::Result<Self> {
        let rows = arrivals.rows();
        let mut new = Self { rows, directory: Vec::new(), pieces: Vec::new(), ends: Vec::new(), raw: Vec::new() };
        for (at, count) in arrivals.runs() {
            new.raw.extend_from_slice(&at.micros().to_le_bytes());
            new.raw.extend_from_slice(&count.to_le_bytes());
        }
        new.flush(ARRIVALS, rows)?;
        Ok(new)
    }

    /// Adds the uuids of the events that have one.
    ///
    /// # Errors
    /// If the compressor fails.
    pub(crate) fn uuids(&mut self, uuids: &[Option<[u8; 16]>]) -> std::io::Result<()> {
        if uuids.iter().all(Option::is_none) {
            return Ok(());
        }
        self.raw.extend(uuids.iter().map(|uuid| u8::from(uuid.is_some())));
        self.raw.extend(uuids.iter().flatten().flatten());
        self.flush(UUIDS, len32(uuids.iter().flatten().count()))
    }

    /// Adds the column of an attribute.
    ///
    /// # Errors
    /// If the compressor fails.
    pub(crate) fn column(&mut self, attribute: u32, column: &Column) -> std::io::Result<()> {
        put_column(&mut self.raw, column);
        self.flush(attribute, len32(column.filled()))
    }

    /// The stored form.
    pub(crate) fn finish(self) -> Encoded {
        let is_apart = self.rows >= ROWS_APART;
        let mut head = Vec::with_capacity(16 + self.directory.len() + if is_apart { 0 } else { self.pieces.len() });
        head.extend_from_slice(if is_apart { APART } else { TOGETHER });
        head.extend_from_slice(&self.rows.to_le_bytes());
        head.extend_from_slice(&len32(self.directory.len() / ENTRY_BYTES).to_le_bytes());
        head.extend_from_slice(&self.directory);
        head.extend_from_slice(&checksum(&head).to_le_bytes());
        if is_apart {
            return Encoded { head, pieces: self.pieces, ends: self.ends };
        }
        head.extend_from_slice(&self.pieces);
        Encoded { head, pieces: Vec::new(), ends: Vec::new() }
    }

    fn flush(&mut self, number: u32, filled: u32) -> std::io::Result<()> {
        let raw_len = self.raw.len();
        let start = self.pieces.len();
        let packed = if raw_len < WORTH_COMPRESSING { None } else { Some(compress::pack(&self.raw, LEVEL)?) };
        // A piece whose two lengths are equal is not compressed.
        match packed.filter(|packed| packed.len() < raw_len) {
            Some(packed) => self.pieces.extend_from_slice(&packed),
            None => self.pieces.extend_from_slice(&self.raw),
        }
        let stored = &self.pieces[start..];
        for n in [number, len32(stored.len()), len32(raw_len), checksum(stored), filled] {
            self.directory.extend_from_slice(&n.to_le_bytes());
        }
        self.ends.push(self.pieces.len());
        self.raw.clear();
        Ok(())
    }
}

/// Lengths are far below 4 GiB: at most 65,536 rows of at most 30 bytes in each column.
fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn put_column(out: &mut Vec<u8>, column: &Column) {
    let bit = |there: bool, bit: u8| if there { bit } else { 0 };
    out.push(
        bit(column.texts.is_some(), TEXTS)
            | bit(column.ints.is_some(), INTS)
            | bit(column.floats.is_some(), FLOATS)
            | bit(column.bools.is_some(), BOOLS),
    );
    if let Some(codes) = &column.texts {
        put_unsigned(out, codes.iter().map(|&c| u64::from(c)));
    }
    if let Some(ints) = &column.ints {
        put_valid(out, &ints.valid, ints.values.len());
        put_ints(out, ints);
    }
    if let Some(floats) = &column.floats {
        put_valid(out, &floats.valid, floats.values.len());
        for value in &floats.values {
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
    }
    if let Some(bools) = &column.bools {
        out.extend_from_slice(bools);
    }
}

/// 1 if every row has a value; else 0 and the bits.
fn put_valid(out: &mut Vec<u8>, valid: &Bitmap, rows: usize) {
    let set: usize = valid.words.iter().map(|w| w.count_ones() as usize).sum();
    out.push(u8::from(set == rows));
    if set != rows {
        for word in &valid.words {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
}

/// Whole numbers as their distance from the least one, which is often small enough for few bytes.
fn put_ints(out: &mut Vec<u8>, ints: &Numbers<i64>) {
    let valid = |(row, value): (usize, &i64)| ints.valid.get(row).then_some(*value);
    let least = ints.values.iter().enumerate().filter_map(valid).min().unwrap_or(0);
    out.extend_from_slice(&least.to_le_bytes());
    let distance =
        |(row, value): (usize, &i64)| if ints.valid.get(row) { value.wrapping_sub(least).cast_unsigned() } else { 0 };
    put_unsigned(out, ints.values.iter().enumerate().map(distance));
}

/// The number of bytes that the greatest one needs (1, 2, 4 or 8), then all of them in that width.
fn put_unsigned(out: &mut Vec<u8>, numbers: impl Iterator<Item = u64> + Clone) {
    let greatest = numbers.clone().fold(0, u64::max);
    let width = [1, 2, 4].into_iter().find(|width| greatest >> (width * 8) == 0).unwrap_or(8);
    out.push(width);
    // A loop for each width: with a width that the compiler knows it is a copy, not a call for each number.
    match width {
        1 => out.extend(numbers.map(|number| number as u8)),
        2 => numbers.for_each(|number| out.extend_from_slice(&(number as u16).to_le_bytes())),
        4 => numbers.for_each(|number| out.extend_from_slice(&(number as u32).to_le_bytes())),
        _ => numbers.for_each(|number| out.extend_from_slice(&number.to_le_bytes())),
    }
}
