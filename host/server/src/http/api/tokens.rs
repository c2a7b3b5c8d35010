//! API tokens and submission tokens. A token is told once, when it is made; afterwards only its first characters are known.

use super::JsonBody;
use super::page::{Parameters, Rules};
use crate::http::auth::{self, Call};
use crate::http::path::Path;
use crate::http::problem::Problem;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::num::NonZeroU32;
use tidegate_export::catalog::{ApiToken, CatalogError, Kind, Role, Subject, SubmissionToken, TokenSpec, View};
use tidegate_model::strict;

/// What the list of API tokens can do.
pub(crate) const LIST: Rules = Rules {
    list: "tokens",
    id: &["name"],
    sorts: &["name", "created", "expires"],
    filters: &["role", "project", "operator"],
};

/// What the list of submission tokens can do.
pub(crate) const SUBMISSION: Rules =
    Rules { list: "submission_tokens", id: &["id"], sorts: &["id", "created"], filters: &["hint"] };

/// The API tokens of the tenant.
pub(crate) async fn list(call: Call, parameters: Parameters) -> Result<Response, Problem> {
    let page = parameters.page(&LIST)?;
    let tenant = call.tenant();
    let tokens = call.host.read(move |view| {
        let tokens = view.api_tokens(tenant)?;
        tokens.iter().map(|token| token_json(view, token)).collect::<Result<Vec<Value>, _>>()
    });
    Ok(page.answer(tokens.await?))
}

fn token_json(view: &View<'_>, token: &ApiToken) -> Result<Value, CatalogError> {
    let project = token.project.map(|id| view.project(id)).transpose()?.map(|p| p.name);
    Ok(json!({
        "name": token.name, "hint": token.hint, "created": token.created, "operator": token.operator, "project": project,
        "role": token.role, "expires": token.expires,
    }))
}

/// What a token should be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    name: String,
    /// The only project that it opens; all of the tenant without it.
    project: Option<String>,
    #[serde(default = "admin")]
    role: Role,
    #[serde(default)]
    operator: bool,
    /// Seconds until it stops to work; never without it.
    expires_in: Option<NonZeroU32>,
}

fn admin() -> Role {
    Role::Admin
}

/// Makes an API token. It can do no more than who makes it.
pub(crate) async fn create(call: Call, JsonBody(body): JsonBody) -> Result<Response, Problem> {
    let wish: Wish = strict::read(body).map_err(Problem::invalid)?;
    if wish.operator && !call.access().operator {
        return Err(Problem::forbidden("operator: only operators make tokens that run the host"));
    }
    if wish.operator && (wish.project.is_some() || wish.role != Role::Admin) {
        return Err(Problem::invalid("operator: such a token is for the whole host and has no lesser role"));
    }
    let tenant = call.tenant();
    let made = call.change("create", Subject::ApiToken(wish.name.clone()), move |edit| {
        let project = wish.project.as_ref().map(|name| auth::project(edit, tenant, name)).transpose()?.map(|p| p.id);
        let expires = wish.expires_in.map(|seconds| edit.after(u64::from(seconds.get())));
        let spec = TokenSpec { name: &wish.name, operator: wish.operator, project, role: wish.role, expires };
        let secret = edit.create_api_token(tenant, &spec)?;
        let mut document = token_json(edit, &edit.api_token_named(tenant, &wish.name)?)?;
        document["token"] = json!(secret.expose());
        Ok(document)
    });
    Ok((StatusCode::CREATED, Json(made.await?)).into_response())
}

/// Revokes an API token.
pub(crate) async fn delete(call: Call, Path(name): Path<String>) -> Result<Response, Problem> {
    let (tenant, operator) = (call.tenant(), call.access().operator);
    let delete = call.change("delete", Subject::ApiToken(name.clone()), move |edit| {
        if edit.api_token_named(tenant, &name)?.operator && !operator {
            let why = "it runs the host; only operators revoke it".to_owned();
            return Err(CatalogError::Conflict { kind: Kind::ApiToken, name, why });
        }
        edit.delete_api_token(tenant, &name)
    });
    delete.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The submission tokens of a project.
pub(crate) async fn list_submission(
    call: Call,
    Path(project): Path<String>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let page = parameters.page(&SUBMISSION)?;
    let tenant = call.tenant();
    let tokens = call.host.read(move |view| view.submission_tokens(auth::project(view, tenant, &project)?.id)).await?;
    let shown = |t: SubmissionToken| json!({"id": t.id, "hint": t.hint, "created": t.created});
    let tokens: Vec<Value> = tokens.into_iter().map(shown).collect();
    Ok(page.answer(tokens))
}

/// Makes a submission token.
pub(crate) async fn create_submission(call: Call, Path(project): Path<String>) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let none = Subject::SubmissionToken(project.clone(), "new".to_owned());
    let named = project.clone();
    let made = call.change_from_to(
        "create",
        none,
        move |(token, _): &(SubmissionToken, _)| Subject::SubmissionToken(named, token.id.to_string()),
        move |edit| Ok((edit.create_submission_token(auth::project(edit, tenant, &project)?.id)?, Vec::new())),
    );
    let (token, secret) = made.await?;
    Ok((StatusCode::CREATED, Json(json!({"id": token.id, "token": secret.expose()}))).into_response())
}

/// Revokes a submission token.
pub(crate) async fn delete_submission(
    call: Call,
    Path((project, id)): Path<(String, i64)>,
) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let delete = call.change("delete", Subject::SubmissionToken(project.clone(), id.to_string()), move |edit| {
        edit.delete_submission_token(auth::project(edit, tenant, &project)?.id, id)
    });
    delete.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
