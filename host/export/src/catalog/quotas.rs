//! What a tenant may have: projects and stores are counted here, in the transaction that makes one more; events and their bytes
//! where they come in.

use super::{CatalogError, Edit, View};
use serde::{Deserialize, Serialize};
use tidegate_model::TenantId;

/// Bounds of a tenant; what is none is not bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Projects.
    pub projects: Option<u32>,
    /// Metric stores in all of its projects.
    pub metric_stores: Option<u32>,
    /// Events that come in, in the mean over a second.
    pub events_per_second: Option<u32>,
    /// Megabytes (millions of bytes) of events, as stored.
    pub stored_megabytes: Option<u32>,
}

impl View<'_> {
    /// The quotas of a tenant.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn quotas(&self, of: TenantId) -> Result<Quotas, CatalogError> {
        self.tenant(of)?;
        let mut statement = self.connection.prepare_cached("SELECT quotas FROM tenants WHERE id = ?1")?;
        let text: String = statement.query_row([of.0], |row| row.get(0))?;
        Ok(serde_json::from_str(&text).map_err(|e| super::corrupt(0, e))?)
    }

    /// Projects and stores that a tenant has.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn holdings(&self, of: TenantId) -> Result<(u64, u64), CatalogError> {
        let sql = "SELECT (SELECT count(*) FROM projects WHERE tenant = ?1), (SELECT count(*) FROM stores s \
                   JOIN projects p ON p.id = s.project WHERE p.tenant = ?1 AND s.deleted IS NULL)";
        let mut statement = self.connection.prepare_cached(sql)?;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Ok(statement.query_row([of.0], |row| Ok((count(row.get(0)?), count(row.get(1)?))))?)
    }
}

impl Edit<'_> {
    /// Gives a tenant these quotas. What it has beyond stays, and nothing is added.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn set_quotas(&self, of: TenantId, quotas: &Quotas) -> Result<(), CatalogError> {
        self.tenant(of)?;
        let text = serde_json::to_string(quotas).map_err(|e| super::corrupt(0, e))?;
        self.connection.execute("UPDATE tenants SET quotas = ?2 WHERE id = ?1", rusqlite::params![of.0, text])?;
        Ok(())
    }

    /// One project more: is that still within the quota?
    pub(super) fn one_project_more(&self, of: TenantId) -> Result<(), CatalogError> {
        let (projects, _) = self.holdings(of)?;
        within("projects", self.quotas(of)?.projects, projects + 1)
    }

    /// One store more: is that still within the quota?
    pub(super) fn one_store_more(&self, of: TenantId) -> Result<(), CatalogError> {
        let (_, stores) = self.holdings(of)?;
        within("metric stores", self.quotas(of)?.metric_stores, stores + 1)
    }
}

fn within(what: &'static str, limit: Option<u32>, asked: u64) -> Result<(), CatalogError> {
    match limit.map(u64::from) {
        Some(limit) if asked > limit => Err(CatalogError::Quota { what, limit, asked }),
        _ => Ok(()),
    }
}
