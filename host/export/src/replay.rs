//! A past window again: the very same bytes, shown or sent.
//!
//! What goes out is made of the stored batch by the adapter, as it was the first time. Where adapter and settings are those of
//! then, the request must have the digest that is on record; if it has another, nothing is sent. The ledger's record of the
//! delivery stays as it is: a replay is something that an operator does, not something that the schedule owes.

use crate::catalog::in_progress;
use crate::config::{Config, ConfigError, Configs};
use crate::deliver::{Again, Converse, Next, Parts};
use crate::ledger::{Finished, Ledger, NoPast, Past};
use crate::offload::blocking;
use crate::preview::{ExportError, PreviewMessage, shown};
use std::sync::Arc;
use tidegate_model::{BatchView, Clock, Instant, MetricSetId, Name, Period, StoreId, Window};
use tidegate_sandbox::Step;

/// Whether a request is the one that was sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SameBytes {
    /// It has the digest that is on record.
    Same,
    /// Adapter or settings have changed since, so its bytes may differ.
    NotComparable,
    /// No request was made of the window before.
    NeverSent,
}

/// A window that was replayed.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// The window.
    pub window: Window,
    /// The metric that it is of, if that could not be evaluated with its set.
    pub metric: Option<Name>,
    /// What the ledger says of its delivery.
    pub state: String,
    /// The first request, or why there is none.
    pub message: PreviewMessage,
    /// How it compares with what was sent before.
    pub same: SameBytes,
    /// If it was sent: rows that were accepted and rows that were refused.
    pub sent: Option<(u64, u64)>,
}

/// Replays windows: shows what a store got, and sends it again if it is told to.
pub struct Replayer {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) configs: Arc<Configs>,
    pub(crate) converse: Converse,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) parts: u32,
}

/// Windows that one look at a range gives.
const AT_ONCE: usize = 100;

/// A part of a range of windows.
#[derive(Debug)]
pub struct Replays {
    /// Each window, oldest first, with what came of it; one with metrics that came by themselves is there once for each.
    pub windows: Vec<(Window, Result<Replay, ExportError>)>,
    /// From where to go on, if there are more.
    pub next: Option<u64>,
}

impl Replayer {
    /// The windows that begin at `from` or later and before `to`, in seconds, one after the other: some of them, and from where to go
    /// on. One that cannot be replayed is told and does not hold up the others.
    ///
    /// # Errors
    /// [`ExportError`] if the ledger cannot be read.
    pub async fn replay_range(
        &self,
        store: StoreId,
        set: MetricSetId,
        from: u64,
        to: u64,
        send: bool,
    ) -> Result<Replays, ExportError> {
        let ledger = Arc::clone(&self.ledger);
        let look = move || ledger.past_windows(store, set, from, to, AT_ONCE + 1);
        let mut found = blocking(look).await.map_err(|e| ExportError::Internal(e.to_string()))??;
        let next = found.get(AT_ONCE).map(|(window, _)| window.start().seconds());
        found.truncate(AT_ONCE);
        // Windows of two periods may begin together; they stay together.
        found.retain(|(window, _)| next != Some(window.start().seconds()));
        let mut windows = Vec::with_capacity(found.len());
        for (window, metric) in found {
            let at = window.start().seconds();
            windows.push((window, self.replay(store, set, at, Some(window.period()), metric, send).await));
        }
        Ok(Replays { windows, next })
    }

