//! Compression (zstd) with contexts that are used again.
//!
//! The trap is the context: some hundred kilobytes, which cost more to set up than a usual piece costs to compress. Worse, where small
//! things that stay are made between two large ones that go, the heap keeps the holes: a host with many projects grew by a
//! gigabyte in minutes that way.

use std::io::{Error, Result};
use std::sync::{Mutex, PoisonError};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

/// Contexts of each kind that wait for their next use. More than this many are at work only while all cores are.
const MOST_KEPT: usize = 8;
/// Longest piece that is unpacked; nothing longer was ever stored.
const MOST_BYTES: usize = 1 << 30;

static COMPRESSORS: Pool<Compressor<'static>> = Pool(Mutex::new(Vec::new()));
static DECOMPRESSORS: Pool<Decompressor<'static>> = Pool(Mutex::new(Vec::new()));

struct Pool<T>(Mutex<Vec<T>>);

impl<T> Pool<T> {
    fn with<R>(&self, new: impl FnOnce() -> Result<T>, work: impl FnOnce(&mut T) -> Result<R>) -> Result<R> {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut context = waiting.map_or_else(new, Ok)?;
        let done = work(&mut context);
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST_KEPT {
            waiting.push(context);
        }
        done
    }
}

/// Compresses `bytes`. A level is from 1, quick, to 19, small.
///
/// # Errors
/// If there is no memory for it.
pub fn pack(bytes: &[u8], level: i32) -> Result<Vec<u8>> {
    packed(bytes, level, false)
}

/// The same, with a checksum of `bytes` in what it gives, which [`unpack`] compares.
///
/// # Errors
/// If there is no memory for it.
pub fn pack_with_checksum(bytes: &[u8], level: i32) -> Result<Vec<u8>> {
    packed(bytes, level, true)
}

fn packed(bytes: &[u8], level: i32, checksum: bool) -> Result<Vec<u8>> {
    COMPRESSORS.with(
        || Compressor::new(level),
        |compressor| {
            compressor.set_compression_level(level)?;
            compressor.set_parameter(CParameter::ChecksumFlag(checksum))?;
            compressor.compress(bytes)
        },
    )
}

/// What was packed, if it is not longer than a gibibyte.
///
/// # Errors
/// If `packed` is not what [`pack`] gave.
pub fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    let length = Decompressor::upper_bound(packed).filter(|length| *length <= MOST_BYTES);
    unpack_at_most(packed, length.ok_or_else(|| Error::other("its head does not tell how long it was"))?)
}

/// What was packed, if it is not longer than `most`.
///
/// # Errors
/// If `packed` is not what [`pack`] gave, or is longer.
pub fn unpack_at_most(packed: &[u8], most: usize) -> Result<Vec<u8>> {
    DECOMPRESSORS.with(Decompressor::new, |decompressor| decompressor.decompress(packed, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked_whoever_used_the_context_before() {
        let text = b"some text, some text, some text".repeat(100);
        for (level, checksum) in [(1, false), (3, true), (1, false), (19, false)] {
            let small = packed(&text, level, checksum).unwrap();
            assert!(small.len() < text.len() / 10);
            assert_eq!(unpack(&small).unwrap(), text);
        }
        assert_eq!(pack(b"", 1).and_then(|nothing| unpack(&nothing)).unwrap(), b"");
        // The checksum is four bytes, and leaves no trace in what is packed after it.
        let [plain, summed] = [pack(&text, 1), pack_with_checksum(&text, 1)].map(Result::unwrap);
        assert_eq!(summed.len(), plain.len() + 4);
        assert_eq!(pack(&text, 1).unwrap(), plain);
    }

    #[test]
    fn what_is_longer_than_allowed_or_was_never_packed_is_an_error_and_the_context_goes_on() {
        let packed = pack(&[7; 5_000], 1).unwrap();
        assert!(unpack_at_most(&packed, 4_999).is_err());
        assert!(unpack(b"never packed").is_err());
        assert!(unpack(&packed[..packed.len() - 1]).is_err());
        assert_eq!(unpack_at_most(&packed, 5_000).unwrap(), [7; 5_000]);
    }
}
