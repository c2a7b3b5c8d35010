//! A store with everything that it takes to work for it: settings with secrets, adapter, claims on windows.

use crate::access::Access;
use crate::budget::{Account, Budgets};
use crate::catalog::{Catalog, CatalogError, Link, Store, View};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tidegate_model::{Settings, StoreId};
use tidegate_sandbox::{Adapter, Registry};

/// A store that is ready to work for.
pub(crate) struct Config {
    pub(crate) store: Store,
    /// `project/store`.
    pub(crate) name: String,
    pub(crate) links: Vec<Link>,
    pub(crate) adapter: Arc<Adapter>,
    pub(crate) settings: Arc<Settings>,
    /// Who may read its page, if it has one.
    pub(crate) access: Access,
    /// What its adapter may use and has used.
    pub(crate) account: Arc<Account>,
}

/// Why a store cannot be worked for.
#[derive(Clone, Debug)]
pub(crate) enum ConfigError {
    /// It was deleted.
    Gone,
    /// Its adapter is missing or does not take its settings; an admin has to act.
    Unfit(String),
    /// The catalog could not be read.
    Unreadable(String),
}

fn missing(store: &Store) -> String {
    match &store.pin {
        None => format!("there is no adapter called {:?}", store.adapter),
        Some(pin) => format!(
            "the version of {:?} that it uses (sha256:{}) is not there any more; put its file back, or move the store to \
             another version with `tidegate adapter upgrade`",
            store.adapter,
            &hex::encode(pin.digest)[..12]
        ),
    }
}

/// The stores, read again when the catalog or an adapter has changed. Calls may block.
pub(crate) struct Configs {
    catalog: Arc<Catalog>,
    registry: Arc<Registry>,
    budgets: Budgets,
    /// As read at this count of edits.
    read: Mutex<(u64, HashMap<StoreId, Arc<Config>>)>,
}

impl Configs {
    pub(crate) fn new(catalog: Arc<Catalog>, registry: Arc<Registry>, budgets: Budgets) -> Self {
        Self { catalog, registry, budgets, read: Mutex::default() }
    }

    /// What tenants may use and do use.
    pub(crate) fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    pub(crate) fn get(&self, id: StoreId) -> Result<Arc<Config>, ConfigError> {
        // Taken before reading: an edit in between makes the next call read again.
        let edits = self.edits();
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        let config = Arc::new(self.read(id, None)?);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0 < edits {
            *read = (edits, HashMap::new());
        }
        if read.0 == edits {
            read.1.insert(id, Arc::clone(&config));
        }
        Ok(config)
    }

    /// A store as it would be with another version of its adapter.
    pub(crate) fn with(&self, id: StoreId, adapter: Arc<Adapter>) -> Result<Config, ConfigError> {
        self.read(id, Some(adapter))
    }

    fn read(&self, id: StoreId, adapter: Option<Arc<Adapter>>) -> Result<Config, ConfigError> {
        let read = |v: &View<'_>| {
            let store = v.store(id)?;
            let project = v.project(store.project)?;
            let tenant = (v.tenant(project.tenant)?.name, v.quotas(project.tenant)?);
            Ok((project.name, tenant, store, v.links_of_store(id)?))
        };
        let (project, (tenant, quotas), store, links) = self.catalog.read(read).map_err(|error| match error {
            CatalogError::NotFound { .. } => ConfigError::Gone,
            other => ConfigError::Unreadable(other.to_string()),
        })?;
        let adapter = adapter.or_else(|| self.adapter_of(&store));
        let adapter = adapter.ok_or_else(|| ConfigError::Unfit(missing(&store)))?;
        let fits = if store.pull { adapter.direction().pulls() } else { adapter.direction().pushes() };
        if !fits {
            let way = if store.pull { "make pages" } else { "push" };
            return Err(ConfigError::Unfit(format!("the adapter {:?} does not {way}", store.adapter)));
        }
        let account = self.budgets.account(tenant.as_str(), &quotas, id);
        let (size, limit) = (adapter.size(), account.allowance().component_bytes);
        if size > limit {
            let why = format!("the adapter {:?} has {size} bytes; the limit is {limit} bytes", store.adapter);
            return Err(ConfigError::Unfit(why));
        }
        let settings = self.catalog.read(|v| v.store_settings(id, adapter.description()));
        let settings = Arc::new(settings.map_err(|error| ConfigError::Unfit(error.to_string()))?);
        let access = if adapter.description().pull.wants_login(&settings) {
            let login = self.catalog.read(|v| v.pull_login(id));
            Access::Login(login.map_err(|error| ConfigError::Unreadable(error.to_string()))?)
        } else {
            Access::Open
        };
        let name = format!("{project}/{}", store.name);
        Ok(Config { store, name, links, adapter, settings, access, account })
    }

    /// The version that a store uses; one that is younger than versions are gets what a new one would.
    fn adapter_of(&self, store: &Store) -> Option<Arc<Adapter>> {
        match &store.pin {
            Some(pin) => self.registry.find(&pin.digest).map(|r| r.adapter),
            None => self.registry.get(&store.adapter),
        }
    }

    /// The same, if it was read since the last edit. Does not block.
    pub(crate) fn known(&self, id: StoreId) -> Option<Arc<Config>> {
        let edits = self.edits();
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let config = read.1.get(&id).filter(|_| read.0 == edits)?;
        let adapter = self.adapter_of(&config.store)?;
        Arc::ptr_eq(&adapter, &config.adapter).then(|| Arc::clone(config))
    }

    fn edits(&self) -> u64 {
        *self.catalog.edits().borrow()
    }
}
