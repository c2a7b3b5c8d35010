//! Lists of metric stores: there may be thousands, and how one is doing takes a look into the ledger.
//!
//! So only the stores of the page are looked at, unless the list is filtered or sorted by how they are doing; the page is cut out of
//! a list in short, in which each store has just what can be asked for.

use super::page::{Parameters, Rules};
use super::stores::{document, readings, without_credentials};
use crate::http::auth::{self, Call};
use crate::http::path::Path;
use crate::http::problem::Problem;
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::HashMap;
use tidegate_export::StoreStatus;
use tidegate_export::catalog::{Project, Role, Store};
use tidegate_model::{ProjectId, StoreId};

/// Most windows of the outcomes beside a store.
pub(super) const MOST_RECENT: u32 = 100;

/// What lists of stores can do.
pub(crate) const LIST: Rules = Rules {
    list: "metric_stores",
    id: &["project", "name"],
    sorts: &[
        "name",
        "project",
        "adapter",
        "period",
        "status.state",
        "status.last_shared",
        "status.next_window_end",
        "status.oldest_undelivered",
    ],
    filters: &["project", "adapter", "metric_sets", "status.state", "status.direction", "paused"],
};

type Listed = (Project, Store);

/// The stores of all projects.
pub(crate) async fn list_all(call: Call, parameters: Parameters) -> Result<Response, Problem> {
    let (tenant, asks) = (call.tenant(), call.clone());
    let stores = call.host.read(move |view| {
        let projects = asks.visible(view.projects(tenant)?);
        let of: HashMap<ProjectId, Project> = projects.into_iter().map(|p| (p.id, p)).collect();
        let all = view.stores_of(tenant)?.into_iter();
        let mut stores: Vec<Listed> = all.filter_map(|s| Some((of.get(&s.project)?.clone(), s))).collect();
        stores.sort_by(|(a_project, a), (b_project, b)| (&a_project.name, &a.name).cmp(&(&b_project.name, &b.name)));
        Ok(stores)
    });
    answer(&call, stores.await?, parameters).await
}

/// The stores of a project.
pub(crate) async fn list(call: Call, Path(project): Path<String>, parameters: Parameters) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let stores = call.host.read(move |view| {
        let project = auth::project(view, tenant, &project)?;
        Ok(view.stores(project.id)?.into_iter().map(|s| (project.clone(), s)).collect())
    });
    answer(&call, stores.await?, parameters).await
}

async fn answer(call: &Call, stores: Vec<Listed>, mut parameters: Parameters) -> Result<Response, Problem> {
    let recent = recent_of(parameters.take("recent").as_deref())?;
    let page = parameters.page(&LIST)?;
    let mut statuses = HashMap::new();
    if page.asks_for("status") {
        statuses = ask(call, &stores).await?;
    }
    let short = stores.iter().enumerate().map(|(at, listed)| in_short(at, listed, &statuses)).collect();
    let mut cut = page.cut(short);
    let at = |item: &Value| item["at"].as_u64().and_then(|at| usize::try_from(at).ok());
    let shown: Vec<Listed> = cut.items.iter().filter_map(|item| stores.get(at(item)?).cloned()).collect();
    if statuses.is_empty() {
        statuses = ask(call, &shown).await?;
    }
    cut.items = documents(call, shown, &statuses, recent).await?;
    Ok(page.answer_with(cut, &json!({})))
}

fn recent_of(given: Option<&str>) -> Result<u32, Problem> {
    let Some(text) = given else { return Ok(0) };
    let recent = text.parse().ok().filter(|recent| *recent <= MOST_RECENT);
    recent.ok_or_else(|| Problem::bad_request(format_args!("recent: expected 0 to {MOST_RECENT}, found {text:?}")))
}

/// What a store can be filtered and sorted by, and its place.
fn in_short(at: usize, (project, store): &Listed, statuses: &HashMap<StoreId, StoreStatus>) -> Value {
    let mut short = json!({
        "at": at, "project": project.name, "name": store.name, "adapter": store.adapter, "period": store.period,
        "metric_sets": store.metric_sets, "paused": store.paused,
    });
    if let Some(status) = statuses.get(&store.id) {
        short["status"] = json!({
            "state": status.state, "direction": status.direction, "last_shared": status.last_shared,
            "next_window_end": status.next_window_end, "oldest_undelivered": status.oldest_undelivered,
        });
    }
    short
}

async fn ask(call: &Call, stores: &[Listed]) -> Result<HashMap<StoreId, StoreStatus>, Problem> {
    let statuses = call.host.export.store_statuses(stores.iter().map(|(_, store)| store.clone()).collect()).await?;
    Ok(statuses.into_iter().map(|status| (status.store, status)).collect())
}

async fn documents(
    call: &Call,
    page: Vec<Listed>,
    statuses: &HashMap<StoreId, StoreStatus>,
    recent: u32,
) -> Result<Vec<Value>, Problem> {
    let mut outcomes = Vec::new();
    if recent > 0 {
        let ids = page.iter().map(|(_, store)| store.id).collect();
        outcomes = call.host.export.recent_outcomes(ids, recent).await?;
    }
    let readings = readings(&call.host, page.iter().map(|(_, store)| store.clone()).collect(), false).await?;
    let mut documents = Vec::with_capacity(page.len());
    for (i, ((project, store), reading)) in page.iter().zip(readings).enumerate() {
        let Some(status) = statuses.get(&store.id) else { continue };
        let mut document = document(&call.host.registry, project, store, status, reading);
        if call.role_in(project.id) < Some(Role::Admin) {
            without_credentials(&mut document);
        }
        if let Some(outcomes) = outcomes.get(i) {
            document["recent"] = json!(outcomes);
        }
        documents.push(document);
    }
    Ok(documents)
}
