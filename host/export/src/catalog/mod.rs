//! The catalog: tenants, projects, tokens, metric sets, metrics and stores, in `tidegate.db`. Calls block.
//!
//! Everything that changes goes through [`Catalog::edit`], so that what belongs together (a whole file of definitions, say)
//! happens as one or not at all; [`Catalog::rehearse`] does the same and takes it back, which is what a dry run is.
//! The trap it avoids is the half-applied configuration, which the schedule would faithfully export.

mod access;
#[cfg(test)]
mod account_tests;
mod answers;
mod audit;
mod error;
mod index;
mod keys;
mod links;
mod logins;
mod pins;
mod quotas;
#[cfg(test)]
mod rename_tests;
mod renames;
mod sealing;
#[cfg(test)]
mod sealing_tests;
mod sets;
mod store_views;
mod stores;
mod tenants;
#[cfg(test)]
mod tests;
mod tokens;
mod users;

pub use access::{Access, Actor, Grant, Role};
pub use answers::{Answered, Once};
pub use audit::{AUDIT_KINDS, AuditEntry, AuditFilter, AuditRecord, Subject};
pub use error::{CatalogError, Kind};
pub use keys::{KeyError, KeySource, Keyring, others_may_enter};
pub use logins::PullLogin;
pub use pins::{Pin, PinnedStore};
pub use quotas::{Holdings, Quotas};
pub use renames::Series;
pub use sets::{Metric, MetricSet, PutMetric};
pub use stores::{Store, StoreSpec};
pub use tenants::{DEFAULT_TENANT, Project, Tenant};
pub use tokens::{ApiToken, MIN_TOKEN_BYTES, SubmissionToken, TokenSpec};
pub use users::User;

pub(crate) use error::corrupt;
pub(crate) use links::{Link, in_progress};
pub(crate) use sets::MetricsInForce;
pub(crate) use store_views::listed;

use crate::db::Db;
pub use crate::db::OpenError;
use arc_swap::ArcSwap;
use index::Index;
use rusqlite::{Connection, Transaction};
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_events::changes::ChangeLog;
use tidegate_model::{Clock, Instant, ProjectId, StoreId, TenantId};
use tokio::sync::watch;

/// How often it is written down that a session was used, in microseconds.
const SEEN_EVERY: u64 = 60_000_000;

/// What a `put` came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there before.
    Created,
    /// It was there; these parts of it are different now.
    Updated(Vec<String>),
    /// It was there, just like this.
    Unchanged,
}

/// The catalog in `tidegate.db`.
pub struct Catalog {
    db: Arc<Db>,
    keys: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    index: ArcSwap<Index>,
    /// Held by whoever edits: the index follows the edits in their order.
    editing: Mutex<()>,
    changed: watch::Sender<u64>,
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog").finish_non_exhaustive()
    }
}

impl Catalog {
    /// Opens `file` (`tidegate.db`), creates it if it is not there, and brings it up to date. A new catalog has one tenant,
    /// called [`DEFAULT_TENANT`].
    ///
    /// # Errors
    /// [`OpenError`] if the file is of a newer Tidegate, or no database, or cannot be written.
    pub fn open(file: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_with(file, &KeySource::File(file.with_extension("key")), clock)
    }

    /// The same with the key for its secrets from elsewhere than the file `tidegate.key` beside it. What is plain, or sealed with
    /// a key that is not the first any more, is sealed with the first one.
    ///
    /// # Errors
    /// As for [`open`](Self::open); [`OpenError::Key`] if the key for its secrets is not there. Nothing is changed then.
    pub fn open_with(file: &Path, keys: &KeySource, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_followed(file, keys, clock, None)
    }

    /// The same; what is committed is kept in the log of changes, too.
    ///
    /// # Errors
    /// As for [`open_with`](Self::open_with).
    pub fn open_followed(
        file: &Path,
        keys: &KeySource,
        clock: Arc<dyn Clock>,
        changes: Option<Arc<ChangeLog>>,
    ) -> Result<Self, OpenError> {
        let db = Arc::new(Db::open_followed(file, changes)?);
        let keys = Arc::new(sealing::prepare(&db, keys)?);
        let (changed, _) = watch::channel(0);
        let catalog = Self { db, keys, clock, index: ArcSwap::default(), editing: Mutex::new(()), changed };
        // A catalog that is filled is not written to: the host must come up with a full disk, too.
        let filled = catalog.begin().and_then(|empty| match empty {
            true => catalog.edit(|edit| edit.create_tenant(DEFAULT_TENANT).map(drop)),
            false => Ok(()),
        });
        match filled {
            Ok(()) => Ok(catalog),
            Err(error) => Err(OpenError::Unusable { file: file.to_owned(), cause: error.to_string() }),
        }
    }

