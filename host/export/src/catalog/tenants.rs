//! Tenants and the projects inside them.

use super::error::name_of;
use super::{CatalogError, Change, Edit, Kind, View};
use rusqlite::{OptionalExtension, Row, params};
use std::num::{NonZeroU32, NonZeroU64};
use tidegate_model::{Name, ProjectId, Retention, TenantId};

/// The tenant of a new catalog.
pub const DEFAULT_TENANT: &str = "default";

/// Who owns projects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its number.
    pub id: TenantId,
    /// Its name, unique.
    pub name: Name,
}

/// A bucket of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its number, never used twice.
    pub id: ProjectId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name, unique inside the tenant.
    pub name: Name,
    /// How long its events are kept.
    pub retention: Retention,
}

const PROJECT: &str = "SELECT id, tenant, name, keep_days, keep_megabytes FROM projects";

pub(super) fn name_in(row: &Row<'_>, column: usize) -> rusqlite::Result<Name> {
    let text: String = row.get(column)?;
    Name::new(text).map_err(|error| super::error::corrupt(column, error))
}

fn tenant(row: &Row<'_>) -> rusqlite::Result<Tenant> {
    Ok(Tenant { id: TenantId(row.get(0)?), name: name_in(row, 1)? })
}

fn project(row: &Row<'_>) -> rusqlite::Result<Project> {
    let (days, megabytes): (Option<u32>, Option<i64>) = (row.get(3)?, row.get(4)?);
    let megabytes = megabytes.and_then(|megabytes| u64::try_from(megabytes).ok());
    let retention = Retention { days: days.and_then(NonZeroU32::new), megabytes: megabytes.and_then(NonZeroU64::new) };
    Ok(Project { id: ProjectId(row.get(0)?), tenant: TenantId(row.get(1)?), name: name_in(row, 2)?, retention })
}

impl View<'_> {
    /// All tenants, by name.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn tenants(&self) -> Result<Vec<Tenant>, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT id, name FROM tenants ORDER BY name")?;
        Ok(statement.query_map([], tenant)?.collect::<Result<_, _>>()?)
    }

    /// The tenant called `name`.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn tenant_named(&self, name: &str) -> Result<Tenant, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT id, name FROM tenants WHERE name = ?1")?;
        let found = statement.query_row([name], tenant).optional()?;
        found.ok_or_else(|| CatalogError::not_found(Kind::Tenant, name))
    }

    /// The tenant `id`.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn tenant(&self, id: TenantId) -> Result<Tenant, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT id, name FROM tenants WHERE id = ?1")?;
        let found = statement.query_row([id.0], tenant).optional()?;
        found.ok_or_else(|| CatalogError::not_found(Kind::Tenant, id))
    }

    /// The projects of a tenant, by name.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn projects(&self, of: TenantId) -> Result<Vec<Project>, CatalogError> {
        let sql = format!("{PROJECT} WHERE tenant = ?1 ORDER BY name");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_map([of.0], project)?.collect::<Result<_, _>>()?)
    }

    /// The project of a tenant called `name`.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn project_named(&self, of: TenantId, name: &str) -> Result<Project, CatalogError> {
        let sql = format!("{PROJECT} WHERE tenant = ?1 AND name = ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let found = statement.query_row(params![of.0, name], project).optional()?;
        found.ok_or_else(|| CatalogError::not_found(Kind::Project, name))
    }

    /// The project `id`.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn project(&self, id: ProjectId) -> Result<Project, CatalogError> {
        let mut statement = self.connection.prepare_cached(&format!("{PROJECT} WHERE id = ?1"))?;
        let found = statement.query_row([id.0], project).optional()?;
        found.ok_or_else(|| CatalogError::not_found(Kind::Project, id))
    }
}

impl Edit<'_> {
    /// Adds a tenant.
    ///
    /// # Errors
    /// [`CatalogError::Name`], and [`CatalogError::Conflict`] if the name is taken.
    pub fn create_tenant(&self, name: &str) -> Result<Tenant, CatalogError> {
        let name = name_of(Kind::Tenant, name)?;
        if self.tenant_named(name.as_str()).is_ok() {
            return Err(CatalogError::conflict(Kind::Tenant, name, "there is one of this name"));
        }
        let sql = "INSERT INTO tenants (name, created) VALUES (?1, ?2)";
        self.connection.execute(sql, params![name.as_str(), self.now_micros()])?;
        Ok(Tenant { id: TenantId(self.connection.last_insert_rowid()), name })
    }

    /// Removes a tenant that has no projects, with its API tokens.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`], and [`CatalogError::Conflict`] if it has projects: those are deleted one by one, so that
    /// nobody loses them by one word too many.
    pub fn delete_tenant(&self, id: TenantId) -> Result<(), CatalogError> {
        let tenant = self.tenant(id)?;
        let projects = self.projects(id)?;
        if !projects.is_empty() {
            let names: Vec<_> = projects.iter().map(|p| p.name.as_str()).collect();
            let why = format!("has projects, which must be deleted first: {}", names.join(", "));
            return Err(CatalogError::conflict(Kind::Tenant, tenant.name, why));
        }
        self.connection.execute("DELETE FROM tenants WHERE id = ?1", [id.0])?;
        Ok(())
    }

    /// Adds a project to a tenant. It has no submission token yet.
    ///
    /// # Errors
    /// [`CatalogError::Name`], and [`CatalogError::Conflict`] if the name is taken.
    pub fn create_project(&self, of: TenantId, name: &str) -> Result<Project, CatalogError> {
        let name = name_of(Kind::Project, name)?;
        self.tenant(of)?;
        if self.project_named(of, name.as_str()).is_ok() {
            return Err(CatalogError::conflict(Kind::Project, name, "there is one of this name"));
        }
        self.one_project_more(of)?;
        let sql = "INSERT INTO projects (tenant, name, created) VALUES (?1, ?2, ?3)";
        self.connection.execute(sql, params![of.0, name.as_str(), self.now_micros()])?;
        let id = ProjectId(self.connection.last_insert_rowid());
        Ok(Project { id, tenant: of, name, retention: Retention::default() })
    }

    /// Says how long the events of a project are kept.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn set_retention(&self, id: ProjectId, retention: Retention) -> Result<Change, CatalogError> {
        let before = self.project(id)?.retention;
        if before == retention {
            return Ok(Change::Unchanged);
        }
        // SQLite's integers end at 2^63; so many megabytes are as good as no bound, and are kept as that.
        let megabytes = retention.megabytes.and_then(|megabytes| i64::try_from(megabytes.get()).ok());
        let sql = "UPDATE projects SET keep_days = ?2, keep_megabytes = ?3 WHERE id = ?1";
        self.connection.execute(sql, params![id.0, retention.days.map(NonZeroU32::get), megabytes])?;
        Ok(Change::Updated(vec![format!("events are kept: {before} -> {retention}")]))
    }

    /// Removes a project with all that belongs to it: submission tokens, metric sets, metrics, stores. What is queued for its
    /// stores is recorded as expired. Its events are out of reach from then on, and removed by and by.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn delete_project(&self, id: ProjectId) -> Result<(), CatalogError> {
        self.project(id)?;
        for store in self.stores(id)? {
            self.delete_store(store.id)?;
        }
        self.connection.execute("DELETE FROM projects WHERE id = ?1", [id.0])?;
        Ok(())
    }
}
