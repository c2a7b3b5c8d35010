//! Reports from Backtrace's client libraries, which must find here what they know: the same URLs, bodies, answers and errors.
//!
//! The traps: clients retry, so a repeat must look like the first time; one client dies of an answer that is not JSON; browsers
//! ask for permission first; and nobody follows redirects.

mod form;
mod target;

use super::access::Route;
use super::body::{BodyReader, drain};
use super::problem::Problem;
use super::quotas;
use super::state::{App, Host, blocking};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use target::Target;
use tidegate_events::{EventStoreError, Receipt, SubmitError, report};
use tidegate_model::{Attachment, Event, ObjectId, ProjectId, Value};
use uuid::Uuid;

/// The code that the original gives for an empty body.
const EMPTY_BODY: u32 = 32_769;

/// An error in the form that clients read.
#[derive(Debug)]
struct Rejection {
    status: StatusCode,
    code: u32,
    message: String,
    retry_after: Option<u32>,
}

impl Rejection {
    fn new(status: StatusCode, message: impl ToString) -> Self {
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Self { status, code: u32::from(status.as_u16()), message: message.to_string(), retry_after }
    }

    fn malformed(message: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    fn overloaded(message: impl ToString) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        let retry_after = problem.retry_after();
        Self { retry_after, ..Self::new(problem.status(), problem.detail()) }
    }
}

