//! Metric sets and metrics.

use super::JsonBody;
use super::page::{Parameters, Rules};
use crate::apply::MetricDoc;
use crate::http::auth::{self, Call};
use crate::http::path::Path;
use crate::http::problem::Problem;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_export::catalog::{CatalogError, Change, Metric, MetricSet, Series, Subject, View};
use tidegate_model::{MetricQuery, ProjectId, Query, TenantId, strict};

fn find(view: &View<'_>, tenant: TenantId, project: &str, set: &str) -> Result<MetricSet, CatalogError> {
    view.metric_set_named(auth::project(view, tenant, project)?.id, set)
}

fn metric_json(metric: &Metric) -> Value {
    json!({"name": metric.name, "series": metric.series, "query": metric.query.to_json()})
}

/// Sets with their metrics, and the stores that get them.
fn sets_json(view: &View<'_>, project: ProjectId, sets: &[MetricSet]) -> Result<Vec<Value>, CatalogError> {
    let connections = view.connections(project)?;
    let set = |set: &MetricSet| {
        let metrics: Vec<Value> = view.metrics(set.id)?.iter().map(metric_json).collect();
        let stores = connections.get(&set.id).map(Vec::as_slice).unwrap_or_default();
        let stores: Vec<Value> = stores.iter().map(|(name, period)| json!({"name": name, "period": period})).collect();
        Ok(
            json!({"name": set.name, "series": set.series, "revision": set.revision, "metrics": metrics, "metric_stores": stores}),
        )
    };
    sets.iter().map(set).collect()
}

fn set_json(view: &View<'_>, set: &MetricSet) -> Result<Value, CatalogError> {
    Ok(sets_json(view, set.project, std::slice::from_ref(set))?.pop().unwrap_or_default())
}

/// What the list of metric sets can do.
pub(crate) const LIST: Rules =
    Rules { list: "metric_sets", id: &["name"], sorts: &["name", "revision", "last_window.rows"], filters: &[] };

/// 201 if it is new, 200 otherwise.
fn status_of(change: &Change) -> StatusCode {
    if *change == Change::Created { StatusCode::CREATED } else { StatusCode::OK }
}

/// The metric sets of a project with their metrics.
pub(crate) async fn list(call: Call, Path(project): Path<String>, parameters: Parameters) -> Result<Response, Problem> {
    let page = parameters.page(&LIST)?;
    let tenant = call.tenant();
    let read = call.host.read(move |view| {
        let project = auth::project(view, tenant, &project)?;
        let sets = view.metric_sets(project.id)?;
        Ok((project.id, sets_json(view, project.id, &sets)?, sets))
    });
    let (project, mut documents, sets) = read.await?;
    let rows = call.host.export.newest_rows(project).await?;
    for (document, set) in documents.iter_mut().zip(&sets) {
        document["last_window"] = json!(rows.get(&set.id).map(|(rows, end)| json!({"rows": rows, "end": end})));
    }
    Ok(page.answer(documents))
}

/// One metric set with its metrics.
pub(crate) async fn show(call: Call, Path((project, set)): Path<(String, String)>) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let document = call.host.read(move |view| set_json(view, &find(view, tenant, &project, &set)?));
    Ok(Json(document.await?).into_response())
}

/// Makes sure that there is a metric set.
pub(crate) async fn put(call: Call, Path((project, set)): Path<(String, String)>) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let subject = Subject::MetricSet(project.clone(), set.clone());
    let put = call.change("put", subject, move |edit| {
        let (set, change) = edit.put_metric_set(auth::project(edit, tenant, &project)?.id, &set)?;
        Ok((set_json(edit, &set)?, change))
    });
    let (document, change) = put.await?;
    Ok((status_of(&change), Json(document)).into_response())
}

