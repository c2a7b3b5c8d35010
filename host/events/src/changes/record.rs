//! How changes lie on disk: files of records, one behind the other, each with its length and a digest before it.
//!
//! A file begins with a record of where each database's log was read up to, so that it says by itself how it goes on. The trap is the
//! end of a file after a crash: a record that is not whole is as if it had never been written, and the next file begins with its number.

use super::Database;
use super::frames::{self, Position};
use crate::compress;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use tidegate_model::Instant;

/// How a file begins; the digit is the version of the form.
const MAGIC: &[u8; 8] = b"TIDECHG1";
/// What files of changes are called behind.
const ENDING: &str = "changes";
/// Bytes of a digest.
pub(super) const DIGEST: usize = 16;
/// Bytes of pages in one record; a page more is let in.
pub(super) const RECORD: usize = 8 << 20;
/// Longest record that is read; nothing longer is written.
const LONGEST: usize = 2 * RECORD;
/// Quick: whoever commits may wait for it.
const LEVEL: i32 = 1;

/// A number that tells the changes since one beginning from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Lineage(pub(super) u64);

/// Where the log of each database was read up to.
pub(super) type Positions = [Position; Database::ALL.len()];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// The first of each file.
    Head { lineage: Lineage, positions: Positions },
    /// Pages of one database.
    Pages(Pages),
    /// What stands before this is all that was committed at a moment.
    Mark { at: Instant },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pages {
    pub(super) database: Database,
    /// Whether the next record has to be taken, too, before the database is at `end`.
    pub(super) more: bool,
    pub(super) end: Position,
    /// Pages that the database has then.
    pub(super) pages: u32,
    /// Bytes of a page.
    pub(super) page: u32,
    /// So many of them come first, of which there is only what is different from how they were written before.
    pub(super) known: u32,
    pub(super) numbers: Vec<u32>,
    /// What is different in those, each with its length.
    pub(super) differences: Vec<u8>,
    /// The contents of the others, one behind the other.
    pub(super) data: Vec<u8>,
}

impl Record {
    /// With length and digest before it.
    pub(super) fn write(&self, number: u64) -> io::Result<Vec<u8>> {
        let mut out = vec![0; 4 + DIGEST];
        out.extend(number.to_le_bytes());
        match self {
            Self::Head { lineage, positions } => {
                out.push(0);
                out.extend(lineage.0.to_le_bytes());
                positions.iter().for_each(|position| put_position(&mut out, position));
            }
            Self::Pages(pages) => {
                out.extend([1, pages.database as u8, u8::from(pages.more)]);
                put_position(&mut out, &pages.end);
                let count = u32::try_from(pages.numbers.len()).unwrap_or(u32::MAX);
                [pages.pages, pages.page, pages.known, count].iter().for_each(|n| out.extend(n.to_le_bytes()));
                pages.numbers.iter().for_each(|n| out.extend(n.to_le_bytes()));
                let length = u32::try_from(pages.differences.len()).map_err(io::Error::other)?;
                out.extend(length.to_le_bytes());
                out.extend_from_slice(&pages.differences);
                out.extend(compress::pack(&pages.data, LEVEL)?);
            }
            Self::Mark { at } => {
                out.push(2);
                out.extend(at.micros().to_le_bytes());
            }
        }
        let length = u32::try_from(out.len() - 4 - DIGEST).map_err(|_| io::Error::other("a record is too long"))?;
        let digest = Sha256::digest(&out[4 + DIGEST..]);
        out[..4].copy_from_slice(&length.to_le_bytes());
        out[4..4 + DIGEST].copy_from_slice(&digest[..DIGEST]);
        Ok(out)
    }

