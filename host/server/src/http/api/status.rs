//! How the server as a whole is doing.

use crate::http::auth::Call;
use crate::http::problem::Problem;
use crate::http::state::{App, blocking};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::collections::HashSet;

/// Version, time since the start, and what is there.
pub(crate) async fn status(State(app): State<App>, call: Call) -> Result<Response, Problem> {
    let (tenant, asks) = (call.tenant(), call.clone());
    let (tenant, projects, stores) = call
        .host
        .read(move |view| {
            let projects = asks.visible(view.projects(tenant)?);
            let ids: HashSet<_> = projects.iter().map(|project| project.id).collect();
            let stores = view.store_names(tenant)?.into_iter().filter(|(project, _)| ids.contains(project)).count();
            Ok((view.tenant(tenant)?.name, projects.len(), stores))
        })
        .await?;
    let events = call.host.events.stats();
    let store = call.host.events.clone();
    let (_, free) = blocking(move || store.usages()).await?.map_err(Problem::internal)?;
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": app.uptime().as_secs(),
        "tenant": tenant,
        // Why windows are not recorded at the moment, if they are not.
        "problem": call.host.export.problem(),
        "projects": projects,
        "metric_stores": stores,
        "events": {"stored": events.events, "accepted": events.accepted, "duplicates": events.duplicates,
                   "segments": events.segments, "file_bytes": events.file_bytes, "free_bytes": free, "queued": events.queued_events,
                   "removed": events.removed_events, "removed_bytes": events.removed_bytes},
    }))
    .into_response())
}
