//! Bytes on their way to the host.
//!
//! Two costs matter inside the sandbox: a call to the host for each small write, and a `memory.copy` for each few bytes (some 20 ns
//! whatever the length). So bytes gather here and go over in pieces of 64 KiB, and [`Pieces`] are copied by copies of fixed length.

use crate::bindings::model;
use crate::pieces::{Pieces, SLACK};
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
    /// All of it is room: a `Vec` that is pushed to would check at each write. It begins small, since fresh memory is not free
    /// and most batches are.
    buffer: Vec<u8>,
    filled: usize,
    written: u64,
}

/// First size of the buffer.
const SMALL: usize = 2 << 10;

impl Body {
    pub(crate) fn new(sink: Sink) -> Self {
        Self { sink, buffer: vec![0; SMALL], filled: 0, written: 0 }
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
            self.make_room(1);
            let room = &mut self.buffer[self.filled..];
            let (now, later) = rest.split_at(rest.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.filled += now.len();
            rest = later;
        }
    }

    /// Appends one byte.
    #[inline]
    pub fn byte(&mut self, byte: u8) {
        if self.filled == self.buffer.len() {
            self.make_room(1);
        }
        self.buffer[self.filled] = byte;
        self.filled += 1;
    }

    /// Appends a text.
    pub fn text(&mut self, text: &str) {
        self.write(text.as_bytes());
    }

    /// Appends the piece of a dictionary entry.
    #[inline]
    pub fn piece(&mut self, pieces: &Pieces, code: u32) {
        let (bytes, len) = pieces.from(code);
        if self.buffer.len() - self.filled < SLACK {
            self.make_room(SLACK);
        }
        let room = &mut self.buffer[self.filled..];
        // What lies behind the piece is copied along and overwritten by what comes next: a copy of fixed length is a few
        // instructions, one of any other length a call.
        if len <= SLACK / 4
            && let (Some(to), Some(from)) = (room.first_chunk_mut::<{ SLACK / 4 }>(), bytes.first_chunk())
        {
            *to = *from;
        } else if len <= SLACK / 2
            && let (Some(to), Some(from)) = (room.first_chunk_mut::<{ SLACK / 2 }>(), bytes.first_chunk())
        {
            *to = *from;
        } else if len <= SLACK
            && let (Some(to), Some(from)) = (room.first_chunk_mut::<SLACK>(), bytes.first_chunk())
        {
            *to = *from;
        } else {
            self.write(bytes.get(..len).unwrap_or_default());
            return;
        }
        self.filled += len;
    }

    /// Appends a number: integers without a fraction, others in the shortest form that reads back as the same number. NaN and
    /// infinities have no place in most formats, so leave them out before; here they become `NaN`, `inf` and `-inf`.
    pub fn number(&mut self, value: f64) {
        /// Up to here every integer is a number of its own: 2 to the power of 53.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        // A cast from what does not fit is not equal to it, or out of the exact range.
        let (whole, same) = (value as i64, value as i64 as f64 == value);
        if same && value.abs() <= EXACT {
            self.integer(whole);
        } else {
            let mut buffer = zmij::Buffer::new();
            let text = buffer.format(value);
            self.text(text.strip_suffix(".0").unwrap_or(text));
        }
    }

    /// Appends an integer.
    pub fn integer(&mut self, value: i64) {
        // Digits from the end; what follows them is copied along, since a copy of fixed length is a few instructions.
        let mut digits = [0; 2 * DIGITS];
        let mut at = DIGITS;
        let mut rest = value.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
            if let Ok(mut small) = u32::try_from(rest) {
                while small > 0 {
                    at -= 1;
                    digits[at] = b'0' + u8::try_from(small % 10).unwrap_or_default();
                    small /= 10;
                }
                break;
            }
        }
        if value < 0 {
            at -= 1;
            digits[at] = b'-';
        }
        if self.buffer.len() - self.filled < DIGITS {
            self.make_room(DIGITS);
        }
        let room = &mut self.buffer[self.filled..self.filled + DIGITS];
        room.copy_from_slice(&digits[at..at + DIGITS]);
        self.filled += DIGITS - at;
    }

    /// Makes room for `wanted` bytes, which is far less than a chunk: by a larger buffer until it has a chunk's size, then by
    /// handing over what is there.
    #[cold]
    fn make_room(&mut self, wanted: usize) {
        if self.buffer.len() - self.filled >= wanted {
            return;
        }
        if self.buffer.len() < CHUNK {
            self.buffer.resize((self.buffer.len() * 4).min(CHUNK), 0);
        } else {
            self.flush();
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

/// Room for the longest integer, in whole words of eight bytes.
const DIGITS: usize = 24;

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
