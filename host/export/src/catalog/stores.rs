//! Metric stores: period, adapter, settings, secrets, pull token, connected metric sets.
//!
//! Secrets live in a table of their own and leave it in one way only: inside checked [`Settings`], where they cannot be
//! printed. Everything that lists or shows a store reads the other table, in `store_views`.

use super::error::name_of;
use super::{CatalogError, Change, Edit, Kind, Pin, sealing};
use crate::egress::roots;
use rusqlite::params;
use serde_json::{Map, Value as Json};
use tidegate_model::{Description, Direction, MetricSetId, Name, Period, ProjectId, Settings, StoreId};

/// What a listing shows in place of a secret; given back in an edit, it means "as it is".
pub(super) const MASK: &str = "…";

/// A connection to a monitoring system. Has no secrets in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    /// Its number, never used twice.
    pub id: StoreId,
    /// The project whose metrics it gets.
    pub project: ProjectId,
    /// Its name, unique inside the project.
    pub name: Name,
    /// How often it is fed.
    pub period: Period,
    /// The name of its adapter.
    pub adapter: String,
    /// Which version of it.
    pub pin: Option<Pin>,
    /// The settings that were given; secret ones are there as `…`.
    pub settings: Map<String, Json>,
    /// Rises with every change of adapter, settings or secrets.
    pub revision: u64,
    /// Whether it is fed at all. Windows of a paused push store queue up, and expire when they get too old.
    pub paused: bool,
    /// Whether it gets no new windows and is deleted once what is queued for it has been delivered, or has expired.
    pub draining: bool,
    /// Whether a scraper reads it (otherwise the host sends).
    pub pull: bool,
    /// The secret part of its pull URL, if it is a pull store.
    pub pull_token: Option<String>,
    /// Names of the connected metric sets.
    pub metric_sets: Vec<Name>,
}

/// What a store should be.
#[derive(Clone, Debug)]
pub struct StoreSpec<'a> {
    /// The description of its adapter: which settings there are, and which of them are secret.
    pub adapter: &'a Description,
    /// Which way the adapter works.
    pub direction: Direction,
    /// For adapters that work both ways: whether a scraper reads the store.
    pub pull: bool,
    /// How often it is fed.
    pub period: Period,
    /// All settings. A secret one that is missing, or is `…`, stays as it is; null removes it.
    pub settings: &'a Map<String, Json>,
    /// Whether to hold back deliveries.
    pub paused: bool,
    /// The metric sets to connect: these and no others.
    pub metric_sets: &'a [MetricSetId],
}

impl Store {
    /// What its adapter is found by: the digest of the version that it uses, or else the name.
    #[must_use]
    pub fn adapter_reference(&self) -> String {
        self.pin.as_ref().map_or_else(|| self.adapter.clone(), |pin| format!("sha256:{}", hex::encode(pin.digest)))
    }
}

struct Split {
    plain: Map<String, Json>,
    secrets: Vec<(String, String)>,
}

