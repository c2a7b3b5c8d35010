//! People and what they may do: signing in and out, users and their roles, the log of what was changed.

pub(super) mod audit;
pub(super) mod session;
pub(super) mod users;

use crate::http::problem::Problem;
use crate::http::state::{Host, blocking};
use serde::Deserialize;
use std::sync::Arc;
use tidegate_export::catalog::{CatalogError, Edit, Grant, Role, View};
use tidegate_model::TenantId;

/// A role as it is wished for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleDoc {
    /// The tenant's name; the one that the request is about, if left out.
    tenant: Option<String>,
    /// The project's name; null for all of the tenant.
    project: Option<String>,
    role: Role,
}

impl RoleDoc {
    fn grant(&self, view: &View<'_>, here: TenantId) -> Result<Grant, CatalogError> {
        let tenant = match &self.tenant {
            Some(name) => view.tenant_named(name)?.id,
            None => here,
        };
        let project = self.project.as_ref().map(|name| view.project_named(tenant, name)).transpose()?.map(|p| p.id);
        Ok(Grant { tenant, project, role: self.role })
    }
}

/// Changes accounts, which no export depends on.
async fn edit<T: Send + 'static>(
    host: &Host,
    work: impl FnOnce(&Edit<'_>) -> Result<T, CatalogError> + Send + 'static,
) -> Result<T, Problem> {
    let catalog = Arc::clone(&host.catalog);
    Ok(blocking(move || catalog.edit_accounts(work)).await??)
}
