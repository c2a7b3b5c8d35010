//! What was last written of each page, so that only what is different has to be written the next time.
//!
//! A commit changes some dozen bytes of a page of four thousand, and where texts are many each commit changes hundreds of pages: without this
//! the log of changes would be several times as large as what it is about. The trap is to know more than whoever reads the log: so
//! everything is forgotten where a restore may begin, and whenever it is not certain what has been written.

use super::Database;
use super::record::Pages;
use std::collections::HashMap;

/// Bytes of pages that are remembered.
const MOST: usize = 32 << 20;

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
    pub(super) fn differences(&self, pages: &Pages) -> Pages {
        let size = pages.page as usize;
        let all = || pages.numbers.iter().copied().zip(pages.data.chunks_exact(size));
        let known = |number: u32| self.get(pages.database, number).filter(|image| image.len() == size);
        let mut to = Pages { numbers: Vec::with_capacity(pages.numbers.len()), data: Vec::new(), ..*pages };
        to.data.reserve_exact(pages.data.len());
        for (number, contents) in all() {
            if let Some(image) = known(number) {
                to.numbers.push(number);
                to.data.extend(contents.iter().zip(image).map(|(new, old)| new ^ old));
            }
        }
        to.known = u32::try_from(to.numbers.len()).unwrap_or(u32::MAX);
        for (number, contents) in all().filter(|(number, _)| known(*number).is_none()) {
            to.numbers.push(number);
            to.data.extend_from_slice(contents);
        }
        to
    }

    /// Remembers pages that have been written.
    pub(super) fn remember(&mut self, pages: &Pages) {
        let size = pages.page as usize;
        for (number, contents) in pages.numbers.iter().zip(pages.data.chunks_exact(size)) {
            if self.young_bytes + size > MOST / 2 {
                self.old = std::mem::take(&mut self.young);
                self.young_bytes = 0;
            }
            let before = self.young.insert((pages.database, *number), contents.into());
            self.young_bytes += size - before.map_or(0, |image| image.len().min(size));
        }
    }

    fn get(&self, database: Database, number: u32) -> Option<&[u8]> {
        let at = (database, number);
        self.young.get(&at).or_else(|| self.old.get(&at)).map(|image| &**image)
    }
}

/// Makes a difference what it is of.
pub(super) fn apply(difference: &mut [u8], image: &[u8]) {
    difference.iter_mut().zip(image).for_each(|(byte, old)| *byte ^= old);
}
