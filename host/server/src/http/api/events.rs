//! What is known of a project's events: the attributes there are, and single events.

use super::page::{Parameters, Rules};
use crate::http::auth::{self, Call};
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::state::blocking;
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tidegate_events::ValueType;
use tidegate_model::ObjectId;

/// What the list of attributes can do.
pub(crate) const ATTRIBUTES: Rules =
    Rules { list: "attributes", id: &["name"], sorts: &["name", "texts"], filters: &[] };

/// The attributes of a project with their types.
pub(crate) async fn attributes(
    call: Call,
    Path(project): Path<String>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let page = parameters.page(&ATTRIBUTES)?;
    let tenant = call.tenant();
    let project = call.host.read(move |view| auth::project(view, tenant, &project)).await?.id;
    let events = call.host.events.clone();
    let found = blocking(move || events.attributes(project)).await?.map_err(Problem::internal)?;
    let word = |t: &ValueType| match t {
        ValueType::Text => "text",
        ValueType::Integer => "integer",
        ValueType::Float => "float",
        ValueType::Boolean => "boolean",
    };
    let found: Vec<Value> = found
        .iter()
        .map(|a| json!({"name": a.name, "types": a.types.iter().map(word).collect::<Vec<_>>(), "texts": a.texts}))
        .collect();
    Ok(page.answer(found))
}

/// One event, by its number in hexadecimal.
pub(crate) async fn show(call: Call, Path((project, object)): Path<(String, String)>) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let id = u64::from_str_radix(&object, 16).map(ObjectId);
    let id = id
        .map_err(|_| Problem::bad_request(format_args!("{object:?} is no object id: expected a hexadecimal number")))?;
    let project = call.host.read(move |view| auth::project(view, tenant, &project)).await?.id;
    let events = call.host.events.clone();
    let event = blocking(move || events.event(project, id)).await?.map_err(Problem::internal)?;
    let event = event.ok_or_else(|| Problem::not_found(format_args!("there is no event {object:?}")))?;
    let attributes: Map<String, Value> =
        event.attributes.into_iter().map(|(name, value)| (name, json!(value))).collect();
    let report: Option<Value> = event.report.as_deref().and_then(|r| serde_json::from_slice(r).ok());
    let attachments: Vec<Value> = event
        .attachments
        .iter()
        .map(|a| json!({"name": a.name, "content_type": a.content_type, "size": a.bytes.len()}))
        .collect();
    let document =
        json!({"object": id.to_string(), "attributes": attributes, "attachments": attachments, "report": report});
    Ok(Json(document).into_response())
}
