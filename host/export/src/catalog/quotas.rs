//! What a tenant may have: projects, stores and adapters are counted here, in the transaction that makes one more; events and their
//! bytes where they come in; what adapters, evaluations and questions use where they run.

use super::{CatalogError, Edit, View};
use serde::{Deserialize, Serialize};
use tidegate_model::{StoreId, TenantId};

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
    /// Versions of adapters that its stores use.
    pub adapters: Option<u32>,
    /// Milliseconds of CPU time in a minute that evaluating its metrics may take.
    pub evaluation_cpu: Option<u32>,
    /// Milliseconds of CPU time in a minute that answering its questions may take: queries, and previews of metrics.
    pub query_cpu: Option<u32>,
    /// Milliseconds that one call into an adapter may take. This and what follows is none above what the host was started with.
    pub adapter_time: Option<u32>,
    /// Bytes of memory that one call may use.
    pub adapter_memory: Option<u32>,
    /// Bytes that may be written for one delivery or page.
    pub adapter_output: Option<u32>,
    /// Requests of one delivery.
    pub adapter_actions: Option<u32>,
    /// Handles held at once.
    pub adapter_handles: Option<u32>,
    /// Lines that one call may print to the log.
    pub adapter_log_lines: Option<u32>,
    /// Bytes of a component.
    pub adapter_size: Option<u32>,
    /// Milliseconds of CPU time in a minute, for each store.
    pub adapter_cpu: Option<u32>,
    /// Milliseconds of CPU time in a minute, for all stores together.
    pub tenant_cpu: Option<u32>,
    /// Deliveries and pages under way at once.
    pub tenant_instances: Option<u32>,
}

/// What a tenant has of what is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Projects.
    pub projects: u64,
    /// Metric stores in all of its projects.
    pub metric_stores: u64,
    /// Versions of adapters that its stores use.
    pub adapters: u64,
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

    /// What a tenant has.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn holdings(&self, of: TenantId) -> Result<Holdings, CatalogError> {
        let sql = "SELECT (SELECT count(*) FROM projects WHERE tenant = ?1), count(*), count(DISTINCT a.digest) FROM stores s \
                   JOIN projects p ON p.id = s.project LEFT JOIN store_adapters a ON a.store = s.id \
                   WHERE p.tenant = ?1 AND s.deleted IS NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        let holdings = |row: &rusqlite::Row<'_>| {
            let (projects, metric_stores) = (count(row.get(0)?), count(row.get(1)?));
            Ok(Holdings { projects, metric_stores, adapters: count(row.get(2)?) })
        };
        Ok(statement.query_row([of.0], holdings)?)
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
        let Some(limit) = self.quotas(of)?.projects else { return Ok(()) };
        within("projects", limit, self.holdings(of)?.projects + 1)
    }

    /// One store more: is that still within the quota?
    pub(super) fn one_store_more(&self, of: TenantId) -> Result<(), CatalogError> {
        let Some(limit) = self.quotas(of)?.metric_stores else { return Ok(()) };
        within("metric stores", limit, self.holdings(of)?.metric_stores + 1)
    }

    /// Has a store use another version by `change`: is that still within the quota? What is beyond it already may stay.
    pub(super) fn one_adapter_more(
        &self,
        store: StoreId,
        change: impl FnOnce() -> Result<(), CatalogError>,
    ) -> Result<(), CatalogError> {
        let of = self.project(self.store(store)?.project)?.tenant;
        let before = self.holdings(of)?.adapters;
        change()?;
        let after = self.holdings(of)?.adapters;
        match self.quotas(of)?.adapters {
            Some(limit) if after > before => within("adapters", limit, after),
            _ => Ok(()),
        }
    }
}

fn within(what: &'static str, limit: u32, asked: u64) -> Result<(), CatalogError> {
    let limit = u64::from(limit);
    if asked > limit { Err(CatalogError::Quota { what, limit, asked }) } else { Ok(()) }
}
