//! Looking before anything leaves: the exact bytes that a store would send or show next, and what a query would give.

use super::JsonBody;
use super::stores;
use crate::http::auth::{self, Call};
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::quotas::whole_seconds;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_export::{ExportError, PreviewMessage, PreviewPart};
use tidegate_model::{MetricBatch, MetricQuery, Period, Query, QueryError, Window, strict};
use tidegate_sandbox::Fault;

/// Most rows that a metric preview tells of each window.
const MOST_ROWS: u32 = 1_000;

fn window_json(window: Window) -> Value {
    json!({"start": window.start().seconds(), "end": window.end().seconds()})
}

/// What a store would send or show next.
pub(crate) async fn store(call: Call, Path(path): Path<(String, String)>) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let (_, store) = call.host.read(move |view| stores::find(view, tenant, &path)).await?;
    let preview = call.host.export.preview_store(store.id).await?;
    let parts: Vec<Value> = preview.parts.iter().map(part_json).collect();
    Ok(Json(json!({"parts": parts})).into_response())
}

fn part_json(part: &PreviewPart) -> Value {
    let mut document = json!({
        "metric_set": part.metric_set,
        "window": window_json(part.window),
        "in_progress": part.in_progress,
    });
    if let (Value::Object(whole), Value::Object(message)) = (&mut document, message_json(&part.message)) {
        whole.extend(message);
    }
    document
}

/// What would go out, as JSON.
pub(super) fn message_json(message: &PreviewMessage) -> Value {
    let mut document = json!({});
    let (line, headers, gzip, body) = match message {
        PreviewMessage::Request { line, headers, gzip, body } => (line.clone(), headers.clone(), *gzip, body),
        PreviewMessage::Stream { to, body } => (format!("TCP {to}"), Vec::new(), false, body),
        PreviewMessage::Page { content_type, body } => {
            let headers = vec![("content-type".to_owned(), content_type.clone())];
            ("GET /pull/<secret>".to_owned(), headers, false, body)
        }
        PreviewMessage::Nothing(reason) => {
            document["nothing"] = json!(reason);
            return document;
        }
    };
    document["request_line"] = json!(line);
    document["headers"] = json!(headers);
    document["gzip"] = json!(gzip);
    // Bodies are text in nearly every protocol, and text is what people want to see.
    document["body"] = match std::str::from_utf8(body) {
        Ok(text) => json!({"text": text}),
        Err(_) => json!({"base64": BASE64_STANDARD.encode(body)}),
    };
    document
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Catalog(error) => error.into(),
            ExportError::Misconfigured(_) | ExportError::NotSent(_) => Self::conflict(error),
            ExportError::NoSuchWindow(_) => Self::not_found(error),
            ExportError::TooMany(_) => Self::invalid(error),
            ExportError::Fault(fault) => of_adapter(&fault),
            ExportError::Exhausted(exhausted) => exhausted.into(),
            ExportError::TooLong(too_long) => too_long.into(),
            ExportError::Source(_) => Self::unavailable(error),
            _ => Self::internal(error),
        }
    }
}

/// Who has used up its minute, or all places, may come back; what is wrong with the adapter itself stays wrong.
fn of_adapter(fault: &Fault) -> Problem {
    match fault {
        Fault::Cpu { wait, .. } => Problem::too_many(fault, whole_seconds(*wait)),
        Fault::Busy { .. } => Problem::unavailable(fault),
        _ => Problem::new(StatusCode::BAD_GATEWAY, fault),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    query: Value,
    #[serde(default)]
    period: Period,
    #[serde(default = "one")]
    windows: u32,
}

fn one() -> u32 {
    1
}

/// What a query gives over the last windows.
pub(crate) async fn metric(
    call: Call,
    Path(project): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let wish: Wish = strict::read(body).map_err(Problem::invalid)?;
    let query = Query::parse(&wish.query).map_err(|e| Problem::invalid(format_args!("query: {e}")))?;
    let tenant = call.tenant();
    let project = call.host.read(move |view| auth::project(view, tenant, &project)).await?.id;
    let only_text = super::query::only_texts(&call, project).await?;
    let parsed = MetricQuery::of(&query, &|name| only_text.contains(name)).map_err(|error| not_a_metric(&error))?;
    let shown = call.host.export.preview_metric(project, parsed.query, wish.period, wish.windows).await;
    let windows: Vec<Value> =
        shown.map_err(Problem::from)?.iter().map(|(window, batch)| batch_json(*window, batch)).collect();
    Ok(Json(json!({"windows": windows, "dropped_time_frame": parsed.dropped_time_frame})).into_response())
}

/// Why a query cannot be a metric; `nearest` of the document is one that can, if there is one.
pub(super) fn not_a_metric(error: &QueryError) -> Problem {
    let nearest = error.nearest().and_then(|query| serde_json::from_str(query).ok());
    let problem = Problem::invalid(format_args!("query: {error}"));
    match nearest {
        Some(nearest) => problem.with("nearest", nearest),
        None => problem,
    }
}

fn batch_json(window: Window, batch: &MetricBatch) -> Value {
    let dimensions: Vec<&str> = batch.dimensions.iter().map(|d| d.name.as_str()).collect();
    let measures: Vec<Value> =
        batch.measures.iter().map(|m| json!({"attribute": m.attribute, "aggregate": m.aggregate})).collect();
    let shown = batch.live_rows.min(MOST_ROWS);
    let row = |row: u32| {
        let group: Vec<Option<&str>> = (0..dimensions.len()).map(|d| batch.dimension_text(d, row)).collect();
        // NaN stands for no value, which JSON writes as null.
        let values: Vec<Value> = batch.measures.iter().map(|m| json!(m.values.get(row as usize))).collect();
        json!({"group": group, "values": values})
    };
    json!({
        "window": window_json(window),
        "dimensions": dimensions,
        "measures": measures,
        "rows": (0..shown).map(row).collect::<Vec<_>>(),
        "rows_in_all": batch.live_rows,
        "folded_groups": batch.folded_groups,
    })
}
