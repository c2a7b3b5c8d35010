//! What goes into an adapter besides the batch, and what it says in the end: outcomes, verdicts, snapshots, pages.

use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::{Batch, Period};

/// What came of an action. The caller has blotted credentials out of every part and has cut the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// HTTP status; none for a stream, and none if no answer came.
    pub status: Option<u16>,
    /// Why no answer came; none if one did.
    pub failure: Option<String>,
    /// Headers of the answer, in the order of their arrival.
    pub headers: Vec<(String, String)>,
    /// The first bytes of the answer.
    pub body: Bytes,
}

/// An adapter's judgement of one delivery, checked: the rows exist, none is there twice, and the parts do not contradict
/// each other. Reasons are safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Rows that were refused for good, by groups with one reason each. Empty unless the disposition is
    /// [`Accepted`](Disposition::Accepted) or [`Rejected`](Disposition::Rejected).
    pub rejected: Vec<RejectedRows>,
    /// What became of all other rows.
    pub disposition: Disposition,
    /// What the admin should know beside that, each on one line and once.
    pub notes: Vec<String>,
}

/// Rows of one metric that were refused for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRows {
    /// Index of the metric in the batch.
    pub metric: u32,
    /// Rows, counted from the start of the view that the adapter was given.
    pub rows: Vec<u32>,
    /// Why, on one line.
    pub reason: String,
}

/// What became of the rows that a verdict does not name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// They arrived.
    Accepted,
    /// They never will, for this reason.
    Rejected(String),
    /// Try the whole view again.
    Retry {
        /// Why.
        reason: String,
        /// Not before this time has gone by, if one is given.
        after: Option<Duration>,
    },
    /// Send the view in two halves, for this reason.
    Split(String),
    /// Stop until the admin changes the credentials, for this reason.
    Stop(String),
}

/// What a pull store shows: the last window of each metric set that is connected to it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// One for each metric set.
    pub batches: Vec<Arc<Batch>>,
    /// The store's period.
    pub period: Period,
}

/// The answer to a scraper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Printable ASCII.
    pub content_type: String,
    /// The page in pieces, to be sent as one.
    pub body: Vec<Bytes>,
}

impl Page {
    /// Bytes of the page.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.body.iter().map(Bytes::len).sum()
    }
}