    /// Reads, from one consistent state.
    ///
    /// # Errors
    /// What `work` returns, and [`CatalogError::Storage`].
    pub fn read<T>(&self, work: impl FnOnce(&View<'_>) -> Result<T, CatalogError>) -> Result<T, CatalogError> {
        self.db.read(|connection| work(&View { connection, keys: &self.keys }))
    }

    /// Changes the catalog: all that `work` does, on disk when this returns, or nothing if it fails.
    ///
    /// # Errors
    /// What `work` returns, and [`CatalogError::Storage`].
    pub fn edit<T>(&self, work: impl FnOnce(&Edit<'_>) -> Result<T, CatalogError>) -> Result<T, CatalogError> {
        let result = self.edit_accounts(work)?;
        self.changed.send_modify(|n| *n += 1);
        Ok(result)
    }

    /// As [`edit`](Self::edit), for what no export depends on: accounts, sessions, the audit log. Wakes nobody.
    ///
    /// # Errors
    /// As for [`edit`](Self::edit).
    pub fn edit_accounts<T>(&self, work: impl FnOnce(&Edit<'_>) -> Result<T, CatalogError>) -> Result<T, CatalogError> {
        let now = self.clock.now();
        let _one_at_a_time = self.editing.lock().unwrap_or_else(PoisonError::into_inner);
        let (result, index) = self.db.write(|transaction| {
            let edit = Edit::new(transaction, &self.keys, now);
            let result = work(&edit)?;
            let touched = index::touched(transaction)?;
            let index = (!touched.is_empty()).then(|| self.index.load().after(&edit, &touched)).transpose()?;
            Ok::<_, CatalogError>((result, index))
        })?;
        if let Some(index) = index {
            self.index.store(Arc::new(index));
        }
        Ok(result)
    }

    /// Does what [`edit`](Self::edit) would do, and takes it back: for dry runs.
    ///
    /// # Errors
    /// As for [`edit`](Self::edit).
    pub fn rehearse<T>(&self, work: impl FnOnce(&Edit<'_>) -> Result<T, CatalogError>) -> Result<T, CatalogError> {
        let now = self.clock.now();
        self.db.rehearse(|transaction| work(&Edit::new(transaction, &self.keys, now)))
    }

    /// The project that a submission token belongs to. Answered from memory; the time it takes tells nothing of other tokens.
    #[must_use]
    pub fn project_of_token(&self, token: &str) -> Option<ProjectId> {
        self.index.load().submission(token)
    }

    /// Who an API token is, and what it may do. Answered from memory, as above.
    #[must_use]
    pub fn api_access(&self, token: &str) -> Option<Arc<Access>> {
        self.index.load().api(token, self.clock.now())
    }

    /// Who is signed in with a session, unless it was idle for `idle` microseconds or is `absolute` microseconds old. Answered
    /// from memory; that it was used is written down once a minute at most.
    #[must_use]
    pub fn session_access(&self, token: &str, idle: u64, absolute: u64) -> Option<Arc<Access>> {
        let index = self.index.load();
        let (session, now) = (index.session(token)?, self.clock.now());
        let age = |since: Instant| now.micros().saturating_sub(since.micros());
        if age(session.seen()) >= idle || age(session.created) >= absolute {
            return None;
        }
        if age(session.seen()) >= SEEN_EVERY {
            session.see(now);
            let (hash, at) = (tokens::hash_of(token), i64::try_from(now.micros()).unwrap_or(i64::MAX));
            let sql = "UPDATE sessions SET seen = ?2 WHERE hash = ?1";
            if let Err(error) = self.db.write(|t| t.execute(sql, rusqlite::params![hash, at])) {
                tracing::warn!(%error, "it could not be written down that a session was used; it may end early");
            }
        }
        index.user(session.user)
    }

    /// The tenant called `name`. Answered from memory.
    #[must_use]
    pub fn tenant_id(&self, name: &str) -> Option<TenantId> {
        self.index.load().tenant(name)
    }

    /// The project of a tenant called `name`. Answered from memory.
    #[must_use]
    pub fn project_id(&self, tenant: TenantId, name: &str) -> Option<ProjectId> {
        self.index.load().project(tenant, name)
    }

    /// The pull store behind the secret part of a pull URL. Answered from memory, as above.
    #[must_use]
    pub fn store_of_pull_token(&self, token: &str) -> Option<StoreId> {
        self.index.load().pull(token)
    }

    /// Whose project it is, and what that tenant may have. Answered from memory.
    #[must_use]
    pub fn quotas_of_project(&self, project: ProjectId) -> Option<(TenantId, Quotas)> {
        self.index.load().quotas_of(project)
    }

    /// The projects of a tenant. Answered from memory.
    #[must_use]
    pub fn projects_of(&self, tenant: TenantId) -> Vec<ProjectId> {
        self.index.load().projects_of(tenant)
    }

    /// Counts the edits: wakes whoever waits for the next one.
    #[must_use]
    pub fn edits(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn db(&self) -> Arc<Db> {
        Arc::clone(&self.db)
    }

    /// Reads the index, and has the database tell what edits touch from now on. Tells whether there is nothing yet.
    fn begin(&self) -> Result<bool, CatalogError> {
        self.db.watch(index::watch)?;
        self.index.store(Arc::new(self.read(Index::load)?));
        self.read(|view| Ok(view.tenants()?.is_empty()))
    }
}

/// Reads the catalog inside [`Catalog::read`], [`Catalog::edit`] and [`Catalog::rehearse`].
pub struct View<'c> {
    connection: &'c Connection,
    keys: &'c Keyring,
}

/// Changes the catalog inside [`Catalog::edit`] and [`Catalog::rehearse`]; reads what it changed through [`View`].
pub struct Edit<'c> {
    view: View<'c>,
    now: Instant,
}

impl<'c> Edit<'c> {
    fn new(transaction: &'c Transaction<'c>, keys: &'c Keyring, now: Instant) -> Self {
        Self { view: View { connection: transaction, keys }, now }
    }

    /// The moment `seconds` from now.
    #[must_use]
    pub fn after(&self, seconds: u64) -> Instant {
        Instant::from_micros(self.now.micros().saturating_add(seconds.saturating_mul(1_000_000)))
    }

    fn now_micros(&self) -> i64 {
        i64::try_from(self.now.micros()).unwrap_or(i64::MAX)
    }
}

impl<'c> Deref for Edit<'c> {
    type Target = View<'c>;

    fn deref(&self) -> &View<'c> {
        &self.view
    }
}
