//! What a store got, window by window, and a point to try it with.

use super::preview::message_json;
use super::stores;
use crate::http::auth::Call;
use crate::http::path::Path;
use crate::http::problem::Problem;
use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use tidegate_export::catalog::Subject;
use tidegate_export::{WINDOW_OUTCOMES, WindowFilter};

/// Most windows of a page.
const MOST_WINDOWS: u32 = 1_000;

/// Which windows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    /// Where the page before ended: the second at which its last window began.
    cursor: Option<u64>,
    /// Windows that begin at this second or later.
    since: Option<u64>,
    /// Windows that begin before this second.
    until: Option<u64>,
    /// Windows of this metric set.
    metric_set: Option<String>,
    /// Windows of which this became.
    outcome: Option<String>,
    /// Windows of the page.
    #[serde(default = "hundred")]
    limit: u32,
}

fn hundred() -> u32 {
    100
}

/// The windows that a store got or was to get, newest first.
pub(crate) async fn windows(
    call: Call,
    Path(path): Path<(String, String)>,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wish) = wish.map_err(|e| Problem::bad_request(e.body_text()))?;
    if !(1..=MOST_WINDOWS).contains(&wish.limit) {
        return Err(Problem::bad_request(format_args!("limit: expected 1 to {MOST_WINDOWS}, found {}", wish.limit)));
    }
    if let Some(outcome) = wish.outcome.as_deref().filter(|outcome| !WINDOW_OUTCOMES.contains(outcome)) {
        let known = WINDOW_OUTCOMES.join(", ");
        return Err(Problem::bad_request(format_args!("outcome: expected one of {known}; found {outcome:?}")));
    }
    let tenant = call.tenant();
    let (_, store) = call.host.read(move |view| stores::find(view, tenant, &path)).await?;
    let Wish { cursor, since, until, metric_set, outcome, limit } = wish;
    let filter = WindowFilter { before: cursor, since, until, metric_set, outcome, most: limit };
    let windows = call.host.export.store_windows(store.id, filter).await?;
    let whole = windows.len() >= limit as usize;
    let mut document = json!({"windows": windows});
    if let Some(last) = windows.last().filter(|_| whole) {
        document["next"] = json!(last.start.to_string());
    }
    Ok(Json(document).into_response())
}

/// Sends one labelled point through a push store.
pub(crate) async fn test(call: Call, Path(path): Path<(String, String)>) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let subject = Subject::Store(path.0.clone(), path.1.clone());
    let (_, store) = call.host.read(move |view| stores::find(view, tenant, &path)).await?;
    call.note("test", subject, vec!["one labelled point is sent".to_owned()]).await?;
    let sent = call.host.export.test_store(store.id).await?;
    let mut document = message_json(&sent.message);
    document["window"] = json!({"start": sent.window.start().seconds(), "end": sent.window.end().seconds()});
    document["accepted"] = json!(sent.accepted);
    document["status"] = json!(sent.status);
    document["reason"] = json!(sent.reason);
    Ok(Json(document).into_response())
}
