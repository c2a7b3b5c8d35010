//! API tokens and submission tokens. A token is told once, when it is made; afterwards only its first characters are known.

use super::{JsonBody, text_member};
use crate::http::auth::{self, Call};
use crate::http::path::Path;
use crate::http::problem::Problem;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// The API tokens of the tenant.
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let tokens = call.host.read(move |view| view.api_tokens(tenant)).await?;
    let shown = |t: tidegate_export::catalog::ApiToken| json!({"name": t.name, "hint": t.hint, "created": t.created});
    let tokens: Vec<Value> = tokens.into_iter().map(shown).collect();
    Ok(Json(json!({"tokens": tokens})).into_response())
}

/// Makes an API token.
pub(crate) async fn create(call: Call, JsonBody(body): JsonBody) -> Result<Response, Problem> {
    let (tenant, name) = (call.tenant(), text_member(&body, "name")?);
    let wanted = name.clone();
    let token = call.host.edit(move |edit| edit.create_api_token(tenant, &wanted)).await?;
    tracing::info!(by = call.by(), token = name, "API token created");
    Ok((StatusCode::CREATED, Json(json!({"name": name, "token": token.expose()}))).into_response())
}

/// Revokes an API token.
pub(crate) async fn delete(call: Call, Path(name): Path<String>) -> Result<Response, Problem> {
    let tenant = call.tenant();
    tracing::info!(by = call.by(), token = name, "API token is being revoked");
    call.host.edit(move |edit| edit.delete_api_token(tenant, &name)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The submission tokens of a project.
pub(crate) async fn list_submission(call: Call, Path(project): Path<String>) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let tokens = call.host.read(move |view| view.submission_tokens(auth::project(view, tenant, &project)?.id)).await?;
    let shown =
        |t: tidegate_export::catalog::SubmissionToken| json!({"id": t.id, "hint": t.hint, "created": t.created});
    let tokens: Vec<Value> = tokens.into_iter().map(shown).collect();
    Ok(Json(json!({"submission_tokens": tokens})).into_response())
}

/// Makes a submission token.
pub(crate) async fn create_submission(call: Call, Path(project): Path<String>) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let made = call.host.edit(move |edit| edit.create_submission_token(auth::project(edit, tenant, &project)?.id));
    let (token, secret) = made.await?;
    Ok((StatusCode::CREATED, Json(json!({"id": token.id, "token": secret.expose()}))).into_response())
}

/// Revokes a submission token.
pub(crate) async fn delete_submission(
    call: Call,
    Path((project, id)): Path<(String, i64)>,
) -> Result<Response, Problem> {
    let tenant = call.tenant();
    call.host.edit(move |edit| edit.delete_submission_token(auth::project(edit, tenant, &project)?.id, id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
