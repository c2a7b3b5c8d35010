//! The query API of Backtrace, for clients that know no other: `POST /api/query`, with the token wherever they put it.
//!
//! The traps: these clients read an error's text only under status 200, compare some of the texts, and want a content type
//! without parameters.

pub(crate) mod answer;

use super::access::Route;
use super::auth::{self, Need, Verdict};
use super::body::BodyReader;
use super::explore;
use super::problem::Problem;
use super::state::{App, Host, blocking};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tidegate_events::Source;
use tidegate_export::catalog::{Access, Role};
use tidegate_model::{ProjectId, Query, QueryError};

/// The code that the original gives for an empty body.
const EMPTY_BODY: u32 = 32_769;

/// An error as these clients read it.
struct Refusal {
    code: u32,
    message: String,
}

impl Refusal {
    fn new(message: impl ToString) -> Self {
        Self { code: 1, message: message.to_string() }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { code: u32::from(problem.status().as_u16()), message: problem.detail().to_owned() }
    }
}

/// `POST /api/query`.
pub(crate) async fn query(State(app): State<App>, request: Request) -> Response {
    let document = match respond(&app, request).await {
        Ok(document) => document,
        Err(Refusal { code, message }) => json!({"error": {"code": code, "message": message}}),
    };
    let mut response = Response::new(Body::from(document.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.extensions_mut().insert(Route("/api/query"));
    response
}

async fn respond(app: &App, request: Request) -> Result<Json, Refusal> {
    let (head, body) = request.into_parts();
    let parameters: HashMap<String, String> =
        url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let reader = BodyReader::new(&head.headers, body, app.limits().api_bytes, app.limits().patience);
    let mut pass = app.enter().map_err(Problem::unavailable)?;
    let whole = async { reader?.all(&mut pass).await };
    let bytes = whole.await.map_err(Refusal::new)?;
    drop(pass);
    let describes = parameters.get("action").is_some_and(|action| action == "describe");
    if bytes.is_empty() && !describes {
        return Err(Refusal { code: EMPTY_BODY, message: "empty body".to_owned() });
    }
    let mut body: Json =
        if bytes.is_empty() { json!({}) } else { serde_json::from_slice(&bytes).map_err(Refusal::new)? };
    let in_body = body.as_object_mut().and_then(|members| members.remove("token"));
    let token = token(&parameters, &head.headers).or_else(|| in_body?.as_str().map(ToOwned::to_owned));
    let host = app.host()?;
    let access = token.and_then(|token| host.catalog.api_access(&token)).ok_or_else(|| {
        app.metrics().refused("token");
        Refusal::new("invalid token")
    })?;
    let (project, name) = project(&host, &access, parameters)?;
    let events = host.events.clone();
    let described = blocking(move || events.describe(project)).await?.map_err(Problem::from)?;
    if describes || body.get("action").is_some_and(|action| action == "describe") {
        return Ok(answer::describe(&described));
    }
    let query = Query::parse(&body).map_err(|error| Refusal::new(told(&error)))?;
    let begun = Instant::now();
    let found = explore::answer(app, &host, project, query.clone(), None).await?;
    Ok(answer::response(&query, &found, &described, &name, begun.elapsed()))
}

/// The token from the places where clients put it: the URL, a header of their own, a cookie, or as ours do.
fn token(parameters: &HashMap<String, String>, headers: &HeaderMap) -> Option<String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let cookie = || {
        let pairs = header("cookie")?.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, _)| *name == "token").map(|(_, value)| value).next()
    };
    let given = parameters.get("token").map(String::as_str).or_else(|| header("x-coroner-token"));
    given.or_else(cookie).or_else(|| auth::bearer(headers)).map(ToOwned::to_owned)
}

/// The project that the parameters name, in the words that clients look for if there is none.
fn project(
    host: &Arc<Host>,
    access: &Access,
    mut parameters: HashMap<String, String>,
) -> Result<(ProjectId, String), Refusal> {
    let project = parameters.remove("project").unwrap_or_default();
    let tenant = match parameters.remove("universe") {
        None => access.home,
        Some(universe) => {
            let found = host.catalog.tenant_id(&universe).filter(|id| access.role_somewhere(*id).is_some());
            Some(found.ok_or_else(|| Refusal::new(format!("no such universe '{universe}'")))?)
        }
    };
    let found = tenant.and_then(|tenant| Some((tenant, host.catalog.project_id(tenant, &project)?)));
    let missing = || Refusal::new(format!("no such project '{project}'"));
    let (tenant, id) = found.ok_or_else(missing)?;
    match auth::decide(Need::Project(Role::Member), access, tenant, Some(id)) {
        Verdict::Granted => Ok((id, project)),
        Verdict::Hidden => Err(missing()),
        Verdict::Refused => Err(Refusal::new("this needs the role member in the project")),
    }
}

/// What is wrong with a query, in the words that clients look for where they look for some.
fn told(error: &QueryError) -> String {
    match error {
        QueryError::NoSuchColumn { .. } => "column not found for aggregate value term".to_owned(),
        QueryError::Form { member, .. } if member == "table" => "invalid parameter 'table'".to_owned(),
        QueryError::Form { member, .. } if member == "limit" || member == "offset" => {
            format!("{member} must be positive")
        }
        QueryError::UnknownMember { member } => format!("invalid parameter '{member}'"),
        other => other.to_string(),
    }
}
