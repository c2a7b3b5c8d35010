//! What the ledger says of a store: the raw material of its status.

use super::record::unpack;
use super::{Ledger, LedgerError, unsigned};
use crate::status::{DeliveryCounts, FoldedGroups};
use rusqlite::{Connection, OptionalExtension};
use tidegate_model::{Instant, StoreId};

/// Metric sets of one store among which a note of the newest window is looked for.
const SETS_LOOKED_AT: u32 = 16;

/// What is on record of a store.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreFacts {
    pub(crate) counts: DeliveryCounts,
    /// End of the oldest queued window.
    pub(crate) oldest_queued: Option<Instant>,
    /// End of the newest window that arrived, and when it did.
    pub(crate) newest_confirmed: Option<(Instant, Instant)>,
    /// What is to be known of that window although it arrived.
    pub(crate) note: Option<String>,
    /// Why the oldest queued delivery has not arrived.
    pub(crate) queued_problem: Option<String>,
    /// Failed windows of the store's sets, and the reason of the newest.
    pub(crate) failed_windows: u64,
    pub(crate) evaluation_problem: Option<String>,
    /// The newest delivery that was rejected or expired: when, and why.
    pub(crate) lost: Option<(Instant, String)>,
    /// Live rows of the newest evaluated window of each connected set.
    pub(crate) rows: u64,
    /// Metrics that had more groups than rows in those windows.
    pub(crate) folded: Vec<FoldedGroups>,
}

fn instant(seconds: i64) -> Instant {
    Instant::from_seconds(unsigned(seconds))
}

/// The metrics whose last row stands for groups that had none of their own, in the newest windows of the connected sets.
fn folded(c: &Connection, store: StoreId) -> Result<Vec<FoldedGroups>, LedgerError> {
    let sql = "SELECT (SELECT w.batch FROM windows w WHERE w.metric_set = l.metric_set AND w.period = l.period \
               AND w.state = 'evaluated' ORDER BY w.start DESC LIMIT 1) \
               FROM links l WHERE l.store = ?1 AND l.until IS NULL ORDER BY l.metric_set";
    let mut statement = c.prepare_cached(sql)?;
    let batches = statement.query_map([store.0], |row| row.get::<_, Option<Vec<u8>>>(0))?;
    let mut found = Vec::new();
    for packed in batches {
        let Some(batch) = packed?.map(|packed| unpack(&packed)).transpose()? else { continue };
        for metric in batch.metrics.iter().filter(|metric| metric.folded_groups > 0) {
            found.push(FoldedGroups {
                metric_set: batch.metric_set.clone(),
                metric: metric.name.clone(),
                groups: metric.folded_groups,
                rows: u64::from(metric.live_rows),
                window_end: batch.window.end(),
            });
        }
    }
    Ok(found)
}

/// Enters the newest window that arrived, and a note that came with it, be it for another of the store's sets.
fn enter_newest_confirmed(c: &Connection, store: StoreId, facts: &mut StoreFacts) -> rusqlite::Result<()> {
    let sql = "SELECT window_end, updated, problem FROM deliveries WHERE store = ?1 AND state = 'confirmed' \
               ORDER BY id DESC LIMIT ?2";
    let mut statement = c.prepare_cached(sql)?;
    let mut rows = statement.query((store.0, SETS_LOOKED_AT))?;
    while let Some(row) = rows.next()? {
        let (end, at) = (instant(row.get(0)?), Instant::from_micros(unsigned(row.get(1)?)));
        let (newest, _) = *facts.newest_confirmed.get_or_insert((end, at));
        if end == newest && facts.note.is_none() {
            facts.note = row.get(2)?;
        }
    }
    Ok(())
}

impl Ledger {
    /// What is on record of a store.
    pub(crate) fn facts(&self, store: StoreId) -> Result<StoreFacts, LedgerError> {
        self.db.read(|c| {
            let mut facts = StoreFacts::default();
            let mut sums = c.prepare_cached("SELECT state, windows, accepted_rows, rejected_rows FROM delivery_sums WHERE store = ?1")?;
            let rows = sums.query_map([store.0], |row| {
                Ok((row.get::<_, String>(0)?, unsigned(row.get(1)?), unsigned(row.get(2)?), unsigned(row.get(3)?)))
            })?;
            for row in rows {
                let (state, windows, accepted, rejected) = row?;
                match state.as_str() {
                    "confirmed" => facts.counts.confirmed = windows,
                    "rejected" => facts.counts.rejected = windows,
                    _ => facts.counts.expired = windows,
                }
                facts.counts.accepted_rows += accepted;
                facts.counts.rejected_rows += rejected;
            }
            let sql = "SELECT count(*), min(window_end) FROM deliveries WHERE store = ?1 AND state = 'queued'";
            let (queued, oldest): (i64, Option<i64>) =
                c.prepare_cached(sql)?.query_row([store.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
            facts.counts.queued = unsigned(queued);
            facts.oldest_queued = oldest.map(instant);
            let sql = "SELECT problem FROM deliveries WHERE store = ?1 AND state = 'queued' AND problem IS NOT NULL \
                       ORDER BY window_end, id LIMIT 1";
            facts.queued_problem = c.prepare_cached(sql)?.query_row([store.0], |row| row.get(0)).optional()?;
            enter_newest_confirmed(c, store, &mut facts)?;
            let sql = "SELECT updated, coalesce(problem, 'no reason was given') FROM deliveries \
                       WHERE store = ?1 AND state IN ('rejected', 'expired') ORDER BY id DESC LIMIT 1";
            let lost = c.prepare_cached(sql)?.query_row([store.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            facts.lost = lost.map(|(at, why): (i64, String)| (Instant::from_micros(unsigned(at)), why));
            let sql = "SELECT count(*), max(w.reason) FROM windows w WHERE w.state = 'failed' AND EXISTS (SELECT 1 FROM links l \
                       WHERE l.store = ?1 AND l.metric_set = w.metric_set AND l.period = w.period AND l.since <= w.start)";
            let (failed, reason): (i64, Option<String>) =
                c.prepare_cached(sql)?.query_row([store.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
            facts.failed_windows = unsigned(failed);
            facts.evaluation_problem = reason;
            let sql = "SELECT coalesce(sum((SELECT w.live_rows FROM windows w WHERE w.metric_set = l.metric_set \
                       AND w.period = l.period AND w.state = 'evaluated' ORDER BY w.start DESC LIMIT 1)), 0) \
                       FROM links l WHERE l.store = ?1 AND l.until IS NULL";
            facts.rows = unsigned(c.prepare_cached(sql)?.query_row([store.0], |row| row.get(0))?);
            facts.folded = folded(c, store)?;
            Ok(facts)
        })
    }
}
