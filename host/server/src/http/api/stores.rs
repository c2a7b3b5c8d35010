//! Metric stores: their settings, checked against the adapter's schema, and how they are doing. Secrets go in and never come
//! out.

use super::JsonBody;
use crate::apply::{self, StoreDoc};
use crate::http::auth::{self, Call};
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::state::{Host, RegistryAdapters};
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use tidegate_export::catalog::{CatalogError, Change, Project, Store, View};
use tidegate_model::TenantId;

type StorePath = Path<(String, String)>;

/// The store of a path.
pub(super) fn find(
    view: &View<'_>,
    tenant: TenantId,
    (project, store): &(String, String),
) -> Result<(Project, Store), CatalogError> {
    let project = auth::project(view, tenant, project)?;
    let store = view.store_named(project.id, store)?;
    Ok((project, store))
}

async fn store_json(host: &Host, project: &Project, store: &Store) -> Result<Value, Problem> {
    let status = host.export.store_status(store.id).await?;
    Ok(json!({
        "project": project.name,
        "name": store.name,
        "adapter": store.adapter,
        "period": store.period,
        "settings": store.settings,
        "metric_sets": store.metric_sets,
        "paused": store.paused,
        "revision": store.revision,
        "status": status,
    }))
}

async fn many(host: &Host, stores: Vec<(Project, Store)>) -> Result<Response, Problem> {
    let mut documents = Vec::with_capacity(stores.len());
    for (project, store) in &stores {
        match store_json(host, project, store).await {
            Ok(document) => documents.push(document),
            // Deleted while the list was made.
            Err(problem) if problem.status() == StatusCode::NOT_FOUND => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(Json(json!({"metric_stores": documents})).into_response())
}

/// The stores of all projects.
pub(crate) async fn list_all(call: Call) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let stores = call.host.read(move |view| {
        let mut stores = Vec::new();
        for project in view.projects(tenant)? {
            stores.extend(view.stores(project.id)?.into_iter().map(|s| (project.clone(), s)));
        }
        Ok(stores)
    });
    many(&call.host, stores.await?).await
}

/// The stores of a project.
pub(crate) async fn list(call: Call, Path(project): Path<String>) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let stores = call.host.read(move |view| {
        let project = auth::project(view, tenant, &project)?;
        Ok(view.stores(project.id)?.into_iter().map(|s| (project.clone(), s)).collect())
    });
    many(&call.host, stores.await?).await
}

/// One store.
pub(crate) async fn show(call: Call, Path(path): StorePath) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let (project, store) = call.host.read(move |view| find(view, tenant, &path)).await?;
    Ok(Json(store_json(&call.host, &project, &store).await?).into_response())
}

/// Makes sure that there is a store like the body. Tells what changed.
pub(crate) async fn put(
    call: Call,
    Path((project, name)): StorePath,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let doc = StoreDoc::read(&name, body).map_err(Problem::invalid)?;
    let adapters = RegistryAdapters(Arc::clone(&call.host.registry));
    let put = call.host.edit(move |edit| {
        let project = auth::project(edit, tenant, &project)?;
        let (store, change, details) = apply::put_store(edit, project.id, &doc, &adapters)?;
        Ok((project, store, change, details))
    });
    let (project, store, change, details) = put.await?;
    tracing::info!(by = call.by(), project = %project.name, store = %store.name, ?details, "store put");
    let mut document = store_json(&call.host, &project, &store).await?;
    document["changes"] = json!(details);
    let status = if change == Change::Created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(document)).into_response())
}

/// Removes a store.
pub(crate) async fn delete(call: Call, Path(path): StorePath) -> Result<Response, Problem> {
    let tenant = call.tenant();
    tracing::info!(by = call.by(), project = path.0, store = path.1, "store is being deleted");
    call.host.edit(move |edit| edit.delete_store(find(edit, tenant, &path)?.1.id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Holds deliveries back.
pub(crate) async fn pause(call: Call, path: StorePath) -> Result<Response, Problem> {
    set_paused(call, path, true).await
}

/// Lets deliveries go on.
pub(crate) async fn resume(call: Call, path: StorePath) -> Result<Response, Problem> {
    set_paused(call, path, false).await
}

async fn set_paused(call: Call, Path(path): StorePath, paused: bool) -> Result<Response, Problem> {
    let tenant = call.tenant();
    call.host.edit(move |edit| edit.set_paused(find(edit, tenant, &path)?.1.id, paused)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Gives a pull store a new URL.
pub(crate) async fn rotate(call: Call, Path(path): StorePath) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let token = call.host.edit(move |edit| edit.rotate_pull_token(find(edit, tenant, &path)?.1.id)).await?;
    Ok(Json(json!({"pull_path": format!("/pull/{}", token.expose())})).into_response())
}
