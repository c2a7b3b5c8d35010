//! One document that says what a tenant's projects should look like, and the way from what there is to that.
//!
//! A dry run is the real thing in a transaction that is taken back, so the two cannot tell different stories. Nothing that the
//! document does not mention is touched.

mod document;
mod execute;

pub use document::{Document, DocumentError, MetricDoc, MetricSetDoc, ProjectDoc, StoreDoc};
pub use execute::{Adapters, ApplyError, Change, Noted, Outcome, Record, Sign, apply};
pub(crate) use execute::{Known, put_store};
