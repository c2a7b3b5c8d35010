//! Cuts a stream of bytes into numbered lines, and lines into batches. A line beyond the limit is dropped as it comes, so that
//! one without an end cannot fill the memory.

use bytes::{Buf, Bytes, BytesMut};

/// Lines that make a batch.
const BATCH_LINES: usize = 8_192;
/// Bytes that make a batch.
const BATCH_BYTES: usize = 4 << 20;

/// One line and its number, from 1.
pub(crate) type Line = (u64, Bytes);

/// Lines to be taken together, and the numbers of those that are too long.
#[derive(Debug, Default)]
pub(crate) struct BatchOfLines {
    pub(crate) lines: Vec<Line>,
    pub(crate) too_long: Vec<u64>,
    bytes: usize,
}

impl BatchOfLines {
    fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_LINES || self.bytes >= BATCH_BYTES || self.too_long.len() >= BATCH_LINES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.too_long.is_empty()
    }

    /// Bytes that it keeps in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Collects pieces and gives batches.
#[derive(Debug)]
pub(crate) struct Lines {
    rest: BytesMut,
    // How much of `rest` is known to hold no line break.
    searched: usize,
    next: u64,
    dropping: bool,
    limit: usize,
    batch: BatchOfLines,
}

impl Lines {
    pub(crate) fn new(limit: usize) -> Self {
        let (rest, batch) = (BytesMut::new(), BatchOfLines::default());
        Self { rest, searched: 0, next: 1, dropping: false, limit, batch }
    }

    /// Adds a piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.rest.extend_from_slice(piece);
    }

    /// The next full batch, if there is one.
    pub(crate) fn full_batch(&mut self) -> Option<BatchOfLines> {
        while !self.batch.is_full() {
            let Some(at) = memchr::memchr(b'\n', &self.rest[self.searched..]) else {
                self.searched = self.rest.len();
                if self.rest.len() > self.limit {
                    self.dropping = true;
                    self.rest.clear();
                    self.searched = 0;
                }
                return None;
            };
            let line = self.rest.split_to(self.searched + at).freeze();
            self.rest.advance(1);
            self.searched = 0;
            self.line(line);
        }
        Some(std::mem::take(&mut self.batch))
    }

    /// The lines that are there as a whole, when no more will come. Call it after `full_batch` has given none.
    pub(crate) fn whole_lines(&mut self) -> BatchOfLines {
        std::mem::take(&mut self.batch)
    }

    /// What is left at the end; the last line needs no line break. Call it after `full_batch` has given none.
    pub(crate) fn last_batch(mut self) -> BatchOfLines {
        let line = self.rest.split().freeze();
        if self.dropping || !line.is_empty() {
            self.line(line);
        }
        self.batch
    }

    fn line(&mut self, line: Bytes) {
        let number = self.next;
        self.next += 1;
        if std::mem::take(&mut self.dropping) || line.len() > self.limit {
            self.batch.too_long.push(number);
        } else if !line.trim_ascii().is_empty() {
            self.batch.bytes += line.len();
            self.batch.lines.push((number, line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&str], limit: usize) -> (Vec<(u64, String)>, Vec<u64>) {
        let mut lines = Lines::new(limit);
        let (mut got, mut too_long) = (Vec::new(), Vec::new());
        let mut take = |batch: BatchOfLines| {
            got.extend(batch.lines.iter().map(|(n, l)| (*n, String::from_utf8(l.to_vec()).unwrap())));
            too_long.extend(batch.too_long);
        };
        for piece in pieces {
            lines.push(piece.as_bytes());
            while let Some(batch) = lines.full_batch() {
                take(batch);
            }
        }
        take(lines.last_batch());
        (got, too_long)
    }

    fn line(number: u64, text: &str) -> (u64, String) {
        (number, text.to_owned())
    }

    #[test]
    fn lines_are_the_same_however_the_stream_was_cut() {
        let whole = "a\n\nbb\r\n  \nccc";
        let expected = (vec![line(1, "a"), line(3, "bb\r"), line(5, "ccc")], vec![]);
        for at in 0..=whole.len() {
            let (a, b) = whole.split_at(at);
            assert_eq!(cut(&[a, b], 10), expected, "cut at {at}");
        }
    }

    #[test]
    fn a_line_beyond_the_limit_is_dropped_with_its_number_and_the_next_is_kept() {
        let expected = (vec![line(1, "abc"), line(3, "d")], vec![2]);
        assert_eq!(cut(&["abc\nabcd\nd\n"], 3), expected);
        assert_eq!(cut(&["abc\nab", "cdefgh", "ijk", "lmn\nd"], 3), expected);
        assert_eq!(cut(&["abcd"], 3), (vec![], vec![1]));
        assert_eq!(cut(&["abcdefgh", "ijk"], 3), (vec![], vec![1]));
    }

    #[test]
    fn a_line_that_was_cut_off_is_none() {
        let mut lines = Lines::new(10);
        lines.push(b"a\nb\nc");
        assert!(lines.full_batch().is_none());
        let whole: Vec<u64> = lines.whole_lines().lines.iter().map(|(number, _)| *number).collect();
        assert_eq!(whole, [1, 2]);
    }

    #[test]
    fn batches_are_bounded() {
        let mut lines = Lines::new(10);
        lines.push("x\n".repeat(BATCH_LINES * 2 + 1).as_bytes());
        assert_eq!(lines.full_batch().unwrap().lines.len(), BATCH_LINES);
        assert_eq!(lines.full_batch().unwrap().lines.len(), BATCH_LINES);
        assert!(lines.full_batch().is_none());
        assert_eq!(lines.last_batch().lines.len(), 1);
    }
}
