//! Where metrics are evaluated, as a trait: the embedded store implements it here, a remote database may elsewhere.
//!
//! Nothing of the embedded store shows through: no row ids, no dictionary codes, no file paths, no local clock as an order.

use crate::explore::{Answer, AttributeDescription, ExploreLimits, Watch};
use std::time::Duration;
use tidegate_model::{Instant, MetricBatch, MetricQuery, Name, ProjectId, Query, Window};

/// What to evaluate: a metric's name and its query.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSpec {
    /// The name that the result carries.
    pub name: Name,
    /// Filter, group-by and aggregates.
    pub query: MetricQuery,
}

/// Bounds on what one evaluation may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluationLimits {
    /// Rows that one metric may have. If there are more groups, the last row stands for all that do not fit, and each of its
    /// dimensions reads `other`.
    pub groups: u32,
    /// Bytes of memory that the evaluation of one metric may take. Several at once may take as much together; if they need
    /// more, they are evaluated apart.
    pub memory: usize,
    /// How long the evaluation of one metric may take. Several at once may take as long together; if they need longer, the one
    /// that takes most of it is evaluated apart. It is looked at between steps, of which none takes long.
    pub time: Duration,
}

impl Default for EvaluationLimits {
    fn default() -> Self {
        Self { groups: 10_000, memory: 512 << 20, time: Duration::from_secs(10) }
    }
}

/// Why a window could not be evaluated or sealed. It is never to be taken for a zero.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The database refused, and may work again.
    #[error("the event store could not be read: {0}")]
    Storage(String),
    /// Stored bytes are not what was once written.
    #[error("stored events are damaged ({0}); restore the data directory from a backup")]
    Corrupt(String),
    /// The query of a metric is one that cannot be evaluated.
    #[error("metric {metric:?} cannot be evaluated: {reason}")]
    Query {
        /// The metric.
        metric: String,
        /// What is wrong with it.
        reason: String,
    },
    /// More memory than an evaluation may take.
    #[error(
        "metric {metric:?}: evaluating it takes {needed} bytes of memory or more, and {budget} are allowed; filter for fewer \
         events, or group by fewer or coarser attributes"
    )]
    Memory {
        /// The metric.
        metric: String,
        /// Bytes that are allowed.
        budget: usize,
        /// Bytes that were known to be needed when it was given up.
        needed: usize,
    },
    /// Longer than an evaluation may take.
    #[error(
        "metric {metric:?}: evaluating it takes longer than {} s, which is all the time that it may take; filter for fewer events, \
         or group by fewer or coarser attributes", limit.as_secs_f32()
    )]
    Time {
        /// The metric.
        metric: String,
        /// How long it may take.
        limit: Duration,
    },
    /// A query that cannot be answered, though its form is right.
    #[error("the query cannot be answered: {reason}")]
    Unanswerable {
        /// What is wrong with it.
        reason: String,
    },
    /// A query needs more than it may use.
    #[error("the query needs {need} {what} or more, and {limit} are its budget; {remedy}")]
    Budget {
        /// Of what: bytes of memory, groups.
        what: &'static str,
        /// How many it may use.
        limit: u64,
        /// How many it was known to need when it was given up.
        need: u64,
        /// What helps.
        remedy: &'static str,
    },
    /// Whoever asked does not want the answer any more.
    #[error("the query was cancelled")]
    Cancelled,
    /// This source evaluates metrics and nothing else.
    #[error("this source of events does not answer queries")]
    NoQueries,
    /// The store was closed.
    #[error("the event store is closed")]
    Closed,
}

/// A place that holds events and evaluates metrics over them. Calls block: async callers use `spawn_blocking`.
pub trait Source: Send + Sync {
    /// Promises that, once it has returned, no event of `project` arrives before `end`, and that each one acknowledged with an
    /// earlier arrival is seen by [`evaluate`](Self::evaluate). The promise does not outlive the process.
    ///
    /// # Errors
    /// [`SourceError`] if the promise cannot be given.
    fn seal(&self, project: ProjectId, end: Instant) -> Result<(), SourceError>;

    /// Evaluates metrics over one window in one pass; the results are in the order of `metrics`.
    ///
    /// # Errors
    /// [`SourceError`] if any of the metrics fails: a failed evaluation is not a zero.
    fn evaluate(
        &self,
        project: ProjectId,
        window: Window,
        metrics: &[MetricSpec],
        limits: &EvaluationLimits,
    ) -> Result<Vec<MetricBatch>, SourceError>;

    /// Answers a query over all events of a project, whenever they arrived. `watch` hears how far it is and may end it.
    ///
    /// # Errors
    /// [`SourceError`] if there is no exact answer: part of one is never given.
    fn explore(
        &self,
        _project: ProjectId,
        _query: &Query,
        _limits: &ExploreLimits,
        _watch: &mut Watch<'_>,
    ) -> Result<Answer, SourceError> {
        Err(SourceError::NoQueries)
    }

    /// The attributes of a project that queries can use, sorted by name.
    ///
    /// # Errors
    /// [`SourceError`] if they cannot be read.
    fn describe(&self, _project: ProjectId) -> Result<Vec<AttributeDescription>, SourceError> {
        Err(SourceError::NoQueries)
    }
}