/// What the router knows no other answer for: submissions, and everything that is not there.
pub(crate) async fn take(State(app): State<App>, request: Request) -> Response {
    let uri = request.uri().clone();
    let target = Target::parse(uri.path(), uri.query().unwrap_or_default());
    let mut response = match (request.method(), target) {
        (&Method::POST, Some(target)) => {
            let (head, body) = request.into_parts();
            let answer = submit(&app, target, &head.headers, body).await;
            respond(&app, answer)
        }
        (&Method::OPTIONS, Some(_)) => permit(request.headers()),
        // Anything beside a pull URL tells as little as a wrong one.
        _ if uri.path().split('/').find(|part| !part.is_empty()) == Some("pull") => {
            return StatusCode::NOT_FOUND.into_response();
        }
        _ => return Problem::not_found("there is nothing here; `/` tells what there is").into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response.extensions_mut().insert(Route("submission"));
    response
}

fn respond(app: &App, answer: Result<Json, Rejection>) -> Response {
    let (status, document, retry_after) = match answer {
        Ok(document) => (StatusCode::OK, document, None),
        Err(Rejection { status, code, message, retry_after }) => {
            app.metrics().rejected(1);
            tracing::debug!(%status, message, "a submission was refused");
            (status, json!({"error": {"code": code, "message": message}}), retry_after)
        }
    };
    let mut response = Response::new(Body::from(document.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A browser asks first whether pages of other origins may post here. They may: a submission token is made to be in a page.
fn permit(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let wanted = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: HeaderValue| headers.insert(name, value);
    set(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, OPTIONS"));
    set(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        wanted.unwrap_or(HeaderValue::from_static("content-type, content-encoding")),
    );
    set(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

async fn submit(app: &App, target: Target, headers: &HeaderMap, body: Body) -> Result<Json, Rejection> {
    let (host, project) = match admit(app, &target) {
        Ok(admitted) => admitted,
        Err(rejection) => {
            drain(body).await;
            return Err(rejection);
        }
    };
    let mut pass = app.enter().map_err(Rejection::overloaded)?;
    let limits = app.limits().events;
    let reader = BodyReader::new(headers, body, limits.body_bytes, app.limits().patience);
    let whole = async { reader?.all(&mut pass).await };
    let body = whole.await.map_err(|e| Rejection::new(e.status(), e))?;
    if body.is_empty() {
        return Err(Rejection { code: EMPTY_BODY, ..Rejection::malformed("empty body") });
    }
    if let (Some(object), Some(name)) = (&target.object, &target.attachment_name) {
        return attach(&host, project, (object, name), headers, body).await;
    }
    quotas::admit(app, &host, project, 1).await?;
    let (event, sync) = event(app, target, headers, body).await?;
    let fingerprint = text_of(&event, "fingerprint");
    let receipt = store(app, &host, project, event).await?;
    let mut answer = json!({"response": "ok", "_rxid": rxid(project, receipt.object)});
    if sync {
        answer["object"] = json!(receipt.object.to_string());
        answer["fingerprint"] = json!(fingerprint);
    }
    Ok(answer)
}

fn admit(app: &App, target: &Target) -> Result<(Arc<Host>, ProjectId), Rejection> {
    let host = app.host()?;
    let project = host.catalog.project_of_token(&target.token).ok_or_else(|| {
        app.metrics().refused("token");
        Rejection::new(StatusCode::FORBIDDEN, "invalid token")
    })?;
    if target.format != "json" {
        let format = &target.format;
        return Err(Rejection::malformed(format_args!("format {format:?} is not taken here; send json")));
    }
    Ok((host, project))
}

/// Makes an event of a body, which is either the report or a form with the report in it. Tells too whether the client wants
/// to know the object's id, which it may say in the URL or in the form.
async fn event(app: &App, target: Target, headers: &HeaderMap, body: Bytes) -> Result<(Event, bool), Rejection> {
    let limits = app.limits().events;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let (json, mut attributes, attachments) = match form::boundary(content_type) {
        None => (body, Vec::new(), Vec::new()),
        Some(boundary) => {
            let boundary = boundary.map_err(Rejection::malformed)?;
            let parts = form::read(body, boundary, &limits).await.map_err(Rejection::malformed)?;
            (parts.report.unwrap_or_default(), parts.attributes, parts.attachments)
        }
    };
    let sync = target.sync || attributes.iter().any(|(name, _)| name == "_mod_sync");
    attributes.extend(target.attributes);
    let extra = attributes.into_iter().map(|(name, text)| (name, Value::Str(text))).collect();
    let parsed = blocking(move || report::parse(&json, extra, &limits)).await?;
    let mut event = parsed.map_err(Rejection::malformed)?;
    event.attachments = attachments;
    Ok((event, sync))
}

async fn store(app: &App, host: &Host, project: ProjectId, event: Event) -> Result<Receipt, Rejection> {
    // A task of its own: if the client hangs up now, the event is stored all the same, and its retry is a repeat.
    let store = host.events.clone();
    let stored = tokio::spawn(async move { store.submit(project, vec![event]).await });
    let receipts = stored.await.map_err(Problem::internal)?.map_err(|error| match error {
        SubmitError::Refused { refusal, .. } => Rejection::malformed(refusal),
        other => Rejection::overloaded(other),
    })?;
    let receipt = receipts.first().copied().ok_or_else(|| Problem::internal("the event store gave no receipt"))?;
    app.metrics().taken(u64::from(!receipt.duplicate), u64::from(receipt.duplicate));
    Ok(receipt)
}

/// Adds a file to an event that is stored already.
async fn attach(
    host: &Host,
    project: ProjectId,
    (object, name): (&str, &str),
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Json, Rejection> {
    let unknown = || Rejection::new(StatusCode::NOT_FOUND, format_args!("no such object {object:?}"));
    let object = object_of(project, object).ok_or_else(unknown)?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(ToOwned::to_owned);
    let name = form::plain_name(name);
    let attachment = Attachment { name: name.clone(), content_type, bytes: body.to_vec() };
    let store = host.events.clone();
    let attached = blocking(move || store.attach(project, object, attachment)).await?;
    let id = attached.map_err(|error| match error {
        EventStoreError::NoSuchEvent { .. } => unknown(),
        EventStoreError::Refused(refusal) => Rejection::malformed(refusal),
        other => Rejection::overloaded(other),
    })?;
    Ok(json!({
        "response": "ok",
        "_rxid": rxid(project, object),
        "attachment_name": name,
        "attachment_id": id.0.to_string(),
        "object": object.to_string(),
    }))
}

fn text_of(event: &Event, attribute: &str) -> Option<String> {
    let (_, value) = event.attributes.iter().find(|(name, _)| name == attribute)?;
    Some(value.text().into_owned())
}

/// The receipt: looks like a uuid, is opaque to clients, and the same for the same event.
fn rxid(project: ProjectId, object: ObjectId) -> String {
    let project = u128::from(project.0.unsigned_abs() & 0xffff_ffff);
    Uuid::from_u128(project << 96 | u128::from(object.0)).to_string()
}

/// The object that a client names by its receipt, or by its number in hexadecimal.
fn object_of(project: ProjectId, text: &str) -> Option<ObjectId> {
    if let Ok(id) = Uuid::try_parse(text) {
        let object = ObjectId(u64::try_from(id.as_u128() & u128::from(u64::MAX)).ok()?);
        return (rxid(project, object) == id.to_string()).then_some(object);
    }
    u64::from_str_radix(text, 16).ok().map(ObjectId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_leads_back_to_its_object_in_its_own_project_only() {
        let id = rxid(ProjectId(7), ObjectId(0x1f2e));
        assert_eq!(id.len(), 36);
        assert_eq!(object_of(ProjectId(7), &id), Some(ObjectId(0x1f2e)));
        assert_eq!(object_of(ProjectId(8), &id), None);
        assert_eq!(object_of(ProjectId(7), "1f2e"), Some(ObjectId(0x1f2e)));
        assert_eq!(object_of(ProjectId(7), "xyz"), None);
    }
}
