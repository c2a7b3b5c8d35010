//! Questions about a project's events. The answer is a document of our own or one in Backtrace's form; whoever takes
//! `application/x-ndjson` gets a line of progress now and then before the line with the answer.

use super::JsonBody;
use super::page::{Parameters, Rules};
use crate::http::auth::{self, Call};
use crate::http::backtrace::answer::response;
use crate::http::explore;
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::state::App;
use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tidegate_events::explore::{Answer, AnswerRows, AttributeDescription, Cell, Progress};
use tidegate_events::{Source, ValueType};
use tidegate_model::query::Bound;
use tidegate_model::{ProjectId, Query};
use tokio::sync::watch;

/// Time between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// What the list of attributes can do.
pub(crate) const ATTRIBUTES: Rules =
    Rules { list: "attributes", id: &["name"], sorts: &["name"], filters: &["format", "built_in"] };

/// The attributes that queries can use.
pub(crate) async fn describe(
    call: Call,
    Path(project): Path<String>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let page = parameters.page(&ATTRIBUTES)?;
    let tenant = call.tenant();
    let project = call.host.read(move |view| auth::project(view, tenant, &project)).await?.id;
    let found: Vec<Value> = descriptions(&call, project).await?.iter().map(description_json).collect();
    Ok(page.answer(found))
}

/// The attributes of a project that never held anything but text, so that metrics cannot take numbers from them.
pub(super) async fn only_texts(call: &Call, project: ProjectId) -> Result<HashSet<String>, Problem> {
    let described = descriptions(call, project).await?.into_iter();
    Ok(described.filter(|attribute| attribute.types == [ValueType::Text]).map(|attribute| attribute.name).collect())
}

async fn descriptions(call: &Call, project: ProjectId) -> Result<Vec<AttributeDescription>, Problem> {
    let events = call.host.events.clone();
    Ok(crate::http::state::blocking(move || events.describe(project)).await??)
}

fn description_json(attribute: &AttributeDescription) -> Value {
    let word = |t: &ValueType| match t {
        ValueType::Text => "text",
        ValueType::Integer => "integer",
        ValueType::Float => "float",
        ValueType::Boolean => "boolean",
    };
    let types: Vec<_> = attribute.types.iter().map(word).collect();
    json!({
        "name": attribute.name, "types": types, "format": attribute.format, "texts": attribute.texts,
        "built_in": attribute.built_in,
    })
}

/// The answer to a query.
pub(crate) async fn ask(
    State(app): State<App>,
    call: Call,
    Path(project): Path<String>,
    RawQuery(parameters): RawQuery,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let form = form(parameters.as_deref().unwrap_or_default())?;
    let query = Query::parse(&body).map_err(|error| Problem::invalid(format_args!("query: {error}")))?;
    let tenant = call.tenant();
    let project = call.host.read(move |view| auth::project(view, tenant, &project)).await?;
    let described = if form == Form::Backtrace { descriptions(&call, project.id).await? } else { Vec::new() };
    let asked = Asked { app, call, project: project.id, name: project.name.to_string(), query, form, described };
    if streams(&headers) {
        return Ok(asked.stream());
    }
    Ok(Json(asked.answer(None).await?).into_response())
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Own,
    Backtrace,
}

fn form(parameters: &str) -> Result<Form, Problem> {
    let mut form = Form::Own;
    for (name, value) in url::form_urlencoded::parse(parameters.as_bytes()) {
        form = match (name.as_ref(), value.as_ref()) {
            ("form", "backtrace") => Form::Backtrace,
            ("form", "tidegate") => Form::Own,
            ("form", other) => {
                let told = format!("form: expected tidegate or backtrace, found {other:?}");
                return Err(Problem::bad_request(told));
            }
            _ => form,
        };
    }
    Ok(form)
}

fn streams(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with("application/x-ndjson"))
}

