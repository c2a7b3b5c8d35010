//! A stored segment, of which no more is read than what is asked for.
//!
//! The trap is the large value: SQLite finds the middle of one only by way of all of its pages before. So each piece of a large
//! segment has a row of its own, and a question about one attribute of thirty reads a thirtieth.

use super::error::EventStoreError;
use super::read::ReadError;
use crate::segment::{Arrivals, Column, Directory, Encoded, Pieces};
use rusqlite::{Connection, OptionalExtension};

/// Pieces that a segment may have; far more than a project has attributes. The row of a piece is found by the segment's id and
/// its place.
const PLACES: i64 = 1 << 20;

/// A stored segment.
pub(super) struct Stored<'a> {
    directory: Directory,
    bytes: SegmentBytes<'a>,
}

struct SegmentBytes<'a> {
    db: &'a Connection,
    id: i64,
    head: Vec<u8>,
}

impl Pieces for SegmentBytes<'_> {
    type Error = ReadError;

    fn apart(&self, place: usize) -> Result<Option<Vec<u8>>, ReadError> {
        let row = i64::try_from(place).ok().filter(|place| *place < PLACES).map(|place| self.id * PLACES + place);
        let mut find = self.db.prepare_cached("SELECT data FROM segment_piece WHERE id = ?1")?;
        Ok(find.query_row([row], |row| row.get(0)).optional()?)
    }

    fn together(&self) -> &[u8] {
        &self.head
    }
}

impl<'a> Stored<'a> {
    /// The segment of an id; none if it has no data.
    pub(super) fn open(db: &'a Connection, id: i64) -> Result<Option<Self>, ReadError> {
        let mut find = db.prepare_cached("SELECT data FROM segment_data WHERE id = ?1")?;
        let head: Option<Vec<u8>> = find.query_row([id], |row| row.get(0)).optional()?;
        let Some(head) = head else { return Ok(None) };
        Ok(Some(Self { directory: Directory::read(&head)?, bytes: SegmentBytes { db, id, head } }))
    }

    /// Number of events.
    pub(super) fn rows(&self) -> usize {
        self.directory.rows()
    }

    /// The attributes that have a column.
    pub(super) fn attributes(&self) -> impl Iterator<Item = u32> + '_ {
        self.directory.attributes()
    }

    /// The column of an attribute; none if no event has it.
    pub(super) fn column(&self, attribute: u32) -> Result<Option<Column>, ReadError> {
        self.directory.column(attribute, &self.bytes)
    }

    /// How many events have an attribute; none if that is not known without a look at the column.
    pub(super) fn filled(&self, attribute: u32) -> Option<usize> {
        self.directory.filled(attribute)
    }

    /// When the events arrived.
    pub(super) fn arrivals(&self) -> Result<Arrivals, ReadError> {
        self.directory.arrivals(&self.bytes)
    }

    /// The uuids, one for each event or an empty list.
    pub(super) fn uuids(&self) -> Result<Vec<Option<[u8; 16]>>, ReadError> {
        self.directory.uuids(&self.bytes)
    }
}

/// Writes the data of a segment.
pub(super) fn insert(db: &Connection, id: i64, encoded: &Encoded) -> Result<(), rusqlite::Error> {
    db.prepare_cached("INSERT INTO segment_data (id, data) VALUES (?1, ?2)")?.execute((id, &encoded.head))?;
    let mut insert = db.prepare_cached("INSERT INTO segment_piece (id, data) VALUES (?1, ?2)")?;
    (id * PLACES..).zip(encoded.apart()).try_for_each(|(row, piece)| insert.execute((row, piece)).map(drop))
}

/// Removes the data of a segment.
pub(super) fn delete(db: &Connection, id: i64) -> Result<(), rusqlite::Error> {
    db.prepare_cached("DELETE FROM segment_data WHERE id = ?1")?.execute([id])?;
    let all = (id * PLACES, (id + 1) * PLACES);
    db.prepare_cached("DELETE FROM segment_piece WHERE id >= ?1 AND id < ?2")?.execute(all).map(drop)
}

impl From<ReadError> for EventStoreError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Sqlite(error) => error.into(),
            ReadError::Segment(error) => error.into(),
            ReadError::Source(error) => Self::Storage(error.to_string()),
        }
    }
}
