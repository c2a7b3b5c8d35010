//! What the ledger says of a store: the raw material of its status.

use super::record::NOTHING_TO_SEND;
use super::{Ledger, LedgerError, unsigned};
use crate::catalog::{corrupt, listed};
use crate::status::{DeliveryCounts, FoldedGroups};
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use tidegate_model::{Batch, Instant, MetricBatch, MetricSetId, Name, ProjectId, StoreId};

/// What is on record of a store.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StoreFacts {
    pub(crate) counts: DeliveryCounts,
    /// End of the oldest queued window.
    pub(crate) oldest_queued: Option<Instant>,
    /// End of the newest window that arrived, and when it did.
    pub(crate) newest_confirmed: Option<(Instant, Instant)>,
    /// What is to be known of that window although it arrived, be it for one of the store's sets alone.
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

/// The stores that are asked for, as numbers in JSON.
const WANTED: &str = "(SELECT value FROM json_each(?1))";

fn instant(seconds: i64) -> Instant {
    Instant::from_seconds(unsigned(seconds))
}

/// The facts of all stores that are asked for, while they are gathered.
struct Gathered<'c> {
    connection: &'c Connection,
    ids: String,
    facts: HashMap<i64, StoreFacts>,
}

impl Gathered<'_> {
    /// Enters what a statement tells of each store, whose number is in the first column.
    fn each(
        &mut self,
        sql: &str,
        enter: impl Fn(&mut StoreFacts, &Row<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([&self.ids])?;
        while let Some(row) = rows.next()? {
            if let Some(facts) = self.facts.get_mut(&row.get(0)?) {
                enter(facts, row)?;
            }
        }
        Ok(())
    }

    fn counts(&mut self) -> rusqlite::Result<()> {
        let sql = format!(
            "SELECT store, state, windows, accepted_rows, rejected_rows FROM delivery_sums WHERE store IN {WANTED}"
        );
        self.each(&sql, |facts, row| {
            let windows = unsigned(row.get(2)?);
            match row.get_ref(1)?.as_str()? {
                "confirmed" => facts.counts.confirmed = windows,
                "rejected" => facts.counts.rejected = windows,
                _ => facts.counts.expired = windows,
            }
            facts.counts.accepted_rows += unsigned(row.get(3)?);
            facts.counts.rejected_rows += unsigned(row.get(4)?);
            Ok(())
        })
    }

    fn queue(&mut self) -> rusqlite::Result<()> {
        let sql = format!(
            "SELECT store, count(*), min(window_end) FROM deliveries WHERE state = 'queued' AND store IN {WANTED} \
             GROUP BY store"
        );
        self.each(&sql, |facts, row| {
            facts.counts.queued = unsigned(row.get(1)?);
            facts.oldest_queued = row.get::<_, Option<i64>>(2)?.map(instant);
            Ok(())
        })?;
        let sql = "SELECT d.store, d.problem FROM json_each(?1) i JOIN deliveries d ON d.id = (SELECT q.id FROM deliveries q \
                   WHERE q.store = i.value AND q.state = 'queued' AND q.problem IS NOT NULL ORDER BY q.window_end, q.id LIMIT 1)";
        self.each(sql, |facts, row| {
            facts.queued_problem = row.get(1)?;
            Ok(())
        })
    }

    fn newest(&mut self) -> rusqlite::Result<()> {
        let newest = |what: &str, of: &str| {
            format!(
                "SELECT d.store, d.updated, {what} FROM json_each(?1) i JOIN deliveries d \
                 ON d.id = (SELECT max(n.id) FROM deliveries n WHERE n.store = i.value AND {of})"
            )
        };
        let at = |row: &Row<'_>| row.get(1).map(unsigned).map(Instant::from_micros);
        self.each(&newest("d.window_end", "n.state = 'confirmed'"), |facts, row| {
            facts.newest_confirmed = Some((instant(row.get(2)?), at(row)?));
            Ok(())
        })?;
        let noted = newest("d.problem, d.window_end", "n.state = 'confirmed' AND n.problem IS NOT NULL");
        self.each(&noted, |facts, row| {
            let end = instant(row.get(3)?);
            if facts.newest_confirmed.is_some_and(|(newest, _)| newest == end) {
                // A quiet window is nothing that somebody should see to.
                facts.note = row.get::<_, Option<String>>(2)?.filter(|note| note != NOTHING_TO_SEND);
            }
            Ok(())
        })?;
        let lost = newest("coalesce(d.problem, 'no reason was given')", "n.state IN ('rejected', 'expired')");
        self.each(&lost, |facts, row| {
            facts.lost = Some((at(row)?, row.get(2)?));
            Ok(())
        })
    }

    fn evaluation(&mut self) -> rusqlite::Result<()> {
        // From the few windows that failed to whoever wants them: the other way round reads every window.
        let sql = format!(
            "SELECT l.store, count(DISTINCT w.id), max(w.reason) FROM windows w INDEXED BY windows_failed CROSS JOIN links l \
             ON l.metric_set = w.metric_set AND l.period = w.period AND l.since <= w.start \
             WHERE w.state = 'failed' AND l.store IN {WANTED} GROUP BY l.store"
        );
        self.each(&sql, |facts, row| {
            facts.failed_windows = unsigned(row.get(1)?);
            facts.evaluation_problem = row.get(2)?;
            Ok(())
        })?;
        let sql = format!(
            "SELECT l.store, w.live_rows, m.name, w.start + w.period, f.metrics FROM links l JOIN metric_sets m ON m.id = l.metric_set \
             JOIN windows w ON w.id = (SELECT n.id FROM windows n WHERE n.metric_set = l.metric_set AND n.period = l.period \
             AND n.metric = '' AND n.state = 'evaluated' ORDER BY n.start DESC LIMIT 1) LEFT JOIN folded_windows f ON f.window = w.id \
             WHERE l.until IS NULL AND l.store IN {WANTED} ORDER BY l.store, l.metric_set"
        );
        self.each(&sql, |facts, row| {
            facts.rows += unsigned(row.get(1)?);
            let Some(metrics) = row.get::<_, Option<String>>(4)? else { return Ok(()) };
            let metrics: Vec<Folded> = serde_json::from_str(&metrics).map_err(|e| corrupt(4, e))?;
            let metric_set: String = row.get(2)?;
            let metric_set = Name::new(metric_set).map_err(|e| corrupt(2, e))?;
            let window_end = instant(row.get(3)?);
            facts.folded.extend(metrics.into_iter().map(|Folded { metric, groups, rows }| FoldedGroups {
                metric_set: metric_set.clone(),
                metric,
                groups,
                rows,
                window_end,
            }));
            Ok(())
        })
    }
}