impl Edit<'_> {
    /// Makes sure that a project has a store called `name` that is as `spec` says.
    ///
    /// A changed period begins where the window in progress ends. A changed adapter or setting holds from the next request
    /// on, for what is queued too.
    ///
    /// # Errors
    /// [`CatalogError::Name`]; [`CatalogError::Settings`]; [`CatalogError::NotFound`] for the project or a metric set;
    /// [`CatalogError::Conflict`] if the store would have to change between push and pull, or a set is another project's.
    pub fn put_store(&self, of: ProjectId, name: &str, spec: &StoreSpec<'_>) -> Result<(Store, Change), CatalogError> {
        let name = name_of(Kind::Store, name)?;
        self.project(of)?;
        for set in spec.metric_sets {
            let set = self.metric_set(*set)?;
            if set.project != of {
                let why = format!("the metric set {:?} is in another project", set.name);
                return Err(CatalogError::conflict(Kind::Store, name, why));
            }
        }
        let known = self.store_named(of, name.as_str()).ok();
        let split = self.split(known.as_ref(), spec)?;
        let mut all = split.plain.clone();
        all.extend(split.secrets.iter().map(|(key, value)| (key.clone(), Json::from(value.as_str()))));
        let settings = Settings::check(spec.adapter, &all)
            .and_then(|settings| roots::check(spec.adapter, &settings).map(|()| settings))
            .map_err(|error| CatalogError::Settings { name: name.to_string(), error })?;
        // Nulls stand for what is not set.
        let split = Split { plain: split.plain.into_iter().filter(|(_, v)| !v.is_null()).collect(), ..split };
        let (store, change) = match known {
            None => self.insert_store(of, &name, spec, &split)?,
            Some(known) => self.update_store(&known, spec, &split)?,
        };
        if store.pull {
            self.keep_login(store.id, spec.adapter, &settings)?;
        }
        Ok((store, change))
    }

    /// Takes what was given apart, and fills in the secrets that were not given again.
    fn split(&self, known: Option<&Store>, spec: &StoreSpec<'_>) -> Result<Split, CatalogError> {
        let old = known.map(|s| self.secrets(s.id)).transpose()?.unwrap_or_default();
        let is_secret = |key: &str| spec.adapter.setting(key).is_some_and(|s| s.kind.is_secret());
        let mut split = Split { plain: Map::new(), secrets: Vec::new() };
        for (key, value) in spec.settings {
            match value {
                _ if !is_secret(key) => {
                    if !value.is_null() {
                        split.plain.insert(key.clone(), value.clone());
                    }
                }
                Json::String(text) if text == MASK => {}
                Json::String(text) => split.secrets.push((key.clone(), text.clone())),
                Json::Number(number) => split.secrets.push((key.clone(), number.to_string())),
                // The check below says what is wrong with anything else.
                other => drop(split.plain.insert(key.clone(), other.clone())),
            }
        }
        for (key, value) in old {
            let kept = spec.settings.get(&key).is_none_or(|v| v == MASK);
            if kept && is_secret(&key) {
                split.secrets.push((key, value));
            }
        }
        split.secrets.sort();
        Ok(split)
    }

    fn insert_store(
        &self,
        of: ProjectId,
        name: &Name,
        spec: &StoreSpec<'_>,
        split: &Split,
    ) -> Result<(Store, Change), CatalogError> {
        self.one_store_more(self.project(of)?.tenant)?;
        let pull = pulls(spec);
        let token = if pull { Some(super::tokens::random_pull_token()?) } else { None };
        let sql = "INSERT INTO stores (project, name, period, adapter, settings, revision, paused, pull, created) \
                   VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ?8)";
        let settings = Json::Object(split.plain.clone()).to_string();
        let (period, adapter) = (spec.period.seconds(), &spec.adapter.name);
        let now = self.now_micros();
        self.connection
            .execute(sql, params![of.0, name.as_str(), period, adapter, settings, spec.paused, pull, now])?;
        let id = StoreId(self.connection.last_insert_rowid());
        if let Some(token) = token {
            self.write_pull_token(id, &token)?;
        }
        self.write_secrets(id, &split.secrets)?;
        for set in spec.metric_sets {
            self.link(id, *set, spec.period)?;
        }
        Ok((self.store(id)?, Change::Created))
    }

    fn update_store(
        &self,
        known: &Store,
        spec: &StoreSpec<'_>,
        split: &Split,
    ) -> Result<(Store, Change), CatalogError> {
        if known.pull != pulls(spec) {
            let (is, would) =
                if known.pull { ("read by scrapers", "sent to") } else { ("sent to", "read by scrapers") };
            let why = format!("it is {is} and would be {would}; delete it and create another");
            return Err(CatalogError::conflict(Kind::Store, &known.name, why));
        }
        let mut changed = self.changed_settings(known, spec, split)?;
        if !changed.is_empty() {
            let sql = "UPDATE stores SET adapter = ?2, settings = ?3, revision = revision + 1 WHERE id = ?1";
            let settings = Json::Object(split.plain.clone()).to_string();
            self.connection.execute(sql, params![known.id.0, spec.adapter.name, settings])?;
            self.write_secrets(known.id, &split.secrets)?;
        }
        if known.adapter != spec.adapter.name {
            // Versions of another adapter; whoever edits says which one is meant.
            self.connection.execute("DELETE FROM store_adapters WHERE store = ?1", [known.id.0])?;
        }
        if known.period != spec.period {
            let sql = "UPDATE stores SET period = ?2 WHERE id = ?1";
            self.connection.execute(sql, params![known.id.0, spec.period.seconds()])?;
            self.change_period(known.id, spec.period)?;
            changed.push("period".to_owned());
        }
        if known.draining {
            // It is wanted again.
            self.connection.execute("UPDATE stores SET draining = 0 WHERE id = ?1", [known.id.0])?;
            changed.push("draining".to_owned());
        }
        if known.paused != spec.paused {
            self.set_paused(known.id, spec.paused)?;
            changed.push("paused".to_owned());
        }
        if self.relink(known.id, spec)? {
            changed.push("metric_sets".to_owned());
        }
        let change = if changed.is_empty() { Change::Unchanged } else { Change::Updated(changed) };
        Ok((self.store(known.id)?, change))
    }

    /// Names of the settings that would change; a secret is named, never shown.
    fn changed_settings(
        &self,
        known: &Store,
        spec: &StoreSpec<'_>,
        split: &Split,
    ) -> Result<Vec<String>, CatalogError> {
        let mut changed = Vec::new();
        if known.adapter != spec.adapter.name {
            changed.push("adapter".to_owned());
        }
        let plain = self.plain_settings(known.id)?;
        let mut keys: Vec<&String> = plain.keys().chain(split.plain.keys()).collect();
        keys.sort();
        keys.dedup();
        changed
            .extend(keys.into_iter().filter(|k| plain.get(*k) != split.plain.get(*k)).map(|k| format!("settings.{k}")));
        let secrets = self.secrets(known.id)?;
        let mut keys: Vec<&String> = secrets.iter().chain(&split.secrets).map(|(key, _)| key).collect();
        keys.sort();
        keys.dedup();
        let of = |list: &[(String, String)], key: &str| list.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
        let differs = |key: &&String| of(&secrets, key) != of(&split.secrets, key);
        changed.extend(keys.into_iter().filter(differs).map(|k| format!("settings.{k}")));
        Ok(changed)
    }

    fn write_secrets(&self, id: StoreId, secrets: &[(String, String)]) -> Result<(), CatalogError> {
        self.connection.execute("DELETE FROM store_secrets WHERE store = ?1", [id.0])?;
        for (key, value) in secrets {
            let sql = "INSERT INTO store_secrets (store, key, value) VALUES (?1, ?2, ?3)";
            let sealed = self.keys.seal(&sealing::setting(id, key), value)?;
            self.connection.execute(sql, params![id.0, key, sealed])?;
        }
        Ok(())
    }

    fn relink(&self, id: StoreId, spec: &StoreSpec<'_>) -> Result<bool, CatalogError> {
        let connected: Vec<MetricSetId> = self.sets_connected_to(id)?.into_iter().map(|(set, _)| set).collect();
        let gone: Vec<_> = connected.iter().filter(|set| !spec.metric_sets.contains(set)).collect();
        let new: Vec<_> = spec.metric_sets.iter().filter(|set| !connected.contains(set)).collect();
        for set in &gone {
            self.unlink(id, **set)?;
        }
        for set in &new {
            self.link(id, **set, spec.period)?;
        }
        Ok(!gone.is_empty() || !new.is_empty())
    }

    /// Connects a metric set of the same project to a store, from the window in progress on. Tells whether it was not before.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`]; [`CatalogError::Conflict`] if they belong to different projects.
    pub fn connect(&self, id: StoreId, set: MetricSetId) -> Result<bool, CatalogError> {
        let (store, set) = (self.store(id)?, self.metric_set(set)?);
        if store.project != set.project {
            let why = format!("the metric set {:?} is in another project", set.name);
            return Err(CatalogError::conflict(Kind::Store, store.name, why));
        }
        let new = !store.metric_sets.contains(&set.name);
        if new {
            self.link(id, set.id, store.period)?;
        }
        Ok(new)
    }

    /// Disconnects a metric set from a store at once; what is queued is still delivered, a pull page drops it. Tells whether
    /// it was connected.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn disconnect(&self, id: StoreId, set: MetricSetId) -> Result<bool, CatalogError> {
        let (store, set) = (self.store(id)?, self.metric_set(set)?);
        self.unlink(id, set.id)?;
        Ok(store.metric_sets.contains(&set.name))
    }

    /// Holds a store's deliveries back, or lets them go on.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn set_paused(&self, id: StoreId, paused: bool) -> Result<(), CatalogError> {
        self.store(id)?;
        self.connection.execute("UPDATE stores SET paused = ?2 WHERE id = ?1", params![id.0, paused])?;
        Ok(())
    }

    /// Gives a store another name. Nothing of its queue or its history changes, and no series either: the name of a store is in
    /// none of them.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`]; [`CatalogError::Name`]; [`CatalogError::Conflict`] if the name is taken.
    pub fn rename_store(&self, id: StoreId, name: &str) -> Result<Store, CatalogError> {
        let (store, name) = (self.store(id)?, name_of(Kind::Store, name)?);
        if store.name != name && self.store_named(store.project, name.as_str()).is_ok() {
            return Err(CatalogError::conflict(Kind::Store, name, "there is one of this name"));
        }
        self.connection.execute("UPDATE stores SET name = ?2 WHERE id = ?1", params![id.0, name.as_str()])?;
        self.store(id)
    }

    /// Lets a push store get what is queued for it and nothing else; then it is deleted. A pull store has no queue and is
    /// deleted at once. Tells how many windows are queued.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn drain_store(&self, id: StoreId) -> Result<u64, CatalogError> {
        let store = self.store(id)?;
        let sql = "SELECT count(*) FROM deliveries WHERE store = ?1 AND state = 'queued'";
        let queued: i64 = self.connection.query_row(sql, [id.0], |row| row.get(0))?;
        if store.pull || queued == 0 {
            self.delete_store(id)?;
            return Ok(0);
        }
        self.connection.execute("DELETE FROM links WHERE store = ?1", [id.0])?;
        self.connection.execute("UPDATE stores SET draining = 1, paused = 0 WHERE id = ?1", [id.0])?;
        Ok(u64::try_from(queued).unwrap_or(0))
    }

    /// Removes a store: its secrets are wiped, its pull URL is unknown from now on, and what is queued for it is recorded as
    /// expired.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn delete_store(&self, id: StoreId) -> Result<(), CatalogError> {
        self.store(id)?;
        let now = self.now_micros();
        self.connection.execute("DELETE FROM store_secrets WHERE store = ?1", [id.0])?;
        self.connection.execute("DELETE FROM links WHERE store = ?1", [id.0])?;
        self.connection.execute("DELETE FROM store_adapters WHERE store = ?1", [id.0])?;
        self.forget_login(id)?;
        let sql = "UPDATE deliveries SET state = 'expired', problem = 'the store was deleted', updated = ?2 \
                   WHERE store = ?1 AND state = 'queued'";
        self.connection.execute(sql, params![id.0, now])?;
        let sql = "UPDATE stores SET deleted = ?2, pull_token = NULL, settings = '{}' WHERE id = ?1";
        self.connection.execute(sql, params![id.0, now])?;
        Ok(())
    }
}

/// Whether a store of `spec` is read by scrapers.
fn pulls(spec: &StoreSpec<'_>) -> bool {
    match spec.direction {
        Direction::Push => false,
        Direction::Pull => true,
        Direction::Both => spec.pull,
    }
}
