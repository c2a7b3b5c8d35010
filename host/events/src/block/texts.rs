//! The distinct texts of one column of a block, numbered from 1 in the order in which they came.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Texts and their numbers.
#[derive(Default)]
pub(crate) struct BlockTexts {
    utf8: String,
    ends: Vec<usize>,
    by_text: HashTable<u32>,
    hasher: RandomState,
}

impl BlockTexts {
    /// The number of a text, which gets the next one if it is new.
    pub(super) fn code(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        if let Some(&code) = self.by_text.find(hash, |&code| self.text(code) == text) {
            return code;
        }
        self.utf8.push_str(text);
        self.ends.push(self.utf8.len());
        // A block has far fewer events than there are numbers.
        let code = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        let (utf8, ends, hasher) = (&self.utf8, &self.ends, &self.hasher);
        self.by_text.insert_unique(hash, code, |&code| hasher.hash_one(text_of(utf8, ends, code)));
        code
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text that has a number.
    pub(crate) fn text(&self, code: u32) -> &str {
        text_of(&self.utf8, &self.ends, code)
    }
}

fn text_of<'a>(utf8: &'a str, ends: &[usize], code: u32) -> &'a str {
    let place = code as usize;
    let start = if place < 2 { 0 } else { ends.get(place - 2).copied().unwrap_or_default() };
    let end = place.checked_sub(1).and_then(|place| ends.get(place)).copied().unwrap_or_default();
    utf8.get(start..end).unwrap_or_default()
}
