//! Tenants and projects.

use super::page::{Parameters, Rules};
use super::{JsonBody, text_member};
use crate::http::auth::{self, Call};
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::state::blocking;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use tidegate_events::ProjectUsage;
use tidegate_export::catalog::{CatalogError, DEFAULT_TENANT, Project, Subject, TokenSpec};
use tidegate_model::{Retention, strict};

/// What the list of tenants can do.
pub(crate) const TENANTS: Rules = Rules { list: "tenants", id: &["name"], sorts: &["name"], filters: &[] };

/// What the list of projects can do.
pub(crate) const LIST: Rules = Rules {
    list: "projects",
    id: &["name"],
    sorts: &["name", "events.stored", "events.bytes", "events.oldest_arrival"],
    filters: &[],
};

/// The tenants.
pub(crate) async fn tenants(call: Call, parameters: Parameters) -> Result<Response, Problem> {
    let page = parameters.page(&TENANTS)?;
    let tenants = call.host.read(|view| view.tenants()).await?;
    let tenants: Vec<Value> = tenants.into_iter().map(|t| json!({"name": t.name})).collect();
    Ok(page.answer(tenants))
}

/// Makes a tenant, and its first API token, which is told this once.
pub(crate) async fn create_tenant(call: Call, JsonBody(body): JsonBody) -> Result<Response, Problem> {
    let name = text_member(&body, "name")?;
    let made = call.change("create", Subject::Tenant(name.clone()), move |edit| {
        let tenant = edit.create_tenant(&name)?;
        Ok((tenant.name, edit.create_api_token(tenant.id, &TokenSpec::admin("admin"))?))
    });
    let (name, token) = made.await?;
    Ok((StatusCode::CREATED, Json(json!({"name": name, "token": token.expose()}))).into_response())
}

/// Removes a tenant that has no projects.
pub(crate) async fn delete_tenant(call: Call, Path(name): Path<String>) -> Result<Response, Problem> {
    if name == DEFAULT_TENANT {
        return Err(Problem::conflict("the first tenant cannot be removed: the host's own tokens are in it"));
    }
    let subject = Subject::Tenant(name.clone());
    call.remove(subject, move |edit| edit.delete_tenant(edit.tenant_named(&name)?.id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The projects of the tenant, and what their events take.
pub(crate) async fn list(call: Call, parameters: Parameters) -> Result<Response, Problem> {
    let page = parameters.page(&LIST)?;
    let tenant = call.tenant();
    let projects = call.visible(call.host.read(move |view| view.projects(tenant)).await?);
    let events = call.host.events.clone();
    let (usages, _) = blocking(move || events.usages()).await?.map_err(Problem::internal)?;
    let usages: HashMap<_, _> = usages.iter().map(|usage| (usage.project, usage)).collect();
    let used = |id| usages.get(&id).copied();
    let project = |p: &Project| json!({"name": p.name, "retention": p.retention, "events": taken(used(p.id))});
    let projects: Vec<Value> = projects.iter().map(project).collect();
    Ok(page.answer(projects))
}

/// What the events of a project take, as the API tells it.
fn taken(usage: Option<&ProjectUsage>) -> Value {
    let oldest = usage.map(|usage| usage.oldest.micros());
    let usage = usage.map_or((0, 0, 0), |usage| (usage.events, usage.segments, usage.bytes));
    json!({"stored": usage.0, "segments": usage.1, "bytes": usage.2, "oldest_arrival": oldest})
}

/// A project with what is in it, by name.
pub(crate) async fn show(call: Call, Path(name): Path<String>) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let found = call.host.read(move |view| {
        let project = auth::project(view, tenant, &name)?;
        let sets: Vec<_> = view.metric_sets(project.id)?.into_iter().map(|s| s.name).collect();
        let stores = view.store_names_in(project.id)?;
        Ok((project, sets, stores))
    });
    let (project, sets, stores) = found.await?;
    let (events, export, id) = (call.host.events.clone(), Arc::clone(&call.host.export), project.id);
    let (usage, owed) = blocking(move || (events.usage(id), export.owed_since(id))).await?;
    let (usage, owed) = (usage.map_err(Problem::internal)?, owed.map_err(Problem::internal)?);
    let document = json!({
        "name": project.name, "metric_sets": sets, "metric_stores": stores, "retention": project.retention,
        "events": taken(usage.as_ref()),
        // From here on nothing is removed: a store is to get windows of these events.
        "owed_since": owed.map(|owed| owed.micros()),
    });
    Ok(Json(document).into_response())
}

/// How long the events of a project are kept.
pub(crate) async fn retention(call: Call, Path(name): Path<String>) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let project = call.host.read(move |view| auth::project(view, tenant, &name)).await?;
    Ok(Json(json!(project.retention)).into_response())
}

/// Says how long the events of a project are kept. What is left out is no bound.
pub(crate) async fn set_retention(
    call: Call,
    Path(name): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let wanted: Retention = strict::read(body).map_err(Problem::invalid)?;
    let subject = Subject::Project(name.clone());
    let set = call.change("set-retention", subject, move |edit| {
        edit.set_retention(auth::project(edit, tenant, &name)?.id, wanted)
    });
    set.await?;
    Ok(Json(json!(wanted)).into_response())
}

/// Makes a project, with a submission token that is told this once.
pub(crate) async fn create(call: Call, JsonBody(body): JsonBody) -> Result<Response, Problem> {
    let name = text_member(&body, "name")?;
    make(&call, name).await
}

/// Makes sure that there is a project.
pub(crate) async fn put(call: Call, Path(name): Path<String>) -> Result<Response, Problem> {
    let (tenant, wanted) = (call.tenant(), name.clone());
    match call.host.read(move |view| view.project_named(tenant, &wanted)).await {
        Ok(project) => Ok(Json(json!({"name": project.name})).into_response()),
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => make(&call, name).await,
        Err(problem) => Err(problem),
    }
}

async fn make(call: &Call, name: String) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let made = call.change("create", Subject::Project(name.clone()), move |edit| {
        let project = edit.create_project(tenant, &name)?;
        let (_, token) = edit.create_submission_token(project.id)?;
        Ok::<_, CatalogError>((project.name, token))
    });
    let (name, token) = made.await?;
    Ok((StatusCode::CREATED, Json(json!({"name": name, "submission_token": token.expose()}))).into_response())
}

/// Removes a project with all that is in it.
pub(crate) async fn delete(call: Call, Path(name): Path<String>) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let subject = Subject::Project(name.clone());
    call.remove(subject, move |edit| edit.delete_project(auth::project(edit, tenant, &name)?.id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