/// Removes a metric set with its metrics.
pub(crate) async fn delete(call: Call, Path((project, set)): Path<(String, String)>) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let subject = Subject::MetricSet(project.clone(), set.clone());
    call.remove(subject, move |edit| edit.delete_metric_set(find(edit, tenant, &project, &set)?.id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

type MetricPath = Path<(String, String, String)>;

/// One metric.
pub(crate) async fn show_metric(call: Call, Path((project, set, metric)): MetricPath) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let metric = call.host.read(move |view| view.metric_named(find(view, tenant, &project, &set)?.id, &metric)).await?;
    Ok(Json(metric_json(&metric)).into_response())
}

/// Makes sure that there is a metric with this query. Tells if a time frame in the query was dropped.
pub(crate) async fn put_metric(
    call: Call,
    Path((project, set, metric)): MetricPath,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let doc = MetricDoc::read(&metric, body).map_err(Problem::invalid)?;
    let name = project.clone();
    let found = call.host.read(move |view| auth::project(view, tenant, &name)).await?.id;
    let only_text = super::query::only_texts(&call, found).await?;
    // What is wrong with its form is told by the catalog, which judges every metric, wherever it comes from.
    if let Ok(query) = Query::parse(&doc.query) {
        MetricQuery::of(&query, &|name| only_text.contains(name))
            .map_err(|error| super::preview::not_a_metric(&error))?;
    }
    let subject = Subject::Metric(project.clone(), set.clone(), metric);
    let put = call.change("put", subject, move |edit| {
        let set = find(edit, tenant, &project, &set)?;
        let put = edit.put_metric(set.id, doc.name.as_str(), &doc.query)?;
        let metric = edit.metric_named(set.id, doc.name.as_str())?;
        Ok((put, metric))
    });
    let (put, metric) = put.await?;
    let mut document = metric_json(&metric);
    document["dropped_time_frame"] = json!(put.dropped_time_frame);
    Ok((status_of(&put.change), Json(document)).into_response())
}

/// Removes a metric from its set.
pub(crate) async fn delete_metric(call: Call, Path((project, set, metric)): MetricPath) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let subject = Subject::Metric(project.clone(), set.clone(), metric.clone());
    call.change("delete", subject, move |edit| edit.delete_metric(find(edit, tenant, &project, &set)?.id, &metric))
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A new name, and whether series follow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    name: String,
    #[serde(default)]
    rename_series: bool,
}

fn series(follow: bool) -> Series {
    if follow { Series::Follow } else { Series::Stay }
}

/// Gives a metric set another name.
pub(crate) async fn rename(
    call: Call,
    Path((project, set)): Path<(String, String)>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let Rename { name, rename_series } = strict::read(body).map_err(Problem::invalid)?;
    let before = Subject::MetricSet(project.clone(), set.clone());
    let after = Subject::MetricSet(project.clone(), name.clone());
    let rename = call.change_from_to(
        "rename",
        before,
        move |_| after,
        move |edit| {
            edit.rename_metric_set(find(edit, tenant, &project, &set)?.id, &name, series(rename_series))?;
            Ok(((), Vec::new()))
        },
    );
    rename.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Where a metric goes, and what it is called there; what is left out stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    metric_set: Option<String>,
    name: Option<String>,
    #[serde(default)]
    rename_series: bool,
}

/// Gives a metric another name, or puts it into another set of its project.
pub(crate) async fn move_metric(
    call: Call,
    Path((project, set, metric)): MetricPath,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let tenant = call.tenant();
    let Move { metric_set, name, rename_series } = strict::read(body).map_err(Problem::invalid)?;
    let (to, name) = (metric_set.unwrap_or_else(|| set.clone()), name.unwrap_or_else(|| metric.clone()));
    let before = Subject::Metric(project.clone(), set.clone(), metric.clone());
    let after = Subject::Metric(project.clone(), to.clone(), name.clone());
    let moved = call.change_from_to(
        "move",
        before,
        move |_| after,
        move |edit| {
            let (from, to) = (find(edit, tenant, &project, &set)?.id, find(edit, tenant, &project, &to)?.id);
            Ok((edit.move_metric(from, &metric, to, &name, series(rename_series))?, Vec::new()))
        },
    );
    Ok(Json(metric_json(&moved.await?)).into_response())
}
