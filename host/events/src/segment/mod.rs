//! Segments: runs of events of one project, kept as columns.
//!
//! A segment holds events with successive numbers, so neither numbers nor (in a fresh segment) arrival times are stored per
//! event. The trap that columns set is the conflict of types: an attribute that is a number in one event and text in the next.
//! A [`Column`] therefore has a part for each type, and every event keeps the value that it came with.

mod column;
mod decode;
mod encode;

pub(crate) use column::{Arrivals, Cell, Column, ColumnBuilder};
pub(crate) use decode::{Directory, Pieces, SegmentError};
pub(crate) use encode::{Encoded, Encoder};

/// Most events in one segment.
pub(crate) const MAX_ROWS: usize = 65_536;
/// First bytes of a stored segment whose pieces follow the directory.
const TOGETHER: &[u8; 4] = b"TGS\x03";
/// First bytes of a directory whose pieces are stored elsewhere, each on its own.
const APART: &[u8; 4] = b"TGS\x04";
/// The same in versions 1 and 2, whose directory does not tell how many events have an attribute.
const UNCOUNTED_TOGETHER: &[u8; 4] = b"TGS\x01";
const UNCOUNTED_APART: &[u8; 4] = b"TGS\x02";
/// Pieces of a stored segment that are not columns have numbers that no attribute gets.
const ARRIVALS: u32 = 0;
const UUIDS: u32 = u32::MAX;
/// Bytes of one entry of the directory: number, stored length, raw length, checksum, events that have a value.
const ENTRY_BYTES: usize = 20;
/// The same without the last.
const UNCOUNTED_ENTRY_BYTES: usize = 16;

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests;
