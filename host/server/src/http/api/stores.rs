//! Metric stores: their settings, checked against the adapter's schema, and how they are doing. Secrets go in and never come
//! out.

use super::{JsonBody, adapters, text_member};
use crate::apply::{self, Adapters, StoreDoc};
use crate::http::auth::{self, Call};
use crate::http::guide::Reading;
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::state::{Host, RegistryAdapters};
use crate::http::writer::Pictures;
use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tidegate_export::catalog::{CatalogError, Change, Project, Role, Store, Subject, View};
use tidegate_export::{StoreCheck, StoreStatus};
use tidegate_model::TenantId;
use tidegate_sandbox::Registry;

type StorePath = Path<(String, String)>;

/// Parameters of a request for a store.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    #[serde(default)]
    reveal: bool,
}

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

fn subject((project, store): &(String, String)) -> Subject {
    Subject::Store(project.clone(), store.clone())
}

/// A store as the API tells of it; with `reveal`, the password of its page is in it.
async fn store_json(host: &Arc<Host>, project: &Project, store: &Store, reveal: bool) -> Result<Value, Problem> {
    let status = host.export.store_status(store.id).await?;
    let reading = readings(host, vec![store.clone()], reveal).await?.pop().flatten();
    Ok(document(&host.registry, project, store, &status, reading))
}

/// The same of what is known.
pub(super) fn document(
    registry: &Registry,
    project: &Project,
    store: &Store,
    status: &StoreStatus,
    reading: Option<Reading>,
) -> Value {
    let mut document = json!({
        "project": project.name,
        "name": store.name,
        "adapter": store.adapter,
        "adapter_version": adapters::version_of(registry, store),
        "period": store.period,
        "settings": store.settings,
        "metric_sets": store.metric_sets,
        "paused": store.paused,
        "revision": store.revision,
        "status": status,
    });
    if let Some(reading) = reading {
        document["pull"] = json!(reading);
    }
    document
}

/// How the pages of stores are read, in their order; none for push stores, and where the adapter does not take the settings any
/// more. One look into the catalog for all.
pub(super) async fn readings(
    host: &Arc<Host>,
    stores: Vec<Store>,
    reveal: bool,
) -> Result<Vec<Option<Reading>>, Problem> {
    let this = Arc::clone(host);
    let read = host.read(move |view| {
        let one = |store: &Store| {
            let Ok(Some(found)) = this.registry.resolve(&store.adapter_reference()) else { return Ok(None) };
            if !store.pull {
                return Ok(None);
            }
            let adapter = found.adapter.description();
            let settings = match view.settings_of(store, adapter) {
                Ok(settings) => settings,
                Err(CatalogError::Settings { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
            let login = view.pull_login(store.id)?;
            Ok(Reading::of(&this.public_url, store, adapter, &settings, login.as_ref(), reveal))
        };
        stores.iter().map(one).collect()
    });
    read.await
}

/// A pull URL opens the page to whoever has it, so only those who could make another one see it.
pub(super) fn without_credentials(document: &mut Value) {
    document["status"]["pull_path"] = Value::Null;
    if let Some(members) = document.as_object_mut() {
        members.remove("pull");
    }
}

/// One store.
///
/// `?reveal=true` tells the password of its page, too; a log line says who asked.
pub(crate) async fn show(
    call: Call,
    Path(path): StorePath,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wish) = wish.map_err(|e| Problem::bad_request(e.body_text()))?;
    let tenant = call.tenant();
    let (wanted, named) = (path.clone(), subject(&path));
    let (project, store) = call.host.read(move |view| find(view, tenant, &wanted)).await?;
    let role = call.role_in(project.id);
    if wish.reveal {
        if role < Some(Role::Admin) {
            return Err(Problem::forbidden("reveal: only who has the role admin in the project sees credentials"));
        }
        call.note("reveal", Pictures::none(named), vec!["the login of the store's page was shown".to_owned()]).await?;
    }
    let mut document = store_json(&call.host, &project, &store, wish.reveal).await?;
    if role < Some(Role::Admin) {
        without_credentials(&mut document);
    }
    Ok(Json(document).into_response())
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
    let subject = Subject::Store(project.clone(), name);
    let put = call.change_and_tell("put", subject, move |edit| {
        let project = auth::project(edit, tenant, &project)?;
        let (store, change, details) = apply::put_store(edit, project.id, &doc, &adapters)?;
        Ok(((project, store, change, details.clone()), details))
    });
    let (project, store, change, details) = put.await?;
    // Whoever makes a store is told how to read it.
    let mut document = store_json(&call.host, &project, &store, change == Change::Created).await?;
    document["changes"] = json!(details);
    let status = if change == Change::Created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(document)).into_response())
}