    /// The window that holds the second `at`: the shortest if no period is named. What the set could evaluate together, unless a
    /// metric is named that came by itself.
    ///
    /// # Errors
    /// [`ExportError::NoSuchWindow`]; [`ExportError::NotSent`] if the bytes differ from those of then, or did not get through.
    pub async fn replay(
        &self,
        store: StoreId,
        set: MetricSetId,
        at: u64,
        period: Option<Period>,
        metric: Option<Name>,
        send: bool,
    ) -> Result<Replay, ExportError> {
        let (ledger, configs, now) = (Arc::clone(&self.ledger), Arc::clone(&self.configs), self.clock.now());
        let named = metric.clone();
        let look = move || {
            let config = configs.get(store).map_err(|error| match error {
                ConfigError::Gone => ExportError::NoSuchWindow("the store was deleted".to_owned()),
                ConfigError::Unfit(why) => ExportError::Misconfigured(why),
                ConfigError::Unreadable(why) => ExportError::Internal(why),
            })?;
            let past = ledger.past(store, set, at, period, named.as_ref()).map_err(|error| match error {
                NoPast::Ledger(error) => ExportError::from(error),
                none => {
                    let early = matches!(none, NoPast::Unknown).then(|| too_early(&config, set, at, now)).flatten();
                    ExportError::NoSuchWindow(early.unwrap_or_else(|| none.to_string()))
                }
            })?;
            let (message, same) = compared(&config, &past)?;
            Ok::<_, ExportError>((config, past, message, same))
        };
        let looked = blocking(look).await.unwrap_or_else(|e| Err(ExportError::Internal(e.to_string())));
        let (config, past, message, same) = looked?;
        let sent = if send { Some(self.send(&config, &past).await?) } else { None };
        Ok(Replay { window: past.batch.window, metric, state: past.state, message, same, sent })
    }

    async fn send(&self, config: &Arc<Config>, past: &Past) -> Result<(u64, u64), ExportError> {
        let rows = past.first.as_ref().map(|first| first.rows);
        let mut parts = Parts::new(BatchView::whole(Arc::clone(&past.batch)), rows);
        let mut left = self.parts;
        while let Some(view) = parts.next() {
            if left == 0 {
                parts.give_up(view, "more parts were needed than a delivery may have");
                break;
            }
            left -= 1;
            let said = self.converse.about(config, view.clone(), None).await;
            let (verdict, _) = said.map_err(|trouble| ExportError::NotSent(trouble.to_string()))?;
            match parts.judged(&view, verdict) {
                Next::GoOn => {}
                Next::Again(Again { reason, .. }) | Next::Stop(reason) => return Err(ExportError::NotSent(reason)),
            }
        }
        Ok(match parts.finished() {
            Finished::Confirmed { accepted, rejected, .. } => (accepted, rejected),
            Finished::Rejected { rejected, .. } => (0, rejected),
        })
    }
}

/// That the window is not over, if that is why nothing is on record of it.
fn too_early(config: &Config, set: MetricSetId, at: u64, now: Instant) -> Option<String> {
    let links = config.links.iter().filter(|link| link.metric_set == set);
    let window = *in_progress(links, at, now).first()?;
    let left = (window.end().micros() - now.micros()).div_ceil(1_000_000);
    Some(format!("the window that holds that moment is not over: it ends in {left} s, and can be replayed then"))
}

/// The first request that a window gives today, compared with the one on record.
fn compared(config: &Config, past: &Past) -> Result<(PreviewMessage, SameBytes), ExportError> {
    let rows = past.first.as_ref().map(|first| first.rows);
    let Some(view) = Parts::new(BatchView::whole(Arc::clone(&past.batch)), rows).next() else {
        return Ok((PreviewMessage::Nothing("the window has no values".to_owned()), SameBytes::NeverSent));
    };
    let step = config.account.call(|limits| config.adapter.begin(&config.settings, view, limits))?;
    let Step::Act(_, action) = &step else {
        return Ok((shown(config, step), SameBytes::NeverSent));
    };
    let digest = action.digest();
    let same = match &past.first {
        None => SameBytes::NeverSent,
        Some(first)
            if first.adapter != *config.adapter.digest() || first.settings_revision != config.store.revision =>
        {
            SameBytes::NotComparable
        }
        Some(first) if first.digest == digest => SameBytes::Same,
        Some(first) => {
            let (then, now) = (hex::encode(&first.digest[..8]), hex::encode(&digest[..8]));
            let why =
                format!("the adapter makes another request of the window than before (SHA-256 {then} then, {now} now)");
            return Err(ExportError::NotSent(why));
        }
    };
    Ok((shown(config, step), same))
}
