//! What is done now and then, whatever happens: queues are measured and bounded, what nobody needs any more goes.

use crate::deliver::Shared;
use crate::ledger::{Horizons, LedgerError};
use crate::observe::Loss;
use crate::offload;
use crate::options::ExportSettings;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tidegate_model::Instant;

/// How often the ages of queues are measured.
const MEASURE: Duration = Duration::from_secs(10);
/// Measurements between two looks at what can be pruned.
const PRUNE_EVERY: u32 = 30;

/// Measures the age of queues and prunes what nobody needs any more.
pub(super) async fn keep(shared: Arc<Shared>, settings: ExportSettings) {
    let (mut round, pause) = (0_u32, MEASURE.max(settings.tick));
    loop {
        let prune = round.is_multiple_of(PRUNE_EVERY);
        let (shared, settings) = (Arc::clone(&shared), settings.clone());
        let kept = offload::blocking(move || keep_once(&shared, &settings, prune)).await;
        if let Ok(Err(error)) = kept {
            tracing::warn!("old records are kept for now: {error}");
        }
        round = round.wrapping_add(1);
        tokio::time::sleep(pause).await;
    }
}

fn keep_once(shared: &Shared, settings: &ExportSettings, prune: bool) -> Result<(), LedgerError> {
    let now = shared.clock.now();
    let (queues, observed) = (shared.ledger.queues()?, &shared.observed);
    for gauge in [&observed.oldest, &observed.queue_bytes, &observed.queue_windows] {
        gauge.reset();
    }
    for queue in queues {
        let age = Duration::from_micros(now.micros().saturating_sub(queue.oldest.micros()));
        observed.oldest.with_label_values(&[&queue.name]).set(age.as_secs_f64());
        observed.queue_bytes.with_label_values(&[&queue.name]).set(queue.bytes as f64);
        observed.queue_windows.with_label_values(&[&queue.name]).set(queue.windows as f64);
        if queue.bytes > settings.queue_bytes {
            let (most, windows) = (settings.queue_bytes, shared.ledger.shed(queue.store, settings.queue_bytes, now)?);
            observed.lost(Loss::QueueFull, windows);
            observed.deliveries.with_label_values(&["expired"]).inc_by(windows);
            tracing::error!(store = %queue.name, windows, "the queue is over its limit of {most} bytes; its oldest windows expired");
        }
    }
    for gauge in [&observed.limit, &observed.limit_used] {
        gauge.reset();
    }
    let stores = shared.catalog.read(|v| Ok(v.links()?.into_iter().map(|link| link.store).collect::<BTreeSet<_>>()));
    let stores = stores.unwrap_or_default();
    shared.configs.keep(&stores);
    for config in stores.into_iter().filter_map(|store| shared.configs.get(store).ok()) {
        config.account.show(&config.name, config.adapter.size(), observed);
    }
    if prune {
        let ago = |span: Duration| Instant::from_seconds(now.seconds().saturating_sub(span.as_secs()));
        let horizons = Horizons { batches: ago(settings.keep_batches), records: ago(settings.keep_records) };
        let (batches, records) = shared.ledger.prune(horizons)?;
        if batches + records > 0 {
            tracing::debug!(batches, records, "pruned the ledger");
        }
    }
    Ok(())
}
