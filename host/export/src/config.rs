//! A store with everything that it takes to work for it: settings with secrets, adapter, claims on windows.

use crate::access::Access;
use crate::budget::{Account, Budgets, LimitUse};
use crate::catalog::{Catalog, CatalogError, Link, Quotas, Store, View};
use std::collections::{BTreeSet, HashMap};
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

impl From<CatalogError> for ConfigError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound { .. } => Self::Gone,
            other => Self::Unreadable(other.to_string()),
        }
    }
}

fn missing(store: &Store, registry: &Registry) -> String {
    let Some(pin) = &store.pin else { return format!("there is no adapter called {:?}", store.adapter) };
    let why = registry.why_missing(&pin.digest).map_or_else(String::new, |why| format!(": {why}"));
    format!(
        "the version of {:?} that it uses (sha256:{}) cannot be used any more{why}; put its file back, or move the store to another \
         version with `tidegate adapter upgrade`",
        store.adapter,
        &hex::encode(pin.digest)[..12]
    )
}

/// The stores, read again when the catalog or an adapter has changed. An edit of one leaves the others as they were read. Calls may
/// block.
pub(crate) struct Configs {
    catalog: Arc<Catalog>,
    registry: Arc<Registry>,
    budgets: Budgets,
    read: Mutex<HashMap<StoreId, Known>>,
}

struct Known {
    /// The count of edits at which it was last seen to be still right.
    edits: u64,
    /// What its tenant might have then.
    quotas: Quotas,
    config: Arc<Config>,
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
        let read = self.catalog.read(|v| {
            let (store, links) = (v.store(id)?, v.links_of_store(id)?);
            Ok(self.current(v, edits, store, links))
        });
        read.unwrap_or_else(|error| Err(error.into()))
    }

    /// The same of stores that are read already.
    pub(crate) fn of(&self, view: &View<'_>, stores: Vec<(Store, Vec<Link>)>) -> Vec<Result<Arc<Config>, ConfigError>> {
        // How many edits this view has seen is not known, so whoever works for the store makes sure once more.
        stores.into_iter().map(|(store, links)| self.current(view, 0, store, links)).collect()
    }

    /// What a store has used of its limits; none if nothing was done for it since the start.
    pub(crate) fn uses(&self, id: StoreId) -> Option<Vec<LimitUse>> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let config = Arc::clone(&read.get(&id)?.config);
        drop(read);
        Some(config.account.uses(config.adapter.size()))
    }

    /// Forgets the stores that are not among these.
    pub(crate) fn keep(&self, stores: &BTreeSet<StoreId>) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).retain(|store, _| stores.contains(store));
    }

    /// A store as it would be with another version of its adapter.
    pub(crate) fn with(&self, id: StoreId, adapter: Arc<Adapter>) -> Result<Config, ConfigError> {
        let read = self.catalog.read(|v| {
            let (store, links) = (v.store(id)?, v.links_of_store(id)?);
            Ok(self.made(v, store, links, Some(adapter)))
        });
        read.unwrap_or_else(|error| Err(error.into()))
    }

    /// What is known of a store if that is still right, or else read now.
    fn current(&self, view: &View<'_>, edits: u64, store: Store, links: Vec<Link>) -> Result<Arc<Config>, ConfigError> {
        let id = store.id;
        let quotas = self.catalog.quotas_of_project(store.project).map(|(_, quotas)| quotas).unwrap_or_default();
        {
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            // Settings and secrets have a revision, which is in the store, as the URL that a login goes with is.
            let same = |known: &&mut Known| {
                let config = &known.config;
                let adapter = self.adapter_of(&store).is_some_and(|adapter| Arc::ptr_eq(&adapter, &config.adapter));
                adapter && config.store == store && config.links == links && known.quotas == quotas
            };
            if let Some(known) = read.get_mut(&id).filter(same) {
                known.edits = known.edits.max(edits);
                return Ok(Arc::clone(&known.config));
            }
        }
        let config = Arc::new(self.made(view, store, links, None)?);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.get(&id).is_none_or(|known| known.edits <= edits) {
            read.insert(id, Known { edits, quotas, config: Arc::clone(&config) });
        }
        Ok(config)
    }

    fn made(
        &self,
        view: &View<'_>,
        store: Store,
        links: Vec<Link>,
        adapter: Option<Arc<Adapter>>,
    ) -> Result<Config, ConfigError> {
        let project = view.project(store.project)?;
        let (tenant, quotas) = (view.tenant(project.tenant)?.name, view.quotas(project.tenant)?);
        let adapter = adapter.or_else(|| self.adapter_of(&store));
        let adapter = adapter.ok_or_else(|| ConfigError::Unfit(missing(&store, &self.registry)))?;
        let fits = if store.pull { adapter.direction().pulls() } else { adapter.direction().pushes() };
        if !fits {
            let way = if store.pull { "make pages" } else { "push" };
            return Err(ConfigError::Unfit(format!("the adapter {:?} does not {way}", store.adapter)));
        }
        let account = self.budgets.account(tenant.as_str(), &quotas, store.id);
        let (size, limit) = (adapter.size(), account.allowance().component_bytes);
        if size > limit {
            let why = format!("the adapter {:?} has {size} bytes; the limit is {limit} bytes", store.adapter);
            return Err(ConfigError::Unfit(why));
        }
        let settings = view.settings_of(&store, adapter.description());
        let settings = Arc::new(settings.map_err(|error| ConfigError::Unfit(error.to_string()))?);
        let access = if adapter.description().pull.wants_login(&settings) {
            let login = view.pull_login(store.id);
            Access::Login(login.map_err(|error| ConfigError::Unreadable(error.to_string()))?)
        } else {
            Access::Open
        };
        let name = format!("{}/{}", project.name, store.name);
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
        let config = &read.get(&id).filter(|known| known.edits == edits)?.config;
        let adapter = self.adapter_of(&config.store)?;
        Arc::ptr_eq(&adapter, &config.adapter).then(|| Arc::clone(config))
    }

    fn edits(&self) -> u64 {
        *self.catalog.edits().borrow()
    }
}
