//! The management API under `/api/v1`: what the command line can do, it does by these.

mod adapters;
mod apply;
mod events;
mod ledger;
mod preview;
mod projects;
mod query;
mod sets;
mod status;
mod store_history;
mod store_list;
mod stores;
mod tokens;
mod versions;

use super::body::BodyReader;
use super::problem::Problem;
use super::state::App;
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::routing::{delete, get, post};
use serde_json::Value as Json;

/// The routes below `/api/v1`. The caller puts the authorisation around them.
pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/status", get(status::status))
        .route("/apply", post(apply::apply))
        .route("/adapters", get(adapters::list).post(adapters::install))
        .route("/adapters/{adapter}", get(adapters::show).delete(adapters::remove))
        .route("/projects/{project}/stores/{store}/adapter", get(versions::show))
        .route("/projects/{project}/stores/{store}/adapter/diff", post(versions::diff))
        .route("/projects/{project}/stores/{store}/adapter/upgrade", post(versions::upgrade))
        .route("/projects/{project}/stores/{store}/adapter/rollback", post(versions::roll_back))
        .route("/tenants", get(projects::tenants).post(projects::create_tenant))
        .route("/tenants/{tenant}", delete(projects::delete_tenant))
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{token}", delete(tokens::delete))
        .route("/stores", get(store_list::list_all))
        .route("/ledger", get(ledger::status))
        .route("/ledger/gaps", get(ledger::gaps))
        .route("/ledger/verify", post(ledger::verify))
        .route("/ledger/backup", post(ledger::backup))
        .route("/projects", get(projects::list).post(projects::create))
        .route("/projects/{project}", get(projects::show).put(projects::put).delete(projects::delete))
        .route("/projects/{project}/retention", get(projects::retention).put(projects::set_retention))
        .route("/projects/{project}/submission-tokens", get(tokens::list_submission).post(tokens::create_submission))
        .route("/projects/{project}/submission-tokens/{id}", delete(tokens::delete_submission))
        .route("/projects/{project}/query", post(query::ask))
        .route("/projects/{project}/describe", get(query::describe))
        .route("/projects/{project}/attributes", get(events::attributes))
        .route("/projects/{project}/events/{object}", get(events::show))
        .route("/projects/{project}/metric-preview", post(preview::metric))
        .route("/projects/{project}/metric-sets", get(sets::list))
        .route("/projects/{project}/metric-sets/{set}", get(sets::show).put(sets::put).delete(sets::delete))
        .route(
            "/projects/{project}/metric-sets/{set}/metrics/{metric}",
            get(sets::show_metric).put(sets::put_metric).delete(sets::delete_metric),
        )
        .route("/projects/{project}/metric-sets/{set}/windows/{at}", get(ledger::windows))
        .route("/projects/{project}/stores", get(store_list::list))
        .route("/projects/{project}/stores/{store}", get(stores::show).put(stores::put).delete(stores::delete))
        .route("/projects/{project}/stores/{store}/preview", get(preview::store))
        .route("/projects/{project}/stores/{store}/windows", get(store_history::windows))
        .route("/projects/{project}/stores/{store}/test", post(store_history::test))
        .route("/projects/{project}/stores/{store}/replay", post(ledger::replay))
        .route("/projects/{project}/stores/{store}/rename", post(stores::rename))
        .route("/projects/{project}/stores/{store}/pause", post(stores::pause))
        .route("/projects/{project}/stores/{store}/resume", post(stores::resume))
        .route("/projects/{project}/stores/{store}/check", post(stores::check))
        .route("/projects/{project}/stores/{store}/pull-token", post(stores::rotate))
        .fallback(super::ops::nothing_here)
}

/// A JSON body, whatever content type it claims.
pub(super) struct JsonBody(pub(super) Json);

impl FromRequest<App> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (head, body): (_, Body) = request.into_parts();
        let reader = BodyReader::new(&head.headers, body, app.limits().api_bytes, app.limits().patience);
        let mut pass = app.enter().map_err(Problem::unavailable)?;
        let whole = async { reader?.all(&mut pass).await };
        let bytes = whole.await.map_err(|e| Problem::new(e.status(), e))?;
        if bytes.is_empty() {
            return Err(Problem::bad_request("this needs a JSON document as its body"));
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|e| {
            Problem::bad_request(format_args!("the body is not JSON: line {}, column {}", e.line(), e.column()))
        })
    }
}

/// A member of a JSON object that has to be text.
fn text_member(body: &Json, member: &str) -> Result<String, Problem> {
    let text = body.get(member).and_then(Json::as_str).map(ToOwned::to_owned);
    text.ok_or_else(|| Problem::invalid(format_args!("{member}: expected text")))
}
