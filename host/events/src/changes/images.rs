//! What was last written of each page, so that only what is different has to be written the next time.
//!
//! A commit changes some dozen bytes of a page of four thousand, and where texts are many each commit changes hundreds of pages: without this
//! the log of changes would be several times as large as what it is about. The trap is to know more than whoever reads the log: so
//! everything is forgotten where a restore may begin, and whenever it is not certain what has been written.

use super::record::Pages;
use super::{Database, frames};
use std::collections::HashMap;
use std::io;
use zstd::zstd_safe::{CCtx, DCtx, compress_bound, get_error_name};

/// Bytes of pages that are remembered.
const MOST: usize = 32 << 20;

/// Quick, as for whole pages.
const LEVEL: i32 = 1;

#[derive(Debug, Default)]
pub(super) struct Images {
    /// Used since the others were ...
    young: HashMap<(Database, u32), Box<[u8]>>,
    /// ... which go when there are too many.
    old: HashMap<(Database, u32), Box<[u8]>>,
    young_bytes: usize,
}

impl Images {
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The same pages: those that are remembered first, and of them only what is different.
    pub(super) fn differences(&self, pages: &Pages) -> io::Result<Pages> {
        let size = pages.page as usize;
        let all = || pages.numbers.iter().copied().zip(pages.data.chunks_exact(size));
        let known = |number: u32| self.get(pages.database, number).filter(|image| image.len() == size);
        let mut to = Pages { numbers: Vec::with_capacity(pages.numbers.len()), ..Pages::default() };
        (to.database, to.more, to.end, to.pages, to.page) =
            (pages.database, pages.more, pages.end, pages.pages, pages.page);
        let mut context = CCtx::create();
        let mut small = Vec::with_capacity(compress_bound(size));
        for (number, contents) in all() {
            if let Some(image) = known(number) {
                to.numbers.push(number);
                // As it was before is the dictionary: what is as before is a reference to it.
                context.compress_using_dict(&mut small, contents, image, LEVEL).map_err(told)?;
                to.differences.extend(sum_of(contents));
                to.differences.extend(u32::try_from(small.len()).map_err(io::Error::other)?.to_le_bytes());
                to.differences.extend_from_slice(&small);
            }
        }
        to.known = u32::try_from(to.numbers.len()).map_err(io::Error::other)?;
        for (number, contents) in all().filter(|(number, _)| known(*number).is_none()) {
            to.numbers.push(number);
            to.data.extend_from_slice(contents);
        }
        Ok(to)
    }

    /// Remembers pages that have been written.
    pub(super) fn remember(&mut self, pages: &Pages) {
        let size = pages.page as usize;
        for (number, contents) in pages.numbers.iter().zip(pages.data.chunks_exact(size)) {
            let at = (pages.database, *number);
            if !is_of_a_tree(*number, contents) {
                // It may have been of one before.
                self.young_bytes -= self.young.remove(&at).map_or(0, |image| image.len());
                self.old.remove(&at);
                continue;
            }
            if self.young_bytes + size > MOST / 2 {
                self.old = std::mem::take(&mut self.young);
                self.young_bytes = 0;
            }
            let before = self.young.insert(at, contents.into());
            self.young_bytes = self.young_bytes + size - before.map_or(0, |image| image.len());
        }
    }

    fn get(&self, database: Database, number: u32) -> Option<&[u8]> {
        let at = (database, number);
        self.young.get(&at).or_else(|| self.old.get(&at)).map(|image| &**image)
    }
}

/// Whether a page is one that rows are put into. The others hold parts of what is too long for a page, and are written once.
/// Where it says so: <https://www.sqlite.org/fileformat2.html#b_tree_pages>.
fn is_of_a_tree(number: u32, contents: &[u8]) -> bool {
    number == 1 || matches!(contents.first(), Some(2 | 5 | 10 | 13))
}

/// Takes the next page out of differences; `page` is what it was before, and is what it became when this returns.
pub(super) fn next(context: &mut DCtx<'_>, differences: &mut &[u8], page: &mut Vec<u8>) -> io::Result<()> {
    let damaged = || io::Error::other("what is different in a page cannot be read");
    let (sum, rest) = differences.split_first_chunk::<8>().ok_or_else(damaged)?;
    let (length, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
    let (small, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
    let mut contents = Vec::with_capacity(page.len());
    let read = context.decompress_using_dict(&mut contents, small, page).map_err(told)?;
    // With another page before it, it would be read all the same, and be wrong.
    if read != page.len() || sum_of(&contents) != *sum {
        return Err(damaged());
    }
    (*differences, *page) = (rest, contents);
    Ok(())
}

fn sum_of(page: &[u8]) -> [u8; 8] {
    let (a, b) = frames::sum((0, 0), page, false);
    (u64::from(a) << 32 | u64::from(b)).to_le_bytes()
}

fn told(code: usize) -> io::Error {
    io::Error::other(get_error_name(code))
}
