//! The HTTP side: submissions, the management API, pull pages, and what operators watch.
//!
//! The router answers from the first moment; what needs the rest of the server says 503 until it is there, so nothing can
//! arrive before the windows that an earlier run closed are sealed again.

mod access;
mod api;
mod attempts;
mod auth;
mod backtrace;
pub(crate) mod body;
mod bulk;
mod condition;
mod console;
mod console_files;
mod explore;
mod guide;
mod gzip;
mod idempotency;
mod inflate;
mod lines;
pub(crate) mod listener;
mod metrics;
mod ops;
pub mod overload;
mod password;
mod path;
pub(crate) mod problem;
mod pull;
mod quotas;
mod session;
mod state;
mod submission;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod tls;
mod writer;

pub(crate) use api::openapi::document as openapi;
pub use attempts::LoginLimits;
pub(crate) use auth::TENANT_HEADER;
pub use state::{App, Host, HttpLimits};
pub use tls::{TlsError, TlsFiles};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use std::sync::Arc;

/// All routes.
pub fn router(app: App) -> Router {
    let metrics = Arc::clone(app.metrics());
    let api = api::router(&app);
    Router::new()
        .route("/", get(ops::index))
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .route("/pull/{token}", get(pull::page).fallback(pull::wrong_method))
        // The original's query API, which knows no other path; clients put their tokens in places of their own.
        .route("/api/query", post(backtrace::query))
        .nest("/api/v1", api)
        .merge(console::router())
        .fallback(submission::take)
        .method_not_allowed_fallback(ops::wrong_method)
        // Bodies are read by our own reader, which has limits of its own.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(metrics, access::around))
        .with_state(app)
}