/// What is kept of a metric whose last row stands for groups that had none of their own.
#[derive(Serialize, Deserialize)]
struct Folded {
    metric: Name,
    groups: u64,
    rows: u64,
}

/// What is kept of a window for the status of its stores; none if every group has a row of its own.
pub(super) fn folded(batch: &Batch) -> Option<String> {
    let folded: Vec<_> = batch.metrics.iter().filter(|metric| metric.folded_groups > 0).collect();
    let one = |metric: &&MetricBatch| {
        json!(Folded { metric: metric.name.clone(), groups: metric.folded_groups, rows: metric.live_rows.into() })
    };
    (!folded.is_empty()).then(|| Json::from_iter(folded.iter().map(one)).to_string())
}

impl Ledger {
    /// Live rows of the newest evaluated window of each set that a store is connected to, and the end of that window; of several
    /// periods, the longest.
    pub(crate) fn newest_rows(&self, project: ProjectId) -> Result<HashMap<MetricSetId, (u64, Instant)>, LedgerError> {
        let sql = "SELECT l.metric_set, w.live_rows, w.start + w.period FROM (SELECT metric_set, max(period) period FROM links \
                   WHERE until IS NULL GROUP BY metric_set) l JOIN metric_sets m ON m.id = l.metric_set AND m.project = ?1 \
                   JOIN windows w ON w.id = (SELECT n.id FROM windows n WHERE n.metric_set = l.metric_set AND n.period = l.period \
                   AND n.state = 'evaluated' ORDER BY n.start DESC LIMIT 1)";
        self.db.read(|connection| {
            let rows = |row: &Row<'_>| Ok((MetricSetId(row.get(0)?), (unsigned(row.get(1)?), instant(row.get(2)?))));
            Ok(connection.prepare_cached(sql)?.query_map([project.0], rows)?.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// What is on record of a store.
    #[cfg(test)]
    pub(crate) fn facts(&self, store: StoreId) -> Result<StoreFacts, LedgerError> {
        Ok(self.facts_of(&[store])?.remove(&store).unwrap_or_default())
    }

    /// What is on record of each of these stores, in a few statements however many there are.
    pub(crate) fn facts_of(&self, stores: &[StoreId]) -> Result<HashMap<StoreId, StoreFacts>, LedgerError> {
        self.db.read(|connection| {
            let facts = stores.iter().map(|store| (store.0, StoreFacts::default())).collect();
            let mut gathered = Gathered { connection, ids: listed(stores), facts };
            gathered.counts()?;
            gathered.queue()?;
            gathered.newest()?;
            gathered.evaluation()?;
            Ok(gathered.facts.into_iter().map(|(store, facts)| (StoreId(store), facts)).collect())
        })
    }
}
