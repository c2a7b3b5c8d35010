//! Push delivery: one task for each store, one conversation at a time in it, the oldest window first.
//!
//! Stores share nothing that could make one wait for another: each has its own queue (rows of the ledger), its own waits and
//! its own conversation. Being killed at any point is no matter: what is not recorded as finished is sent again, the same
//! bytes under the same stamp.

mod breaker;
mod converse;
mod parts;
mod suspicion;
mod worker;

pub(crate) use breaker::FAILING;
pub(crate) use converse::{Converse, Trouble};
pub(crate) use parts::{Again, Next, Parts};

use crate::catalog::Catalog;
use crate::chance::Chance;
use crate::config::Configs;
use crate::ledger::Ledger;
use crate::look_back::LookBack;
use crate::observe::Observed;
use crate::offload::blocking;
use crate::trial::Trials;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidegate_model::{Clock, StoreId};
use tokio::sync::watch;
use tokio::task::JoinSet;
use worker::Worker;

/// What deliverers work with.
pub(crate) struct Shared {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) configs: Arc<Configs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<Chance>,
    pub(crate) observed: Arc<Observed>,
    pub(crate) converse: Converse,
    pub(crate) trials: Arc<Trials>,
    pub(crate) look_back: LookBack,
    pub(crate) parts: u32,
    pub(crate) tick: Duration,
}

/// What stands in the way of a store, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) obstacle: Option<Obstacle>,
    /// Failures in a row.
    pub(crate) failures: u32,
}

/// Something that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The other side cannot be reached, or does not take it now.
    Sink(String),
    /// The other side refuses the credentials.
    Credentials(String),
    /// The adapter failed.
    Adapter(String),
    /// The adapter is missing, or the settings do not fit, or may not be used.
    Settings(String),
}

/// The health of all push stores.
#[derive(Default)]
pub(crate) struct Healths(Mutex<HashMap<StoreId, Health>>);

impl Healths {
    pub(crate) fn get(&self, store: StoreId) -> Health {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&store).cloned().unwrap_or_default()
    }

    fn set(&self, store: StoreId, health: Health) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(store, health);
    }

    fn forget(&self, store: StoreId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&store);
    }
}

/// Keeps a worker for each push store until it is told to stop. From then on each finishes what is due, and ends; whoever
/// waits for this decides how long.
pub(crate) async fn deliver(
    shared: Arc<Shared>,
    healths: Arc<Healths>,
    recorded: watch::Receiver<u64>,
    stop: watch::Receiver<bool>,
) {
    let mut edits = shared.catalog.edits();
    let mut stopping = stop.clone();
    let mut workers: JoinSet<StoreId> = JoinSet::new();
    let mut working: std::collections::HashSet<StoreId> = std::collections::HashSet::new();
    loop {
        edits.mark_unchanged();
        if !*stopping.borrow_and_update() {
            for store in push_stores(&shared).await {
                if working.insert(store) {
                    let worker = Worker::new(store, Arc::clone(&shared), Arc::clone(&healths));
                    workers.spawn(worker.run(recorded.clone(), stop.clone()));
                }
            }
        } else if workers.is_empty() {
            return;
        }
        tokio::select! {
            biased;
            _ = stopping.changed() => {}
            _ = edits.changed() => {}
            Some(done) = workers.join_next(), if !workers.is_empty() => {
                if let Ok(store) = done {
                    working.remove(&store);
                    healths.forget(store);
                } else {
                    // A worker that panicked is a defect, and no reason for the store to stand still.
                    tracing::error!("a deliverer ended in a panic; all deliverers are started again");
                    workers.shutdown().await;
                    working.clear();
                }
            }
            () = tokio::time::sleep(Duration::from_secs(30)) => {}
        }
    }
}

async fn push_stores(shared: &Arc<Shared>) -> Vec<StoreId> {
    let shared = Arc::clone(shared);
    let read = move || {
        let stores = shared.catalog.read(|v| v.all_stores())?;
        Ok::<_, crate::CatalogError>(stores.into_iter().filter(|s| !s.pull).map(|s| s.id).collect())
    };
    match blocking(read).await {
        Ok(Ok(stores)) => stores,
        Ok(Err(error)) => {
            tracing::warn!("the stores cannot be listed, and will be again soon: {error}");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}
