//! Lists of metric stores, a page at a time: there may be thousands, and how one is doing takes a look into the ledger.
//!
//! So only the stores of the page are looked at, unless the list is filtered or sorted by how they are doing.

use super::stores::{store_document, without_credentials};
use crate::http::auth::{self, Call};
use crate::http::path::Path;
use crate::http::problem::Problem;
use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use tidegate_export::StoreStatus;
use tidegate_export::catalog::{Project, Role, Store};
use tidegate_model::{ProjectId, StoreId};

/// Most stores of a page.
pub(super) const MOST_STORES: usize = 500;
/// Most windows of the outcomes beside a store.
pub(super) const MOST_RECENT: u32 = 100;

/// Which stores, and in which order.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    /// Stores of the page; all of them if it is not given.
    limit: Option<usize>,
    /// Stores before the page.
    #[serde(default)]
    offset: usize,
    /// Words that name, project, adapter or metric sets have to hold.
    #[serde(default)]
    find: String,
    /// States, with commas between them.
    #[serde(default)]
    state: String,
    /// What comes first; with `-` in front, what comes last.
    #[serde(default)]
    sort: String,
    /// Outcomes of so many windows come with each store.
    #[serde(default)]
    recent: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Key {
    Name,
    Project,
    Adapter,
    Period,
    State,
    LastShared,
    Next,
    Oldest,
}

const KEYS: [(&str, Key); 8] = [
    ("name", Key::Name),
    ("project", Key::Project),
    ("adapter", Key::Adapter),
    ("period", Key::Period),
    ("state", Key::State),
    ("last_shared", Key::LastShared),
    ("next", Key::Next),
    ("oldest_undelivered", Key::Oldest),
];

/// What a list can be sorted by.
pub(super) fn orders() -> Vec<String> {
    let both = KEYS.iter().flat_map(|(name, _)| [(*name).to_owned(), format!("-{name}")]);
    std::iter::once(String::new()).chain(both).collect()
}

impl Key {
    fn parse(word: &str) -> Result<Self, Problem> {
        let found = KEYS.iter().find(|(name, _)| *name == word).map(|(_, key)| *key);
        found.ok_or_else(|| {
            let words: Vec<_> = KEYS.iter().map(|(name, _)| *name).collect();
            Problem::invalid(format_args!("sort: expected one of {}, found {word:?}", words.join(", ")))
        })
    }

    /// Whether it asks how a store is doing.
    fn asks(self) -> bool {
        !matches!(self, Self::Name | Self::Project | Self::Adapter | Self::Period)
    }
}

type Listed = (Project, Store);
type Statuses = HashMap<StoreId, StoreStatus>;

/// The stores of all projects.
pub(crate) async fn list_all(call: Call, wish: Result<Query<Wish>, QueryRejection>) -> Result<Response, Problem> {
    let (tenant, asks) = (call.tenant(), call.clone());
    let stores = call.host.read(move |view| {
        let projects = asks.visible(view.projects(tenant)?);
        let of: HashMap<ProjectId, Project> = projects.into_iter().map(|p| (p.id, p)).collect();
        let all = view.stores_of(tenant)?.into_iter();
        let mut stores: Vec<Listed> = all.filter_map(|s| Some((of.get(&s.project)?.clone(), s))).collect();
        stores.sort_by(|(a_project, a), (b_project, b)| (&a_project.name, &a.name).cmp(&(&b_project.name, &b.name)));
        Ok(stores)
    });
    answer(&call, stores.await?, wish).await
}

/// The stores of a project.
pub(crate) async fn list(
    call: Call,
    Path(project): Path<String>,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let stores = call.host.read(move |view| {
        let project = auth::project(view, tenant, &project)?;
        Ok(view.stores(project.id)?.into_iter().map(|s| (project.clone(), s)).collect())
    });
    answer(&call, stores.await?, wish).await
}

