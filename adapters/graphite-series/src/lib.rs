//! What Graphite calls a series: a name of nodes with dots between them, and tags. The adapters for Graphite itself and for
//! Grafana's hosted one spell them alike.
//!
//! Two traps: a dot or a blank inside a value would cut the name in pieces, and two values that differ only in what cannot be
//! spelled would become one series. [`node`] and [`Namer`] deal with names, [`encode`] with tags.

mod names;
mod tags;

pub use names::{Namer, Names, node};
pub use tags::{Blanks, encode, is_plain};
