//! Which version of its adapter each store uses.
//!
//! A version is the digest of its bytes. A store keeps its version whatever newer ones come, until somebody changes it; and a
//! changed version is on trial for a while, in which a crash takes the store back to the one before.

use super::error::Kind;
use super::{CatalogError, Edit, View};
use rusqlite::{Row, params};
use std::collections::HashSet;
use std::time::Duration;
use tidegate_model::{Instant, ProjectId, StoreId, TenantId};

/// How long a changed version is on trial at least, and in how many windows.
const TRIAL: Duration = Duration::from_secs(3600);
const TRIAL_WINDOWS: u64 = 10;

/// The version of its adapter that a store uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// SHA-256 of the component.
    pub digest: [u8; 32],
    /// The version before, to which the store can go back.
    pub previous: Option<[u8; 32]>,
    /// Until when a crash takes the store back to it.
    pub trial_until: Option<Instant>,
    /// Why the store was taken back, if it was and nobody has changed the version since.
    pub problem: Option<String>,
}

/// Number, project and name of a store, and the version that it uses.
pub type PinnedStore = (StoreId, ProjectId, String, [u8; 32]);

/// Digest, digest before, end of the trial and problem, from the column `first` on.
pub(super) fn pin_at(row: &Row<'_>, first: usize) -> rusqlite::Result<Pin> {
    let until: Option<i64> = row.get(first + 2)?;
    let until = until.map(|micros| Instant::from_micros(u64::try_from(micros).unwrap_or(0)));
    Ok(Pin { digest: row.get(first)?, previous: row.get(first + 1)?, trial_until: until, problem: row.get(first + 3)? })
}

impl View<'_> {
    /// Number, project and name of each store of a tenant, with the version that it uses, by name.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn pins_of(&self, tenant: TenantId) -> Result<Vec<PinnedStore>, CatalogError> {
        let sql = "SELECT s.id, s.project, s.name, a.digest FROM store_adapters a JOIN stores s ON s.id = a.store \
                   JOIN projects p ON p.id = s.project WHERE p.tenant = ?1 AND s.deleted IS NULL ORDER BY p.name, s.name";
        let pin = |row: &Row<'_>| Ok((StoreId(row.get(0)?), ProjectId(row.get(1)?), row.get(2)?, row.get(3)?));
        Ok(self.connection.prepare_cached(sql)?.query_map([tenant.0], pin)?.collect::<Result<_, _>>()?)
    }

    /// All versions that stores use, or can go back to.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn pinned(&self) -> Result<HashSet<[u8; 32]>, CatalogError> {
        let sql =
            "SELECT digest FROM store_adapters UNION SELECT previous FROM store_adapters WHERE previous IS NOT NULL";
        Ok(self.connection.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// Tenant and `project/store` of the stores that use the version `digest`, or can go back to it.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn users_of(&self, digest: &[u8; 32]) -> Result<Vec<(TenantId, String)>, CatalogError> {
        let sql = "SELECT p.tenant, p.name || '/' || s.name FROM store_adapters a JOIN stores s ON s.id = a.store \
                   JOIN projects p ON p.id = s.project WHERE a.digest = ?1 OR a.previous = ?1 ORDER BY 2";
        let user = |row: &Row<'_>| Ok((TenantId(row.get(0)?), row.get(1)?));
        Ok(self.connection.prepare_cached(sql)?.query_map([digest], user)?.collect::<Result<_, _>>()?)
    }

    /// Whether a store uses no version yet.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn any_unpinned(&self) -> Result<bool, CatalogError> {
        Ok(self.all_stores()?.iter().any(|store| store.pin.is_none()))
    }
}

impl Edit<'_> {
    /// Has a store use the version `digest` from the next batch on, without a trial: for a store that uses none yet, or has
    /// changed to another adapter.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`], or [`CatalogError::Quota`].
    pub fn pin_adapter(&self, store: StoreId, digest: &[u8; 32]) -> Result<(), CatalogError> {
        self.one_adapter_more(store, || self.write_pin(store, digest))
    }

    fn write_pin(&self, store: StoreId, digest: &[u8; 32]) -> Result<(), CatalogError> {
        let sql = "INSERT INTO store_adapters (store, digest) VALUES (?1, ?2) ON CONFLICT (store) DO UPDATE SET \
                   digest = excluded.digest, previous = NULL, trial_until = NULL, problem = NULL";
        self.connection.execute(sql, params![store.0, digest])?;
        Ok(())
    }

    /// Has the stores that use no version yet use the one that `of` gives for the name of their adapter. Tells how many.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn pin_unpinned(&self, of: impl Fn(&str) -> Option<[u8; 32]>) -> Result<usize, CatalogError> {
        let mut pinned = 0;
        for store in self.all_stores()? {
            if let (None, Some(digest)) = (&store.pin, of(&store.adapter)) {
                // It is in use, whatever the quota says.
                self.write_pin(store.id, &digest)?;
                pinned += 1;
            }
        }
        Ok(pinned)
    }

    /// Has a store use the version `to` from its next batch on. For an hour, or ten windows if that is longer, a crash takes it
    /// back to `from`.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] if it does not use `from` any more; [`CatalogError::Quota`].
    pub fn upgrade_adapter(&self, store: StoreId, from: &[u8; 32], to: &[u8; 32]) -> Result<(), CatalogError> {
        let known = self.store(store)?;
        if known.pin.as_ref().is_none_or(|p| p.digest != *from) {
            let why = "its version was changed meanwhile; look at the difference again";
            return Err(CatalogError::conflict(Kind::Store, known.name, why));
        }
        let windows = u64::from(known.period.seconds()).saturating_mul(TRIAL_WINDOWS);
        let trial = TRIAL.max(Duration::from_secs(windows));
        let until = self.now_micros().saturating_add(i64::try_from(trial.as_micros()).unwrap_or(i64::MAX));
        let sql = "UPDATE store_adapters SET previous = digest, digest = ?2, trial_until = ?3, problem = NULL WHERE store = ?1";
        self.one_adapter_more(store, || {
            self.connection.execute(sql, params![store.0, to, until])?;
            Ok(())
        })?;
        self.adapter_changed(store)
    }

    /// Takes a store back to the version that it used before `from`.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] if there is none, or the store does not use `from` any more.
    pub fn roll_back_adapter(
        &self,
        store: StoreId,
        from: &[u8; 32],
        problem: Option<&str>,
    ) -> Result<(), CatalogError> {
        let known = self.store(store)?;
        let previous = known.pin.as_ref().filter(|p| p.digest == *from).and_then(|p| p.previous);
        let Some(previous) = previous else {
            let why = "there is no earlier version that it could go back to";
            return Err(CatalogError::conflict(Kind::Store, known.name, why));
        };
        let sql =
            "UPDATE store_adapters SET digest = ?2, previous = NULL, trial_until = NULL, problem = ?3 WHERE store = ?1";
        self.connection.execute(sql, params![store.0, previous, problem])?;
        self.adapter_changed(store)
    }

    /// What failed with the version before may go well now, so everything that waits is tried at once.
    fn adapter_changed(&self, store: StoreId) -> Result<(), CatalogError> {
        self.connection.execute("UPDATE stores SET revision = revision + 1 WHERE id = ?1", [store.0])?;
        Ok(())
    }
}