/// What becomes of a deleted store's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Backlog {
    Drain,
    #[default]
    Expire,
}

/// The query of a deletion.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deletion {
    #[serde(default)]
    backlog: Backlog,
}

/// Removes a store: at once, or, with `?backlog=drain`, when what is queued for it has been delivered.
pub(crate) async fn delete(
    call: Call,
    Path(path): StorePath,
    wish: Result<Query<Deletion>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Deletion { backlog }) = wish.map_err(|e| Problem::invalid(e.body_text()))?;
    let tenant = call.tenant();
    let queued = call.change_and_tell("delete", subject(&path), move |edit| {
        let store = find(edit, tenant, &path)?.1.id;
        let queued = match backlog {
            Backlog::Drain => edit.drain_store(store)?,
            Backlog::Expire => edit.delete_store(store).map(|()| 0)?,
        };
        Ok((queued, vec![format!("backlog: {}", if backlog == Backlog::Drain { "drain" } else { "expire" })]))
    });
    match queued.await? {
        0 => Ok(StatusCode::NO_CONTENT.into_response()),
        queued => Ok((StatusCode::ACCEPTED, Json(json!({"queued": queued}))).into_response()),
    }
}

/// Gives a store another name.
pub(crate) async fn rename(call: Call, Path(path): StorePath, JsonBody(body): JsonBody) -> Result<Response, Problem> {
    let (tenant, name) = (call.tenant(), text_member(&body, "name")?);
    let renamed = Subject::Store(path.0.clone(), name.clone());
    let rename = call.change_from_to(
        "rename",
        subject(&path),
        move |()| renamed,
        move |edit| {
            edit.rename_store(find(edit, tenant, &path)?.1.id, &name)?;
            Ok(((), Vec::new()))
        },
    );
    rename.await?;
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
    let action = if paused { "pause" } else { "resume" };
    call.change(action, subject(&path), move |edit| edit.set_paused(find(edit, tenant, &path)?.1.id, paused)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Gives a pull store a new URL, and a new login if it has one. What held before is refused from now on.
pub(crate) async fn rotate(call: Call, Path(path): StorePath) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let adapters = RegistryAdapters(Arc::clone(&call.host.registry));
    let rotated = call.change_and_tell("rotate", subject(&path), move |edit| {
        let (project, store) = find(edit, tenant, &path)?;
        let known =
            store.pin.as_ref().map_or_else(|| adapters.find(&store.adapter), |pin| adapters.version(&pin.digest));
        match known {
            Some(adapter) => drop(edit.rotate_pull(store.id, &adapter.description)?),
            // Without its adapter nobody knows whether it wants a login; the URL alone shuts the old readers out.
            None => drop(edit.rotate_pull_token(store.id)?),
        }
        Ok(((project, edit.store(store.id)?), vec!["a new URL, and a new login if it has one".to_owned()]))
    });
    let (project, store) = rotated.await?;
    let document = store_json(&call.host, &project, &store, true).await?;
    let pull_path = document["status"]["pull_path"].clone();
    Ok(Json(json!({"pull_path": pull_path, "project": project.name, "name": store.name, "pull": document["pull"]}))
        .into_response())
}

/// Asks a push store's sink whether it takes the settings; writes nothing to it.
pub(crate) async fn check(call: Call, Path(path): StorePath) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let (_, store) = call.host.read(move |view| find(view, tenant, &path)).await?;
    let (outcome, reason) = match call.host.export.check_store(store.id).await? {
        StoreCheck::Holds => ("holds", None),
        StoreCheck::Fails(reason) => ("fails", Some(reason)),
        StoreCheck::Unclear(reason) => ("unclear", Some(reason)),
        StoreCheck::NotOffered => ("not-offered", None),
    };
    Ok(Json(json!({"outcome": outcome, "reason": reason})).into_response())
}
