//! What a store got, window by window, and a point to try it with.

use super::preview::message_json;
use super::{log_page, stores};
use crate::http::auth::Call;
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::writer::Pictures;
use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use tidegate_export::catalog::Subject;
use tidegate_export::{WINDOW_OUTCOMES, WindowFilter};

/// The orders that there are: the newest first, unless it is said otherwise.
pub(crate) const SORTS: [&str; 2] = ["-start", "start"];

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
    /// The order.
    sort: Option<String>,
    /// Windows of which this became.
    outcome: Option<String>,
    /// Windows of the page.
    limit: Option<u32>,
}

/// The windows that a store got or was to get, newest first unless it is asked for otherwise.
pub(crate) async fn windows(
    call: Call,
    Path(path): Path<(String, String)>,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wish) = wish.map_err(|e| Problem::bad_request(e.body_text()))?;
    let limit = log_page::limit(wish.limit)?;
    log_page::one_of("outcome", &WINDOW_OUTCOMES, wish.outcome.as_deref())?;
    let oldest_first = log_page::oldest_first(&SORTS, wish.sort.as_deref())?;
    let tenant = call.tenant();
    let (_, store) = call.host.read(move |view| stores::find(view, tenant, &path)).await?;
    let Wish { cursor, since, until, metric_set, outcome, .. } = wish;
    let filter = WindowFilter { behind: cursor, oldest_first, since, until, metric_set, outcome, most: limit };
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
    if !store.pull {
        call.note("test", Pictures::none(subject), vec!["one labelled point is sent".to_owned()]).await?;
    }
    let sent = call.host.export.test_store(store.id).await?;
    let mut document = message_json(&sent.message);
    document["window"] = json!({"start": sent.window.start().seconds(), "end": sent.window.end().seconds()});
    document["accepted"] = json!(sent.accepted);
    document["status"] = json!(sent.status);
    document["reason"] = json!(sent.reason);
    Ok(Json(document).into_response())
}
