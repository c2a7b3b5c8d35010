//! Large buffers that are used again.
//!
//! A delivery of a hundred thousand rows is ten megabytes of body. Fresh from the system each of its pages would be a fault, which
//! costs more than filling it; what the last delivery gave back is there already. What lay in a buffer before cannot be seen: only
//! what was written since is ever read.

use bytes::Bytes;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of one buffer.
pub(crate) const BUFFER_BYTES: usize = 64 << 10;
/// Buffers that wait for their next use; 16 MiB. What is beyond goes back to the system.
const MOST_KEPT: usize = 256;

/// The buffers that wait.
#[derive(Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").finish_non_exhaustive()
    }
}

/// A buffer in use. It goes back when the last of its readers is done.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffers {
    /// An empty buffer.
    pub(crate) fn take(&self) -> Buffer {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer { bytes: waiting.unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES)), home: self.clone() }
    }
}

impl Buffer {
    /// Appends as much of `bytes` as there is room for, and gives the rest.
    pub(crate) fn fill<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (now, later) = bytes.split_at(bytes.len().min(BUFFER_BYTES - self.bytes.len()));
        self.bytes.extend_from_slice(now);
        later
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() == BUFFER_BYTES
    }

    /// What was written, to be read.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut waiting = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST_KEPT {
            waiting.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_when_its_last_reader_is_done() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        assert_eq!(buffer.fill(b"secret"), b"");
        let read = buffer.into_bytes();
        let other = read.clone();
        drop(read);
        assert!(buffers.0.lock().unwrap().is_empty());
        assert_eq!(&other[..], b"secret");
        drop(other);
        assert_eq!(buffers.0.lock().unwrap().len(), 1);
        assert!(buffers.take().as_ref().is_empty());
    }

    #[test]
    fn no_more_than_the_most_are_kept() {
        let buffers = Buffers::default();
        let taken: Vec<_> = (0..MOST_KEPT + 5).map(|_| buffers.take()).collect();
        drop(taken);
        assert_eq!(buffers.0.lock().unwrap().len(), MOST_KEPT);
    }
}
