//! What the store may use, and what it tells of itself.

use crate::changes::ChangeLog;
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::{EventLimits, Instant, ObjectId};

/// What the store may use. The defaults suit one machine that does other things too.
#[derive(Clone, Debug)]
pub struct EventStoreOptions {
    /// How long the first event of a group waits for company before the group is committed.
    pub gather: Duration,
    /// Events that close a group before that.
    pub group_events: usize,
    /// Bytes that close a group before that.
    pub group_bytes: usize,
    /// Bytes of submissions that may wait; who submits more waits for room.
    pub queue_bytes: usize,
    /// Bytes of decoded columns kept in memory.
    pub cache_bytes: usize,
    /// Bytes of attribute texts (dictionary entries) kept in memory.
    pub text_bytes: usize,
    /// Bytes that the file may grow to; none for as much as the disk holds. Rounded down to whole pages.
    pub file_bytes: Option<u64>,
    /// Whether small segments are merged in the background.
    pub merge: bool,
    /// Limits that only the store can check: attributes of a project, attachments of an event.
    pub limits: EventLimits,
    /// Where its changes are kept, if they are.
    pub changes: Option<Arc<ChangeLog>>,
}

impl Default for EventStoreOptions {
    fn default() -> Self {
        Self {
            gather: Duration::from_millis(2),
            group_events: 16_384,
            group_bytes: 8 << 20,
            queue_bytes: 64 << 20,
            cache_bytes: 256 << 20,
            text_bytes: 128 << 20,
            file_bytes: None,
            merge: true,
            limits: EventLimits::default(),
            changes: None,
        }
    }
}

/// The proof that an event is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The event's number in its project.
    pub object: ObjectId,
    /// When it was accepted: this decides its window.
    pub arrival: Instant,
    /// Whether an event with the same uuid had been stored before; the other figures are of that one.
    pub duplicate: bool,
}

/// The number of an attachment, over all projects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AttachmentId(pub i64);

/// A type that values of an attribute have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ValueType {
    /// Text.
    Text,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Float,
    /// True or false.
    Boolean,
}

impl ValueType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Text, Self::Integer, Self::Float, Self::Boolean];

    /// Its place in a set of types that is kept as bits.
    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What is known of one attribute of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeInfo {
    /// Its name.
    pub name: String,
    /// The types that occurred, at least one. More than one if events disagree.
    pub types: Vec<ValueType>,
    /// Distinct texts that ever occurred.
    pub texts: u64,
}

/// Figures for monitoring. Counters start at the opening of the store, except those that say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventStats {
    /// Events in the store.
    pub events: u64,
    /// Segments in the store.
    pub segments: u64,
    /// Bytes of the database file, without its log.
    pub file_bytes: u64,
    /// Events acknowledged.
    pub accepted: u64,
    /// Of them, repeats of a stored uuid.
    pub duplicates: u64,
    /// Events refused for a limit.
    pub refused: u64,
    /// Groups committed.
    pub commits: u64,
    /// Groups that failed; nothing of them was acknowledged.
    pub failed_commits: u64,
    /// Merges of segments committed.
    pub merges: u64,
    /// Events that wait for the writer.
    pub queued_events: u64,
    /// Events removed for their age or for the size of their project, or with it.
    pub removed_events: u64,
    /// Stored bytes that they took.
    pub removed_bytes: u64,
    /// Bytes of decoded columns in memory.
    pub cache_bytes: u64,
    /// Columns that an evaluation found in memory.
    pub cache_hits: u64,
    /// Columns that an evaluation had to decode.
    pub cache_misses: u64,
    /// Bytes of attribute texts in memory.
    pub text_bytes: u64,
}

/// What is known of one attachment of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachmentInfo {
    /// Its number.
    pub id: AttachmentId,
    /// Its name.
    pub name: String,
    /// The media type that the client stated, if it did.
    pub content_type: Option<String>,
    /// Bytes.
    pub size: u64,
}
