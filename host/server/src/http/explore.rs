//! Runs queries for those who ask over HTTP: so many at a time, within what the tenant's queries may take of a minute, with progress
//! for whoever wants it, and ended when nobody waits for the answer any more.

use super::problem::Problem;
use super::state::{App, Host, blocking};
use serde_json::json;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tidegate_events::explore::{Answer, ExploreLimits, Progress};
use tidegate_events::{Source, SourceError};
use tidegate_model::{CpuTime, ProjectId, Query};
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
    let mut share = host.export.admit_query(project).inspect_err(|_| app.metrics().refused("quota"))?;
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
        let (mut cpu, mut too_long) = (CpuTime::start(), None);
        let result = events.explore(project, &query, &limits, &mut |now| {
            if let Some(progress) = &progress {
                progress.send_replace(now);
            }
            too_long = share.took(cpu.lap()).err();
            if ended.load(Ordering::Relaxed) || too_long.is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        // What came of the last piece is there already, so it is given.
        let _ = share.took(cpu.lap());
        // Here, where it is done whether anybody waits for it or not.
        counting.metrics().queried(&result);
        match (result, too_long) {
            (Err(SourceError::Cancelled), Some(too_long)) => Err(Problem::from(too_long)),
            (result, _) => result.map_err(Problem::from),
        }
    });
    answered.await?
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
