//! The management API under `/api/v1`: what the command line can do, it does by these.

mod accounts;
mod adapter_use;
mod adapters;
mod apply;
mod events;
mod ledger;
mod log_page;
pub(super) mod openapi;
mod page;
mod preview;
mod projects;
mod query;
mod quotas;
pub(in crate::http) mod routes;
mod schema;
mod sets;
mod signatures;
mod status;
mod store_history;
mod store_list;
mod stores;
mod tokens;
mod versions;

use super::auth::{self, Rule};
use super::body::BodyReader;
use super::idempotency;
use super::problem::Problem;
use super::state::App;
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::middleware;
use routes::Route;
use serde_json::Value as Json;

/// The routes below `/api/v1`, each behind its rule.
pub(super) fn router(app: &App) -> Router<App> {
    let mut router = Router::new();
    for Route { path, need, mut handler, doc, .. } in routes::table() {
        if doc.creates {
            handler = handler.route_layer(middleware::from_fn_with_state(app.clone(), idempotency::once));
        }
        let rule = middleware::from_fn_with_state((app.clone(), Rule { path, need }), auth::require);
        router = router.route(path, handler.route_layer(rule));
    }
    router.fallback(super::ops::nothing_here)
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
