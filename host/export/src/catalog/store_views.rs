//! Reads metric stores: one, those of a project, those of a tenant.
//!
//! However many are read, it takes three statements: the rows, the sets that they are connected to, the keys of their secrets. The
//! trap is the list that asks for each of its items anew.

use super::error::corrupt;
use super::pins::pin_at;
use super::stores::{MASK, Store};
use super::tenants::name_in;
use super::{CatalogError, Kind, View, sealing};
use rusqlite::{Row, ToSql, params};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use tidegate_model::{Description, Name, Period, ProjectId, Settings, StoreId, TenantId};

/// See [`View::push_store_marks`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreMark {
    pub(crate) store: StoreId,
    pub(crate) is_draining: bool,
    /// Whether deliveries are held back.
    pub(crate) is_paused: bool,
    pub(crate) hash: u64,
}

const COLUMNS: &str = "s.id, s.project, s.name, s.period, s.adapter, s.settings, s.revision, s.paused, s.pull, s.pull_token, s.draining, \
                       a.digest, a.previous, a.trial_until, a.problem";

fn store(row: &Row<'_>) -> rusqlite::Result<Store> {
    let settings: String = row.get(5)?;
    let pin = row.get::<_, Option<[u8; 32]>>(11)?.map(|_| pin_at(row, 11)).transpose()?;
    Ok(Store {
        id: StoreId(row.get(0)?),
        project: ProjectId(row.get(1)?),
        name: name_in(row, 2)?,
        period: Period::new(row.get(3)?).map_err(|e| corrupt(3, e))?,
        adapter: row.get(4)?,
        pin,
        settings: serde_json::from_str(&settings).map_err(|e| corrupt(5, e))?,
        revision: u64::try_from(row.get::<_, i64>(6)?).map_err(|e| corrupt(6, e))?,
        paused: row.get(7)?,
        pull: row.get(8)?,
        pull_token: row.get(9)?,
        draining: row.get(10)?,
        metric_sets: Vec::new(),
    })
}

/// Numbers of stores as `json_each` reads them.
pub(crate) fn listed(ids: &[StoreId]) -> String {
    Json::from_iter(ids.iter().map(|id| id.0)).to_string()
}

