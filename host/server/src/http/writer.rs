//! Lines of the audit log in somebody's name.
//!
//! The trap is the thing that comes or goes with another one: a project takes its stores with it, and whoever looks for such a store
//! finds no line that says where it went. So each part has a line of its own.

use serde_json::Value;
use std::net::IpAddr;
use tidegate_export::catalog::{AuditEntry, CatalogError, Edit, Subject};
use tidegate_model::TenantId;

/// Who does something, from where, in which tenant.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) actor: String,
    pub(crate) address: Option<IpAddr>,
}

/// A thing, with what it looked like before and after; none if it was not there.
#[derive(Clone, Debug)]
pub(crate) struct Pictures {
    pub(crate) of: Subject,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

impl Pictures {
    /// Of what is not in the catalog, or is the same as before.
    pub(crate) fn none(of: Subject) -> Self {
        Self { of, before: None, after: None }
    }
}

impl Writer {
    /// Writes a line, in the transaction that makes the change.
    pub(crate) fn write(
        &self,
        edit: &Edit<'_>,
        action: &str,
        pictures: Pictures,
        details: &[String],
    ) -> Result<(), CatalogError> {
        let Pictures { of, mut before, mut after } = pictures;
        let of_the_host = matches!(of, Subject::Host | Subject::User(_) | Subject::Tenant(_) | Subject::Adapter(_));
        let tenant = self.tenant.filter(|_| !of_the_host || action == "set-roles");
        if let (Subject::User(_), Some(tenant)) = (&of, tenant) {
            // Who reads the log of this tenant has no business with roles in others.
            let name = edit.tenant(tenant)?.name.to_string();
            [&mut before, &mut after].into_iter().flatten().for_each(|picture| keep_roles(picture, &name));
        }
        let (actor, address) = (self.actor.as_str(), self.address);
        edit.record(&AuditEntry { tenant, actor, address, action, subject: &of, before, after, details })
    }

    /// A line for each part of something that has been made.
    pub(crate) fn came_with(&self, edit: &Edit<'_>, tenant: TenantId, whole: &Subject) -> Result<(), CatalogError> {
        self.parts(edit, tenant, whole, "create", |of, picture| Pictures { of, before: None, after: picture })
    }

    /// A line for each part of something that is about to be removed.
    pub(crate) fn goes_with(&self, edit: &Edit<'_>, tenant: TenantId, whole: &Subject) -> Result<(), CatalogError> {
        self.parts(edit, tenant, whole, "delete", |of, picture| Pictures { of, before: picture, after: None })
    }

    fn parts(
        &self,
        edit: &Edit<'_>,
        tenant: TenantId,
        whole: &Subject,
        action: &str,
        pictures: impl Fn(Subject, Option<Value>) -> Pictures,
    ) -> Result<(), CatalogError> {
        for (tenant, part) in edit.parts(tenant, whole)? {
            let picture = edit.portrait(tenant, &part)?;
            let writer = Self { tenant: Some(tenant), ..self.clone() };
            writer.write(edit, action, pictures(part, picture), &[])?;
        }
        Ok(())
    }
}

fn keep_roles(user: &mut Value, tenant: &str) {
    if let Some(roles) = user["roles"].as_array_mut() {
        roles.retain(|role| role["tenant"] == tenant);
    }
}