    /// None if it is nothing that was ever written.
    pub(super) fn read(bytes: &[u8]) -> Option<(u64, Self)> {
        let mut from = Bytes(bytes);
        let number = from.long()?;
        let record = match from.byte()? {
            0 => {
                let lineage = Lineage(from.long()?);
                let mut positions = Positions::default();
                for position in &mut positions {
                    *position = from.position()?;
                }
                Self::Head { lineage, positions }
            }
            1 => {
                let database = *Database::ALL.get(usize::from(from.byte()?))?;
                let (more, end) = (from.byte()? == 1, from.position()?);
                let [pages, page, known, count] = [from.word()?, from.word()?, from.word()?, from.word()?];
                let numbers = (0..count).map(|_| from.word()).collect::<Option<Vec<_>>>()?;
                if !frames::is_size_of_a_page(page) {
                    return None;
                }
                let length = from.word()? as usize;
                let (differences, packed) = from.0.split_at_checked(length)?;
                let whole = numbers.len().checked_sub(known as usize)?;
                let length = (page as usize).checked_mul(whole).filter(|length| *length <= LONGEST)?;
                let data = compress::unpack_at_most(packed, length).ok().filter(|data| data.len() == length)?;
                let differences = differences.to_vec();
                Self::Pages(Pages { database, more, end, pages, page, known, numbers, differences, data })
            }
            2 => Self::Mark { at: Instant::from_micros(from.long()?) },
            _ => return None,
        };
        Some((number, record))
    }
}

fn put_position(out: &mut Vec<u8>, position: &Position) {
    let Position { salt, frames, sum } = position;
    [salt.0, salt.1, *frames, sum.0, sum.1].iter().for_each(|n| out.extend(n.to_le_bytes()));
}

/// What is still to be read.
struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, left) = self.0.split_first_chunk()?;
        self.0 = left;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn word(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn position(&mut self) -> Option<Position> {
        let mut word = || self.word();
        Some(Position { salt: (word()?, word()?), frames: word()?, sum: (word()?, word()?) })
    }
}

/// A file that records are added to.
#[derive(Debug)]
pub(super) struct Chunk {
    file: File,
    pub(super) length: u64,
}

impl Chunk {
    /// Begins a file; its first record is the head.
    pub(super) fn begin(folder: &Path, number: u64, lineage: Lineage, positions: Positions) -> io::Result<Self> {
        let path = folder.join(format!("{:016}-{number:016}.{ENDING}", lineage.0));
        let mut options = OpenOptions::new();
        // One that is there already has nothing whole in it: its number would have been taken.
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let mut chunk = Self { file: options.open(path)?, length: 0 };
        chunk.put(MAGIC)?;
        chunk.add(number, &Record::Head { lineage, positions })?;
        chunk.sync()?;
        if cfg!(unix) {
            File::open(folder)?.sync_all()?;
        }
        Ok(chunk)
    }

    /// Adds a record, whole or not at all. After an error nothing more may be added.
    pub(super) fn add(&mut self, number: u64, record: &Record) -> io::Result<()> {
        let bytes = record.write(number)?;
        self.put(&bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// A file of changes that is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) lineage: Lineage,
    /// The number of its first record.
    pub(super) first: u64,
    pub(super) path: PathBuf,
}

/// The files in a folder: by lineage, in their order.
pub(super) fn files(folder: &Path) -> io::Result<Vec<Found>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != ENDING) {
            continue;
        }
        let named = path.file_stem().and_then(|stem| stem.to_str()?.split_once('-'));
        let numbers = named.and_then(|(lineage, first)| Some((lineage.parse().ok()?, first.parse().ok()?)));
        found.extend(numbers.map(|(lineage, first)| Found { lineage: Lineage(lineage), first, path }));
    }
    found.sort();
    Ok(found)
}

/// Reads the records of a file up to the first that is not whole.
pub(super) struct Records {
    file: BufReader<File>,
    /// Whether there is something behind the last record, which is none.
    pub(super) is_torn: bool,
}

impl Records {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
        let mut magic = [0; MAGIC.len()];
        match file.read_exact(&mut magic) {
            Ok(()) if &magic != MAGIC => {
                Err(io::Error::other(format!("{} is no log of changes of this version", path.display())))
            }
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error),
            _ => Ok(Self { file, is_torn: false }),
        }
    }

    /// The next record and its number; none behind the last that is whole.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Record)>> {
        if self.file.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let read = self.read()?;
        self.is_torn = read.is_none();
        Ok(read)
    }

    fn read(&mut self) -> io::Result<Option<(u64, Record)>> {
        let mut head = [0; 4 + DIGEST];
        if !self.fill(&mut head)? {
            return Ok(None);
        }
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        // Contents that cannot be made smaller become a little longer.
        if length > LONGEST + LONGEST / 8 {
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        if !self.fill(&mut bytes)? || Sha256::digest(&bytes)[..DIGEST] != head[4..] {
            return Ok(None);
        }
        Ok(Record::read(&bytes))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<bool> {
        match self.file.read_exact(bytes) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            done => done.map(|()| true),
        }
    }
}
