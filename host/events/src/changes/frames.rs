//! What commits have put into the write-ahead log of a database, read beside whoever writes to it.
//!
//! The form is that of <https://www.sqlite.org/fileformat2.html#walformat>. The log is one file that is filled, and begun anew from its start when
//! all of it is in the database. The trap is to read past what is committed: behind the last commit lie halves of transactions and
//! pages of earlier fillings. So a page counts only if the checksum that runs through all of them reaches it and a commit follows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes at the start of the log.
const HEADER: u64 = 32;
/// Bytes before each page.
const FRAME: u64 = 24;
/// How the log begins; the last bit says in which order of bytes the checksum reads.
const MAGIC: u32 = 0x377f_0682;
/// Bytes read at a time.
const READ: usize = 64 << 10;

/// How far a log has been read: up to a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// What tells this filling from the others: a number that counts them, and one by chance.
    pub(super) salt: (u32, u32),
    /// Pages from the start.
    pub(super) frames: u32,
    /// The checksum there.
    pub(super) sum: (u32, u32),
}

/// What was committed since a position.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) end: Position,
    /// Pages that the database has then.
    pub(super) pages: u32,
    /// Each page that was written, by its number in the database: where its last contents are in the log.
    pub(super) latest: BTreeMap<u32, u32>,
}

/// A log, as its header says.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    reads_high_first: bool,
    /// Bytes of a page.
    pub(super) page: u32,
    /// Where it begins.
    pub(super) start: Position,
}

impl Log {
    /// Opens the log of a database; none if it has none, or nothing was ever written to it.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut header = [0; HEADER as usize];
        if !fill(&mut file, &mut header)? {
            return Ok(None);
        }
        let word = |i: usize| u32::from_be_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]);
        let (magic, page) = (word(0), word(8));
        let reads_high_first = magic & 1 == 1;
        let stated = (word(24), word(28));
        if magic & !1 != MAGIC || !is_size_of_a_page(page) || sum((0, 0), &header[..24], reads_high_first) != stated {
            return Ok(None);
        }
        let start = Position { salt: (word(16), word(20)), frames: 0, sum: stated };
        Ok(Some(Self { file, reads_high_first, page, start }))
    }

    /// Whether the log still has what was read up to a position of this filling.
    pub(super) fn has(&self, position: Position) -> io::Result<bool> {
        let Some(last) = position.frames.checked_sub(1) else { return Ok(position == self.start) };
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.place(last)))?;
        let mut header = [0; FRAME as usize];
        Ok(fill(&mut file, &mut header)? && {
            let frame = Frame::read(&header);
            (frame.salt, frame.sum) == (position.salt, position.sum)
        })
    }

    /// What was committed behind a position of this filling; none if nothing was.
    pub(super) fn since(&self, from: Position) -> io::Result<Option<Committed>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.place(from.frames)))?;
        let mut reader = BufReader::with_capacity(READ, file);
        let mut page = vec![0; self.page as usize];
        let (mut committed, mut waiting): (Option<Committed>, Vec<(u32, u32)>) = (None, Vec::new());
        let mut at = from;
        loop {
            let mut header = [0; FRAME as usize];
            if !fill(&mut reader, &mut header)? || !fill(&mut reader, &mut page)? {
                return Ok(committed);
            }
            let frame = Frame::read(&header);
            let reached = sum(sum(at.sum, &header[..8], self.reads_high_first), &page, self.reads_high_first);
            if frame.salt != at.salt || frame.sum != reached || frame.number == 0 {
                return Ok(committed);
            }
            waiting.push((frame.number, at.frames));
            at = Position { frames: at.frames + 1, sum: reached, ..at };
            if frame.pages > 0 {
                let all = committed.get_or_insert_with(|| Committed { end: at, pages: 0, latest: BTreeMap::new() });
                (all.end, all.pages) = (at, frame.pages);
                all.latest.extend(waiting.drain(..));
                all.latest.split_off(&frame.pages.saturating_add(1));
            }
        }
    }

    /// Reads the page at a place that [`Committed::latest`] gave.
    pub(super) fn read(&self, place: u32, page: &mut [u8]) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.place(place) + FRAME))?;
        file.read_exact(page)
    }

    fn place(&self, frame: u32) -> u64 {
        HEADER + u64::from(frame) * (FRAME + u64::from(self.page))
    }
}

/// Whether the pages of a database can be so many bytes long.
pub(super) fn is_size_of_a_page(bytes: u32) -> bool {
    bytes.is_power_of_two() && (512..=65_536).contains(&bytes)
}

/// What stands before a page.
struct Frame {
    number: u32,
    /// With the last page of a transaction, how many pages the database has after it; else 0.
    pages: u32,
    salt: (u32, u32),
    sum: (u32, u32),
}

impl Frame {
    fn read(header: &[u8; FRAME as usize]) -> Self {
        let word = |i: usize| u32::from_be_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]);
        Self { number: word(0), pages: word(4), salt: (word(8), word(12)), sum: (word(16), word(20)) }
    }
}

/// Carries a checksum on over bytes, eight at a time.
pub(super) fn sum(from: (u32, u32), bytes: &[u8], reads_high_first: bool) -> (u32, u32) {
    let word = |four: &[u8]| {
        let four = [four[0], four[1], four[2], four[3]];
        if reads_high_first { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    };
    bytes.chunks_exact(8).fold(from, |(a, b), eight| {
        let a = a.wrapping_add(word(&eight[..4])).wrapping_add(b);
        (a, b.wrapping_add(word(&eight[4..])).wrapping_add(a))
    })
}

/// Fills `bytes`; tells whether there was enough.
fn fill(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(bytes) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        done => done.map(|()| true),
    }
}
