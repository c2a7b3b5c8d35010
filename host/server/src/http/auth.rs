//! Who may use the management API: whoever has an API token. It speaks for one tenant and opens nothing of another.
//!
//! The trap is the handler that forgets to ask. Handlers get the server only through [`Call`], and a `Call` is only made here.

use super::problem::Problem;
use super::state::{App, Host};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use tidegate_export::catalog::{ApiAccess, CatalogError, Project, View};
use tidegate_model::TenantId;

/// A request with a valid API token, and the server to do what it asks.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) host: Arc<Host>,
    access: ApiAccess,
}

impl Call {
    /// The tenant that the token speaks for.
    pub(crate) fn tenant(&self) -> TenantId {
        self.access.tenant
    }

    /// The token's name, for the log.
    pub(crate) fn by(&self) -> &str {
        &self.access.token_name
    }
}

/// Finds a project of the caller's tenant: another tenant's looks like one that is not there.
pub(crate) fn project(view: &View<'_>, tenant: TenantId, name: &str) -> Result<Project, CatalogError> {
    view.project_named(tenant, name)
}

/// The token of an `Authorization: Bearer` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Middleware of the management API.
pub(crate) async fn require(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match admit(&app, request.headers()) {
        Ok(call) => {
            request.extensions_mut().insert(call);
            next.run(request).await
        }
        Err(problem) => {
            app.metrics().refused("token");
            problem.into_response()
        }
    }
}

fn admit(app: &App, headers: &HeaderMap) -> Result<Call, Problem> {
    let host = app.host()?;
    let token = bearer(headers).ok_or_else(|| {
        Problem::unauthorized("this needs an API token: send the header Authorization: Bearer <token>")
    })?;
    let access = host.catalog.api_access(token);
    let access = access.ok_or_else(|| Problem::unauthorized("the API token is not known; it may have been revoked"))?;
    Ok(Call { host, access })
}

impl FromRequestParts<App> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        parts
            .extensions
            .get()
            .cloned()
            .ok_or_else(|| Problem::internal("a handler of the API is outside of its authorisation"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_a_bearer_token_is_one() {
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
            bearer(&headers).map(ToOwned::to_owned)
        };
        assert_eq!(of("Bearer t"), Some("t".to_owned()));
        assert_eq!(of("bearer  t "), Some("t".to_owned()));
        assert_eq!(of("Basic t"), None);
        assert_eq!(of("t"), None);
    }
}
