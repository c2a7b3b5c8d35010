//! Runs queries for those who ask over HTTP: so many at a time, with progress for whoever wants it, and ended when nobody waits
//! for the answer any more.

use super::problem::Problem;
use super::state::{App, Host, blocking};
use serde_json::json;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tidegate_events::explore::{Answer, ExploreLimits, Progress};
use tidegate_events::{Source, SourceError};
use tidegate_model::{ProjectId, Query};
use tokio::sync::watch;

/// Sets a flag when it is dropped: with the future that holds it, which goes when the client does.
struct EndWhenDropped(Arc<AtomicBool>);

impl Drop for EndWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Answers a query. `progress` hears how far it is. If the future is dropped, the query ends at its next segment.
pub(crate) async fn answer(
    app: &App,
    host: &Host,
    project: ProjectId,
    query: Query,
    progress: Option<watch::Sender<Progress>>,
) -> Result<Answer, Problem> {
    let limit = app.limits().queries;
    let seat = app.query_seat().ok_or_else(|| {
        Problem::unavailable(format_args!(
            "{limit} queries are under way, as many as the server answers at once; try again in a second"
        ))
    })?;
    let limits = ExploreLimits { bytes: app.limits().query_bytes, ..ExploreLimits::default() };
    let ended = Arc::new(AtomicBool::new(false));
    let _end = EndWhenDropped(Arc::clone(&ended));
    let (events, counting) = (host.events.clone(), app.clone());
    let answered = blocking(move || {
        let _seat = seat;
        let result = events.explore(project, &query, &limits, &mut |now| {
            if let Some(progress) = &progress {
                progress.send_replace(now);
            }
            if ended.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        // Here, where it is done whether anybody waits for it or not.
        counting.metrics().queried(&result);
        result
    });
    answered.await?.map_err(Problem::from)
}

impl From<SourceError> for Problem {
    fn from(error: SourceError) -> Self {
        match &error {
            SourceError::Budget { what, limit, need, .. } => {
                let budget = json!({"what": what, "limit": limit, "need": need});
                Self::invalid(&error).with("budget", budget)
            }
            SourceError::Unanswerable { .. } | SourceError::NoQueries => Self::invalid(error),
            SourceError::Closed | SourceError::Cancelled => Self::unavailable(error),
            _ => Self::internal(error),
        }
    }
}
