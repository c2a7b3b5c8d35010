//! Asks a store's sink whether it takes the settings, at an admin's request. Nothing is written to the sink, and the answer
//! changes nothing here: the breaker is for deliveries.

use crate::catalog::Catalog;
use crate::config::{Config, ConfigError, Configs};
use crate::deliver::{Converse, Trouble};
use crate::preview::ExportError;
use std::sync::Arc;
use tidegate_model::{Clock, StoreId};
use tidegate_sandbox::Disposition;

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreCheck {
    /// The sink takes the settings.
    Holds,
    /// It does not, or nothing may be sent to it, for this reason.
    Fails(String),
    /// There was no answer that says either, for this reason.
    Unclear(String),
    /// The adapter has no check for this sink.
    NotOffered,
}

pub(crate) async fn check(
    catalog: &Arc<Catalog>,
    configs: &Arc<Configs>,
    converse: &Converse,
    clock: &Arc<dyn Clock>,
    id: StoreId,
) -> Result<StoreCheck, ExportError> {
    let (catalog, configs, now) = (Arc::clone(catalog), Arc::clone(configs), clock.now());
    let read = move || {
        let store = catalog.read(|v| v.store(id))?;
        let project = catalog.read(|v| v.project(store.project))?.name;
        Ok::<_, ExportError>((configs.get(id), project, store.period.window_at(now)))
    };
    let read = crate::offload::blocking(read).await;
    let (config, project, window) = read.unwrap_or_else(|e| Err(ExportError::Internal(e.to_string())))?;
    let config: Arc<Config> = config.map_err(|error| match error {
        ConfigError::Unfit(why) => ExportError::Misconfigured(why),
        ConfigError::Gone => ExportError::Internal("the store was deleted meanwhile".to_owned()),
        ConfigError::Unreadable(why) => ExportError::Internal(why),
    })?;
    if config.store.pull {
        let why = "a scraper reads this store, so there is nothing that could be asked; look at its pages instead";
        return Err(ExportError::Misconfigured(why.to_owned()));
    }
    let (verdict, actions) = match converse.check(&config, project, window).await {
        Ok(told) => told,
        Err(Trouble::Fault(fault)) => return Err(ExportError::Fault(fault)),
        Err(Trouble::Unsendable(reason)) => return Ok(StoreCheck::Fails(reason.to_string())),
        Err(other) => return Err(ExportError::Internal(other.to_string())),
    };
    Ok(match verdict.disposition {
        Disposition::Accepted if actions == 0 => StoreCheck::NotOffered,
        Disposition::Accepted => StoreCheck::Holds,
        Disposition::Stop(reason) | Disposition::Rejected(reason) | Disposition::Split(reason) => {
            StoreCheck::Fails(reason)
        }
        Disposition::Retry { reason, .. } => StoreCheck::Unclear(reason),
    })
}
