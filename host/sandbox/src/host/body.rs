//! Bodies as they are written: pieces in the host's memory, so that a guest needs only its own buffer.
//!
//! Large chunks are kept as they come; small ones are gathered, so that a guest that writes byte by byte costs time of its own
//! and not an allocation of ours per byte.

use super::State;
use bytes::Bytes;
use std::mem;
use wasmtime::StoreContextMut;
use wasmtime::component::{Resource, WasmList};

/// Chunks from this size on are kept as pieces of their own.
const WHOLE_BYTES: usize = 16 << 10;
/// Small chunks are gathered up to this size.
const GATHER_BYTES: usize = 64 << 10;

/// A body that is being written.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pieces: Vec<Bytes>,
    tail: Vec<u8>,
}

impl Body {
    fn write(&mut self, chunk: &[u8]) {
        if self.tail.len() + chunk.len() > GATHER_BYTES || chunk.len() >= WHOLE_BYTES {
            self.gather();
        }
        if chunk.len() >= WHOLE_BYTES {
            self.pieces.push(Bytes::copy_from_slice(chunk));
        } else {
            self.tail.extend_from_slice(chunk);
        }
    }

    fn gather(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push(Bytes::from(mem::take(&mut self.tail)));
        }
    }

    /// The pieces, to be sent as one.
    pub(crate) fn finish(mut self) -> Vec<Bytes> {
        self.gather();
        self.pieces
    }
}

/// A resource that is written to.
pub(crate) trait Sink: Send + 'static {
    /// Where the bytes go.
    fn body(&mut self) -> &mut Body;
}

/// `write` of every sink: checks the limit, then copies out of the guest's memory once.
pub(super) fn write<S: Sink>(
    mut store: StoreContextMut<'_, State>,
    (sink, chunk): (Resource<S>, WasmList<u8>),
) -> wasmtime::Result<()> {
    let state = store.data_mut();
    state.meter.charge(chunk.len())?;
    let mut body = mem::take(state.table.get_mut(&sink)?.body());
    body.write(chunk.as_le_slice(&store));
    *store.data_mut().table.get_mut(&sink)?.body() = body;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_body_is_its_chunks_in_order_however_it_was_cut(lengths in prop::collection::vec(0usize..70_000, 0..12)) {
            let mut body = Body::default();
            let mut expected = Vec::new();
            for (i, length) in lengths.into_iter().enumerate() {
                let chunk = vec![u8::try_from(i).unwrap(); length];
                body.write(&chunk);
                expected.extend(chunk);
            }
            prop_assert_eq!(body.finish().concat(), expected);
        }
    }

    #[test]
    fn single_bytes_are_gathered_into_few_pieces() {
        let mut body = Body::default();
        for _ in 0..200_000 {
            body.write(b"x");
        }
        assert_eq!(body.finish().len(), 4);
    }
}
