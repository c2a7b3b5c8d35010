//! Bodies as they are written: pieces in the host's memory, so that a guest needs only its own buffer.
//!
//! Small bodies stay in a vector of their own; what becomes larger goes into full buffers, which are used again. So a guest that
//! writes byte by byte costs time of its own and not an allocation of ours per byte.

use super::State;
use super::buffers::{BUFFER_BYTES, Buffer, Buffers};
use bytes::Bytes;
use std::mem;
use wasmtime::StoreContextMut;
use wasmtime::component::{Resource, WasmList};

/// A body up to this size needs no buffer: one that is hardly used would be memory for nothing.
const SMALL_BYTES: usize = BUFFER_BYTES / 2;

/// A body that is being written.
#[derive(Debug, Default)]
pub(crate) struct Body {
    small: Vec<u8>,
    full: Vec<Bytes>,
    last: Option<Buffer>,
}

impl Body {
    fn write(&mut self, chunk: &[u8], buffers: &Buffers) {
        if self.last.is_none() && self.small.len() + chunk.len() <= SMALL_BYTES {
            self.small.extend_from_slice(chunk);
            return;
        }
        let small = mem::take(&mut self.small);
        for mut rest in [&small, chunk] {
            while !rest.is_empty() {
                let last = self.last.get_or_insert_with(|| buffers.take());
                rest = last.fill(rest);
                if last.is_full() {
                    self.full.extend(self.last.take().map(Buffer::into_bytes));
                }
            }
        }
    }

    /// The pieces, to be sent as one.
    pub(crate) fn finish(mut self) -> Vec<Bytes> {
        self.full.extend(self.last.map(Buffer::into_bytes));
        if !self.small.is_empty() {
            self.full.push(Bytes::from(self.small));
        }
        self.full
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
    let buffers = state.buffers.clone();
    let mut body = mem::take(state.table.get_mut(&sink)?.body());
    body.write(chunk.as_le_slice(&store), &buffers);
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
            let (mut body, buffers) = (Body::default(), Buffers::default());
            let mut expected = Vec::new();
            for (i, length) in lengths.into_iter().enumerate() {
                let chunk = vec![u8::try_from(i).unwrap(); length];
                body.write(&chunk, &buffers);
                expected.extend(chunk);
            }
            prop_assert_eq!(body.finish().concat(), expected);
        }
    }

    #[test]
    fn single_bytes_are_gathered_into_few_pieces() {
        let (mut body, buffers) = (Body::default(), Buffers::default());
        for _ in 0..200_000 {
            body.write(b"x", &buffers);
        }
        assert_eq!(body.finish().len(), 4);
    }
}
