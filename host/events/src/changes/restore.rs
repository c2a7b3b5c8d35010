//! From a copy of both databases to what they were at a later moment.
//!
//! The trap is to change files before it is known how far the changes lead: so they are read twice, first for the last mark that is
//! wanted, then for the pages up to it.

use super::record::{self, Found, Record, Records};
use super::{Base, images};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tidegate_model::Instant;
use zstd::zstd_safe::DCtx;

/// Where the changes end that lead to a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// There are later ones.
    Later,
    /// There are none: nothing was committed since, or it was not kept.
    Last,
    /// What comes next cannot be read.
    Damaged {
        /// The file with the damage, or the one before what is missing.
        file: PathBuf,
    },
}

/// What was done to the copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The moment of which they are now; none if there was no change to make.
    pub as_of: Option<Instant>,
    /// Pages that were written.
    pub pages: u64,
    /// Why not further.
    pub end: End,
}

/// Why changes could not be made to copies, which are then of no use.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The log of changes cannot be read.
    #[error("the log of changes in {} cannot be read: {cause}", folder.display())]
    Read {
        /// Where it is.
        folder: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The copy cannot be written, or is another one than the changes are of.
    #[error("the changes cannot be made to {}: {cause}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

/// Brings copies of both databases, in the order of [`Database::ALL`](super::Database::ALL), to what they were at `moment` or just before.
///
/// # Errors
/// [`ApplyError`].
pub fn apply(folder: &Path, base: &Base, moment: Instant, copies: [&Path; 2]) -> Result<Applied, ApplyError> {
    let read = |cause| ApplyError::Read { folder: folder.to_owned(), cause };
    let all = record::files(folder).map_err(read)?;
    let files: Vec<Found> = all.into_iter().filter(|file| file.lineage == base.lineage).collect();
    let mut last = None;
    let end = walk(&files, base, |number, record| match record {
        Record::Mark { at } if *at > moment && number > base.whole => Ok(false),
        Record::Mark { at } => {
            if number >= base.whole {
                last = Some((number, *at));
            }
            Ok(true)
        }
        Record::Head { .. } | Record::Pages(_) => Ok(true),
    });
    let end = end.map_err(read)?;
    let Some((mark, as_of)) = last else { return Ok(Applied { as_of: None, pages: 0, end }) };
    let mut pages = 0;
    let mut targets = copies.map(|path| Target { path, file: None, length: None });
    let mut failed = None;
    let walked = walk(&files, base, |number, record| {
        if let Record::Pages(changed) = record {
            let target = &mut targets[changed.database as usize];
            if let Err(cause) = target.write(changed) {
                failed = Some(ApplyError::Write { file: target.path.to_owned(), cause });
                return Ok(false);
            }
            pages += changed.numbers.len() as u64;
        }
        Ok(number < mark)
    });
    walked.map_err(read)?;
    if let Some(failed) = failed {
        return Err(failed);
    }
    for target in &targets {
        target.finish().map_err(|cause| ApplyError::Write { file: target.path.to_owned(), cause })?;
    }
    Ok(Applied { as_of: Some(as_of), pages, end })
}

/// Gives the records behind a base in their order, until `take` says that it is enough or there are no more. A clock that was set back
/// makes no difference: the first mark that is too late ends it.
fn walk(files: &[Found], base: &Base, mut take: impl FnMut(u64, &Record) -> io::Result<bool>) -> io::Result<End> {
    let mut next = base.after + 1;
    for (i, file) in files.iter().enumerate() {
        let following = files.get(i + 1).map(|file| file.first);
        if following.is_some_and(|first| first <= next) {
            continue;
        }
        if file.first > next {
            return Ok(End::Damaged { file: files[i.saturating_sub(1)].path.clone() });
        }
        let mut records = Records::open(&file.path)?;
        let mut number = file.first;
        while let Some((found, record)) = records.next()? {
            if found != number {
                return Ok(End::Damaged { file: file.path.clone() });
            }
            number += 1;
            if found < next {
                continue;
            }
            next = number;
            if !take(found, &record)? {
                return Ok(End::Later);
            }
        }
        // Behind the last record that is whole the next file goes on, or else something is missing.
        if following.map_or(records.is_torn, |first| first > next) {
            return Ok(End::Damaged { file: file.path.clone() });
        }
    }
    Ok(End::Last)
}

/// A copy that pages are written to.
struct Target<'p> {
    path: &'p Path,
    file: Option<File>,
    /// Bytes that it has in the end.
    length: Option<u64>,
}

impl Target<'_> {
    fn write(&mut self, changed: &record::Pages) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(OpenOptions::new().read(true).write(true).open(self.path)?),
        };
        let page = u64::from(changed.page);
        let at = |number: &u32| SeekFrom::Start(u64::from(number.saturating_sub(1)) * page);
        let (known, whole) = changed.numbers.split_at_checked(changed.known as usize).unwrap_or_default();
        let (mut context, mut differences) = (DCtx::create(), changed.differences.as_slice());
        for number in known {
            let mut contents = vec![0; changed.page as usize];
            file.seek(at(number))?;
            file.read_exact(&mut contents)?;
            images::next(&mut context, &mut differences, &mut contents)?;
            file.seek(at(number))?;
            file.write_all(&contents)?;
        }
        for (number, contents) in whole.iter().zip(changed.data.chunks_exact(changed.page as usize)) {
            file.seek(at(number))?;
            file.write_all(contents)?;
        }
        self.length = Some(u64::from(changed.pages) * page);
        Ok(())
    }

    fn finish(&self) -> io::Result<()> {
        let (Some(file), Some(length)) = (&self.file, self.length) else { return Ok(()) };
        file.set_len(length)?;
        file.sync_all()
    }
}
