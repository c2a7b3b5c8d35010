//! One ready piece of output for each entry of a dictionary.
//!
//! A value such as `app.version` occurs in thousands of rows and a few dozen dictionary entries. What it looks like in the output,
//! escapes and separators included, is worked out once for each entry; a row then only copies.

use crate::batch::Dictionary;
use crate::body::Word;

/// Output for each entry of a dictionary, ready to be copied by [`Body::piece`](crate::Body::piece).
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    /// Each piece begins at a whole word, so that it can be copied in words.
    words: Vec<Word>,
    /// First word, and length in bytes.
    places: Vec<(u32, u32)>,
}

impl Pieces {
    /// Makes a piece of each entry: `write` gets the entry's text and appends its output.
    pub fn new(dictionary: &Dictionary, write: impl FnMut(&str, &mut Vec<u8>)) -> Self {
        Self::of(&dictionary.iter().collect::<Vec<_>>(), write)
    }

    /// A piece for each of the texts, which may be those of a dictionary after cleaning.
    pub fn of<T: AsRef<str>>(texts: &[T], mut write: impl FnMut(&str, &mut Vec<u8>)) -> Self {
        let mut pieces = Self::default();
        let mut piece = Vec::new();
        for text in texts {
            piece.clear();
            write(text.as_ref(), &mut piece);
            pieces.push(&piece);
        }
        pieces
    }

    /// Appends a piece; its code is the number of those before it.
    pub fn push(&mut self, piece: &[u8]) {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.places.push((number(self.words.len()), number(piece.len())));
        self.words.extend(piece.chunks(size_of::<Word>()).map(|part| {
            let mut word = Word::default();
            word[..part.len()].copy_from_slice(part);
            word
        }));
    }

    /// The piece of entry `code`; empty beyond the end.
    #[must_use]
    pub fn get(&self, code: u32) -> &[u8] {
        let (words, len) = self.words(code);
        words.as_flattened().get(..len).unwrap_or_default()
    }

    /// Length of the piece of entry `code` in bytes.
    #[must_use]
    pub fn len_of(&self, code: u32) -> usize {
        self.places.get(code as usize).map_or(0, |&(_, len)| len as usize)
    }

    /// Length of the longest piece in bytes.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.places.iter().map(|&(_, len)| len as usize).max().unwrap_or(0)
    }

    #[inline]
    pub(crate) fn words(&self, code: u32) -> (&[Word], usize) {
        let Some(&(first, len)) = self.places.get(code as usize) else { return (&[], 0) };
        let (first, len) = (first as usize, len as usize);
        let words = self.words.get(first..first + len.div_ceil(size_of::<Word>()));
        words.map_or((&[], 0), |words| (words, len))
    }
}
