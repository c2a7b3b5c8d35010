//! The ledger, for whoever operates it: who is owed what, what was lost, what became of a window; the same bytes again; whether the
//! files are sound; copies of them.

use super::page::{Parameters, Rules};
use super::preview::message_json;
use super::{JsonBody, stores};
use crate::backups::{BackupError, Made};
use crate::http::auth::{self, Call};
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::state::blocking;
use crate::http::writer::Pictures;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_export::catalog::Subject;
use tidegate_export::{ExportError, Replay, Replays, verify_database};
use tidegate_model::{Name, ProjectId, Window};

/// What the list of stores in the ledger can do.
pub(crate) const OWED: Rules = Rules {
    list: "stores",
    id: &["project", "store"],
    sorts: &["project", "store", "queued", "queued_bytes", "oldest_undelivered", "confirmed", "rejected", "expired"],
    filters: &["project", "store"],
};

/// What the list of lost windows can do.
pub(crate) const GAPS: Rules = Rules {
    list: "gaps",
    id: &["project", "store", "metric_set", "metric", "period", "start", "outcome", "reason"],
    sorts: &["project", "store", "metric_set", "start", "end", "windows", "outcome"],
    filters: &["project", "store", "metric_set", "outcome"],
};

async fn projects(call: &Call) -> Result<Vec<ProjectId>, Problem> {
    let tenant = call.tenant();
    let projects = call.host.read(move |view| view.projects(tenant)).await?;
    Ok(call.visible(projects).into_iter().map(|p| p.id).collect())
}

/// What each push store is owed, and why it is not there; who waits longest comes first.
pub(crate) async fn status(call: Call, parameters: Parameters) -> Result<Response, Problem> {
    let page = parameters.page(&OWED)?;
    let stores = call.host.export.ledger_status(projects(&call).await?).await?;
    let stores = page.cut(stores.into_iter().map(|store| json!(store)).collect());
    Ok(page.answer_with(stores, &json!({"problem": call.host.export.problem()})))
}

/// Windows that stores will never get, and why.
pub(crate) async fn gaps(call: Call, parameters: Parameters) -> Result<Response, Problem> {
    let page = parameters.page(&GAPS)?;
    let gaps = call.host.export.ledger_gaps(projects(&call).await?).await?;
    Ok(page.answer(gaps.into_iter().map(|gap| json!(gap)).collect()))
}

/// What became of the windows of a metric set that hold a moment.
pub(crate) async fn windows(
    call: Call,
    Path((project, set, at)): Path<(String, String, u64)>,
) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let found = call.host.read(move |view| {
        let project = auth::project(view, tenant, &project)?;
        Ok((project.id, view.metric_set_named(project.id, &set)?.id))
    });
    let (project, set) = found.await?;
    let (windows, open) = call.host.export.ledger_windows(project, set, at).await?;
    let open: Vec<Value> = open.into_iter().map(window_json).collect();
    Ok(Json(json!({"windows": windows, "in_progress": open})).into_response())
}

/// Which past windows: the one that holds a moment, or those that begin in a range. In seconds since the epoch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Past {
    metric_set: String,
    /// With `at`: a metric that could not be evaluated with its set.
    metric: Option<Name>,
    at: Option<u64>,
    from: Option<u64>,
    to: Option<u64>,
    #[serde(default)]
    send: bool,
}

/// The bytes that a store got in past windows; `"send": true` sends them again.
pub(crate) async fn replay(
    call: Call,
    Path(path): Path<(String, String)>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let Past { metric_set, metric, at, from, to, send } =
        tidegate_model::strict::read(body).map_err(Problem::invalid)?;
    let (tenant, subject) = (call.tenant(), Subject::Store(path.0.clone(), path.1.clone()));
    let which = match (at, from, to) {
        (Some(at), None, None) => Ok(at),
        (None, Some(_), Some(_)) if metric.is_some() => {
            return Err(Problem::invalid("metric: a range has all of them"));
        }
        (None, Some(from), Some(to)) if from < to => Err((from, to)),
        (None, Some(_), Some(_)) => return Err(Problem::invalid("to: expected a later time than `from`")),
        _ => return Err(Problem::invalid("expected either `at`, or `from` and `to`, in seconds since the epoch")),
    };
    let found = call.host.read(move |view| {
        let (project, store) = stores::find(view, tenant, &path)?;
        Ok((store, view.metric_set_named(project.id, &metric_set)?))
    });
    let (store, set) = found.await?;
    if send {
        let windows = match which {
            Ok(at) => format!("window at {at}"),
            Err((from, to)) => format!("windows from {from} to {to}"),
        };
        call.note("replay", Pictures::none(subject), vec![format!("metric set {}, {windows}", set.name)]).await?;
    }
    let replayer = call.host.export.replayer();
    match which {
        Ok(at) => {
            Ok(Json(replay_json(&replayer.replay(store.id, set.id, at, None, metric, send).await?)).into_response())
        }
        Err((from, to)) => {
            let Replays { windows, next } = replayer.replay_range(store.id, set.id, from, to, send).await?;
            let shown = |(window, replay): &(Window, Result<Replay, ExportError>)| match replay {
                Ok(replay) => replay_json(replay),
                Err(error) => json!({"window": window_json(*window), "problem": error.to_string()}),
            };
            let windows: Vec<Value> = windows.iter().map(shown).collect();
            Ok(Json(json!({"windows": windows, "next": next})).into_response())
        }
    }
}

fn window_json(window: Window) -> Value {
    json!({"start": window.start().seconds(), "end": window.end().seconds()})
}

fn replay_json(replay: &Replay) -> Value {
    let mut document = message_json(&replay.message);
    document["window"] = window_json(replay.window);
    document["metric"] = json!(replay.metric.as_ref().map(|name| name.as_str()));
    document["state"] = json!(replay.state);
    document["bytes"] = json!(replay.same);
    if let Some((accepted, rejected)) = replay.sent {
        document["sent"] = json!({"accepted_rows": accepted, "rejected_rows": rejected});
    }
    document
}

/// Whether the files are sound.
pub(crate) async fn verify(call: Call) -> Result<Response, Problem> {
    let ledger = call.host.export.verify().await?;
    let file = call.host.data_dir.join("events.db");
    let events = blocking(move || verify_database(&file)).await?.map_err(Problem::internal)?;
    let problems: Vec<_> = ledger.problems.iter().chain(&events.problems).collect();
    Ok(Json(json!({"windows": ledger.windows, "problems": problems})).into_response())
}

/// Copies catalog, ledger and events into a new folder among the backups, while everything goes on.
pub(crate) async fn backup(call: Call) -> Result<Response, Problem> {
    let made = call.host.backups.make().await.map_err(|error| match error {
        BackupError::Folder { .. } => Problem::conflict(error),
        other => Problem::internal(other),
    })?;
    let Made { folder, bytes, problems } = made;
    call.note("backup", Pictures::none(Subject::Host), vec![format!("{} ({bytes} bytes)", folder.display())]).await?;
    let document = json!({"backup": folder.display().to_string(), "bytes": bytes, "problems": problems});
    Ok((StatusCode::CREATED, Json::<Value>(document)).into_response())
}
