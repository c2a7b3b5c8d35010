//! What an adapter makes of an answer, and the answer itself.
//!
//! A verdict without row numbers is about the whole batch; one with row numbers says that the *other* rows were taken. Mixing the
//! two up loses data, so a verdict that has the batch sent again never carries rows.

use crate::bindings::model;
use crate::request::Sent;
use std::collections::BTreeMap;

/// Bytes of an answer's body that end up in a reason.
const QUOTED: u32 = 400;

/// What came of a request.
#[derive(Debug)]
pub struct Outcome<'a> {
    host: &'a model::Outcome,
}

impl<'a> Outcome<'a> {
    pub(crate) fn new(host: &'a model::Outcome) -> Self {
        Self { host }
    }

    /// HTTP status; none for a stream, and none if no answer came.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.host.status()
    }

    /// Why no answer came; none if one did.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.host.failure()
    }

    /// First value of a response header, by case-insensitive name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.host.header(name)
    }

    /// The first bytes of the answer, at most `max`.
    #[must_use]
    pub fn body_prefix(&self, max: u32) -> Vec<u8> {
        self.host.body_prefix(max)
    }

    /// Seconds of a `Retry-After` header. A date in it is no help to a guest without a clock, so it counts as none.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        self.header("retry-after")?.trim().parse().ok()
    }

    /// One line for the operator: the status or the failure, and the beginning of what the server said.
    #[must_use]
    pub fn summary(&self) -> String {
        if let Some(failure) = self.failure() {
            return failure;
        }
        let Some(status) = self.status() else { return "sent".to_owned() };
        let body = self.body_prefix(QUOTED);
        let said = String::from_utf8_lossy(&body).split_whitespace().collect::<Vec<_>>().join(" ");
        if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") }
    }
}

/// Rows that were refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRows {
    /// Index of the metric in the batch.
    pub metric: u32,
    /// The rows.
    pub rows: Vec<u32>,
    /// Why, in the sink's words where there are any.
    pub reason: String,
}

/// What is to be done with the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Taken, but for rows named as rejected.
    Accepted,
    /// Nothing more of the batch will be accepted, for good.
    Rejected(String),
    /// The whole batch is to be sent again.
    Retry {
        /// Why.
        reason: String,
        /// Not before so many seconds, if the sink said so.
        after_seconds: Option<u32>,
    },
    /// Too large, or one row spoils the rest: in two halves, please.
    Split(String),
    /// Nothing will work until the admin changes the settings.
    Stop(String),
}

/// The judgement of one request, or of a whole delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub(crate) disposition: Disposition,
    pub(crate) rejected: Vec<RejectedRows>,
    pub(crate) notes: Vec<String>,
}

impl Verdict {
    fn of(disposition: Disposition) -> Self {
        Self { disposition, rejected: Vec::new(), notes: Vec::new() }
    }

    /// All rows were taken.
    #[must_use]
    pub fn accepted() -> Self {
        Self::of(Disposition::Accepted)
    }

    /// The rows that the request carried were refused for good. If the adapter noted none, that is the whole batch.
    #[must_use]
    pub fn reject(sent: &Sent, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        if sent.is_empty() {
            return Self::of(Disposition::Rejected(reason));
        }
        Self::reject_rows(sent.rejected(&reason))
    }

    /// These rows were refused for good, the others of the request were taken.
    #[must_use]
    pub fn reject_rows(rejected: Vec<RejectedRows>) -> Self {
        Self { rejected, ..Self::accepted() }
    }

    /// Nothing more of the batch will be accepted, for good.
    #[must_use]
    pub fn reject_batch(reason: impl Into<String>) -> Self {
        Self::of(Disposition::Rejected(reason.into()))
    }

    /// The whole batch is to be sent again, not before the number of seconds if there is one.
    #[must_use]
    pub fn retry(reason: impl Into<String>, after_seconds: Option<u32>) -> Self {
        Self::of(Disposition::Retry { reason: reason.into(), after_seconds })
    }

    /// The batch is to be sent in two halves; a single row is rejected by the host.
    #[must_use]
    pub fn split(reason: impl Into<String>) -> Self {
        Self::of(Disposition::Split(reason.into()))
    }

    /// Nothing will work until the admin changes the settings.
    #[must_use]
    pub fn stop(reason: impl Into<String>) -> Self {
        Self::of(Disposition::Stop(reason.into()))
    }

    /// With something that the admin should know although no row is refused for it, such as a filter in the product that leaves out
    /// part of what it takes. Told if the batch was taken, at least in part: it is kept with the delivery and shown in the store's
    /// status until a delivery comes without one.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// What most sinks mean by their status: 2xx took it; 413 wants it smaller; 401 and 403 want other credentials, a redirect
    /// another URL; 408, 429, 5xx and no answer ask for patience; any other 4xx is a refusal.
    #[must_use]
    pub fn by_status(sent: &Sent, outcome: &Outcome<'_>) -> Self {
        let told = outcome.summary();
        match outcome.status() {
            None if outcome.failure().is_none() => Self::accepted(),
            None | Some(408 | 429 | 500..) => Self::retry(told, outcome.retry_after()),
            Some(200..=299) => Self::accepted(),
            Some(413) => Self::split(told),
            Some(401 | 403) | Some(..=399) => Self::stop(told),
            Some(_) => Self::reject(sent, told),
        }
    }

    /// What is to be done with the batch.
    #[must_use]
    pub fn disposition(&self) -> &Disposition {
        &self.disposition
    }

    /// Rows that were refused for good.
    #[must_use]
    pub fn rejected(&self) -> &[RejectedRows] {
        &self.rejected
    }

    /// What the admin should know beside that.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Rejected rows, gathered by metric and reason.
#[derive(Debug, Default)]
pub(crate) struct Rejections(BTreeMap<(u32, String), Vec<u32>>);

impl Rejections {
    pub(crate) fn add(&mut self, metric: u32, rows: impl IntoIterator<Item = u32>, reason: &str) {
        self.0.entry((metric, reason.to_owned())).or_default().extend(rows);
    }

    pub(crate) fn add_all(&mut self, rejected: Vec<RejectedRows>) {
        for r in rejected {
            self.add(r.metric, r.rows, &r.reason);
        }
    }

    pub(crate) fn into_rows(self) -> Vec<RejectedRows> {
        let rows = self.0.into_iter().map(|((metric, reason), rows)| RejectedRows { metric, rows, reason });
        rows.collect()
    }
}
