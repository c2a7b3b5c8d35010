//! Reads stored segments. Nothing in the bytes is believed: lengths are checked before they are used, every piece against its
//! checksum, and what does not fit is a [`SegmentError`], never a panic and never an allocation of a size that the bytes claim.

use super::column::{Arrivals, Bitmap, Column, Numbers};
use super::encode::{BOOLS, FLOATS, INTS, TEXTS};
use super::{APART, ARRIVALS, ENTRY_BYTES, MAX_ROWS, TOGETHER, UUIDS, checksum};
use super::{UNCOUNTED_APART, UNCOUNTED_ENTRY_BYTES, UNCOUNTED_TOGETHER};
use crate::compress;
use std::borrow::Cow;
use tidegate_model::Instant;

/// Bytes that are not a stored segment, or not one any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SegmentError {
    #[error("a segment begins with the mark of a version from 1 to 4, these bytes do not")]
    Mark,
    #[error("{part} of a segment does not match its checksum")]
    Checksum { part: String },
    #[error("{part} of a segment: expected {expected}")]
    Form { part: String, expected: &'static str },
}

struct Piece {
    number: u32,
    /// Where it begins behind the directory, if it is there.
    start: usize,
    stored: usize,
    raw: usize,
    checksum: u32,
    /// Events that have a value, if the directory tells.
    filled: Option<usize>,
}

impl Piece {
    fn part(&self) -> String {
        match self.number {
            ARRIVALS => "the arrival times".to_owned(),
            UUIDS => "the uuids".to_owned(),
            attribute => format!("column {attribute}"),
        }
    }
}

/// What a stored segment holds, and where. Whoever reads it hands it each piece that it asks for.
pub(crate) struct Directory {
    rows: usize,
    pieces: Vec<Piece>,
    is_apart: bool,
}

/// The bytes of a piece, by its place in the directory and the bytes among those of the directory where it is if it is not apart.
pub(crate) trait Pieces {
    /// Why a piece cannot be had.
    type Error: From<SegmentError>;
    /// The piece that is stored apart at a place; none if there is none.
    fn apart(&self, place: usize) -> Result<Option<Vec<u8>>, Self::Error>;
    /// The bytes of directory and pieces.
    fn together(&self) -> &[u8];
}

impl Directory {
    /// Reads and checks the directory of a stored segment.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, SegmentError> {
        let mut from = Reader { bytes, part: "the directory" };
        let mark = from.take(4).map_err(|_| SegmentError::Mark)?;
        let (is_apart, is_counted) = match mark.first_chunk() {
            Some(TOGETHER) => (false, true),
            Some(APART) => (true, true),
            Some(UNCOUNTED_TOGETHER) => (false, false),
            Some(UNCOUNTED_APART) => (true, false),
            _ => return Err(SegmentError::Mark),
        };
        let rows = from.u32()? as usize;
        let count = from.u32()? as usize;
        let entry = if is_counted { ENTRY_BYTES } else { UNCOUNTED_ENTRY_BYTES };
        let entries = from.take(count.checked_mul(entry).ok_or_else(|| from.form("fewer pieces"))?)?;
        let head = bytes.len() - from.bytes.len();
        if from.u32()? != checksum(&bytes[..head]) {
            return Err(SegmentError::Checksum { part: "the directory".to_owned() });
        }
        if rows > MAX_ROWS {
            return Err(from.form("at most 65536 rows"));
        }
        let mut start = head + 4;
        let mut pieces = Vec::with_capacity(count);
        let mut entries = Reader { bytes: entries, part: "the directory" };
        for _ in 0..count {
            let (number, stored, raw) = (entries.u32()?, entries.u32()? as usize, entries.u32()? as usize);
            let checksum = entries.u32()?;
            let filled = if is_counted { Some(entries.u32()? as usize) } else { None };
            if filled.is_some_and(|filled| filled > rows) {
                return Err(from.form("no more values than events"));
            }
            pieces.push(Piece { number, start, stored, raw, checksum, filled });
            start = start.saturating_add(if is_apart { 0 } else { stored });
        }
        if start != bytes.len() {
            return Err(from.form("pieces as long as the directory says"));
        }
        Ok(Self { rows, pieces, is_apart })
    }

    /// Number of events.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The attributes that have a column.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = u32> + '_ {
        self.pieces.iter().map(|p| p.number).filter(|&number| number != ARRIVALS && number != UUIDS)
    }

    /// How many events have the attribute; none if the directory does not tell.
    pub(crate) fn filled(&self, attribute: u32) -> Option<usize> {
        self.place(attribute).map_or(Some(0), |place| self.pieces[place].filled)
    }

    /// The column of an attribute; none if no event has it.
    pub(crate) fn column<P: Pieces>(&self, attribute: u32, from: &P) -> Result<Option<Column>, P::Error> {
        let Some(place) = self.place(attribute) else { return Ok(None) };
        let raw = self.unpack(place, from)?;
        let part = self.pieces[place].part();
        let mut from = Reader { bytes: &raw, part: &part };
        let column = from.column(self.rows)?;
        from.end()?;
        Ok(Some(column))
    }

    /// When the events arrived.
    pub(crate) fn arrivals<P: Pieces>(&self, from: &P) -> Result<Arrivals, P::Error> {
        let missing = || SegmentError::Form { part: "the directory".to_owned(), expected: "arrival times" };
        let raw = self.unpack(self.place(ARRIVALS).ok_or_else(missing)?, from)?;
        let mut from = Reader { bytes: &raw, part: "the arrival times" };
        let mut arrivals = Arrivals::default();
        while !from.bytes.is_empty() {
            let (at, count) = (Instant::from_micros(from.u64()?), from.u32()?);
            if at < arrivals.last() || count as usize > self.rows - arrivals.rows() as usize {
                return Err(from.form("ascending times of as many events as there are").into());
            }
            arrivals.push(at, count);
        }
        if arrivals.rows() as usize != self.rows {
            return Err(from.form("ascending times of as many events as there are").into());
        }
        Ok(arrivals)
    }

    /// The uuids, one for each event or an empty list.
    pub(crate) fn uuids<P: Pieces>(&self, from: &P) -> Result<Vec<Option<[u8; 16]>>, P::Error> {
        let Some(place) = self.place(UUIDS) else { return Ok(Vec::new()) };
        let raw = self.unpack(place, from)?;
        let mut from = Reader { bytes: &raw, part: "the uuids" };
        let mut uuids = Vec::with_capacity(self.rows);
        for &flag in from.take(self.rows)? {
            uuids.push(if flag == 0 { None } else { Some(from.array()?) });
        }
        from.end()?;
        Ok(uuids)
    }

    fn place(&self, number: u32) -> Option<usize> {
        self.pieces.iter().position(|piece| piece.number == number)
    }

    fn unpack<P: Pieces>(&self, place: usize, from: &P) -> Result<Vec<u8>, P::Error> {
        let piece = &self.pieces[place];
        if !self.is_apart {
            let stored = from.together().get(piece.start..piece.start + piece.stored).unwrap_or_default();
            return Ok(self.unpacked(piece, stored.into())?);
        }
        let missing = || SegmentError::Form { part: piece.part(), expected: "it to be there" };
        Ok(self.unpacked(piece, from.apart(place)?.ok_or_else(missing)?.into())?)
    }

    fn unpacked(&self, piece: &Piece, stored: Cow<'_, [u8]>) -> Result<Vec<u8>, SegmentError> {
        if stored.len() != piece.stored || checksum(&stored) != piece.checksum {
            return Err(SegmentError::Checksum { part: piece.part() });
        }
        if piece.raw == piece.stored {
            return Ok(stored.into_owned());
        }
        let wrong = |expected| SegmentError::Form { part: piece.part(), expected };
        // The widest row of a column has a text code, two numbers with their bits, and a boolean.
        if piece.raw > 64 + self.rows * 32 {
            return Err(wrong("no more bytes than its rows need"));
        }
        let raw = compress::unpack_at_most(&stored, piece.raw).map_err(|_| wrong("a compressed piece"))?;
        if raw.len() == piece.raw { Ok(raw) } else { Err(wrong("the length that the directory says")) }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    part: &'a str,
}

