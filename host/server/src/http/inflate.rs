//! Decompression in small steps. A few kilobytes can decompress to gigabytes, so output comes in pieces of bounded size and the
//! caller can stop between any two.

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status, write::MultiGzDecoder};
use std::io::Write;

/// Most output of one step; the decoders below write at most this much (32 KiB) before they return.
const PIECE: usize = 32 << 10;

/// Why bytes cannot be decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InflateError {
    /// An encoding that is not known here.
    #[error("Content-Encoding {0:?} is not known here; use gzip, deflate or none")]
    Unknown(String),
    /// Bytes that are not of the encoding.
    #[error("the body is not valid {encoding}: {reason}")]
    Broken {
        /// The encoding.
        encoding: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// The body ends before the compressed data does.
    #[error("the {0} body ends too early")]
    Truncated(&'static str),
}

/// Turns what was sent into what was meant.
pub(crate) enum Inflate {
    /// Nothing to do.
    Plain,
    /// One or more gzip members.
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    /// `deflate` before its first byte: zlib as the standard says, or bare as some clients send it.
    Unseen,
    /// zlib or bare deflate.
    Deflate { state: Box<Decompress>, ended: bool },
}

impl Inflate {
    /// The decoder for a `Content-Encoding`.
    pub(crate) fn of(encoding: Option<&str>) -> Result<Self, InflateError> {
        match encoding.map(|e| e.trim().to_ascii_lowercase()).as_deref() {
            None | Some("" | "identity") => Ok(Self::Plain),
            Some("gzip" | "x-gzip") => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))),
            Some("deflate") => Ok(Self::Unseen),
            Some(other) => Err(InflateError::Unknown(other.to_owned())),
        }
    }

    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain)
    }

    /// Takes some of `input` and gives what comes of it, which may be nothing. Call until `input` is empty.
    pub(crate) fn step(&mut self, input: &mut Bytes) -> Result<Bytes, InflateError> {
        if let (Self::Unseen, Some(&first)) = (&*self, input.first()) {
            // The low half of a zlib header's first byte is 8; a bare deflate stream never begins with stored-block padding like it.
            let zlib = first & 0x0f == 8;
            *self = Self::Deflate { state: Box::new(Decompress::new(zlib)), ended: false };
        }
        match self {
            Self::Plain | Self::Unseen => Ok(std::mem::take(input)),
            Self::Gzip(decoder) => {
                let taken = decoder.write(input).map_err(|e| broken("gzip", &e))?;
                if taken == 0 && !input.is_empty() && decoder.get_ref().is_empty() {
                    return Err(broken("gzip", &"there is more after its end"));
                }
                input.advance(taken);
                Ok(std::mem::take(decoder.get_mut()).into())
            }
            Self::Deflate { state, ended } => {
                if *ended {
                    return Err(broken("deflate", &"there is more after its end"));
                }
                let before = state.total_in();
                let mut out = Vec::with_capacity(PIECE);
                let status = state.decompress_vec(input, &mut out, FlushDecompress::None);
                let status = status.map_err(|e| broken("deflate", &e))?;
                *ended = status == Status::StreamEnd;
                let taken = usize::try_from(state.total_in() - before).unwrap_or(usize::MAX).min(input.len());
                if taken == 0 && out.is_empty() && !*ended {
                    return Err(broken("deflate", &"it makes no progress"));
                }
                input.advance(taken);
                Ok(out.into())
            }
        }
    }

    /// Says whether the data was complete, and gives what was still held back.
    pub(crate) fn finish(self) -> Result<Bytes, InflateError> {
        match self {
            Self::Gzip(decoder) => Ok(decoder.finish().map_err(|_| InflateError::Truncated("gzip"))?.into()),
            Self::Deflate { ended: false, .. } | Self::Unseen => Err(InflateError::Truncated("deflate")),
            Self::Plain | Self::Deflate { .. } => Ok(Bytes::new()),
        }
    }
}

fn broken(encoding: &'static str, reason: &dyn std::fmt::Display) -> InflateError {
    InflateError::Broken { encoding, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    fn sample() -> Vec<u8> {
        (0..200_000u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 20).to_le_bytes()).collect()
    }

    fn packed(encoding: &str, data: &[u8]) -> (&'static str, Vec<u8>) {
        let level = Compression::default();
        match encoding {
            "gzip" => {
                let mut e = GzEncoder::new(Vec::new(), level);
                e.write_all(data).unwrap();
                ("gzip", e.finish().unwrap())
            }
            "zlib" => {
                let mut e = ZlibEncoder::new(Vec::new(), level);
                e.write_all(data).unwrap();
                ("deflate", e.finish().unwrap())
            }
            _ => {
                let mut e = DeflateEncoder::new(Vec::new(), level);
                e.write_all(data).unwrap();
                ("deflate", e.finish().unwrap())
            }
        }
    }

    fn unpack(encoding: &str, parts: &[&[u8]]) -> Result<Vec<u8>, InflateError> {
        let mut inflate = Inflate::of(Some(encoding))?;
        let mut out = Vec::new();
        for part in parts {
            let mut input = Bytes::copy_from_slice(part);
            while !input.is_empty() {
                let piece = inflate.step(&mut input)?;
                assert!(piece.len() <= 2 * PIECE, "{}", piece.len());
                out.extend_from_slice(&piece);
            }
        }
        out.extend_from_slice(&inflate.finish()?);
        Ok(out)
    }

    #[test]
    fn what_was_packed_comes_back_however_it_was_cut() {
        let data = sample();
        for form in ["gzip", "zlib", "bare"] {
            let (encoding, bytes) = packed(form, &data);
            for at in [0, 1, 9, bytes.len() / 2, bytes.len() - 1, bytes.len()] {
                let (a, b) = bytes.split_at(at);
                assert_eq!(unpack(encoding, &[a, b]).unwrap(), data, "{form} cut at {at}");
            }
        }
    }

    #[test]
    fn two_gzip_members_are_one_body() {
        let (_, mut bytes) = packed("gzip", b"one ");
        bytes.extend(packed("gzip", b"two").1);
        assert_eq!(unpack("gzip", &[&bytes]).unwrap(), b"one two");
    }

    #[test]
    fn a_body_that_ends_too_early_is_refused_and_so_is_one_that_goes_on() {
        for form in ["gzip", "zlib", "bare"] {
            let (encoding, bytes) = packed(form, &sample());
            let short = unpack(encoding, &[&bytes[..bytes.len() - 9]]).unwrap_err();
            assert_eq!(short, InflateError::Truncated(encoding), "{form}");
            let mut long = bytes;
            long.extend_from_slice(b"more");
            assert!(unpack(encoding, &[&long]).is_err(), "{form}");
        }
        assert_eq!(unpack("gzip", &[]).unwrap_err(), InflateError::Truncated("gzip"));
    }

    #[test]
    fn bytes_that_are_not_compressed_and_encodings_that_are_not_known_are_refused_by_name() {
        assert!(unpack("gzip", &[b"{\"plain\":1}"]).unwrap_err().to_string().contains("not valid gzip"));
        assert!(Inflate::of(Some("br")).err().unwrap().to_string().contains("\"br\" is not known here"));
    }
}
