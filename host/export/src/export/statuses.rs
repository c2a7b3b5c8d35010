//! How stores are doing: one, or all of a list in a few statements.

use super::{Export, blocking};
use crate::budget::LimitUse;
use crate::catalog::{CatalogError, Kind, Link, Store};
use crate::config::ConfigError;
use crate::preview::ExportError;
use crate::status::{Parts, StoreStatus};
use std::collections::HashMap;
use std::sync::Arc;
use tidegate_model::{Instant, MetricSetId, ProjectId, StoreId, Window};

impl Export {
    /// How a store is doing.
    ///
    /// # Errors
    /// [`ExportError::Catalog`] if there is no such store.
    pub async fn store_status(&self, id: StoreId) -> Result<StoreStatus, ExportError> {
        let catalog = Arc::clone(&self.catalog);
        let store = blocking(move || Ok(catalog.read(|v| v.store(id))?)).await?;
        let missing = || CatalogError::not_found(Kind::Store, id);
        Ok(self.store_statuses(vec![store]).await?.pop().ok_or_else(missing)?)
    }

    /// What the adapter of a store has used of its limits; none if nothing was done for the store since the start. Answered from
    /// memory.
    #[must_use]
    pub fn limit_uses(&self, id: StoreId) -> Option<Vec<LimitUse>> {
        self.configs.uses(id)
    }

    /// Rows with values in the newest window of each set of a project that goes to a store, and the end of that window.
    ///
    /// # Errors
    /// [`ExportError`] if the ledger cannot be read.
    pub async fn newest_rows(&self, project: ProjectId) -> Result<HashMap<MetricSetId, (u64, Instant)>, ExportError> {
        let ledger = Arc::clone(&self.ledger);
        blocking(move || Ok(ledger.newest_rows(project)?)).await
    }

    /// How several stores are doing, in their order. It takes a few statements however many there are.
    ///
    /// # Errors
    /// [`ExportError`] if catalog or ledger cannot be read.
    pub async fn store_statuses(&self, stores: Vec<Store>) -> Result<Vec<StoreStatus>, ExportError> {
        let (catalog, ledger) = (Arc::clone(&self.catalog), Arc::clone(&self.ledger));
        let (configs, board, now) = (Arc::clone(&self.configs), Arc::clone(&self.board), self.clock.now());
        let known: Vec<_> = stores.iter().map(|s| (self.healths.get(s.id), self.pull.readers(s.id))).collect();
        blocking(move || {
            let ids: Vec<StoreId> = stores.iter().map(|store| store.id).collect();
            let mut facts = ledger.facts_of(&ids)?;
            let (configs, shown) = catalog.read(|view| {
                let mut links: HashMap<StoreId, Vec<Link>> = HashMap::new();
                for link in view.links_of_stores(&ids)? {
                    links.entry(link.store).or_default().push(link);
                }
                let of = |id| links.get(id).map(Vec::as_slice).unwrap_or_default();
                let on_board = |id| of(id).iter().filter_map(|l| board.newest((l.metric_set, l.period))).collect();
                let shown: Vec<(bool, Vec<Window>)> = ids.iter().map(|id| (!of(id).is_empty(), on_board(id))).collect();
                let stores = stores.iter().map(|store| (store.clone(), of(&store.id).to_vec()));
                Ok((configs.of(view, stores.collect()), shown))
            })?;
            let mut statuses = Vec::with_capacity(stores.len());
            for (((store, (health, readers)), config), (connected, shown)) in
                stores.iter().zip(known).zip(configs).zip(shown)
            {
                let (unfit, limits) = match config {
                    Ok(config) => (None, config.account.uses(config.adapter.size())),
                    Err(ConfigError::Unfit(why)) => (Some(why), Vec::new()),
                    Err(_) => (None, Vec::new()),
                };
                let facts = facts.remove(&store.id).unwrap_or_default();
                statuses.push(Parts { store, facts, health, readers, unfit, limits, shown, connected, now }.status());
            }
            Ok(statuses)
        })
        .await
    }
}
