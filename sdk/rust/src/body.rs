//! Bytes on their way to the host.
//!
//! Two costs matter inside the sandbox: a call to the host for each small write, and a `memory.copy` for each few bytes (some 20 ns
//! whatever the length). So bytes gather here and go over in pieces of 64 KiB, and [`Pieces`] are copied in whole words.

use crate::bindings::model;
use crate::pieces::Pieces;
use std::fmt;

/// Bytes that gather before they are handed over.
pub(crate) const CHUNK: usize = 64 << 10;

/// Where the bytes go.
#[derive(Debug)]
pub(crate) enum Sink {
    Request(model::Request),
    Stream(model::TcpStream),
    Page(model::Page),
}

/// The body of a request, a stream or a page. What is written arrives in order; the host sees it in large pieces.
pub struct Body {
    sink: Sink,
    /// Always `CHUNK` long: a `Vec` that grows would check for room at each write.
    buffer: Box<[u8]>,
    filled: usize,
    written: u64,
}

impl Body {
    pub(crate) fn new(sink: Sink) -> Self {
        Self { sink, buffer: vec![0; CHUNK].into_boxed_slice(), filled: 0, written: 0 }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.written + self.filled as u64
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = &mut self.buffer[self.filled..];
            let (now, later) = rest.split_at(rest.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.filled += now.len();
            rest = later;
            if self.filled == CHUNK {
                self.flush();
            }
        }
    }

    /// Appends one byte.
    #[inline]
    pub fn byte(&mut self, byte: u8) {
        self.buffer[self.filled] = byte;
        self.filled += 1;
        if self.filled == CHUNK {
            self.flush();
        }
    }

    /// Appends a text.
    pub fn text(&mut self, text: &str) {
        self.write(text.as_bytes());
    }

    /// Appends the piece of a dictionary entry.
    #[inline]
    pub fn piece(&mut self, pieces: &Pieces, code: u32) {
        let (words, len) = pieces.words(code);
        if len > SHORT || self.filled + SHORT > CHUNK {
            self.write(&words.as_flattened()[..len.min(words.len() * WORD)]);
            return;
        }
        let room = &mut self.buffer[self.filled..self.filled + SHORT];
        copy_short(room, words);
        self.filled += len;
    }

    /// Appends a number: integers without a fraction, others in the shortest form that reads back as the same number. NaN and
    /// infinities have no place in most formats, so leave them out before; here they become `NaN`, `inf` and `-inf`.
    pub fn number(&mut self, value: f64) {
        /// Up to here every integer is a number of its own: 2 to the power of 53.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if value.trunc() == value && value.abs() <= EXACT {
            // Exact, as just checked.
            #[allow(clippy::cast_possible_truncation)]
            self.integer(value as i64);
        } else {
            let mut buffer = zmij::Buffer::new();
            let text = buffer.format(value);
            self.text(text.strip_suffix(".0").unwrap_or(text));
        }
    }

    /// Appends an integer.
    pub fn integer(&mut self, value: i64) {
        if let Ok(digit @ 0..=9) = u8::try_from(value) {
            self.byte(b'0' + digit);
        } else {
            self.text(itoa::Buffer::new().format(value));
        }
    }

    fn flush(&mut self) {
        let bytes = &self.buffer[..self.filled];
        if !bytes.is_empty() {
            match &self.sink {
                Sink::Request(request) => request.write(bytes),
                Sink::Stream(stream) => stream.write(bytes),
                Sink::Page(page) => page.write(bytes),
            }
        }
        self.written += self.filled as u64;
        self.filled = 0;
    }

    pub(crate) fn sink(&self) -> &Sink {
        &self.sink
    }

    pub(crate) fn finish(mut self) -> Sink {
        self.flush();
        self.sink
    }
}

const WORD: usize = size_of::<Word>();
pub(crate) type Word = [u8; 8];
/// Longest piece that is copied in words.
const SHORT: usize = 8 * WORD;

/// Copies whole words, more of them than asked for if that saves a branch. A loop would be turned back into `memory.copy`.
#[inline]
fn copy_short(room: &mut [u8], words: &[Word]) {
    let Some(room) = room.first_chunk_mut::<SHORT>() else { return };
    let (room, _) = room.as_chunks_mut::<WORD>();
    match words {
        [a] => room[0] = *a,
        [a, b] => (room[0], room[1]) = (*a, *b),
        [a, b, c] => (room[0], room[1], room[2]) = (*a, *b, *c),
        [a, b, c, d] => (room[0], room[1], room[2], room[3]) = (*a, *b, *c, *d),
        more => {
            for (to, from) in room.iter_mut().zip(more) {
                *to = *from;
            }
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("bytes", &self.len()).finish_non_exhaustive()
    }
}

impl fmt::Write for Body {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}

impl std::io::Write for Body {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Self::write(self, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
