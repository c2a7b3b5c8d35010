//! Sends one point through a push store at an admin's request, so that somebody sees it on the other side before metrics do.
//!
//! The point is labelled: metric set and metric are called `tidegate_test`, so no graph of real values shows it. The ledger
//! records nothing of it, and the breaker, which is for deliveries, learns nothing.

use crate::catalog::Catalog;
use crate::config::{Config, ConfigError, Configs};
use crate::deliver::{Converse, Trouble};
use crate::preview::{ExportError, PreviewMessage, shown};
use std::sync::Arc;
use tidegate_model::{
    Aggregate, Batch, BatchView, Clock, Dimension, MeasureColumn, MetricBatch, Name, StoreId, StringPool, Window,
};
use tidegate_sandbox::Disposition;

/// What metric set and metric of the point are called.
const NAME: &str = "tidegate_test";

/// A point that was sent, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TestPoint {
    /// The window whose end is the point's time.
    pub window: Window,
    /// What was sent, with credentials masked; the first request, if it took several.
    pub message: PreviewMessage,
    /// Whether the other side took it.
    pub accepted: bool,
    /// HTTP status of the last answer, if there was one.
    pub status: Option<u16>,
    /// Why it did not.
    pub reason: Option<String>,
}

pub(crate) async fn send(
    catalog: &Arc<Catalog>,
    configs: &Arc<Configs>,
    converse: &Converse,
    clock: &Arc<dyn Clock>,
    id: StoreId,
) -> Result<TestPoint, ExportError> {
    let (catalog, configs, now) = (Arc::clone(catalog), Arc::clone(configs), clock.now());
    let prepared = crate::offload::blocking(move || {
        let store = catalog.read(|v| v.store(id))?;
        let project = catalog.read(|v| v.project(store.project))?.name;
        let config: Arc<Config> = configs.get(id).map_err(|error| match error {
            ConfigError::Unfit(why) => ExportError::Misconfigured(why),
            ConfigError::Gone => ExportError::Internal("the store was deleted meanwhile".to_owned()),
            ConfigError::Unreadable(why) => ExportError::Internal(why),
        })?;
        if config.store.pull {
            let why = "a scraper reads this store, so nothing can be sent to it; look at its pages instead";
            return Err(ExportError::Misconfigured(why.to_owned()));
        }
        let open = store.period.window_at(now);
        let last = open.start().seconds().checked_sub(u64::from(store.period.seconds()));
        let window = last.and_then(|start| Window::starting_at(start, store.period)).unwrap_or(open);
        let batch = Arc::new(batch(project, &store.name, window)?);
        let view = BatchView::whole(Arc::clone(&batch));
        let begun = config.account.call(|limits| config.adapter.begin(&config.settings, view, limits));
        let message = shown(&config, begun?);
        Ok((config, batch, window, message))
    });
    let (config, batch, window, message) =
        prepared.await.unwrap_or_else(|e| Err(ExportError::Internal(e.to_string())))?;
    let told = |accepted, status, reason| TestPoint { window, message, accepted, status, reason };
    let (verdict, status) = match converse.about(&config, BatchView::whole(batch), None).await {
        Ok(said) => said,
        Err(Trouble::Fault(fault)) => return Err(ExportError::Fault(fault)),
        Err(Trouble::Unsendable(reason)) => return Ok(told(false, None, Some(reason.to_string()))),
        Err(other) => return Err(ExportError::Internal(other.to_string())),
    };
    let refused = verdict.rejected.into_iter().next().map(|rows| rows.reason);
    let reason = match verdict.disposition {
        Disposition::Accepted => refused,
        Disposition::Rejected(reason)
        | Disposition::Split(reason)
        | Disposition::Stop(reason)
        | Disposition::Retry { reason, .. } => Some(refused.unwrap_or(reason)),
    };
    Ok(told(reason.is_none(), status, reason))
}

/// One row with the value 1, whose one dimension says which store it was sent through.
fn batch(project: Name, store: &Name, window: Window) -> Result<Batch, ExportError> {
    let name = Name::new(NAME).map_err(|e| ExportError::Internal(e.to_string()))?;
    let metric = MetricBatch {
        name: name.clone(),
        rows: 1,
        live_rows: 1,
        folded_groups: 0,
        dimensions: vec![Dimension {
            name: "store".to_owned(),
            dictionary: [store.as_str()].into_iter().collect::<StringPool>(),
            codes: vec![0],
        }],
        measures: vec![MeasureColumn {
            attribute: "_tx".to_owned(),
            aggregate: Aggregate::Count,
            values: vec![1.0],
            totals: None,
        }],
    };
    Ok(Batch { project, metric_set: name, window, metrics: vec![metric] })
}