async fn answer(
    call: &Call,
    mut stores: Vec<Listed>,
    wish: Result<Query<Wish>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wish) = wish.map_err(|e| Problem::invalid(e.body_text()))?;
    if wish.limit.is_some_and(|limit| limit == 0 || limit > MOST_STORES) {
        return Err(Problem::invalid(format_args!("limit: expected 1 to {MOST_STORES}")));
    }
    if wish.recent > MOST_RECENT {
        return Err(Problem::invalid(format_args!("recent: expected at most {MOST_RECENT}, found {}", wish.recent)));
    }
    let words: Vec<String> = wish.find.split_whitespace().map(str::to_lowercase).collect();
    stores.retain(|listed| fits(listed, &words));
    let (key, down) = match wish.sort.strip_prefix('-') {
        Some(word) => (Some(Key::parse(word)?), true),
        None if wish.sort.is_empty() => (None, false),
        None => (Some(Key::parse(&wish.sort)?), false),
    };
    let states: Vec<&str> = wish.state.split(',').filter(|state| !state.is_empty()).collect();
    let mut statuses = Statuses::new();
    if !states.is_empty() || key.is_some_and(Key::asks) {
        statuses = ask(call, &stores).await?;
        // Some may have been deleted meanwhile.
        stores.retain(|(_, store)| {
            statuses.get(&store.id).is_some_and(|s| states.is_empty() || states.iter().any(|wanted| is(s, wanted)))
        });
    }
    if let Some(key) = key {
        sort(&mut stores, &statuses, key, down);
    }
    let total = stores.len();
    let page: Vec<Listed> = stores.into_iter().skip(wish.offset).take(wish.limit.unwrap_or(usize::MAX)).collect();
    if statuses.is_empty() {
        statuses = ask(call, &page).await?;
    }
    let documents = documents(call, &page, &statuses, wish.recent).await?;
    Ok(Json(json!({"metric_stores": documents, "total": total})).into_response())
}

fn fits((project, store): &Listed, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let mut text = format!("{} {} {}", project.name, store.name, store.adapter);
    for set in &store.metric_sets {
        text.push(' ');
        text.push_str(set.as_str());
    }
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word))
}

async fn ask(call: &Call, stores: &[Listed]) -> Result<Statuses, Problem> {
    let ids = stores.iter().map(|(_, store)| store.id).collect();
    let statuses = call.host.export.store_statuses(ids).await?;
    Ok(statuses.into_iter().map(|status| (status.store, status)).collect())
}

/// The word for a state, as the API writes it.
fn word(status: &StoreStatus) -> String {
    json!(status.state).as_str().unwrap_or_default().to_owned()
}

fn is(status: &StoreStatus, wanted: &str) -> bool {
    word(status) == wanted
}

/// What is not there comes last, whichever way.
fn sort(stores: &mut [Listed], statuses: &Statuses, key: Key, down: bool) {
    let moment = |store: &Store| {
        let status = statuses.get(&store.id)?;
        match key {
            Key::LastShared => status.last_shared,
            Key::Next => Some(status.next_window_end),
            _ => status.oldest_undelivered,
        }
    };
    let turned = |order: Ordering| if down { order.reverse() } else { order };
    stores.sort_by(|(a_project, a), (b_project, b)| {
        let order = match key {
            Key::Name => turned(a.name.cmp(&b.name)),
            Key::Project => turned(a_project.name.cmp(&b_project.name)),
            Key::Adapter => turned(a.adapter.cmp(&b.adapter)),
            Key::Period => turned(a.period.seconds().cmp(&b.period.seconds())),
            Key::State => turned(statuses.get(&a.id).map(word).cmp(&statuses.get(&b.id).map(word))),
            Key::LastShared | Key::Next | Key::Oldest => {
                let (a, b) = (moment(a), moment(b));
                Reverse(a.is_some()).cmp(&Reverse(b.is_some())).then_with(|| turned(a.cmp(&b)))
            }
        };
        order.then_with(|| (&a_project.name, &a.name).cmp(&(&b_project.name, &b.name)))
    });
}

async fn documents(call: &Call, page: &[Listed], statuses: &Statuses, recent: u32) -> Result<Vec<Value>, Problem> {
    let mut outcomes = Vec::new();
    if recent > 0 {
        let ids = page.iter().map(|(_, store)| store.id).collect();
        outcomes = call.host.export.recent_outcomes(ids, recent).await?;
    }
    let mut documents = Vec::with_capacity(page.len());
    for (i, (project, store)) in page.iter().enumerate() {
        let Some(status) = statuses.get(&store.id) else { continue };
        let mut document = match store_document(&call.host, project, store, status, false).await {
            Ok(document) => document,
            // Deleted while the list was made.
            Err(problem) if problem.status() == StatusCode::NOT_FOUND => continue,
            Err(problem) => return Err(problem),
        };
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
