//! From an event to a batch: parsers that make events of reports and lines, the durable store that acknowledges them, and
//! the evaluator that makes numbers of a window of them.
//!
//! The way of the data, in the order of the modules: [`report`], [`ndjson`], [`Block`] -> [`store`] (writer, segments, dictionaries) ->
//! `evaluate` for metrics and [`explore`] for questions, all behind the [`Source`] trait, which tells nothing of how the events
//! are kept.

mod block;
pub mod changes;
pub mod compress;
mod evaluate;
pub mod explore;
pub mod ndjson;
pub mod report;
mod scalar;
mod segment;
pub mod source;
pub mod store;
pub mod wal;

pub use block::Block;
pub use explore::{Answer, AttributeDescription, ExploreLimits, Progress, Watch};
pub use source::{EvaluationLimits, MetricSpec, Source, SourceError};
pub use store::{
    AttachmentId, AttachmentInfo, AttributeInfo, EventStats, EventStore, EventStoreError, EventStoreOptions, Horizon,
    ProjectUsage, Receipt, Refusal, Removed, SubmitError, ValueType,
};