/// A query with all that its answer needs.
struct Asked {
    app: App,
    call: Call,
    project: ProjectId,
    name: String,
    query: Query,
    form: Form,
    described: Vec<AttributeDescription>,
}

impl Asked {
    async fn answer(self, progress: Option<watch::Sender<Progress>>) -> Result<Value, Problem> {
        let begun = Instant::now();
        let answer = explore::answer(&self.app, &self.call.host, self.project, self.query.clone(), progress).await?;
        Ok(match self.form {
            Form::Own => document(&self.query, &answer, begun.elapsed()),
            Form::Backtrace => response(&self.query, &answer, &self.described, &self.name, begun.elapsed()),
        })
    }

    /// Lines: `{"progress": ...}` now and then, at the end `{"answer": ...}` or `{"error": ...}`.
    fn stream(self) -> Response {
        let (progress, seen) = watch::channel(Progress::default());
        let working = Box::pin(self.answer(Some(progress)));
        let lines = stream::unfold(Some((working, seen)), |state| async move {
            let (mut working, mut seen) = state?;
            let next = tokio::select! {
                done = &mut working => {
                    let last = match done {
                        Ok(answer) => json!({"answer": answer}),
                        Err(problem) => json!({"error": problem.document()}),
                    };
                    return Some((line(&last), None));
                }
                () = tokio::time::sleep(PROGRESS_EVERY) => *seen.borrow_and_update(),
            };
            let Progress { done, total, events } = next;
            Some((line(&json!({"progress": {"done": done, "total": total, "events": events}})), Some((working, seen))))
        });
        let mut response = Response::new(Body::from_stream(lines));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        response
    }
}

fn line(document: &Value) -> Result<Bytes, Infallible> {
    let mut text = document.to_string();
    text.push('\n');
    Ok(text.into())
}

/// The answer in our own form.
fn document(query: &Query, answer: &Answer, took: Duration) -> Value {
    let (columns, rows): (Vec<Value>, Vec<Value>) = match &answer.rows {
        AnswerRows::Groups(rows) => {
            let mut columns: Vec<Value> =
                query.group.iter().map(|name| json!({"name": name, "kind": "group"})).collect();
            columns.push(json!({"name": "events", "kind": "count"}));
            columns.extend(query.fold.iter().map(|spec| {
                json!({"name": spec.label(), "kind": "fold", "attribute": spec.attribute, "fold": spec.fold.as_str()})
            }));
            let row = |row: &tidegate_events::explore::GroupRow| {
                let values: Vec<Value> = row.cells.iter().map(cell_json).collect();
                json!({"group": row.key, "events": row.events, "values": values})
            };
            (columns, rows.iter().map(row).collect())
        }
        AnswerRows::Events { columns, rows } => {
            let columns = columns.iter().map(|name| json!({"name": name, "kind": "attribute"})).collect();
            (columns, rows.iter().map(|row| json!({"object": row.object.to_string(), "values": row.values})).collect())
        }
    };
    json!({
        "columns": columns,
        "rows": rows,
        "events": answer.events,
        "scanned": answer.scanned,
        "groups": answer.groups,
        "groups_having": answer.groups_having,
        "unknown_attributes": answer.unknown,
        "seconds": (took.as_secs_f64() * 1e6).round() / 1e6,
    })
}

fn bound_json(bound: Bound) -> Value {
    match bound {
        Bound::Int(int) => json!(int),
        Bound::Float(float) => json!(float),
    }
}

fn cell_json(cell: &Cell) -> Value {
    match cell {
        Cell::Value(value) => json!(value),
        Cell::Range(range) => json!(range),
        Cell::Histogram(values) => json!(values),
        Cell::Distribution { keys, tail, listed } => json!({"keys": keys, "tail": tail, "values": listed}),
        Cell::Bins(bins) => {
            bins.iter().map(|(from, to, n)| json!([bound_json(*from), bound_json(*to), n])).collect::<Vec<_>>().into()
        }
        Cell::Object(object) => json!(object.map(|object| object.to_string())),
    }
}
