//! The ledger, for whoever operates it: who is owed what, what was lost, what became of a window; the same bytes again; whether the
//! files are sound; copies of them.

use super::page::{Parameters, Rules};
use super::preview::message_json;
use super::{JsonBody, stores, text_member};
use crate::http::auth::{self, Call};
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::state::blocking;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fs::DirBuilder;
use std::path::PathBuf;
use tidegate_export::catalog::Subject;
use tidegate_export::{copy_database, verify_database};
use tidegate_model::ProjectId;

/// What the list of stores in the ledger can do.
pub(crate) const OWED: Rules = Rules {
    list: "stores",
    id: &["project", "store"],
    sorts: &["project", "store", "queued", "queued_bytes", "oldest_undelivered"],
    filters: &["project", "store"],
};

/// What the list of lost windows can do.
pub(crate) const GAPS: Rules = Rules {
    list: "gaps",
    id: &["project", "store", "metric_set", "period", "start", "outcome", "reason"],
    sorts: &["project", "store", "start", "end", "windows"],
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
    let (stores, next) = page.cut(stores.into_iter().map(|store| json!(store)).collect());
    Ok(page.answer_with(stores, next, &json!({"problem": call.host.export.problem()})))
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
    let set = call.host.read(move |view| {
        let project = auth::project(view, tenant, &project)?;
        view.metric_set_named(project.id, &set)
    });
    let windows = call.host.export.ledger_windows(set.await?.id, at).await?;
    Ok(Json(json!({"windows": windows})).into_response())
}

/// The bytes that a store got in a past window; `"send": true` sends them again.
pub(crate) async fn replay(
    call: Call,
    Path(path): Path<(String, String)>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let (tenant, name) = (call.tenant(), text_member(&body, "metric_set")?);
    let subject = Subject::Store(path.0.clone(), path.1.clone());
    let at = body["at"].as_u64().ok_or_else(|| Problem::invalid("at: expected seconds since the epoch"))?;
    let send = body["send"].as_bool().unwrap_or(false);
    let found = call.host.read(move |view| {
        let (project, store) = stores::find(view, tenant, &path)?;
        Ok((store, view.metric_set_named(project.id, &name)?))
    });
    let (store, set) = found.await?;
    if send {
        call.note("replay", subject, vec![format!("metric set {}, window at {at}", set.name)]).await?;
    }
    let replay = call.host.export.replay(store.id, set.id, at, send).await?;
    let mut document = message_json(&replay.message);
    document["window"] = json!({"start": replay.window.start().seconds(), "end": replay.window.end().seconds()});
    document["state"] = json!(replay.state);
    document["bytes"] = json!(replay.same);
    if let Some((accepted, rejected)) = replay.sent {
        document["sent"] = json!({"accepted_rows": accepted, "rejected_rows": rejected});
    }
    Ok(Json(document).into_response())
}

/// Whether the files are sound.
pub(crate) async fn verify(call: Call) -> Result<Response, Problem> {
    let ledger = call.host.export.verify().await?;
    let file = call.host.data_dir.join("events.db");
    let events = blocking(move || verify_database(&file)).await?.map_err(Problem::internal)?;
    let problems: Vec<_> = ledger.problems.iter().chain(&events.problems).collect();
    Ok(Json(json!({"windows": ledger.windows, "problems": problems})).into_response())
}

/// Copies catalog, ledger and events into a new folder below the data directory, while everything goes on.
pub(crate) async fn backup(call: Call) -> Result<Response, Problem> {
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let folder = call.host.data_dir.join("backups").join(now);
    let made = folder.clone();
    blocking(move || private_folder(&made))
        .await?
        .map_err(|e| Problem::conflict(format_args!("the folder {} cannot be made: {e}", folder.display())))?;
    // The ledger first: events that came after it are evaluated again after a restore. The other way round they would be missing.
    call.host.export.backup(folder.join("tidegate.db")).await?;
    let (from, to) = (call.host.data_dir.join("events.db"), folder.join("events.db"));
    blocking(move || copy_database(&from, &to)).await?.map_err(Problem::internal)?;
    let copies = [folder.join("tidegate.db"), folder.join("events.db")];
    let looked = blocking(move || copies.map(|copy| verify_database(&copy).map(|v| (v, copy)))).await?;
    let (mut problems, mut bytes) = (Vec::new(), 0);
    for verified in looked {
        let (verified, copy) = verified.map_err(Problem::internal)?;
        problems.extend(verified.problems);
        bytes += std::fs::metadata(&copy).map_or(0, |m| m.len());
    }
    call.note("backup", Subject::Host, vec![format!("{} ({bytes} bytes)", folder.display())]).await?;
    let document = json!({"backup": folder.display().to_string(), "bytes": bytes, "problems": problems});
    Ok((StatusCode::CREATED, Json::<Value>(document)).into_response())
}

fn private_folder(path: &PathBuf) -> std::io::Result<()> {
    let builder = |recursive: bool| {
        let mut builder = DirBuilder::new();
        builder.recursive(recursive);
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt;
            builder.mode(0o700);
        }
        builder
    };
    if let Some(parent) = path.parent() {
        builder(true).create(parent)?;
    }
    builder(false).create(path)
}
