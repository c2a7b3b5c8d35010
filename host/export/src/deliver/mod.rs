//! Push delivery: one conversation at a time for each store, the oldest window first.
//!
//! Stores share nothing that could make one wait for another: each has its own queue (rows of the ledger), its own waits and
//! its own conversation. A store that has nothing to get costs nothing: the [`desk`] has its worker work when something is due.
//! Being killed at any point is no matter: what is not recorded as finished is sent again, the same
//! bytes under the same stamp.

mod breaker;
mod converse;
mod desk;
mod parts;
mod suspicion;
mod worker;

pub(crate) use breaker::FAILING;
pub(crate) use converse::{Converse, Trouble};
pub(crate) use desk::{Queued, deliver};
pub(crate) use parts::{Again, Next, Parts};

use crate::catalog::Catalog;
use crate::chance::Chance;
use crate::config::Configs;
use crate::ledger::Ledger;
use crate::look_back::LookBack;
use crate::observe::Observed;
use crate::trial::Trials;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidegate_model::{Clock, Instant, StoreId};
use tokio::sync::Semaphore;

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
    /// Places for conversations of stores whose last try failed: sinks that hang must leave places to the others.
    pub(crate) doubtful: Semaphore,
}

/// What stands in the way of a store, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) obstacle: Option<Obstacle>,
    /// Failures in a row.
    pub(crate) failures: u32,
    /// When it is tried again, at the earliest.
    pub(crate) next: Option<Instant>,
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
