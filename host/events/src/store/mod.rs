//! The durable store of events.

mod error;
mod options;

pub use error::{EventStoreError, Refusal, SubmitError};
pub use options::{AttachmentId, AttributeInfo, EventStats, EventStoreOptions, Receipt, ValueType};

use crate::source::{EvaluationLimits, MetricSpec, Source, SourceError};
use std::path::Path;
use std::sync::Arc;
use tidegate_model::{Attachment, Clock, Event, Instant, MetricBatch, ObjectId, ProjectId, Window};

/// The store. Cheap to clone: clones are the same store.
#[derive(Clone)]
pub struct EventStore {
    _clock: Arc<dyn Clock>,
}

impl EventStore {
    /// Opens the store in `file`, which is made if it is missing.
    ///
    /// # Errors
    /// [`EventStoreError`] if the file cannot be used.
    pub fn open(_file: &Path, _options: EventStoreOptions, clock: Arc<dyn Clock>) -> Result<Self, EventStoreError> {
        Ok(Self { _clock: clock })
    }

    /// Stores events; returns after they are on disk, one receipt for each, in order.
    ///
    /// # Errors
    /// [`SubmitError`]. With [`SubmitError::Refused`] the other events of the submission are stored: who submits many at a
    /// time wants [`submit_each`](Self::submit_each).
    pub async fn submit(&self, _project: ProjectId, _events: Vec<Event>) -> Result<Vec<Receipt>, SubmitError> {
        Err(SubmitError::Closed)
    }

    /// Stores events; returns after they are on disk, and tells of each what became of it, in order.
    ///
    /// # Errors
    /// [`SubmitError`] if none was stored.
    pub async fn submit_each(
        &self,
        _project: ProjectId,
        _events: Vec<Event>,
    ) -> Result<Vec<Result<Receipt, Refusal>>, SubmitError> {
        Err(SubmitError::Closed)
    }

    /// Adds a file to a stored event. Blocks until it is on disk.
    ///
    /// # Errors
    /// [`EventStoreError`] if there is no such event, or it has as many attachments as it may have.
    pub fn attach(
        &self,
        _project: ProjectId,
        _object: ObjectId,
        _attachment: Attachment,
    ) -> Result<AttachmentId, EventStoreError> {
        Err(EventStoreError::Closed)
    }

    /// One event as it came: attributes, report, attachments. Blocks.
    ///
    /// # Errors
    /// [`EventStoreError`] if it cannot be read.
    pub fn event(&self, _project: ProjectId, _object: ObjectId) -> Result<Option<Event>, EventStoreError> {
        Err(EventStoreError::Closed)
    }

    /// The attributes of a project, sorted by name.
    ///
    /// # Errors
    /// [`EventStoreError`] if they cannot be read.
    pub fn attributes(&self, _project: ProjectId) -> Result<Vec<AttributeInfo>, EventStoreError> {
        Err(EventStoreError::Closed)
    }

    /// Figures for monitoring.
    #[must_use]
    pub fn stats(&self) -> EventStats {
        EventStats::default()
    }

    /// Commits what is queued, then stops. Submissions that come later are refused. Blocks.
    pub fn close(&self) {}
}

impl Source for EventStore {
    fn seal(&self, _project: ProjectId, _end: Instant) -> Result<(), SourceError> {
        Err(SourceError::Closed)
    }

    fn evaluate(
        &self,
        _project: ProjectId,
        _window: Window,
        _metrics: &[MetricSpec],
        _limits: &EvaluationLimits,
    ) -> Result<Vec<MetricBatch>, SourceError> {
        Err(SourceError::Closed)
    }
}
