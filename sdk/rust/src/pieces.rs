//! One ready piece of output for each entry of a dictionary.
//!
//! A value such as `app.version` occurs in thousands of rows and a few dozen dictionary entries. What it looks like in the output,
//! escapes and separators included, is worked out once for each entry; a row then only copies.

/// Bytes that can be read from the start of every piece, so that a short one can be copied by a copy of fixed length.
pub(crate) const SLACK: usize = 128;

/// Output for each entry of a dictionary, ready to be copied by [`Body::piece`](crate::Body::piece).
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    /// All pieces, and [`SLACK`] bytes.
    bytes: Vec<u8>,
    /// First byte, and length.
    places: Vec<(u32, u32)>,
}

impl Pieces {
    /// Makes a piece of each text, mostly the entries of a [`Dictionary`](crate::Dictionary): `write` gets the text and appends
    /// its output.
    pub fn of<T: AsRef<str>>(texts: impl IntoIterator<Item = T>, mut write: impl FnMut(&str, &mut Vec<u8>)) -> Self {
        let mut pieces = Self::default();
        for text in texts {
            let start = pieces.bytes.len();
            write(text.as_ref(), &mut pieces.bytes);
            pieces.place(start);
        }
        pieces.bytes.resize(pieces.bytes.len() + SLACK, 0);
        pieces
    }

    /// For each text a piece that is the text between two others, with escapes: `escape` tells which byte, after a backslash,
    /// stands for a byte that needs it. For an empty text the piece is `empty`.
    ///
    /// This is what labels and tags look like in most formats, and the fastest way to make them.
    pub fn between<T: AsRef<str>>(
        texts: impl IntoIterator<Item = T>,
        before: &[u8],
        after: &[u8],
        empty: &[u8],
        escape: impl Fn(u8) -> Option<u8>,
    ) -> Self {
        let [before, after, empty] = [before, after, empty].map(Self::one);
        let mut out = Output::default();
        let mut places = Vec::new();
        for text in texts {
            let text = text.as_ref().as_bytes();
            let start = out.filled;
            if text.is_empty() {
                out.padded(&empty);
            } else {
                out.padded(&before);
                out.escaped(text, &escape);
                out.padded(&after);
            }
            places.push(place(start, out.filled));
        }
        out.bytes.truncate(out.filled + SLACK);
        out.bytes.resize(out.filled + SLACK, 0);
        Self { bytes: out.bytes, places }
    }

    /// One piece, with the code 0.
    #[must_use]
    pub fn one(piece: &[u8]) -> Self {
        let mut pieces = Self::default();
        pieces.push(piece);
        pieces
    }

    /// Appends a piece; its code is the number of those before it.
    pub fn push(&mut self, piece: &[u8]) {
        let start = self.bytes.len().saturating_sub(SLACK);
        self.bytes.truncate(start);
        self.bytes.extend_from_slice(piece);
        self.place(start);
        self.bytes.resize(self.bytes.len() + SLACK, 0);
    }

    fn place(&mut self, start: usize) {
        self.places.push(place(start, self.bytes.len()));
    }

    /// The piece of entry `code`; empty beyond the end.
    #[must_use]
    pub fn get(&self, code: u32) -> &[u8] {
        let (bytes, len) = self.from(code);
        bytes.get(..len).unwrap_or_default()
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

    /// All bytes from the start of a piece, and its length.
    #[inline]
    pub(crate) fn from(&self, code: u32) -> (&[u8], usize) {
        let Some(&(start, len)) = self.places.get(code as usize) else { return (&[], 0) };
        (self.bytes.get(start as usize..).unwrap_or_default(), len as usize)
    }
}

fn place(start: usize, end: usize) -> (u32, u32) {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (number(start), number(end.saturating_sub(start)))
}

/// Bytes with room behind them, so that a write need not ask for it byte by byte.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    filled: usize,
}

impl Output {
    fn room(&mut self, wanted: usize) -> &mut [u8] {
        if self.bytes.len() < self.filled + wanted {
            self.bytes.resize((self.filled + wanted).max(2 * self.bytes.len()), 0);
        }
        &mut self.bytes[self.filled..]
    }

    /// Appends the only piece of `pieces`.
    fn padded(&mut self, pieces: &Pieces) {
        let (bytes, len) = pieces.from(0);
        let room = self.room(len.max(SLACK));
        if len <= SLACK
            && let (Some(to), Some(from)) = (room.first_chunk_mut::<SLACK>(), bytes.first_chunk())
        {
            *to = *from;
        } else {
            room[..len].copy_from_slice(&bytes[..len]);
        }
        self.filled += len;
    }

    fn escaped(&mut self, text: &[u8], escape: impl Fn(u8) -> Option<u8>) {
        let room = self.room(2 * text.len());
        let mut at = 0;
        for &byte in text {
            match escape(byte) {
                None => room[at] = byte,
                Some(escaped) => {
                    room[at] = b'\\';
                    at += 1;
                    room[at] = escaped;
                }
            }
            at += 1;
        }
        self.filled += at;
    }
}