impl<'a> Reader<'a> {
    fn form(&self, expected: &'static str) -> SegmentError {
        SegmentError::Form { part: self.part.to_owned(), expected }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], SegmentError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(|| self.form("more bytes"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SegmentError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, SegmentError> {
        self.array().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, SegmentError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, SegmentError> {
        self.array().map(u64::from_le_bytes)
    }

    fn end(&self) -> Result<(), SegmentError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(self.form("no more bytes")) }
    }

    fn column(&mut self, rows: usize) -> Result<Column, SegmentError> {
        let parts = self.u8()?;
        let mut column = Column::default();
        if parts & TEXTS != 0 {
            column.texts = Some(self.unsigned(rows, |n| u32::try_from(n).unwrap_or(u32::MAX))?);
        }
        if parts & INTS != 0 {
            let valid = self.valid(rows)?;
            let least = self.u64()?;
            let values = self.unsigned(rows, |n| least.wrapping_add(n).cast_signed())?;
            column.ints = Some(Numbers { valid, values });
        }
        if parts & FLOATS != 0 {
            let valid = self.valid(rows)?;
            let values: Vec<f64> = self.take(rows * 8)?.as_chunks().0.iter().map(|&n| f64::from_le_bytes(n)).collect();
            if values.iter().any(|value| !value.is_finite()) {
                return Err(self.form("finite numbers"));
            }
            column.floats = Some(Numbers { valid, values });
        }
        if parts & BOOLS != 0 {
            let bools = self.take(rows)?.to_vec();
            if bools.iter().any(|&flag| flag > 2) {
                return Err(self.form("booleans"));
            }
            column.bools = Some(bools);
        }
        Ok(column)
    }

    fn valid(&mut self, rows: usize) -> Result<Bitmap, SegmentError> {
        let count = rows.div_ceil(64);
        if self.u8()? == 0 {
            let words = (0..count).map(|_| self.u64()).collect::<Result<_, _>>()?;
            return Ok(Bitmap { words });
        }
        let mut words = vec![u64::MAX; count];
        if let Some(last) = words.last_mut()
            && !rows.is_multiple_of(64)
        {
            *last = (1 << (rows % 64)) - 1;
        }
        Ok(Bitmap { words })
    }

    fn unsigned<T>(&mut self, rows: usize, from: impl Fn(u64) -> T) -> Result<Vec<T>, SegmentError> {
        let width = usize::from(self.u8()?);
        if !matches!(width, 1 | 2 | 4 | 8) {
            return Err(self.form("a width of 1, 2, 4 or 8 bytes"));
        }
        let bytes = self.take(rows * width)?;
        // A loop for each width, as in the encoder.
        Ok(match width {
            1 => bytes.iter().map(|&byte| from(u64::from(byte))).collect(),
            2 => bytes.as_chunks().0.iter().map(|&n| from(u64::from(u16::from_le_bytes(n)))).collect(),
            4 => bytes.as_chunks().0.iter().map(|&n| from(u64::from(u32::from_le_bytes(n)))).collect(),
            _ => bytes.as_chunks().0.iter().map(|&n| from(u64::from_le_bytes(n))).collect(),
        })
    }
}