impl View<'_> {
    /// The stores of a project, by name.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn stores(&self, of: ProjectId) -> Result<Vec<Store>, CatalogError> {
        let mut found = self.stores_where("s.project = ?1", params![of.0])?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The stores of all projects of a tenant.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn stores_of(&self, tenant: TenantId) -> Result<Vec<Store>, CatalogError> {
        self.stores_where("s.project IN (SELECT id FROM projects WHERE tenant = ?1)", params![tenant.0])
    }

    /// Project and name of each store of a tenant.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn store_names(&self, tenant: TenantId) -> Result<Vec<(ProjectId, Name)>, CatalogError> {
        let sql = "SELECT s.project, s.name FROM stores s JOIN projects p ON p.id = s.project \
                   WHERE p.tenant = ?1 AND s.deleted IS NULL ORDER BY s.id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let row = |row: &Row<'_>| Ok((ProjectId(row.get(0)?), name_in(row, 1)?));
        Ok(statement.query_map([tenant.0], row)?.collect::<Result<_, _>>()?)
    }

    /// Names of the stores of a project, in their order.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn store_names_in(&self, of: ProjectId) -> Result<Vec<Name>, CatalogError> {
        let sql = "SELECT name FROM stores WHERE project = ?1 AND deleted IS NULL ORDER BY name";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_map([of.0], |row| name_in(row, 0))?.collect::<Result<_, _>>()?)
    }

    /// All stores of all projects.
    pub(crate) fn all_stores(&self) -> Result<Vec<Store>, CatalogError> {
        self.stores_where("1", params![])
    }

    /// A mark of each push store that differs whenever something differs that its deliveries depend on.
    pub(crate) fn push_store_marks(&self) -> Result<Vec<StoreMark>, CatalogError> {
        let sql = "SELECT s.id, s.draining, s.revision, s.paused, s.period, s.name, p.name, a.digest FROM stores s \
                   JOIN projects p ON p.id = s.project LEFT JOIN store_adapters a ON a.store = s.id WHERE s.deleted IS NULL AND NOT s.pull ORDER BY s.id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mark = |row: &Row<'_>| {
            let is_draining = row.get(1)?;
            let numbers: [i64; 3] = [row.get(2)?, row.get(3)?, row.get(4)?];
            let mut hasher = DefaultHasher::new();
            let pin: Option<Vec<u8>> = row.get(7)?;
            (is_draining, numbers, row.get_ref(5)?.as_str().ok(), row.get_ref(6)?.as_str().ok(), pin).hash(&mut hasher);
            Ok(StoreMark {
                store: StoreId(row.get(0)?),
                is_draining,
                is_paused: numbers[1] != 0,
                hash: hasher.finish(),
            })
        };
        Ok(statement.query_map([], mark)?.collect::<Result<_, _>>()?)
    }

    /// The store of a project called `name`.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn store_named(&self, of: ProjectId, name: &str) -> Result<Store, CatalogError> {
        let found = self.stores_where("s.project = ?1 AND s.name = ?2", params![of.0, name])?.pop();
        found.ok_or_else(|| CatalogError::not_found(Kind::Store, name))
    }

    /// The store `id`.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn store(&self, id: StoreId) -> Result<Store, CatalogError> {
        let found = self.stores_where("s.id = ?1", params![id.0])?.pop();
        found.ok_or_else(|| CatalogError::not_found(Kind::Store, id))
    }

    /// The settings of a store with its secrets in them, checked against what its adapter wants today.
    ///
    /// # Errors
    /// [`CatalogError::Settings`] if the adapter has come to want other settings; [`CatalogError::NotFound`].
    pub fn store_settings(&self, id: StoreId, adapter: &Description) -> Result<Settings, CatalogError> {
        self.settings_of(&self.store(id)?, adapter)
    }

    /// The same of a store that was read just now.
    ///
    /// # Errors
    /// [`CatalogError::Settings`] if the adapter has come to want other settings.
    pub fn settings_of(&self, store: &Store, adapter: &Description) -> Result<Settings, CatalogError> {
        let mut all = store.settings.clone();
        // Each secret takes the place of its mask.
        all.extend(self.secrets(store.id)?.into_iter().map(|(key, value)| (key, Json::from(value))));
        let checked = Settings::check(adapter, &all);
        checked.map_err(|error| CatalogError::Settings { name: store.name.to_string(), error })
    }

    /// Stores in the order of their numbers. `condition` speaks of the table `stores` as `s`.
    fn stores_where(&self, condition: &str, values: &[&dyn ToSql]) -> Result<Vec<Store>, CatalogError> {
        let of = format!("s.deleted IS NULL AND {condition}");
        let sql = format!(
            "SELECT {COLUMNS} FROM stores s LEFT JOIN store_adapters a ON a.store = s.id WHERE {of} ORDER BY s.id"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let found: Vec<Store> = statement.query_map(values, store)?.collect::<Result<_, _>>()?;
        if found.is_empty() {
            return Ok(found);
        }
        let mut sets: HashMap<i64, Vec<Name>> = HashMap::new();
        let sql = format!(
            "SELECT l.store, m.name FROM stores s JOIN links l ON l.store = s.id JOIN metric_sets m ON m.id = l.metric_set \
             WHERE {of} AND l.until IS NULL ORDER BY m.name"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        for row in statement.query_map(values, |row| Ok((row.get(0)?, name_in(row, 1)?)))? {
            let (store, name) = row?;
            sets.entry(store).or_default().push(name);
        }
        let mut secrets: HashMap<i64, Vec<String>> = HashMap::new();
        let sql = format!(
            "SELECT x.store, x.key FROM stores s JOIN store_secrets x ON x.store = s.id WHERE {of} ORDER BY x.key"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        for row in statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))? {
            let (store, key) = row?;
            secrets.entry(store).or_default().push(key);
        }
        let complete = |mut store: Store| {
            store.metric_sets = sets.remove(&store.id.0).unwrap_or_default();
            // Periods that follow each other are claims of their own.
            store.metric_sets.dedup();
            let masked = secrets.remove(&store.id.0).unwrap_or_default();
            store.settings.extend(masked.into_iter().map(|key| (key, Json::from(MASK))));
            if let Some(sealed) = store.pull_token.take() {
                store.pull_token = Some(self.keys.open(&sealing::pull_token(store.id), &sealed)?);
            }
            Ok(store)
        };
        found.into_iter().map(complete).collect()
    }

    pub(super) fn plain_settings(&self, id: StoreId) -> Result<Map<String, Json>, CatalogError> {
        let sql = "SELECT settings FROM stores WHERE id = ?1";
        let text: String = self.connection.prepare_cached(sql)?.query_row([id.0], |row| row.get(0))?;
        Ok(serde_json::from_str(&text).map_err(|e| corrupt(0, e))?)
    }

    pub(super) fn secrets(&self, id: StoreId) -> Result<Vec<(String, String)>, CatalogError> {
        let sql = "SELECT key, value FROM store_secrets WHERE store = ?1 ORDER BY key";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([id.0], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        let open = |row: rusqlite::Result<(String, String)>| {
            let (key, sealed) = row?;
            let value = self.keys.open(&sealing::setting(id, &key), &sealed)?;
            Ok((key, value))
        };
        rows.map(open).collect()
    }
}
