//! Quotas of tenants: everybody in a tenant sees them, operators set them.

use super::JsonBody;
use crate::http::auth::Call;
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::quotas;
use crate::http::state::App;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tidegate_export::catalog::{Quotas, Subject};
use tidegate_model::{TenantId, strict};

async fn document(app: &App, call: &Call, tenant: TenantId) -> Result<Value, Problem> {
    let read = call.host.read(move |view| Ok((view.tenant(tenant)?, view.quotas(tenant)?, view.holdings(tenant)?)));
    let (tenant, limits, holdings) = read.await?;
    let sizes = app.usage().sizes(&call.host).await?;
    let bytes = call.host.catalog.projects_of(tenant.id).iter().filter_map(|project| sizes.get(project)).sum();
    Ok(quotas::document(&call.host, &tenant, &limits, holdings, bytes))
}

/// Used and limit of the caller's tenant.
pub(crate) async fn own(State(app): State<App>, call: Call) -> Result<Response, Problem> {
    Ok(Json(document(&app, &call, call.tenant()).await?).into_response())
}

/// Used and limit of a tenant.
pub(crate) async fn show(State(app): State<App>, call: Call, Path(name): Path<String>) -> Result<Response, Problem> {
    let tenant = call.host.read(move |view| view.tenant_named(&name)).await?.id;
    Ok(Json(document(&app, &call, tenant).await?).into_response())
}

/// Sets the quotas of a tenant; what is left out is not bounded.
pub(crate) async fn put(
    State(app): State<App>,
    call: Call,
    Path(name): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let wanted: Quotas = strict::read(body).map_err(Problem::invalid)?;
    quotas::within_ceiling(&call.host, &name, &wanted)?;
    let set = call.change("set-quotas", Subject::Tenant(name.clone()), move |edit| {
        let tenant = edit.tenant_named(&name)?.id;
        edit.set_quotas(tenant, &wanted)?;
        Ok(tenant)
    });
    let tenant = set.await?;
    Ok(Json(document(&app, &call, tenant).await?).into_response())
}
